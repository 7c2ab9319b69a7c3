# -*- coding: utf-8 -*-
"""Generated configurations and damaged files, and what OMERO's own command line and OMERO.web make of them."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import importlib
import json
import os
import re
import shutil
import sys
import tempfile

import pytest
from ansible.module_utils import omero_config_write
from ansible.module_utils.omero_config import as_property
from ansible.module_utils.omero_secrets import holds_secret
from ansible.module_utils.six import PY2, StringIO, text_type
from conftest import content_of, read_properties, run_module, tally, write
from hypothesis import assume, given
from hypothesis import strategies as st

# before Python 3.9, OMERO's library turns tabs and carriage returns into spaces; the module refuses them there
LOST = re.compile(u'[\t\r]') if sys.version_info < (3, 9) else re.compile(u'(?!)')

texts = st.text(max_size=20).map(lambda text: LOST.sub(u'', omero_config_write.NOT_IN_XML.sub(u'', text)))
names = st.from_regex(r'\A[A-Za-z0-9._-]{1,12}\Z').map(lambda name: 'test.' + name + '.x')
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
containers = st.lists(json_values, max_size=4) | st.dictionaries(texts, json_values, max_size=4)
values = texts | st.booleans() | numbers | containers
configurations = st.dictionaries(names, values, max_size=6)


@contextlib.contextmanager
def omerodir():
    """An OMERODIR of its own for one generated case, and the config.xml in it."""
    directory = tempfile.mkdtemp()
    try:
        os.makedirs(os.path.join(directory, 'etc', 'grid'))
        yield directory, os.path.join(directory, 'etc', 'grid', 'config.xml')
    finally:
        shutil.rmtree(directory)


def apply(path, check=False, **arguments):
    result = run_module('omero_config', dict({'path': path, 'validate': 'off'}, **arguments), check)
    assert not result.get('failed'), result['msg']
    return result


def as_secrets(configuration):
    """Generated names and values may look like secrets, and secrets accept everything."""
    return {'secrets': configuration}


# --- with OMERO's library ---------------------------------------------------------------------------------------------


@given(configurations, configurations, st.booleans())
def test_what_is_written_is_what_omero_reads(first, second, purge):
    with omerodir() as (_directory, path):
        apply(path, **as_secrets(first))
        foretold = apply(path, check=True, purge=purge, **as_secrets(second))
        done = apply(path, purge=purge, **as_secrets(second))
        expected = dict({} if purge else first, **second)
        assert read_properties(path) == {key: as_property(value) for key, value in expected.items()}
        assert [foretold[key] for key in ('changed', 'added', 'updated', 'removed', 'diff')] == [
            done[key] for key in ('changed', 'added', 'updated', 'removed', 'diff')]
        content = content_of(path)
        assert not apply(path, purge=purge, **as_secrets(second))['changed']
        assert content_of(path) == content
    tally['generated configurations written and read back by ConfigXml'] += 1


@given(configurations, st.data())
def test_damaged_files_are_refused_or_understood_but_never_mangled(configuration, data):
    with omerodir() as (_directory, path):
        apply(path, **as_secrets(configuration))
        content = bytearray(content_of(path))
        at = data.draw(st.integers(0, len(content) - 1))
        damage = data.draw(st.sampled_from(['truncate', 'remove', 'replace', 'insert', 'repeat']))
        piece = bytearray(data.draw(st.binary(min_size=1, max_size=8)))
        until = at + data.draw(st.integers(1, 40))
        if damage == 'truncate':
            content[at:] = b''
        elif damage == 'remove':
            content[at:until] = b''
        elif damage == 'replace':
            content[at:at + len(piece)] = piece
        elif damage == 'insert':
            content[at:at] = piece
        else:
            content[at:at] = content[at:until]
        write(path, bytes(content))
        result = run_module('omero_config', {'path': path, 'settings': {'test.new': 1}, 'validate': 'off'})
        if result.get('failed'):
            assert re.search(r' is damaged or not written by OMERO: line \d+: .*It was left as it is', result['msg'])
            assert content_of(path) == bytes(content)
            tally['generated damaged files refused'] += 1
        else:
            assert read_properties(path)['test.new'] == '1'
            assert not apply(path, settings={'test.new': 1})['changed']
            tally['generated damaged files that are still a configuration'] += 1


# --- with OMERO's command line ----------------------------------------------------------------------------------------


class CommandLine:
    """`omero config` for one file, in this process: the command's own code without starting a Python for each case."""

    def __init__(self, path):
        from omero.cli import CLI
        from omero.config import ConfigXml
        from omero.plugins.prefs import HELP, PrefsControl

        ConfigXml(path).close()
        os.environ.update(OMERODIR=os.path.dirname(path), OMERO_HOME=os.path.dirname(path))
        self.source = ['config', '--source', path]
        self.cli = CLI()
        self.cli.register('config', PrefsControl, HELP)

    def __call__(self, *arguments):
        streams = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = StringIO()
        try:
            self.cli.invoke(self.source + [as_argument(argument) for argument in arguments], strict=True)
            return as_text(sys.stdout.getvalue())
        finally:
            sys.stdout, sys.stderr = streams


def as_argument(text):
    return text.encode('utf-8') if PY2 and isinstance(text, text_type) else text


def as_text(text):
    return text.decode('utf-8') if isinstance(text, bytes) else text


@pytest.mark.omero
@given(configurations, configurations)
def test_same_as_omero_config_set(first, second):
    with omerodir() as (_ours, path), omerodir() as (_theirs, other):
        omero = CommandLine(other)
        for configuration in first, second:
            apply(path, **as_secrets(configuration))
            for key, value in configuration.items():
                omero('set', key, '--', as_property(value))
        assert read_properties(path) == read_properties(other)
        ours = CommandLine(path)
        for key, value in dict(first, **second).items():
            assert ours('get', key) == omero('get', key) == as_property(value) + '\n'
    tally['generated configurations compared with `omero config set` and `get`'] += 1


LISTS = ['omero.web.apps', 'omero.web.ui.top_links', 'omero.web.ui.center_plugins', 'omero.web.ui.right_plugins',
         'omero.web.ui.metadata_panes', 'omero.web.open_with', 'omero.web.middleware', 'test.list.x']
items = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.omero
@given(st.sampled_from(LISTS), st.none() | st.lists(items, max_size=3), st.lists(items, min_size=1, max_size=3))
def test_same_as_omero_config_append(key, start, appended):
    assume(not any(holds_secret(value) for value in (start, appended)))
    with omerodir() as (_ours, path), omerodir() as (_theirs, other):
        omero = CommandLine(other)
        if start is not None:
            apply(path, settings={key: start})
            omero('set', key, '--', json.dumps(start))
        for item in appended:
            omero('append', '--set', key, '--', json.dumps(item))
        apply(path, append={key: appended})
        ours, theirs = (json.loads(read_properties(name).get(key, 'null')) for name in (path, other))
        assert ours == theirs
        assert not apply(path, append={key: appended})['changed']
        assert not apply(other, append={key: appended})['changed']
    tally['generated lists compared with `omero config append`'] += 1


# --- with OMERO.web ---------------------------------------------------------------------------------------------------


def omeroweb_settings(directory):
    """A fresh reading of an OMERODIR by omeroweb.settings."""
    for name in list(sys.modules):
        if name.split('.')[0] == 'omeroweb':
            del sys.modules[name]
    os.environ.update(OMERODIR=directory, OMERO_HOME=directory)
    return importlib.import_module('omeroweb.settings')


latin = st.text(alphabet='abcdefghijklmnopqrstuvwxyz/._- 0123456789', max_size=12)
WEB_VALUES = {
    'omero.web.debug': st.booleans(),
    'omero.web.public.enabled': st.booleans(),
    'omero.web.check_version': st.booleans(),
    'omero.web.wsgi_workers': st.integers(-2 ** 31, 2 ** 31),
    'omero.web.session_cookie_age': st.integers(0, 2 ** 31),
    'omero.web.application_server.port': st.integers(1, 65535),
    'omero.web.application_server': st.sampled_from(['wsgi', 'wsgi-tcp', 'development']),
    'omero.web.prefix': latin,
    'omero.web.wsgi_args': latin,
    'omero.web.login_logo': latin,
    'omero.web.index_template': latin,
    'omero.web.viewer.view': latin,
    'omero.web.ui.top_links': st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=3), max_size=3),
    'omero.web.ui.metadata_panes': st.lists(st.dictionaries(st.text(max_size=5), json_values, max_size=3), max_size=3),
    'omero.web.open_with': st.lists(json_values, max_size=3),
    'omero.web.admins': st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=2), max_size=2),
    'omero.web.login_redirect': st.dictionaries(st.text(max_size=5), json_values, max_size=3),
    'omero.web.middleware': st.lists(
        st.fixed_dictionaries({'index': st.floats(-10, 10) | st.integers(0, 9), 'class': latin}), max_size=3),
    'omero.web.server_list': st.lists(
        st.tuples(st.sampled_from(['a', 'b', 'c.example.org']), st.integers(1, 65535), latin).map(list), max_size=3),
}
web_configurations = st.sets(st.sampled_from(sorted(WEB_VALUES)), max_size=6).flatmap(
    lambda keys: st.fixed_dictionaries({key: WEB_VALUES[key] for key in keys}))


@pytest.mark.omero
@given(web_configurations)
def test_omero_web_reads_what_was_given(configuration):
    assume(not any(holds_secret(value) for value in configuration.values()))
    with omerodir() as (directory, path):
        apply(path, settings=configuration, validate='strict')
        settings = omeroweb_settings(directory)
        tables = dict(settings.INTERNAL_SETTINGS_MAPPING)
        tables.update(settings.CUSTOM_SETTINGS_MAPPINGS)
        tables.update(settings.DEVELOPMENT_SETTINGS_MAPPINGS)
        for key, value in configuration.items():
            assert getattr(settings, tables[key][0]) == value
    tally['generated configurations read by omeroweb.settings'] += 1

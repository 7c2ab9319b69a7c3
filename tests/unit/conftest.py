# -*- coding: utf-8 -*-
"""What the tests of the omero_config modules share.

``pytest tests/unit`` needs no OMERO.web: the real ConfigXml of omero-py runs there with a stand-in for Ice, which it
imports but does not use. Tests marked ``omero`` compare with the real command line and with omeroweb.settings; they run
where both can be imported, for instance in the virtualenv of a release on a host (Python 2.7 with pytest 4.6 and
hypothesis 4.57 too), and are skipped elsewhere. There, ansible/module_utils of the controller on PYTHONPATH is enough.

OMERO_CONFIG_EXAMPLES=5000 pytest tests/unit runs that many generated cases per property instead of a quick sample.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import importlib
import json
import os
import sys
import types
from collections import Counter

import hypothesis
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'library'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'omero-server'))

import ansible.module_utils  # noqa: E402

ansible.module_utils.__path__.insert(0, os.path.join(ROOT, 'module_utils'))

from ansible.module_utils import basic  # noqa: E402
from ansible.module_utils.common import warnings  # noqa: E402
from ansible.module_utils.six import StringIO  # noqa: E402

ICE_STAND_IN = 'from omero_version import ice_compatibility\n\n\ndef stringVersion():\n    return ice_compatibility\n'

tally = Counter()

hypothesis.settings.register_profile(
    'default',
    max_examples=int(os.environ.get('OMERO_CONFIG_EXAMPLES', '50')),
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile('default')


def importable(name):
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


if not importable('Ice'):
    sys.modules['Ice'] = types.ModuleType('Ice')
    exec(ICE_STAND_IN, sys.modules['Ice'].__dict__)  # noqa: S102


def pytest_configure(config):
    config.addinivalue_line('markers', 'omero: needs an installed OMERO.web (skipped where there is none)')


def pytest_collection_modifyitems(items):
    missing = not importable('omero.cli') or not importable('django')
    for item in items:
        if missing and item.get_closest_marker('omero'):
            item.add_marker(pytest.mark.skip(reason='OMERO.web is not installed here'))


def pytest_terminal_summary(terminalreporter):
    for what in sorted(tally):
        terminalreporter.write_line('%6d %s' % (tally[what], what))


class Result(dict):
    """What a module returned, with the raw text it printed."""

    text = ''


def run_module(name, arguments, check=False):
    """Run a module in this process, as Ansible would run it on a host."""
    module = importlib.import_module(name)
    internal = {'_ansible_check_mode': check, '_ansible_diff': True, '_ansible_remote_tmp': os.environ['TMPDIR'],
                '_ansible_verbosity': 4}
    basic._ANSIBLE_ARGS = json.dumps({'ANSIBLE_MODULE_ARGS': dict(arguments, **internal)}).encode('utf-8')
    warnings._global_warnings[:] = [] if isinstance(warnings._global_warnings, list) else {}
    streams, environment = (sys.stdout, sys.stderr), dict(os.environ)
    sys.stdout = sys.stderr = StringIO()
    try:
        module.main()
    except SystemExit:
        pass
    finally:
        printed = sys.stdout.getvalue()
        sys.stdout, sys.stderr = streams
        os.environ.clear()
        os.environ.update(environment)
    result = Result(json.loads(printed[printed.index('{'):]))
    result.text = printed
    return result


@pytest.fixture(autouse=True)
def private_environment(monkeypatch, tmp_path_factory):
    """No OMERO of the machine, and a place for temporary files that can be inspected."""
    for name in 'OMERODIR', 'OMERO_HOME', 'OMERO_CONFIG', 'DJANGO_SETTINGS_MODULE':
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('TMPDIR', str(tmp_path_factory.mktemp('tmp')))


@pytest.fixture(name='path')
def config_path(tmp_path):
    """The config.xml of an OMERODIR."""
    grid = tmp_path / 'omerodir' / 'etc' / 'grid'
    grid.mkdir(parents=True)
    return str(grid / 'config.xml')


@pytest.fixture(name='apply')
def apply_fixture(path):
    """Apply parameters to the config.xml, without asking OMERO.web."""

    def apply(check=False, **arguments):
        return run_module('omero_config', dict({'path': path, 'validate': 'off'}, **arguments), check)

    return apply


def read_properties(path, profile=None):
    """The properties in a config.xml, read by OMERO's own library, and nothing else."""
    from omero.config import ConfigXml

    config = ConfigXml(path, env_config=profile, read_only=True)
    try:
        return {key: value for key, value in config.as_map().items() if key != 'omero.config.version'}
    finally:
        config.close()


def content_of(path):
    with open(path, 'rb') as source:
        return source.read()


def write(path, content):
    with open(path, 'wb') as target:
        target.write(content)

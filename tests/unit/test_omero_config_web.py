# -*- coding: utf-8 -*-
"""omero_config asks the installed OMERO.web, 5.4's generation on Python 2.7 and today's."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import importlib
import json
import logging
import os
import re
import sys

import pytest
from ansible.module_utils import omero_config_write
from conftest import read_properties, run_module

pytestmark = pytest.mark.omero
SECRET = 'hunter2-PLANTED'

APP_SETTINGS = '''
import json
import logging
import sys
from omeroweb.settings import parse_boolean, process_custom_settings, report_settings


def not_empty(text):
    if not text:
        raise ValueError('Invalid empty value')
    return str(text)


EXAMPLE_SETTINGS_MAPPING = {
    'omero.web.example.size': ['EXAMPLE_SIZE', 5, int, None],
    'omero.web.example.rows': ['EXAMPLE_ROWS', '[]', json.loads, None],
    'omero.web.example.naive': ['EXAMPLE_NAIVE', False, bool, None],
    'omero.web.example.on': ['EXAMPLE_ON', 'true', parse_boolean, None],
    'omero.web.example.admin': ['EXAMPLE_ADMIN', '', not_empty, None],
    'omero.web.example.admin.password': ['EXAMPLE_PASSWORD', '', not_empty, None],
}
print('noise')
sys.stderr.write('noise')
logging.error('noise')
process_custom_settings(sys.modules[__name__], 'EXAMPLE_SETTINGS_MAPPING')
report_settings(sys.modules[__name__])
'''
OLD_STYLE_SETTINGS = "CUSTOM_SETTINGS_MAPPINGS = {'omero.web.old.size': ['OLD_SIZE', 5, int, None]}\n"


@pytest.fixture(name='apply')
def apply_fixture(path):
    def apply(check=False, **arguments):
        return run_module('omero_config', dict({'path': path}, **arguments), check)

    return apply


@pytest.fixture(autouse=True)
def apps(tmp_path, monkeypatch):
    """Three web apps as they are found in the wild: their own settings module, OMERO.web's name for it, and broken."""
    for app, files in {
        'omero_example': {'__init__': '', 'example_settings': APP_SETTINGS},
        'omero_old': {'__init__': '', 'settings': OLD_STYLE_SETTINGS},
        'omero_broken': {'__init__': 'import no_such_module\n'},
    }.items():
        (tmp_path / app).mkdir()
        for name, content in files.items():
            (tmp_path / app / (name + '.py')).write_text(u'' + content)
    monkeypatch.syspath_prepend(str(tmp_path))
    if hasattr(importlib, 'invalidate_caches'):
        importlib.invalidate_caches()
    yield
    for name in list(sys.modules):
        if name.split('.')[0] in ('omero_example', 'omero_old', 'omero_broken'):
            del sys.modules[name]


GOOD = {
    'omero.web.debug': True,
    'omero.web.public.enabled': 'T',
    'omero.web.wsgi_workers': 9,
    'omero.web.wsgi_worker_connections': '500',
    'omero.web.check_version': False,
    'omero.web.server_list': [['omero.example.org', 4064, 'omero']],
    'omero.web.session_engine': 'django.contrib.sessions.backends.cache',
    'omero.web.public.url_filter': '^/(?!webadmin)',
    'omero.web.api.limit': 100,
    'omero.web.prefix': '/omero',
    'omero.mail.host': 'localhost',
    'omero.mail.smtp.starttls.enable': 'other namespaces pass',
    'omero.web.server_email': 'deprecated@example.org',
    'omero.client.anything': 'x',
    'Ice.Anything': 'x',
}


def test_known_settings_pass(apply, path):
    result = apply(settings=GOOD)
    assert result.get('changed') is True, result
    assert sorted(read_properties(path)) == sorted(GOOD)


UNKNOWN = ' is not a setting of this OMERO.web or of its apps; '
BAD = [
    ('omero.web.wsgi_worker', 9, UNKNOWN + 'did you mean omero.web.wsgi_workers?'),
    ('omero.web.Debug', True, UNKNOWN + 'did you mean omero.web.debug?'),
    ('omero.web.nothing_like_it_at_all', 1, UNKNOWN + 'correct it, or add its app to omero.web.apps.'),
    ('omero.web.example.size', 1, UNKNOWN + 'correct it, or add its app to omero.web.apps.'),
    ('omero.web.wsgi_workers', 'many', '=many: give a whole number.'),
    ('omero.web.wsgi_workers', 2.5, '=2.5: give a whole number.'),
    ('omero.web.wsgi_workers', True, '=true: give a whole number.'),
    ('omero.web.debug', 'yes', '=yes: give true or false.'),
    ('omero.web.debug', '', '=: give true or false.'),
    ('omero.web.open_with', '[["x",', '=[["x",: give valid JSON.'),
    ('omero.web.apps', 'omero_example', '=omero_example: give valid JSON.'),
    ('omero.web.apps', {'a': 1}, '={"a": 1}: give a list, as in the default [].'),
    ('omero.web.apps', '"omero_example"', '="omero_example": give a list, as in the default [].'),
    ('omero.web.login_redirect', [], '=[]: give a dictionary, as in the default {}.'),
    ('omero.web.viewer.view', ['x'], '=["x"]: give text.'),
]


@pytest.mark.parametrize(('key', 'value', 'complaint'), BAD)
@pytest.mark.parametrize('check', [True, False])
def test_what_omero_web_would_misread_is_refused(apply, path, key, value, complaint, check):
    assert apply(check=check, settings={key: value})['problems'] == [key + complaint]
    assert not os.path.exists(path)


@pytest.mark.parametrize(('key', 'value', 'reasons'), [
    ('omero.web.session_engine', 'files', ['Unknown session engine: files', 'django.contrib.sessions.backends.db']),
    ('omero.web.application_server', 'apache', ['Unknown server type: apache', 'wsgi-tcp']),
    ('omero.web.public.url_filter', '(((', ['OMERO.web refuses it (%s: ' % re.error.__name__]),
])
def test_omero_web_explains_its_choices(apply, path, key, value, reasons):
    problem, = apply(settings={key: value})['problems']
    assert problem.startswith('%s=%s: OMERO.web refuses it (' % (key, value))
    assert all(reason in problem for reason in reasons)
    assert not os.path.exists(path)


def test_all_problems_are_reported_at_once(apply, path):
    bad = {key: value for key, value, _complaint in BAD if key != 'omero.web.example.size'}
    result = apply(settings=dict(GOOD, **bad), secrets={'omero.web.unknown.token': SECRET})
    assert len(result['problems']) == len(bad) + 1
    assert result['msg'] == ' '.join(result['problems'])
    assert not os.path.exists(path)


@pytest.mark.parametrize(('key', 'value'), [
    ('omero.web.middleware', [{'class': 'no.index'}]),
    ('omero.web.server_list', [['host', 'port', 'name']]),
    ('omero.web.server_list', [5]),
    ('omero.web.django_additional_settings', ['odd']),
])
def test_what_only_fails_in_combination_is_refused(apply, path, key, value):
    problem, = apply(settings={key: value})['problems']
    assert problem.startswith('OMERO.web would not start with this configuration (')
    assert not os.path.exists(path)


def test_settings_of_apps_are_known_once_the_app_is_listed(apply, path):
    settings = {'omero.web.example.size': 7, 'omero.web.example.rows': [1], 'omero.web.example.on': False,
                'omero.web.example.admin': 'me', 'omero.web.old.size': 1}
    result = apply(settings=settings, append={'omero.web.apps': ['omero_example', 'omero_old']},
                   secrets={'omero.web.example.admin.password': SECRET})
    assert result.get('changed') is True, result
    assert read_properties(path)['omero.web.apps'] == '["omero_example", "omero_old"]'
    assert 'noise' not in result.text
    assert apply(settings={'omero.web.example.size': 8})['updated'] == ['omero.web.example.size']


def test_settings_of_apps_are_checked(apply, path):
    settings = {'omero.web.apps': ['omero_example', 'omero_old'], 'omero.web.example.size': 'big',
                'omero.web.example.rows': 'none', 'omero.web.example.naive': False, 'omero.web.example.sice': 1,
                'omero.web.old.size': 'big', 'omero.web.example.admin': ''}
    assert apply(settings=settings)['problems'] == [
        'omero.web.example.admin=: OMERO.web refuses it (ValueError: Invalid empty value).',
        'omero.web.example.naive=false: OMERO.web takes any text for true here, so give null instead of false.',
        'omero.web.example.rows=none: give valid JSON.',
        'omero.web.example.sice' + UNKNOWN + 'did you mean omero.web.example.size?',
        'omero.web.example.size=big: give a whole number.',
        'omero.web.old.size=big: give a whole number.',
    ]
    assert not os.path.exists(path)


def test_settings_that_an_app_cannot_do_without_are_missed(apply):
    problems = apply(settings={'omero.web.apps': ['omero_example'], 'omero.web.example.size': 1})['problems']
    assert len(problems) == 1
    assert 'omero.web.example.admin' in problems[0]
    assert problems[0].startswith('OMERO.web would not start with this configuration (ValueError: ')


@pytest.mark.parametrize('app', ['omero_absent', 'omero_broken'])
def test_apps_that_cannot_be_imported_are_refused(apply, app):
    problem, = apply(append={'omero.web.apps': [app]})['problems']
    assert problem.startswith('omero.web.apps: %s cannot be imported (' % app)
    assert problem.endswith('); install its package in the virtualenv, or take it out of the list.')


def test_warn_goes_on_and_off_does_not_look(apply, path, monkeypatch):
    result = apply(settings={'omero.web.wsgi_worker': 9}, validate='warn')
    assert result['warnings'] == ['omero.web.wsgi_worker' + UNKNOWN + 'did you mean omero.web.wsgi_workers?']
    assert read_properties(path) == {'omero.web.wsgi_worker': '9'}
    monkeypatch.setattr('ansible.module_utils.omero_config_write.WebSettings', None)
    assert 'warnings' not in apply(settings={'omero.web.wsgi_worker': 10}, validate='off')


def test_omero_web_is_only_asked_about_changes_of_its_own(apply, monkeypatch):
    apply(settings={'omero.web.debug': True})
    monkeypatch.setattr('ansible.module_utils.omero_config_write.WebSettings', None)
    assert apply(settings={'omero.web.debug': True})['changed'] is False
    assert apply(settings={'omero.mail.host': 'x'})['changed'] is True
    assert 'Cannot load the settings of OMERO.web' in apply(settings={'omero.web.debug': False})['msg']


def test_a_missing_omero_web_names_the_interpreter(apply, monkeypatch):
    monkeypatch.setitem(sys.modules, 'omero.clients', None)
    message = apply(settings={'omero.web.debug': True})['msg']
    assert message.startswith('Cannot load the settings of OMERO.web with %s (' % sys.executable)
    assert message.endswith('that holds omero-web, or validate to off if there is none.')
    result = apply(settings={'omero.web.debug': True}, validate='warn')
    assert (result['changed'], result['warnings']) == (True, [message])


@pytest.mark.parametrize('arguments', [
    {'secrets': {'omero.web.wsgi_workers': SECRET}},
    {'secrets': {'omero.web.session_engine': SECRET}},
    {'secrets': {'omero.web.public.url_filter': '(((' + SECRET}},
    {'secrets': {'omero.web.server_list': [[SECRET, SECRET, SECRET]]}},
    {'secrets': {'omero.web.middleware': [SECRET]}},
    {'secrets': {'omero.web.' + 'unknown.password': SECRET}},
    {'secrets': {'omero.web.example.size': SECRET}, 'append': {'omero.web.apps': ['omero_example']}},
    {'settings': {'omero.web.session_engine': 'x://%s@host' % SECRET}},
    {'settings': {'omero.web.server_list': [['a', 'x://u:%s@h' % SECRET, 'b']]}},
    {'secrets': {'omero.web.apps': [SECRET]}},
])
def test_complaints_give_no_secret_away(apply, arguments):
    result = apply(**arguments)
    assert result['problems']
    assert SECRET not in result.text


def test_reasons_give_no_part_of_a_secret_away():
    properties = {'omero.db.pass': 'pa"ss', 'a.b': 'before x://u:%s@host after' % SECRET, 'plain': 'plain'}
    said = [omero_config_write._reason(ValueError(text), properties, {'a.b', 'plain'}) for text in (
        'bad "pa\\"ss"', 'bad x://u:%s@host' % SECRET, 'bad plain', 'passport')]
    assert said == ['ValueError, about omero.db.pass', 'ValueError: bad x://********@host', 'ValueError: bad plain',
                    'ValueError: passport']


def test_imports_are_kept_quiet():
    streams = sys.stdout, sys.stderr
    with omero_config_write._silence():
        print('noise')
        sys.stderr.write('noise')
        assert not logging.getLogger().isEnabledFor(logging.CRITICAL)
    assert (sys.stdout, sys.stderr) == streams
    assert logging.getLogger().isEnabledFor(logging.CRITICAL)


def test_the_configuration_in_the_environment_is_not_looked_at(apply, tmp_path, monkeypatch):
    elsewhere = tmp_path / 'elsewhere' / 'etc' / 'grid'
    elsewhere.mkdir(parents=True)
    (elsewhere / 'config.xml').write_text(u'not even XML')
    for name in 'OMERODIR', 'OMERO_HOME':
        monkeypatch.setenv(name, str(tmp_path / 'elsewhere'))
    assert apply(settings={'omero.web.debug': True})['changed']
    assert os.listdir(str(tmp_path / 'elsewhere')) == ['etc']


def test_append_starts_from_the_default_of_omero_web(apply, path):
    apply(append={'omero.web.ui.top_links': [['Figure', 'figure']], 'omero.web.apps': []}, purge=True)
    links = json.loads(read_properties(path)['omero.web.ui.top_links'])
    assert [link[0] for link in links] == ['Data', 'History', 'Help', 'Figure']
    assert 'omero.web.apps' not in read_properties(path)
    assert not apply(append={'omero.web.ui.top_links': [['Figure', 'figure']]}, purge=True)['changed']


def test_defaults_that_depend_on_other_properties(apply, path):
    apply(settings={'omero.master.host': 'omero.example.org'}, append={'omero.web.server_list': [['b', 4064, 'b']]})
    assert json.loads(read_properties(path)['omero.web.server_list']) == [
        ['omero.example.org', 4064, 'omero'], ['b', 4064, 'b']]


def test_append_to_what_is_no_list_is_refused(apply):
    assert apply(append={'omero.web.debug': ['x']})['msg'] == (
        'append: the value of omero.web.debug is not a list; give its whole value in settings.')


def test_omero_web_leaves_nothing_behind(apply, path):
    apply(settings={'omero.web.debug': True})
    assert os.listdir(os.path.dirname(os.path.dirname(os.path.dirname(path)))) == ['etc']
    for _directory, directories, files in os.walk(os.environ['TMPDIR']):
        assert not [name for name in directories + files if 'omero' in name or 'django' in name]

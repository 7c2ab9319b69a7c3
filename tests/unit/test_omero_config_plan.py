# -*- coding: utf-8 -*-
"""The parts of omero_config that touch neither a file nor OMERO."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json

import omero_config
import pytest
from ansible.module_utils import omero_config as shared
from ansible.module_utils import omero_config_write, omero_secrets


@pytest.mark.parametrize(('value', 'text'), [
    (True, 'true'),
    (False, 'false'),
    (4080, '4080'),
    (-1, '-1'),
    (0.5, '0.5'),
    ([], '[]'),
    (['b', 'a'], '["b", "a"]'),
    ({'b': 1, 'a': [True, None]}, '{"a": [true, null], "b": 1}'),
    ('', ''),
    ('true', 'true'),
    (' [1,2] ', ' [1,2] '),
    (u'caf\xe9\n<&>"\'', u'caf\xe9\n<&>"\''),
])
def test_native_values_become_what_omero_parses(value, text):
    assert shared.as_property(value) == text


@pytest.mark.parametrize('name', [
    'omero.db.pass', 'omero.web.public.password', 'omero.web.secret_key', 'omero.security.keyStorePassword',
    'omero.web.email_host_password', 'x.token', 'x.apiKey', 'x.api-key', 'x.secret', 'PASSWORD', 'SECRET_KEY', 'key',
    'omero.web.public.cache.key', 'x.clientSecret', 'x.passphrase',
])
def test_names_of_secrets(name):
    assert omero_secrets.is_secret_name(name)


@pytest.mark.parametrize('name', [
    'omero.web.public.user', 'omero.web.session_cookie_name', 'omero.web.gallery.filter_keys', 'x.monkey', 'x.keyboard',
    'omero.web.secretary', 'omero.web.password_reset_url', 'tokens_per_minute', 'omero.pass.word_count',
])
def test_other_names(name):
    assert not omero_secrets.is_secret_name(name)


@pytest.mark.parametrize('value', [
    {'default': {'OPTIONS': {'PASSWORD': 'x'}}},
    '{"default": {"OPTIONS": {"PASSWORD": "x"}}}',
    [['EMAIL_HOST_PASSWORD', 'x']],
    '[["SECRET_KEY", "x"]]',
    [{'a': '{"token": "x"}'}],
])
def test_secrets_inside_of_values(value):
    assert omero_secrets.holds_secret(value)


@pytest.mark.parametrize('value', [
    'password', 5, True, None, ['password', 'x'], [['Change password', 'https://example.org']], {'title': 'Password'},
    '{"broken: "password"', [['TIME_ZONE', 'UTC']], '[' * 5000,
])
def test_values_without_a_secret(value):
    assert not omero_secrets.holds_secret(value)


def test_deep_values_are_searched_to_the_bottom():
    assert omero_secrets.holds_secret('[' * 400 + '{"password": 1}' + ']' * 400)


@pytest.mark.parametrize(('value', 'shown'), [
    ('redis://user:pass@host:6379/0', 'redis://********@host:6379/0'),
    ('redis://:p@ss@host', 'redis://********@host'),
    ('https://host/path@2?mail=a@b', 'https://host/path@2?mail=a@b'),
    ('a@b', 'a@b'),
    (['x://u@h', {'l': 'x://u:p@h'}], ['x://********@h', {'l': 'x://********@h'}]),
    ('["x://u:p@h", "y://h"]', '["x://********@h", "y://h"]'),
    (5, 5),
    (None, None),
])
def test_userinfo_in_urls_is_masked(value, shown):
    assert omero_secrets.masked('omero.web.x', value) == shown


def test_values_of_secrets_are_masked_whatever_they_are():
    assert omero_secrets.masked('omero.db.pass', 'x') == omero_secrets.MASK
    assert omero_secrets.masked('plain', 'x', ['other']) == omero_secrets.MASK
    assert omero_secrets.masked('plain', 'x', ['plain']) == 'x'
    assert omero_secrets.masked('plain', 'x') == 'x'
    assert omero_secrets.masked('plain', {'password': 1}) == omero_secrets.MASK


def test_ansible_only_sees_the_masked_form_of_a_parameter():
    given = shared.secret_dictionary({'a': 's3cret', 'b': None, 'c': ['s3cret']})
    assert given.plain == {'a': 's3cret', 'b': None, 'c': ['s3cret']}
    assert dict(given) == {'a': omero_secrets.MASK, 'b': None, 'c': omero_secrets.MASK}
    assert 's3cret' not in json.dumps(given) + repr(given) + str(given)
    assert dict(shared.dictionary('a=1')) == {'a': '1'}


# --- bad input --------------------------------------------------------------------------------------------------------


def problems(settings=(), secrets=(), append=(), profile=None):
    return omero_config_write.problems_of(dict(settings), dict(secrets), dict(append), profile)


@pytest.mark.parametrize(('arguments', 'sentence'), [
    ({'settings': {'a b': 1}}, '"a b" is not the name of a property; use letters, digits and the signs . _ - only.'),
    ({'settings': {'': 1}}, '"" is not the name of a property; use letters, digits and the signs . _ - only.'),
    ({'secrets': {'a\n': 1}}, '"a\n" is not the name of a property; use letters, digits and the signs . _ - only.'),
    ({'settings': {'omero.config.version': '5'}}, 'omero.config.version belongs to OMERO itself; leave it out.'),
    ({'secrets': {'omero.config.profile': None}}, 'omero.config.profile belongs to OMERO itself; leave it out.'),
    ({'settings': {'x': 'a\x00b'}}, 'x holds the character U+0000, which XML cannot hold; remove it.'),
    ({'secrets': {'x': u'a\uffffb'}}, 'x holds the character U+FFFF, which XML cannot hold; remove it.'),
    ({'settings': {'x': float('inf')}},
     'x holds a number that JSON cannot express (infinite, or not a number); use a finite one.'),
    ({'settings': {'x': [float('nan')]}},
     'x holds a number that JSON cannot express (infinite, or not a number); use a finite one.'),
    ({'settings': {'omero.db.pass': 's3cret'}},
     'omero.db.pass has the name of a secret; give it in secrets, which are never shown.'),
    ({'settings': {'x': {'password': 's3cret'}}},
     'x has a secret inside its value; give it in secrets, which are never shown.'),
    ({'append': {'x': [{'password': 's3cret'}]}},
     'x has a secret inside its value; give it in secrets, which are never shown.'),
    ({'settings': {'x': 1}, 'secrets': {'x': 1}},
     'x is in secrets and also in settings or append; keep it in secrets only.'),
    ({'append': {'x': [1]}, 'secrets': {'x': [1]}},
     'x is in secrets and also in settings or append; keep it in secrets only.'),
    ({'append': {'x': 'app'}}, 'append: x is not a list; give a list of the items to append.'),
    ({'profile': '__ACTIVE__'},
     'profile: "__ACTIVE__" cannot be managed; give the name of a profile, such as default.'),
    ({'profile': ''}, 'profile: "" cannot be managed; give the name of a profile, such as default.'),
])
def test_bad_input_is_one_clear_sentence(arguments, sentence):
    assert problems(**arguments) == [sentence]
    assert 's3cret' not in sentence


@pytest.mark.parametrize('arguments', [
    {},
    {'settings': {'omero.db.pass': None, 'bad name': None}},
    {'settings': {'x': u'tab\tnewline\r\n\x7f\x85\xe9\u20ac\U0001f600'}},
    {'secrets': {'omero.db.pass': 'x', 'x': {'password': 1}}},
    {'append': {'x': [1]}, 'settings': {'x': [0]}},
    {'settings': {'x': ['\x00']}},
    {'profile': 'default'},
])
def test_good_input_has_no_problems(arguments):
    assert problems(**arguments) == []


def test_all_problems_are_found_at_once():
    assert len(problems({'a b': 1, 'omero.db.pass': 'x'}, {'c d': 2}, {'x': 'y'}, '')) == 5


def test_owners_that_do_not_exist():
    assert omero_config.problems_of_ownership('root', '0') == []
    assert omero_config.problems_of_ownership(None, 'no-such-group') == [
        'The group no-such-group does not exist on this host; create it first.']


# --- append -----------------------------------------------------------------------------------------------------------


def appended(append, settings=(), current=(), default=()):
    return omero_config_write.with_appended(dict(settings), append, dict(current), lambda key: list(default))


def test_append_starts_from_the_setting_then_the_file_then_the_default():
    everything = {'settings': {'x': ['s']}, 'current': {'x': '["c"]'}, 'default': ['d']}
    assert appended({'x': ['n']}, **everything) == {'x': ['s', 'n']}
    del everything['settings']
    assert appended({'x': ['n']}, **everything) == {'x': ['c', 'n']}
    del everything['current']
    assert appended({'x': ['n']}, **everything) == {'x': ['d', 'n']}


def test_append_to_a_removed_setting_starts_from_the_default():
    assert appended({'x': ['n']}, {'x': None}, {'x': '["c"]'}, ['d']) == {'x': ['d', 'n']}


def test_append_accepts_json_text_as_a_setting():
    assert appended({'x': ['n']}, {'x': '["s"]'}) == {'x': ['s', 'n']}


def test_append_repeats_nothing_and_keeps_the_order():
    assert appended({'x': ['b', 'z', 'b', 'a', 'z']}, {'x': ['c', 'a']}) == {'x': ['c', 'a', 'b', 'z']}


def test_append_of_what_the_default_has_sets_nothing():
    assert appended({'x': ['d']}, default=['d']) == {}


@pytest.mark.parametrize('value', ['text', '{"a": 1}', 5, {'a': 1}])
def test_append_to_something_else_is_refused(value):
    with pytest.raises(shared.ConfigError) as refused:
        appended({'x': ['n']}, {'x': value})
    assert refused.value.problems == ['append: the value of x is not a list; give its whole value in settings.']


# --- the plan ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('current', 'wanted', 'purge', 'changes'), [
    ({}, {}, True, {}),
    ({}, {'a': 1}, False, {'a': '1'}),
    ({'a': '1'}, {'a': 1}, False, {}),
    ({'a': '1'}, {'a': 2}, False, {'a': '2'}),
    ({'a': '1'}, {'a': None}, False, {'a': None}),
    ({}, {'a': None}, True, {}),
    ({'a': '1', 'b': '2'}, {'a': 1}, False, {}),
    ({'a': '1', 'b': '2'}, {'a': 1}, True, {'b': None}),
    ({'a': ''}, {'a': ''}, True, {}),
    ({'a': '{"y":1,\n"x":2}'}, {'a': {'x': 2, 'y': 1}}, False, {}),
    ({'a': '[1.0]'}, {'a': [1]}, False, {'a': '[1]'}),
    ({'a': '[true]'}, {'a': [1]}, False, {'a': '[1]'}),
    ({'a': '["y", "x"]'}, {'a': ['x', 'y']}, False, {'a': '["x", "y"]'}),
    ({'a': '[NaN]'}, {'a': [1]}, False, {'a': '[1]'}),
    ({'a': 'no json'}, {'a': []}, False, {'a': '[]'}),
    ({'a': '[1,2]'}, {'a': '[1, 2]'}, False, {'a': '[1, 2]'}),
    ({'a': '1.0'}, {'a': '1.00'}, False, {'a': '1.00'}),
])
def test_plan(current, wanted, purge, changes):
    assert omero_config_write.plan(current, wanted, purge) == changes


def test_names_are_sorted_by_what_happens_to_them():
    current = {'keep': '1', 'change': '1', 'drop': '1', 'also': '1'}
    changes = {'new': '1', 'change': '2', 'drop': None, 'also': None, 'another': ''}
    assert omero_config.names_of(current, changes) == {
        'added': ['another', 'new'], 'updated': ['change'], 'removed': ['also', 'drop']}


def test_diff_shows_what_is_public_and_no_secret():
    current = {'b': '1', 'omero.db.pass': 'old', 'url': 'x://u:old@h', 'same.token': 'old', 'gone': 'old', 'rest': '1'}
    changes = {'a': 'two\nlines', 'omero.db.pass': 'new', 'url': 'x://u:new@h', 'listed': 'new', 'gone': None}
    assert omero_config.diff_of('config.xml', current, changes, ['a', 'b', 'url']) == {
        'before_header': 'config.xml',
        'before': 'b=1\ngone=********\nomero.db.pass=********\nurl=x://********@h\n',
        'after_header': 'config.xml',
        'after': 'a=two\\nlines\nb=1\nlisted=********\nomero.db.pass=******** (changed)\n'
                 'url=x://********@h (changed)\n',
    }


def test_diff_keeps_the_order_of_lists():
    assert omero_config.diff_of('', {}, {'x': '["b", "a"]'}, ['x'])['after'] == 'x=["b", "a"]\n'

# -*- coding: utf-8 -*-
"""omero_config from its parameters to the bytes on disk, with OMERO's own ConfigXml."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import fcntl
import multiprocessing
import os
import stat
import sys
import threading
import time

import omero_config
import pytest
from ansible.module_utils import basic
from ansible.module_utils.six import PY2
from conftest import content_of, read_properties, run_module, tally, write

KEYS = {'added', 'updated', 'removed', 'changed', 'path', 'profile', 'backup_file', 'diff'}
PROFILES = b"""<icegrid>
<properties id="__ACTIVE__"><property name="omero.config.profile" value="default"/></properties>
<properties id="default"><property name="omero.config.version" value="5.1.0"/>
<property name="a" value="1"/></properties>
<properties id="other"><property name="omero.config.version" value="5.1.0"/><property name="b" value="2"/></properties>
</icegrid>"""


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def neighbours(path):
    return sorted(os.listdir(os.path.dirname(path)))


# --- what it does -----------------------------------------------------------------------------------------------------


def test_new_file(apply, path):
    result = apply(settings={'omero.web.apps': ['b', 'a'], 'omero.web.debug': False}, secrets={'omero.db.pass': 'x'})
    assert (result['changed'], result['added']) == (True, ['omero.db.pass', 'omero.web.apps', 'omero.web.debug'])
    assert (result['updated'], result['removed'], result['profile']) == ([], [], 'default')
    assert read_properties(path) == {
        'omero.web.apps': '["b", "a"]', 'omero.web.debug': 'false', 'omero.db.pass': 'x'}
    assert mode_of(path) == 0o600
    assert neighbours(path) == ['config.xml']


def test_no_copy_of_the_file_is_left_behind(apply):
    apply(secrets={'omero.db.pass': 'x'})
    apply(settings={'bad name': 1})
    for directory, _directories, files in os.walk(os.environ['TMPDIR']):
        assert 'omero-config' not in directory
        assert files == []


def test_new_file_without_properties(apply, path):
    assert apply(check=True)['changed']
    assert not os.path.exists(path)
    assert apply()['changed']
    assert not apply()['changed']
    assert read_properties(path) == {}


def test_second_run_leaves_everything_alone(apply, path):
    arguments = {'settings': {'x': u'\xe9\n<', 'y': {'b': 1, 'a': 2}}, 'append': {'l': [[1]]}, 'purge': True,
                 'mode': '0640'}
    apply(**arguments)
    os.utime(path, (1, 1))
    directory = os.stat(os.path.dirname(path)).st_mtime
    before = (content_of(path), os.stat(path).st_ino, os.stat(path).st_mtime)
    for check in True, False:
        result = apply(check=check, **arguments)
        assert not result['changed']
        assert [result[names] for names in ('added', 'updated', 'removed')] == [[], [], []]
    assert (content_of(path), os.stat(path).st_ino, os.stat(path).st_mtime) == before
    assert os.stat(os.path.dirname(path)).st_mtime == directory


def test_set_change_and_remove(apply, path):
    apply(settings={'a': 1, 'b': 2, 'c': 3})
    result = apply(settings={'a': 1, 'b': 'two', 'c': None, 'd': 4, 'e': None})
    assert [result[names] for names in ('added', 'updated', 'removed')] == [['d'], ['b'], ['c']]
    assert read_properties(path) == {'a': '1', 'b': 'two', 'd': '4'}


def test_purge_removes_what_is_not_listed(apply, path):
    apply(settings={'a': 1, 'b': 2, 'omero.db.pass': None}, secrets={'c.token': 'x'})
    result = apply(settings={'a': 1}, purge=True)
    assert result['removed'] == ['b', 'c.token']
    assert read_properties(path) == {'a': '1'}
    assert b'omero.config.version' in content_of(path)


def test_append_with_purge_does_not_build_on_the_file(apply, path):
    apply(append={'l': ['a']})
    assert apply(append={'l': ['b']}) and read_properties(path) == {'l': '["a", "b"]'}
    assert apply(append={'l': ['b']}, purge=True)['updated'] == ['l']
    assert read_properties(path) == {'l': '["b"]'}


@pytest.mark.parametrize('before', [{}, {'a': 1, 'b': 2}])
def test_check_mode_says_what_a_real_run_does(apply, path, before):
    if before:
        apply(settings=before)
    content = content_of(path) if before else None
    arguments = {'settings': {'b': 3, 'c': 4}, 'purge': True, 'mode': '0644'}
    foretold = apply(check=True, **arguments)
    assert (content_of(path) if before else None) == content
    assert neighbours(path) == (['config.xml'] if before else [])
    done = apply(**arguments)
    assert not KEYS - set(foretold)
    assert not KEYS - set(done)
    for key in KEYS - {'diff'}:
        assert foretold[key] == done[key]
    assert foretold['diff'][0] == done['diff'][0]


def test_profiles(apply, path):
    write(path, PROFILES)
    assert not apply(settings={'b': 2}, profile='other')['changed']
    result = apply(settings={'b': 3}, profile='other', purge=True)
    assert (result['updated'], result['profile']) == (['b'], 'other')
    assert read_properties(path) == {'a': '1'}
    assert read_properties(path, 'other') == {'b': '3'}
    assert apply(settings={'c': 1}, profile='third')['added'] == ['c']
    assert read_properties(path, 'third') == {'c': '1'}
    assert b'<property name="omero.config.profile" value="default"' in content_of(path)


def test_named_profile_of_a_new_file_becomes_active(apply, path):
    assert apply(settings={'a': 1}, profile='mine')['profile'] == 'mine'
    assert read_properties(path) == {'a': '1'}


def test_active_block_follows_the_active_profile(apply, path):
    write(path, PROFILES)
    apply(settings={'a': 'new'})
    active = content_of(path).split(b'<properties id="default">')[0]
    assert b'<property name="a" value="new"' in active


def test_duplicates_end_with_the_wanted_value(apply, path):
    write(path, PROFILES.replace(b'<property name="a" value="1"/>', b'<property name="a" value="1"/>' * 2))
    assert apply(settings={'a': 2})['changed']
    assert read_properties(path) == {'a': '2'}
    assert not apply(settings={'a': 2})['changed']


# --- files ------------------------------------------------------------------------------------------------------------


def test_mode_is_kept_or_set(apply, path):
    apply(settings={'a': 1}, mode='0644')
    assert mode_of(path) == 0o644
    apply(settings={'a': 2})
    assert mode_of(path) == 0o644
    inode = os.stat(path).st_ino
    result = apply(check=True, settings={'a': 2}, mode='0600')
    assert result['changed'] and mode_of(path) == 0o644
    result = apply(settings={'a': 2}, mode='0600')
    assert (result['changed'], result['updated'], mode_of(path)) == (True, [], 0o600)
    assert result['diff'][1]['after'] == {'mode': '0600'}
    assert os.stat(path).st_ino == inode


@pytest.mark.skipif(os.getuid() != 0, reason='only root can give files away')
def test_owner_is_kept_or_set(apply, path):
    apply(settings={'a': 1}, owner='1', group='2', mode='0640')
    assert (os.stat(path).st_uid, os.stat(path).st_gid) == (1, 2)
    apply(settings={'a': 2})
    assert (os.stat(path).st_uid, os.stat(path).st_gid, mode_of(path)) == (1, 2, 0o640)


def test_new_content_is_never_readable_by_others(apply, path, monkeypatch):
    seen = []
    rename = os.rename

    def spy(source, target):
        if target == path:
            seen.append((mode_of(source), os.stat(source).st_size > 0))
        rename(source, target)

    monkeypatch.setattr(os, 'rename', spy)
    apply(settings={'a': 1}, mode='0640')
    assert seen == [(0o640, True)]


def test_backup_is_private_and_only_made_of_something_that_changes(apply, path):
    assert apply(settings={'a': 1}, mode='0644', backup=True)['backup_file'] is None
    content = content_of(path)
    assert apply(settings={'a': 1}, backup=True)['backup_file'] is None
    assert apply(check=True, settings={'a': 2}, backup=True)['backup_file'] is None
    backup = apply(settings={'a': 2}, backup=True)['backup_file']
    assert content_of(backup) == content
    assert mode_of(backup) == 0o600
    assert neighbours(path) == ['config.xml', os.path.basename(backup)]


def test_symlink_stays_and_its_target_is_managed(apply, path, tmp_path):
    target = tmp_path / 'elsewhere.xml'
    os.symlink(str(target), path)
    apply(settings={'a': 1})
    apply(settings={'a': 2})
    assert os.path.islink(path)
    assert read_properties(str(target)) == {'a': '2'}
    assert neighbours(path) == ['config.xml']


def test_a_failing_write_leaves_the_old_file(apply, path, monkeypatch):
    apply(settings={'a': 1})
    content = content_of(path)

    def fail(*_arguments):
        raise OSError(28, 'No space left on device')

    for name in 'fsync', 'rename':
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            result = apply(settings={'a': 2})
        assert result['msg'].startswith('Cannot access ') and 'No space left on device' in result['msg']
        assert content_of(path) == content
        assert neighbours(path) == ['config.xml']


def test_everything_is_on_disk_when_the_run_ends(apply, path, monkeypatch):
    calls = []
    fsync, rename = os.fsync, os.rename

    def spy_on_fsync(handle):
        calls.append('directory' if stat.S_ISDIR(os.fstat(handle).st_mode) else 'file')
        fsync(handle)

    def spy_on_rename(source, target):
        if target == path:
            calls.append('rename')
        rename(source, target)

    monkeypatch.setattr(os, 'fsync', spy_on_fsync)
    monkeypatch.setattr(os, 'rename', spy_on_rename)
    apply(settings={'a': 1})
    assert calls == ['file', 'rename', 'directory']


# --- the lock ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def held(path):
    with open(path + '.lock', 'a+') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_a_held_lock_is_respected(apply, path):
    apply(settings={'a': 1})
    content = content_of(path)
    with held(path):
        result = apply(settings={'a': 2}, lock_timeout=0)
    assert result['msg'] == (path + ' is still locked by another process after 0 s; wait for it to finish (an editor, '
                             '`omero config edit`?), or raise lock_timeout.')
    assert content_of(path) == content


def test_the_lock_of_a_symlink_is_respected_too(apply, path, tmp_path):
    os.symlink(str(tmp_path / 'elsewhere.xml'), path)
    for name in path, str(tmp_path / 'elsewhere.xml'):
        with held(name):
            assert apply(settings={'a': 1}, lock_timeout=0)['msg'].startswith(name + ' is still locked')


def test_a_held_lock_does_not_disturb_reading(apply, path):
    apply(settings={'a': 1})
    with held(path):
        assert not apply(settings={'a': 1}, lock_timeout=0)['changed']
        assert apply(check=True, settings={'a': 2}, lock_timeout=0)['changed']


def test_waits_for_the_lock_and_keeps_what_its_holder_wrote(apply, path):
    from omero.config import ConfigXml

    apply(settings={'a': 1})
    other = ConfigXml(path)
    other['b'] = '2'

    def release():
        # Long enough for the module to have found the file locked.
        time.sleep(0.3)
        other.close()

    thread = threading.Thread(target=release)
    thread.start()
    result = apply(settings={'a': 3}, lock_timeout=10)
    thread.join()
    assert result['updated'] == ['a']
    assert read_properties(path) == {'a': '3', 'b': '2'}
    assert neighbours(path) == ['config.xml']


def test_another_writer_finds_the_lock_taken(apply, path, monkeypatch):
    from omero.config import ConfigXml, portalocker

    apply(settings={'a': 1})
    refused = []
    rename = os.rename

    def spy(source, target):
        if target == path:
            with pytest.raises(portalocker.LockException):
                ConfigXml(path)
            refused.append(target)
        rename(source, target)

    monkeypatch.setattr(os, 'rename', spy)
    apply(settings={'a': 2})
    assert refused == [path]


def test_a_stale_lock_file_is_no_obstacle(apply, path):
    write(path + '.lock', b'')
    assert apply(settings={'a': 1}, lock_timeout=0)['changed']
    assert neighbours(path) == ['config.xml']


def test_a_lock_whose_holder_removed_it_meanwhile_does_not_count(path, monkeypatch):
    name = path + '.lock'
    flock = fcntl.flock

    def flock_late(handle, operation):
        os.unlink(name)
        write(name, b'')
        flock(handle, operation)

    monkeypatch.setattr(fcntl, 'flock', flock_late)
    assert omero_config._try_lock(name) is None


def test_a_planted_lock_link_is_not_followed(apply, path, tmp_path):
    os.symlink(str(tmp_path / 'victim'), path + '.lock')
    assert path + '.lock' in apply(settings={'a': 1})['msg']
    assert not (tmp_path / 'victim').exists()


def set_many(path, who, rounds):
    for number in range(rounds):
        result = run_module('omero_config', {'path': path, 'settings': {'w%d.%d' % (who, number): number},
                                             'validate': 'off', 'lock_timeout': 60})
        assert result.get('added') == ['w%d.%d' % (who, number)], result


def test_writers_at_once_lose_nothing(path):
    fork = multiprocessing.get_context('fork') if hasattr(multiprocessing, 'get_context') else multiprocessing
    writers = [fork.Process(target=set_many, args=(path, who, 8)) for who in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0, 0]
    assert len(read_properties(path)) == 32
    assert neighbours(path) == ['config.xml']


# --- secrets ----------------------------------------------------------------------------------------------------------


class Syslog:
    """Stands in for the module syslog."""

    LOG_INFO = LOG_USER = 0

    def __init__(self):
        self.messages = []

    def openlog(self, *_arguments):
        pass

    def syslog(self, _priority, message):
        self.messages.append(str(message))


@pytest.fixture(name='syslog')
def syslog_fixture(monkeypatch):
    recorder = Syslog()
    monkeypatch.setattr(basic, 'syslog', recorder)
    monkeypatch.setattr(basic, 'has_syslog', True, raising=False)
    monkeypatch.setattr(basic, 'has_journal', False)
    return recorder


SECRET = 'hunter2-PLANTED'
PLANTED = [
    {'secrets': {'omero.db.pass': SECRET, 'any.name': [SECRET, {'a': SECRET}]}},
    {'settings': {'omero.web.caches': {'default': {'LOCATION': 'redis://:%s@host/0' % SECRET}}}},
    {'append': {'x': ['redis://%s:%s@host/0' % (SECRET, SECRET)]}},
    {'settings': {'omero.db.pass': SECRET}},
    {'settings': {'x': {'deep': [{'password': SECRET}]}}},
    {'settings': {'x': '[["SECRET_KEY", "%s"]]' % SECRET}},
    {'append': {'omero.x.token': [SECRET]}},
    {'secrets': {'omero.db.pass': SECRET + '\x00'}},
    {'secrets': {SECRET[:0]: SECRET}},
    {'secrets': {'x': SECRET}, 'purge': 'perhaps'},
    {'settings': {'x.password': SECRET}, 'no_such_parameter': 1},
    {'secrets': SECRET},
    {'secrets': [SECRET]},
    {'secrets': {'x': SECRET}, 'owner': 'no-such-user'},
    {'secrets': {'x': SECRET}, 'mode': 'nonsense'},
    {'secrets': {'x': SECRET}, 'path': '/no/such/directory/config.xml'},
]


@pytest.mark.parametrize('arguments', PLANTED)
@pytest.mark.parametrize('check', [True, False])
def test_secrets_are_in_no_output(apply, path, syslog, arguments, check):
    apply(secrets={'omero.db.pass': 'OLD-' + SECRET, 'any.name': 'OLD-' + SECRET})
    result = apply(check=check, **arguments)
    assert SECRET not in result.text
    assert syslog.messages
    assert not [message for message in syslog.messages if SECRET in message]


def test_secrets_are_not_in_the_backup_of_a_readable_file(apply, path):
    apply(secrets={'omero.db.pass': SECRET}, mode='0644')
    backup = apply(secrets={'omero.db.pass': 'other'}, backup=True)['backup_file']
    assert SECRET.encode('ascii') in content_of(backup)
    assert mode_of(backup) & 0o077 == 0


def test_a_changed_secret_shows_as_changed(apply):
    apply(secrets={'omero.db.pass': 'old', 'same': 'x'})
    result = apply(secrets={'omero.db.pass': 'new', 'same': 'x'})
    assert result['updated'] == ['omero.db.pass']
    assert result['diff'][0]['before'] == 'omero.db.pass=********\n'
    assert result['diff'][0]['after'] == 'omero.db.pass=******** (changed)\n'


@pytest.mark.parametrize('secret', ['a', 'e', '1', 'true', 'config', 'x'])
def test_short_secrets_do_not_garble_the_rest(apply, path, secret):
    result = apply(settings={'example': 'extra', 'number': 101}, secrets={'s': secret}, mode='0600')
    assert (result['path'], result['mode'], result['changed']) == (path, '0600', True)
    assert result['diff'][0]['after'] == 'example=extra\nnumber=101\ns=********\n'
    assert result['invocation']['module_args']['settings'] == {'example': 'extra', 'number': 101}
    assert result['invocation']['module_args']['secrets'] == {'s': '********'}


# --- damage -----------------------------------------------------------------------------------------------------------

DAMAGED = [
    (b'no xml at all', 'line 1: syntax error'),
    (b'\n\n', 'line 3: no element found'),
    (b'<icegrid>\n<properties id="default">\n', 'line 3: no element found'),
    (b'<icegrid>\n<properties>\n</icegrid>', 'line 2: a <properties> element without id'),
    (b'<icegrid>\n<properties id="a">\n<property value="1"/></properties></icegrid>',
     'line 3: a <property> element without name'),
    (b'<icegrid>\n<properties id="a"></property></icegrid>', 'line 2: mismatched tag'),
    (b'<?xml version="1.0"?>\n<html><body/></html>', 'line 2: the root element is <html>, not <icegrid>'),
    (b'<icegrid xmlns="urn:x"/>', 'line 1: the root element is <urn:x}icegrid>, not <icegrid>'),
    (b'<!DOCTYPE icegrid [\n<!ENTITY a "b">]>\n<icegrid/>', 'line 1: a document type declaration'),
    (b'<icegrid>\n<properties id="a"><property name="b" value="\x00"/></properties></icegrid>',
     'line 2: not well-formed (invalid token)'),
    (b'<icegrid>\n\xff\xfe</icegrid>', 'line 2: not well-formed (invalid token)'),
    (b'<?xml version="1.0" encoding="no-such"?><icegrid/>', 'line 1: unknown encoding: no-such'),
    (b'<icegrid/>\n<icegrid/>', 'line 2: junk after document element'),
    (b'\x1f\x8b\x08\x00\x00', 'line 1: not well-formed (invalid token)'),
]


@pytest.mark.parametrize(('content', 'reason'), DAMAGED)
def test_damaged_files_are_refused_with_line_and_reason(apply, path, content, reason):
    write(path, content)
    for module in 'omero_config', 'omero_config_info':
        result = run_module(module, {'path': path})
        assert result['failed'] is True
        assert result['msg'] == (path + ' is damaged or not written by OMERO: ' + reason + '. It was left as it is; '
                                 'restore a backup, or move it away to start afresh.')
    assert content_of(path) == content
    assert neighbours(path) == ['config.xml']
    tally['damaged files refused with line and reason'] += 1


def test_what_omero_itself_cannot_upgrade_is_refused(apply, path):
    content = PROFILES.replace(b'5.1.0', b'4.2.1').replace(b'name="a"', b'name="omero.web.ui.top_links"')
    write(path, content)
    message = apply(settings={'a': 2})['msg']
    assert message.startswith('OMERO cannot read %s (' % path)
    assert content_of(path) == content


@pytest.mark.parametrize(('make', 'message'), [
    (lambda path: os.mkdir(path), '{0} is not a regular file; give the path of a config.xml.'),
    (lambda path: os.mkfifo(path), '{0} is not a regular file; give the path of a config.xml.'),
    (lambda path: os.rmdir(os.path.dirname(path)), 'The directory {1} does not exist; create it first.'),
])
def test_paths_that_cannot_be_a_configuration(apply, path, make, message):
    make(path)
    assert apply(settings={'a': 1})['msg'] == message.format(path, os.path.dirname(path))


def test_all_problems_are_reported_together(apply, path):
    result = apply(settings={'a b': 1, 'omero.db.pass': 'x'}, append={'l': 1})
    assert len(result['problems']) == 3
    assert result['msg'] == ' '.join(result['problems'])
    assert not os.path.exists(path)


@pytest.mark.parametrize('check', [True, False])
def test_owners_that_do_not_exist_are_missed_in_time(apply, path, check):
    assert apply(check=check, owner='no-such-user', group='no-such-group')['problems'] == [
        'The user no-such-user does not exist on this host; create it first.',
        'The group no-such-group does not exist on this host; create it first.']
    assert not os.path.exists(path)


def test_a_missing_omero_names_the_interpreter(apply, monkeypatch):
    monkeypatch.setitem(sys.modules, 'omero.config', None)
    message = apply(settings={'a': 1})['msg']
    assert message.startswith('Cannot import omero.config with %s (' % sys.executable)
    assert message.endswith('; set ansible_python_interpreter to the Python of the virtualenv that holds omero-py.')


@pytest.mark.skipif(sys.version_info >= (3, 9), reason='newer Pythons write both as references')
def test_tabs_and_carriage_returns_that_would_not_survive_are_refused(apply, path):
    result = apply(settings={'x': 'a\tb', 'y': 'c\rd', 'z': 'fine\n'})
    assert [problem.split(':')[0] for problem in result['problems']] == (['x', 'y'] if PY2 else ['y'])
    assert not os.path.exists(path)

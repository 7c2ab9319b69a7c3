# -*- coding: utf-8 -*-
"""omero_config under a real ansible-playbook, as talkative as it gets."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import importlib
import json
import os
import subprocess
import sys

import pytest
from conftest import ICE_STAND_IN, ROOT, importable, read_properties

SECRET = 'hunter2-PLANTED'


@pytest.fixture(name='play')
def play_fixture(path, tmp_path, monkeypatch):
    if not importable('ansible.cli'):
        pytest.skip('the controller is not installed here')
    for name in 'LIBRARY', 'MODULE_UTILS':
        monkeypatch.setenv('ANSIBLE_' + name, os.path.join(ROOT, name.lower()))
    if not hasattr(sys.modules['Ice'], '__file__'):
        (tmp_path / 'Ice.py').write_text(ICE_STAND_IN)
        monkeypatch.setenv('PYTHONPATH', str(tmp_path))

    def play(*runs):
        tasks = [{'omero_config': dict({'path': path, 'validate': 'off'}, **arguments), 'ignore_errors': True}
                 for arguments in runs]
        book = tmp_path / 'play.json'
        book.write_text(json.dumps([{
            'hosts': 'localhost', 'gather_facts': False, 'tasks': tasks,
            'vars': {'ansible_connection': 'local', 'ansible_python_interpreter': sys.executable},
        }]))
        command = [sys.executable, '-m', 'ansible', 'playbook', '-i', 'localhost,', '-vvvv', '--diff', str(book)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=str(tmp_path))
        return process.communicate()[0].decode('utf-8')

    return play


def test_no_secret_is_printed(play, path):
    printed = play(
        {'settings': {'plain': 'shown', 'url': 'x://u:%s@host' % SECRET}, 'secrets': {'omero.db.pass': 'OLD' + SECRET}},
        {'settings': {'plain': 'shown'}, 'secrets': {'omero.db.pass': SECRET}},
        {'settings': {'plain': 'shown', 'omero.db.pass': SECRET}},
        {'settings': {'plain': 'shown'}, 'secrets': {'omero.db.pass': SECRET + '\0'}},
        {'settings': {'plain': 'shown'}, 'purge': True},
    )
    assert SECRET not in printed
    assert printed.count('+plain=shown') == 1
    assert '-omero.db.pass=********\n' in printed
    assert '+omero.db.pass=******** (changed)\n' in printed
    assert 'omero.db.pass has the name of a secret; give it in secrets, which are never shown.' in printed
    assert 'omero.db.pass holds the character U+0000, which XML cannot hold; remove it.' in printed
    assert read_properties(path) == {'plain': 'shown'}


@pytest.mark.parametrize('name', ['omero_config', 'omero_config_info'])
def test_documentation_is_complete_and_true(name):
    yaml = pytest.importorskip('yaml')
    module = importlib.import_module(name)
    documented = yaml.safe_load(module.DOCUMENTATION)['options']
    file_options = {'owner', 'group', 'mode', 'seuser', 'serole', 'setype', 'selevel', 'unsafe_writes', 'attributes'}
    assert set(documented) == set(module.ARGUMENT_SPEC) - file_options
    for option, accepted in module.ARGUMENT_SPEC.items():
        if option in documented:
            for fact in 'default', 'choices', 'required':
                assert documented[option].get(fact) == accepted.get(fact)
            assert documented[option]['description']
    returned = yaml.safe_load(module.RETURN)
    assert all(entry['description'] and entry['returned'] and entry['type'] for entry in returned.values())
    assert yaml.safe_load(module.EXAMPLES)

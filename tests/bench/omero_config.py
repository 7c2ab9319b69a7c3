#!/usr/bin/env python
# -*- coding: utf-8 -*-
"""How long 40 settings take: through the module omero_config, and through as many runs of `omero config set`.

Run it with the Python of a virtualenv that holds omero-py and omero-web (2.7 and 3.6 or newer), on any machine:

    venv/bin/python tests/bench/omero_config.py [--ansible DIRECTORY] [--omero COMMAND] [--user NAME]

--ansible is the directory that holds the package ansible of the controller, where this Python has none. As `omero`
refuses to run as root, everything runs as --user then. Each figure is the time of whole processes, Python's start
included: the module as Ansible starts it on a host, without the network.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import argparse
import json
import os
import pwd
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PICK_SETTINGS = '''
import json
from omeroweb import settings
texts = {key: str(entry[1]) for key, entry in settings.CUSTOM_SETTINGS_MAPPINGS.items() if entry[1] is not None}
plain = [key for key in sorted(texts) if not key.endswith((".key", "root", "logdir"))]
print("\\n" + json.dumps({key: texts[key] for key in plain[:%d]}))
'''


def main():
    options = parse_options()
    if os.getuid() == 0:
        become(options.user)
    directory = tempfile.mkdtemp(prefix='omero-config-bench-')
    try:
        report(Bench(directory, options).run())
    finally:
        shutil.rmtree(directory)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--ansible', help='directory that holds the package ansible (default: that of this Python)')
    parser.add_argument('--omero', default=os.path.join(os.path.dirname(sys.executable), 'omero'),
                        help='command to compare with (default: %(default)s)')
    parser.add_argument('--user', default='nobody', help='whom to run as instead of root (default: %(default)s)')
    parser.add_argument('--settings', type=int, default=40, help='number of settings (default: %(default)s)')
    parser.add_argument('--repeat', type=int, default=5, help='runs of the module, of which the median counts '
                        '(default: %(default)s)')
    return parser.parse_args()


def become(name):
    user = pwd.getpwnam(name)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


class Bench:
    """An OMERODIR, a copy of the module, and stopwatches."""

    def __init__(self, directory, options):
        self.options = options
        self.library = os.path.join(directory, 'library')
        self.omerodir = os.path.join(directory, 'omerodir')
        self.path = os.path.join(self.omerodir, 'etc', 'grid', 'config.xml')
        os.makedirs(os.path.dirname(self.path))
        install_module(self.library, options.ansible)
        self.environment = dict(os.environ, OMERODIR=self.omerodir, OMERO_HOME=self.omerodir, HOME=directory,
                                TMPDIR=directory)

    def run(self):
        """Name, seconds and runs of everything measured."""
        self.settings = json.loads(self.call([sys.executable, '-c', PICK_SETTINGS % self.options.settings])[1]
                                   .strip().split('\n')[-1])
        omero = shlex.split(self.options.omero)
        commands = sum(self.call(omero + ['config', 'set', key, '--', self.settings[key]])[0] for key in self.settings)
        yield '%d x `omero config set`' % len(self.settings), commands
        yield 'omero_config, all at once, checked with OMERO.web', self.median(self.fresh, changed=True)
        yield 'omero_config, all at once, validate: off', self.median(self.fresh, changed=True, validate='off')
        yield 'omero_config, nothing to change', self.median(changed=False)
        yield 'omero_config, nothing to change, check mode', self.median(changed=False, _ansible_check_mode=True)

    def fresh(self):
        if os.path.exists(self.path):
            os.unlink(self.path)

    def median(self, prepare=lambda: None, changed=True, **arguments):
        """The usual time of one run of the module, which has to do what it is measured for."""
        arguments = dict({'path': self.path, 'settings': self.settings, 'purge': True}, **arguments)
        module = [sys.executable, os.path.join(self.library, 'omero_config.py'),
                  json.dumps({'ANSIBLE_MODULE_ARGS': arguments})]
        times = []
        for _number in range(self.options.repeat):
            prepare()
            seconds, printed = self.call(module, PYTHONPATH=self.library)
            if json.loads(printed)['changed'] is not changed:
                sys.exit('The module did not do what was measured: ' + printed)
            times.append(seconds)
        return sorted(times)[len(times) // 2]

    def call(self, command, **environment):
        """Time a process, and return what it prints."""
        environment = dict(self.environment, **environment)
        if 'PYTHONPATH' in self.environment and 'PYTHONPATH' in environment:
            environment['PYTHONPATH'] = os.pathsep.join([environment['PYTHONPATH'], self.environment['PYTHONPATH']])
        start = time.time()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.omerodir,
                                   env=environment)
        printed, complaints = process.communicate()
        if process.returncode:
            sys.exit('%s failed:\n%s%s' % (' '.join(command[:2]), printed.decode('utf-8'), complaints.decode('utf-8')))
        return time.time() - start, printed.decode('utf-8')


def install_module(library, ansible):
    """Lay the module out beside the parts of Ansible that it needs, as Ansible's payload does."""
    if ansible is None:
        import ansible as installed
        ansible = os.path.dirname(os.path.dirname(installed.__file__))
    package = os.path.join(library, 'ansible')
    shutil.copytree(os.path.join(ansible, 'ansible', 'module_utils'), os.path.join(package, 'module_utils'))
    shutil.copy(os.path.join(ansible, 'ansible', 'release.py'), package)
    open(os.path.join(package, '__init__.py'), 'w').close()
    for name in 'omero_config.py', 'omero_config_write.py', 'omero_secrets.py':
        shutil.copy(os.path.join(ROOT, 'module_utils', name), os.path.join(package, 'module_utils'))
    shutil.copy(os.path.join(ROOT, 'library', 'omero_config.py'), library)


def report(figures):
    reference = None
    print('%-52s %9s %8s' % ('Python ' + sys.version.split()[0], 'seconds', 'ratio'))
    for name, seconds in figures:
        reference = reference or seconds
        print('%-52s %9.3f %7.1fx' % (name, seconds, reference / seconds))


if __name__ == '__main__':
    main()

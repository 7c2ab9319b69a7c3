#!/usr/bin/python
# -*- coding: utf-8 -*-

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: omero_config
short_description: Manage the configuration of OMERO and OMERO.web
version_added: "1.0.0"
description:
  - Sets, changes and removes properties in C(config.xml), the file behind C(omero config), through OMERO's own library
    C(omero.config.ConfigXml).
  - Before a byte is written, every C(omero.web.*) property is checked with the settings tables of the installed
    OMERO.web and its web apps. All problems of a run are reported together.
  - The file is replaced atomically, under the lock that C(omero config) takes. A run that changes nothing leaves its
    bytes, inode and modification time alone.
options:
  path:
    description:
      - The C(config.xml) to manage, usually C(OMERODIR/etc/grid/config.xml). It is created if its directory exists.
      - If it is a symbolic link, the file that it points to is managed and the link stays.
    type: path
    required: true
  settings:
    description:
      - Properties that anyone may see, by name.
      - Strings are kept as they are; booleans, numbers, lists and dictionaries become the JSON that OMERO expects.
        Null removes a property.
      - A name whose last word is pass, password, secret, token or key is refused, and so is a value with such a name
        inside; give these in O(secrets). User names and passwords inside URLs are accepted, and masked in all output.
    type: dict
    default: {}
  secrets:
    description:
      - Properties whose values are never shown, in no result, difference, message or log.
    type: dict
    default: {}
  append:
    description:
      - Items to append, in this order, to properties that are lists. Items that are there already are not repeated.
      - They are appended to the value in O(settings); without one, to the value in the file, unless O(purge) would
        remove it; without that, to the default of the installed OMERO.web, as C(omero config append --set) does.
    type: dict
    default: {}
  purge:
    description:
      - Remove every property of the profile that is not listed. OMERO's own C(omero.config.version) stays.
    type: bool
    default: false
  profile:
    description:
      - The profile to manage. The default is the active profile of the file, or E(OMERO_CONFIG) if it is set.
      - In a new file it becomes the active one; in an existing file the active one stays the same.
    type: str
  validate:
    description:
      - What to do about a C(omero.web.*) property that the installed OMERO.web does not know, or a value that it
        cannot read. V(strict) fails, V(warn) goes on with a warning, V(off) does not look.
      - Only what would be written is checked, so a run without changes does not load OMERO.web.
    type: str
    choices: [strict, warn, 'off']
    default: strict
  backup:
    description:
      - Keep the previous file beside the new one, with a timestamp in its name, mode 0600.
    type: bool
    default: false
  lock_timeout:
    description:
      - How many seconds to wait for another process to release the lock of the file.
    type: int
    default: 30
extends_documentation_fragment: files
attributes:
  check_mode:
    description: Reports what would change, and refuses what a real run would refuse.
    support: full
  diff_mode:
    description: >-
      Shows the properties that are listed or change, one per line. The values of those that are not listed openly are
      masked, and a changed secret is marked as changed.
    support: full
notes:
  - Runs with the Python of OMERO's virtualenv, in which C(omero-py) is installed, and C(omero-web) for properties
    of OMERO.web. Set C(ansible_python_interpreter) for the task. Python 2.7 and 3.6 or newer.
  - A new file gets mode 0600 unless O(mode) says otherwise. An existing file keeps owner, group and mode.
  - O(unsafe_writes) has no effect; the file is always replaced atomically.
seealso:
  - module: omero_config_info
  - name: OMERO.web configuration
    description: All properties and their defaults.
    link: https://omero.readthedocs.io/en/stable/sysadmins/config.html
author: The omero-web maintainers (@openmicroscopy-community)
"""

EXAMPLES = r"""
- name: Configure OMERO.web, and nothing else
  omero_config:
    path: /opt/omero/web/current/etc/grid/config.xml
    owner: root
    group: omero-web
    mode: '0640'
    purge: true
    settings:
      omero.web.server_list: [[omero.example.org, 4064, omero]]
      omero.web.wsgi_workers: 9
      omero.web.public.enabled: true
      omero.web.public.user: public
    secrets:
      omero.web.public.password: "{{ vault_public_password }}"
    append:
      omero.web.apps: [omero_figure, omero_iviewer]
  vars:
    ansible_python_interpreter: /opt/omero/web/current/release/venv/bin/python

- name: Go back to OMERO.web's default viewer and keep the previous file
  omero_config:
    path: /opt/omero/web/current/etc/grid/config.xml
    settings:
      omero.web.viewer.view: null
    backup: true
"""

RETURN = r"""
added:
  description: Names of the properties that are new, sorted.
  returned: success
  type: list
  elements: str
  sample: [omero.web.public.user]
updated:
  description: Names of the properties whose value changes, sorted.
  returned: success
  type: list
  elements: str
  sample: [omero.web.wsgi_workers]
removed:
  description: Names of the properties that go away, sorted.
  returned: success
  type: list
  elements: str
  sample: [omero.web.debug]
path:
  description: The path as it was given.
  returned: success
  type: str
  sample: /opt/omero/web/current/etc/grid/config.xml
profile:
  description: The profile that was managed.
  returned: success
  type: str
  sample: default
backup_file:
  description: The copy of the previous file; null if none was made.
  returned: success
  type: str
  sample: /opt/omero/web/current/etc/grid/config.xml.4711.2026-11-23@20:32:05~
problems:
  description: Every problem of a run that failed, one sentence each. The message joins them.
  returned: failure
  type: list
  elements: str
  sample: ['omero.web.wsgi_worker is not a setting of this OMERO.web (did you mean omero.web.wsgi_workers?).']
"""

import errno
import fcntl
import grp
import os
import pwd
import tempfile
import time
from contextlib import contextmanager

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.omero_config import (
    ConfigError,
    dictionary,
    read_file,
    real_path,
    run_module,
    secret_dictionary,
)
from ansible.module_utils.omero_config_write import (
    applied,
    evaluate,
    problems_of,
    problems_of_evaluation,
)
from ansible.module_utils.omero_secrets import masked

# --- what is said of it -----------------------------------------------------------------------------------------------


def problems_of_ownership(owner, group):
    """Owners that do not exist, before there is a file to give them."""
    problems = []
    for kind, name, look_up in ('user', owner, pwd.getpwnam), ('group', group, grp.getgrnam):
        try:
            if name is not None and not name.isdigit():
                look_up(name)
        except KeyError:
            problems.append('The %s %s does not exist on this host; create it first.' % (kind, name))
    return problems


def names_of(current, changes):
    """The names of the properties that are added, updated and removed."""
    removed = {key for key in changes if changes[key] is None}
    return dict(
        added=sorted(set(changes) - set(current) - removed),
        updated=sorted(set(changes) & set(current) - removed),
        removed=sorted(removed),
    )


def diff_of(path, current, changes, public):
    """The properties before and after, one per line, secrets masked. What is neither listed nor changed is left out."""
    concerned = set(public) | set(changes)
    before, after = ({key: values[key] for key in values if key in concerned}
                     for values in (current, applied(current, changes)))
    return dict(
        before_header=path,
        before=''.join(_line(key, before[key], public) for key in sorted(before)),
        after_header=path,
        after=''.join(_line(key, after[key], public, before.get(key)) for key in sorted(after)),
    )


def _line(key, value, public, previous=None):
    shown = masked(key, value, public)
    text = shown.replace('\\', '\\\\').replace('\r', '\\r').replace('\n', '\\n')
    # without the remark, a changed secret would look the same on both sides
    hidden_change = previous is not None and previous != value and masked(key, previous, public) == shown
    return '%s=%s%s\n' % (key, text, ' (changed)' if hidden_change else '')


# --- files ------------------------------------------------------------------------------------------------------------


@contextmanager
def locked(paths, timeout):
    """Hold the locks that `omero config` takes on these names of a file, waiting for whoever holds them."""
    deadline = time.time() + timeout
    held = []
    try:
        for path in sorted(paths):
            held.append((path + '.lock', _acquire(path, timeout, deadline)))
        yield
    finally:
        for name, handle in held:
            os.unlink(name)  # while it is held: once released it may be the lock of somebody else
            os.close(handle)


def _acquire(path, timeout, deadline):
    handle = _try_lock(path + '.lock')
    while handle is None:
        if time.time() >= deadline:
            raise ConfigError('%s is still locked by another process after %d s; wait for it to finish (an editor, '
                              '`omero config edit`?), or raise lock_timeout.' % (path, timeout))
        time.sleep(0.1)  # ConfigXml's own lock is one that does not queue, and its holder removes it
        handle = _try_lock(path + '.lock')
    return handle


def _try_lock(name):
    """An open lock file that is ours, or None while somebody else has it."""
    handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), os.stat(name)):  # its last holder removes it
            return handle
    except EnvironmentError as exc:
        if exc.errno not in (errno.EAGAIN, errno.EACCES, errno.ENOENT):
            raise
    os.close(handle)
    return None


def write_atomically(module, path, content):
    """Replace path by a complete file, which has its owner and mode before it has a content."""
    handle, temporary = tempfile.mkstemp(prefix='.%s.' % os.path.basename(path), dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, 'wb') as target:
            _inherit_attributes(module, path, temporary)
            _write_through(target, content)
        os.rename(temporary, path)
    except BaseException:  # fail_json leaves by SystemExit
        os.unlink(temporary)
        raise
    _sync_directory(os.path.dirname(path))


def _inherit_attributes(module, path, temporary):
    """Give the new file owner, mode and SELinux context of the old one, and then those of the parameters."""
    if os.path.exists(path):
        old = os.stat(path)
        os.chown(temporary, old.st_uid, old.st_gid)
        os.chmod(temporary, old.st_mode & 0o7777)
    if module.selinux_enabled():
        context = module.selinux_context(path) if os.path.exists(path) else module.selinux_default_context(path)
        module.set_context_if_different(temporary, context, False)
    arguments = module.load_file_common_arguments(module.params, path=temporary)
    # chattr flags such as "immutable" would forbid the rename; they follow with the attributes of the final file
    module.set_fs_attributes_if_different(dict(arguments, attributes=None), False)


def _write_through(target, content):
    target.write(content)
    target.flush()
    os.fsync(target.fileno())


def _sync_directory(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def back_up(path, content):
    """Keep content beside path, readable by nobody but its owner."""
    name = '%s.%d.%s~' % (path, os.getpid(), time.strftime('%Y-%m-%d@%H:%M:%S'))
    with os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'wb') as target:
        _write_through(target, content)
    return name


# --- the run ----------------------------------------------------------------------------------------------------------


def public_names(params):
    """The properties that the user gave openly."""
    return set(params['settings']) | set(params['append'])


def converge(module, scratch):
    """Bring config.xml to the wanted state, or find out what that would take."""
    params = module.params
    problems = problems_of(params['settings'].plain, params['secrets'].plain, params['append'].plain, params['profile'])
    problems += problems_of_ownership(params['owner'], params['group'])
    if problems:
        raise ConfigError(*problems)
    path = real_path(params['path'])
    found = evaluate_file(params, path, scratch)
    check_with_web(module, found, scratch)
    backup_file = None
    if found.result != found.source and not module.check_mode:
        with locked({path, os.path.abspath(params['path'])}, params['lock_timeout']):
            if read_file(path) != found.source:  # somebody was faster
                found = evaluate_file(params, path, scratch)
            if found.result != found.source:
                if found.source and params['backup']:
                    backup_file = back_up(path, found.source)
                write_atomically(module, path, found.result)
    attributes = module.load_file_common_arguments(params, path=path)
    attributes_diff = {'before_header': '%s (attributes)' % path, 'after_header': '%s (attributes)' % path}
    changed = module.set_fs_attributes_if_different(attributes, found.result != found.source, attributes_diff)
    return dict(
        names_of(found.current, found.changes),
        changed=changed,
        path=params['path'],
        profile=found.profile,
        backup_file=backup_file,
        diff=[diff_of(path, found.current, found.changes, public_names(params)), attributes_diff],
    )


def evaluate_file(params, path, scratch):
    """Find out what the parameters mean for the file as it is now."""
    settings = dict(params['settings'].plain, **params['secrets'].plain)
    source = read_file(path)
    return evaluate(settings, params['append'].plain, params['purge'], path, source, scratch, params['profile'])


def check_with_web(module, found, scratch):
    """Refuse, or only report, what OMERO.web would not understand."""
    if module.params['validate'] == 'off':
        return
    problems = problems_of_evaluation(found, scratch, public_names(module.params))
    if problems and module.params['validate'] == 'strict':
        raise ConfigError(*problems)
    for problem in problems:
        module.warn(problem)


ARGUMENT_SPEC = dict(
    path=dict(type='path', required=True),
    settings=dict(type=dictionary, default={}),
    secrets=dict(type=secret_dictionary, default={}, no_log=True),
    append=dict(type=dictionary, default={}),
    purge=dict(type='bool', default=False),
    profile=dict(type='str'),
    validate=dict(type='str', choices=['strict', 'warn', 'off'], default='strict'),
    backup=dict(type='bool', default=False),
    lock_timeout=dict(type='int', default=30),
)


def main():
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, add_file_common_args=True, supports_check_mode=True)
    # All that this module returns is masked by name. Ansible's own scrubbing would replace every secret wherever its
    # characters occur, and those of a short one occur in paths, numbers and other words.
    module.no_log_values.clear()
    run_module(module, converge)


if __name__ == '__main__':
    main()

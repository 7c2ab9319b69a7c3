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
author:
  - The authors of this project
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

import difflib
import errno
import fcntl
import grp
import importlib
import json
import logging
import os
import pkgutil
import pwd
import re
import sys
import tempfile
import time
from collections import namedtuple
from contextlib import contextmanager

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.converters import to_native, to_text
from ansible.module_utils.omero_config import (
    ConfigError,
    as_property,
    dictionary,
    first_line,
    items_inside,
    masked,
    open_config,
    parse_json,
    properties_of,
    read_file,
    real_path,
    run_module,
    secrecy,
    secret_dictionary,
    without_userinfo,
)
from ansible.module_utils.six import StringIO, string_types

PROPERTY_NAME = re.compile(r'[A-Za-z0-9._-]+\Z')  # what `omero config set` accepts
NOT_IN_XML = re.compile(u'[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]')
RESERVED = ('omero.config.version', 'omero.config.profile')
EXPECTED = {int: 'a whole number', float: 'a number', json.loads: 'valid JSON'}
TRUE = ('true', '1', 't')  # OMERO.web takes any other word for false
FALSE = ('false', '0', 'f')


# --- the plan: nothing here touches a file or OMERO -------------------------------------------------------------------


def problems_of(settings, secrets, append, profile):
    """Everything wrong with the parameters themselves, as sentences."""
    problems = []
    for key in sorted(set(secrets) & (set(settings) | set(append))):
        problems.append('%s is in secrets and also in settings or append; keep it in secrets only.' % key)
    for key in sorted(append):
        if not isinstance(append[key], list):
            problems.append('append: %s is not a list; give a list of the items to append.' % key)
    for values in settings, append:
        for key in sorted(values):
            problems += _problems_of_property(key, values[key]) or _problems_of_secrecy(key, values[key])
    for key in sorted(secrets):
        problems += _problems_of_property(key, secrets[key])
    if profile is not None and (profile in ('', '__ACTIVE__') or NOT_IN_XML.search(to_text(profile))):
        problems.append('profile: "%s" cannot be managed; give the name of a profile, such as default.' % profile)
    return problems


def _problems_of_property(key, value):
    if key in RESERVED:
        return ['%s belongs to OMERO itself; leave it out.' % key]
    if value is None:
        return []
    if not PROPERTY_NAME.match(key):
        return ['"%s" is not the name of a property; use letters, digits and the signs . _ - only.' % to_native(key)]
    try:
        illegal = NOT_IN_XML.search(as_property(value))
    except ValueError:
        return ['%s holds a number that JSON cannot express (infinite, or not a number); use a finite one.' % key]
    if illegal:
        return ['%s holds the character U+%04X, which XML cannot hold; remove it.' % (key, ord(illegal.group()))]
    return []


def _problems_of_secrecy(key, value):
    what = secrecy(key, value)
    return ['%s %s; give it in secrets, which are never shown.' % (key, what)] if what else []


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


def with_appended(settings, append, current, default_of):
    """The settings with the items of append at the end of their lists."""
    wanted = dict(settings)
    for key, items in append.items():
        base = settings[key] if key in settings else current.get(key)
        unset = base is None
        base = _as_list(key, default_of(key) if unset else base)
        extended = list(base)
        for item in items:
            if item not in extended:
                extended.append(item)
        if extended != base or not unset:
            wanted[key] = extended
    return wanted


def _as_list(key, value):
    if isinstance(value, string_types):
        value = parse_json(value)
    if not isinstance(value, list):
        raise ConfigError('append: the value of %s is not a list; give its whole value in settings.' % key)
    return value


def plan(current, wanted, purge):
    """What to do to the current properties: the new text by name, None for a property to remove."""
    changes = {}
    for key, value in wanted.items():
        if value is None:
            if key in current:
                changes[key] = None
        elif key not in current or not _same(current[key], value):
            changes[key] = as_property(value)
    if purge:
        changes.update((key, None) for key in current if key not in wanted)
    return changes


def _same(text, value):
    """Whether a property has this value already; spaces and the order of names in JSON make no difference."""
    if isinstance(value, (list, dict)):
        try:
            text = as_property(parse_json(text))
        except ValueError:  # an infinite number
            return False
    return text == as_property(value)


def applied(current, changes):
    """The properties after the changes."""
    after = dict(current, **changes)
    return {key: after[key] for key in after if after[key] is not None}


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


# --- what the installed OMERO.web makes of it -------------------------------------------------------------------------


class WebSettings:
    """The settings of OMERO.web and its apps, as they read them from the configuration in an OMERODIR."""

    def __init__(self, omerodir, apps=()):
        _forget('omeroweb')  # it reads the configuration once, while it is imported
        # releases before 5.6 look for it in OMERO_HOME
        os.environ.update(OMERODIR=omerodir, OMERO_HOME=omerodir, DJANGO_SETTINGS_MODULE='omeroweb.settings')
        self.tables = {}  # name of a property: [name in Python, default, parser, description, ...]
        self.missing = []  # apps that cannot be imported
        self.failures = []  # what apps raised over their values
        with _silence():
            self.core = importlib.import_module('omeroweb.settings')
            for name in dir(self.core):
                if name.endswith(('SETTINGS_MAPPING', 'SETTINGS_MAPPINGS')):
                    self.tables.update(getattr(self.core, name))
            self._process, self.core.process_custom_settings = self.core.process_custom_settings, self._consult
            for app in list(apps) + list(self.core.INSTALLED_APPS):
                if not app.startswith('django.'):
                    self._read_app(app)

    def _consult(self, module, settings='CUSTOM_SETTINGS_MAPPINGS', deprecated=None):
        """Stands in for process_custom_settings, through which every app reads its settings."""
        self.tables.update(getattr(module, settings, {}))
        try:
            self._process(module, settings, deprecated)
        except Exception as exc:
            self.failures.append(exc)
            raise

    def _read_app(self, app):
        """Import the settings modules of an app, as its views do."""
        try:
            package = _import_app(app)
        except ImportError as exc:
            self.missing.append((app, exc))
            return
        for _finder, name, _is_package in pkgutil.iter_modules(getattr(package, '__path__', [])):
            if name.endswith('settings'):
                self.tables.update(_table_of('%s.%s' % (package.__name__, name)))

    def default_of(self, key):
        """The value that `omero config append` starts from."""
        setting = self.core.CUSTOM_SETTINGS_MAPPINGS.get(key)
        return setting[2](setting[1]) if setting else []


def _table_of(module):
    """The settings of a module that leaves it to OMERO.web to process them."""
    _forget(module)
    try:
        return getattr(importlib.import_module(module), 'CUSTOM_SETTINGS_MAPPINGS', {})
    except Exception:  # over values: _consult has seen it; for other reasons: not a matter of configuration
        return {}


def _import_app(app):
    """OMERO.web looks for an app inside of itself first."""
    try:
        return importlib.import_module('omeroweb.' + app)
    except ImportError:
        return importlib.import_module(app)


def _forget(package):
    for name in list(sys.modules):
        if name == package or name.startswith(package + '.'):
            del sys.modules[name]


@contextmanager
def _silence():
    """Nothing that an import prints or logs may end up in what this module prints."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = StringIO(), StringIO()
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        sys.stdout, sys.stderr = streams


def installed_web(scratch, properties, apps=()):
    """The installed OMERO.web with its defaults, some of which depend on properties outside of omero.web."""
    omerodir = os.path.join(scratch, 'defaults')
    with open_config('the defaults', b'', omerodir) as config:
        for key in properties:
            if not key.startswith('omero.web.'):
                config[key] = properties[key]
        config.save()
    try:
        return WebSettings(omerodir, apps)
    except Exception as exc:
        raise ConfigError('Cannot load the settings of OMERO.web with %s (%s); set ansible_python_interpreter to the '
                          'Python of the virtualenv that holds omero-web, or validate to off if there is none.'
                          % (sys.executable, first_line(exc)))


def problems_of_web(scratch, wanted, properties, public):
    """What the installed OMERO.web would ignore, misread or fail on, as sentences.

    properties are those of the configuration in scratch/candidate, wanted is the part that the user lists.
    """
    apps = parse_json(properties.get('omero.web.apps', '[]'))
    apps = [to_native(app) for app in apps if isinstance(app, string_types)] if isinstance(apps, list) else []
    web = installed_web(scratch, properties, apps)
    problems = [_problem_of_app(app, exc, 'omero.web.apps' in public) for app, exc in web.missing]
    for key in sorted(key for key in wanted if key.startswith('omero.web.') and wanted[key] is not None):
        if key not in web.tables:
            problems.append(_problem_of_name(key, web.tables))
            continue
        default, parser = web.tables[key][1:3]
        shown = masked(key, properties[key], public)
        problem = _problem_of_value(wanted[key], properties[key], default, parser, secret=shown != properties[key])
        if problem:
            problems.append('%s=%s: %s.' % (key, _shortened(shown), problem))
    if problems:
        return problems
    try:
        failures = WebSettings(os.path.join(scratch, 'candidate')).failures
    except Exception as exc:
        failures = [exc]
    return ['OMERO.web would not start with this configuration (%s); correct the property that this is about.'
            % _reason(exc, properties, public) for exc in failures]


def _problem_of_app(app, exc, public):
    what = '%s cannot be imported (%s)' % (app, first_line(exc)) if public else 'one of them cannot be imported'
    return 'omero.web.apps: %s; install its package in the virtualenv, or take it out of the list.' % what


def _problem_of_name(key, known):
    nearest = difflib.get_close_matches(key, known, 1, 0.8)
    remedy = 'did you mean %s?' % nearest[0] if nearest else 'correct it, or add its app to omero.web.apps.'
    return '%s is not a setting of this OMERO.web or of its apps; %s' % (key, remedy)


def _problem_of_value(value, text, default, parser, secret):
    """What is wrong with the text of a property, in the eyes of the parser that OMERO.web has for it."""
    try:
        parsed = parser(text)
    except Exception as exc:
        if parser in EXPECTED:
            return 'give ' + EXPECTED[parser]
        return 'OMERO.web refuses it' if secret else 'OMERO.web refuses it (%s)' % _named(exc)
    if isinstance(parsed, bool):
        word = text.strip().lower()
        if word not in TRUE + FALSE:
            return 'give true or false'
        if parsed != (word in TRUE):
            return 'OMERO.web takes any text for true here, so give null instead of false'
    if isinstance(value, (list, dict)) and isinstance(parsed, string_types):
        return 'give text'
    for kind, noun in (list, 'list'), (dict, 'dictionary'):
        if isinstance(_parsed_default(default, parser), kind) and not isinstance(parsed, kind):
            return 'give a %s, as in the default %s' % (noun, _shortened(default))
    return None


def _parsed_default(default, parser):
    try:
        return parser(default)
    except Exception:  # some defaults stand for "nothing", and are not for the parser
        return None


def _shortened(text):
    return text if len(text) <= 80 else text[:77] + '...'


def _named(exc):
    return to_text('%s: %s' % (type(exc).__name__, first_line(exc)))


def _reason(exc, properties, public):
    """What an exception says, unless it quotes a secret."""
    said = without_userinfo(_named(exc))
    for key, value in properties.items():
        if masked(key, value, public) != value:
            for _name, inner in items_inside(value):
                for quoted in (as_property(inner), json.dumps(inner)[1:-1], repr(inner).lstrip('u')[1:-1]):
                    if quoted and re.search(r'(?<!\w)%s(?!\w)' % re.escape(to_text(quoted)), said):
                        return '%s, about %s' % (type(exc).__name__, key)
    return said


# --- files ------------------------------------------------------------------------------------------------------------


def rewritten(config, changes):
    """The bytes of config.xml after the changes, as OMERO's library writes them."""
    present = set(config.keys())
    for key in sorted(changes):
        if key in present:
            del config[key]  # also before setting: of duplicates, OMERO sets the first and reads the last
        if changes[key] is not None:
            config[key] = changes[key]
    config.save()
    return read_file(config.filename)


def refuse_loss(kept, changes):
    """Refuse what does not come back the way it went in."""
    lost = sorted(key for key in changes if kept.get(key) != changes[key])
    if lost:
        raise ConfigError(*['%s: its tabs or carriage returns would not come back as they are, the way OMERO on '
                            'Python %s writes them; take them out.' % (key, sys.version.split()[0]) for key in lost])


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
        time.sleep(0.1)
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

Evaluation = namedtuple('Evaluation', 'source current wanted changes profile result')


def evaluate(params, path, scratch):
    """Find out what the parameters mean for the file as it is now. result is source if there is nothing to do."""
    settings = dict(params['settings'].plain, **params['secrets'].plain)
    candidate = os.path.join(scratch, 'candidate')
    source = read_file(path)

    def default_of(key):
        if not key.startswith('omero.web.'):
            return []
        return installed_web(scratch, applied(current, plan(current, settings, params['purge']))).default_of(key)

    with open_config(path, source, candidate, params['profile']) as config:
        profile = config.default()
        current = properties_of(config)
        kept = {} if params['purge'] else current
        wanted = with_appended(settings, params['append'].plain, kept, default_of)
        changes = plan(current, wanted, params['purge'])
        result = source if source and not changes else rewritten(config, changes)
    if changes:
        with open_config(path, result, candidate, params['profile']) as config:
            refuse_loss(properties_of(config), changes)
    return Evaluation(source, current, wanted, changes, profile, result)


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
    found = evaluate(params, path, scratch)
    check_with_web(module, found, scratch)
    backup_file = None
    if found.result != found.source and not module.check_mode:
        with locked({path, os.path.abspath(params['path'])}, params['lock_timeout']):
            if read_file(path) != found.source:  # somebody was faster
                found = evaluate(params, path, scratch)
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


def check_with_web(module, found, scratch):
    """Refuse, or only report, what OMERO.web would not understand."""
    concerned = found.changes and any(key.startswith('omero.web.') for key in found.wanted)
    if module.params['validate'] == 'off' or not concerned:
        return
    properties = applied(found.current, found.changes)
    try:
        problems = problems_of_web(scratch, found.wanted, properties, public_names(module.params))
    except ConfigError as exc:
        problems = exc.problems
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

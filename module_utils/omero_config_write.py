# -*- coding: utf-8 -*-
"""What config.xml is to become: the properties and bytes that a configuration means, checked with OMERO.web itself."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import difflib
import importlib
import json
import logging
import os
import pkgutil
import re
import sys
from collections import namedtuple
from contextlib import contextmanager

from ansible.module_utils.common.text.converters import to_native, to_text
from ansible.module_utils.omero_config import (
    ConfigError,
    as_property,
    first_line,
    open_config,
    properties_of,
    read_file,
)
from ansible.module_utils.omero_secrets import (
    is_string,
    items_inside,
    masked,
    parse_json,
    secrecy,
    without_userinfo,
)

try:
    from StringIO import StringIO
except ImportError:
    from io import StringIO

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
    if is_string(value):
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
    apps = [to_native(app) for app in apps if is_string(app)] if isinstance(apps, list) else []
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
    if isinstance(value, (list, dict)) and is_string(parsed):
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


# --- the bytes of config.xml ------------------------------------------------------------------------------------------


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


Evaluation = namedtuple('Evaluation', 'source current wanted changes profile result')


def evaluate(settings, append, purge, path, source, scratch, profile=None):
    """Find out what settings mean for the content (source) of path. result is source if there is nothing to do."""
    candidate = os.path.join(scratch, 'candidate')

    def default_of(key):
        if not key.startswith('omero.web.'):
            return []
        return installed_web(scratch, applied(current, plan(current, settings, purge))).default_of(key)

    with open_config(path, source, candidate, profile) as config:
        profile_name = config.default()
        current = properties_of(config)
        wanted = with_appended(settings, append, {} if purge else current, default_of)
        changes = plan(current, wanted, purge)
        result = source if source and not changes else rewritten(config, changes)
    if changes:
        with open_config(path, result, candidate, profile) as config:
            refuse_loss(properties_of(config), changes)
    return Evaluation(source, current, wanted, changes, profile_name, result)


def problems_of_evaluation(found, scratch, public):
    """What OMERO.web would not understand of an evaluation; nothing if it changes nothing that is OMERO.web's."""
    if not found.changes or not any(key.startswith('omero.web.') for key in found.wanted):
        return []
    try:
        return problems_of_web(scratch, found.wanted, applied(found.current, found.changes), public)
    except ConfigError as exc:
        return exc.problems

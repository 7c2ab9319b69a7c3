# -*- coding: utf-8 -*-
"""What omero_config and omero_config_info share: reading config.xml, and keeping secrets out of sight."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import json
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from xml.parsers import expat

from ansible.module_utils.common.text.converters import container_to_text, to_native, to_text
from ansible.module_utils.common.validation import check_type_dict
from ansible.module_utils.omero_secrets import is_string, masked


class ConfigError(Exception):
    """What keeps a run from going on: one clear sentence per problem."""

    def __init__(self, *problems):
        super(ConfigError, self).__init__(*problems)
        self.problems = list(problems)


def first_line(exc):
    """What an exception says, in one line."""
    return to_native(exc).strip().split('\n')[0]


# --- values -----------------------------------------------------------------------------------------------------------


def as_property(value):
    """The text that OMERO and OMERO.web parse back to value: strings as they are, anything else as JSON."""
    if is_string(value):
        return to_text(value)
    return to_text(json.dumps(value, sort_keys=True, allow_nan=False))


# --- parameters of modules --------------------------------------------------------------------------------------------


class Confidential(dict):
    """A dict parameter of which Ansible only ever sees, logs and returns the masked form; `plain` is what was given."""

    def __init__(self, plain=(), public=None):
        self.plain = container_to_text(dict(plain))  # on Python 2.7, Ansible hands over bytes
        super(Confidential, self).__init__((key, masked(key, self.plain[key], public)) for key in self.plain)


# Parameter types for an argument_spec. AnsibleModule writes parameters to syslog before a module can look at them;
# converting them while they are parsed is the one moment early enough. Their names appear in Ansible's messages.


def dictionary(value):
    """A dict parameter whose secrets stay hidden."""
    return Confidential(check_type_dict(value))


def secret_dictionary(value):
    """A dict parameter of which every value stays hidden."""
    return Confidential(check_type_dict(value), public=())


# --- config.xml -------------------------------------------------------------------------------------------------------


def read_file(path):
    """The bytes of a file; none where there is no file, which is what OMERO starts from too."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise ConfigError('%s is not a regular file; give the path of a config.xml.' % path)
    try:
        with open(path, 'rb') as source:
            return source.read()
    except EnvironmentError as exc:
        if exc.errno == errno.ENOENT:
            return b''
        raise ConfigError('Cannot read %s: %s; run the task as a user who may (become).' % (path, exc.strerror))


def refuse_damage(path, content):
    """Refuse what OMERO's library would drop without a word or trip over: it looks for these very elements."""
    parser = expat.ParserCreate(namespace_separator='}')
    ancestors = []

    def refuse(reason):
        raise ConfigError('%s is damaged or not written by OMERO: line %d: %s. It was left as it is; restore a '
                          'backup, or move it away to start afresh.' % (path, parser.CurrentLineNumber, reason))

    def start(tag, attributes):
        if not ancestors and tag != 'icegrid':
            refuse('the root element is <%s>, not <icegrid>' % to_native(tag))
        if ancestors == ['icegrid'] and tag == 'properties' and 'id' not in attributes:
            refuse('a <properties> element without id')
        if ancestors == ['icegrid', 'properties'] and tag == 'property' and 'name' not in attributes:
            refuse('a <property> element without name')
        ancestors.append(tag)

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: ancestors.pop()
    parser.StartDoctypeDeclHandler = lambda *declaration: refuse('a document type declaration')
    try:
        parser.Parse(content, True)
    except expat.ExpatError as exc:
        refuse(expat.ErrorString(exc.code))
    except (ValueError, LookupError) as exc:  # an encoding that expat does not know
        refuse(to_native(exc))


def import_config_xml():
    """OMERO's own library for config.xml, from the interpreter that runs this module."""
    try:
        from omero.config import ConfigXml
    except Exception as exc:  # not only ImportError: omero raises a bare Exception for the wrong Ice
        raise ConfigError('Cannot import omero.config with %s (%s); set ansible_python_interpreter to the Python of '
                          'the virtualenv that holds omero-py.' % (sys.executable, first_line(exc)))
    return ConfigXml


@contextmanager
def open_config(path, content, omerodir, profile=None):
    """OMERO's view of the content of path, on a private copy: ConfigXml rewrites and re-owns any file it opens."""
    ConfigXml = import_config_xml()
    if content:
        refuse_damage(path, content)
    if profile is not None:
        os.environ['OMERO_CONFIG'] = profile  # OMERO's own way to look at a profile without making it the active one
    copy = os.path.join(omerodir, 'etc', 'grid', 'config.xml')
    if not os.path.isdir(os.path.dirname(copy)):
        os.makedirs(os.path.dirname(copy))
    with open(copy, 'wb') as target:
        target.write(content)
    try:
        config = ConfigXml(copy)
    except Exception as exc:  # whatever its upgrade of old versions stumbles over
        raise ConfigError('OMERO cannot read %s (%s). It was left as it is; restore a backup, or move it away to start '
                          'afresh.' % (path, first_line(exc)))
    try:
        yield config
    finally:
        config.save_on_close = False
        config.close()


def properties_of(config):
    """The properties of the profile as text, without those that OMERO keeps for itself."""
    return {to_text(key): to_text(value) for key, value in config.as_map().items() if key not in config.IGNORE}


def real_path(path):
    """The file behind path, in a directory that exists."""
    real = os.path.realpath(path)
    if not os.path.isdir(os.path.dirname(real)):
        raise ConfigError('The directory %s does not exist; create it first.' % os.path.dirname(real))
    return real


# --- running a module -------------------------------------------------------------------------------------------------


def run_module(module, action):
    """End the module with what action returns, or with what went wrong. action gets a private directory to work in."""
    try:
        with _scratch_directory(module.tmpdir) as scratch:
            result = action(module, scratch)
    except ConfigError as exc:
        module.fail_json(msg=' '.join(exc.problems), problems=exc.problems)
    except EnvironmentError as exc:
        problem = 'Cannot access %s (%s); nothing was changed.' % (exc.filename or module.params['path'], exc.strerror)
        module.fail_json(msg=problem, problems=[problem])
    module.exit_json(**result)


@contextmanager
def _scratch_directory(parent):
    path = tempfile.mkdtemp(prefix='omero-config-', dir=parent)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)

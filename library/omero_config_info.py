#!/usr/bin/python
# -*- coding: utf-8 -*-

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: omero_config_info
short_description: Read the configuration of OMERO and OMERO.web
version_added: "1.0.0"
description:
  - Returns the properties in C(config.xml), the file behind C(omero config), without changing or locking it.
    C(omero config get) rewrites the file even when it only reads.
options:
  path:
    description: The C(config.xml) to read.
    type: path
    required: true
  profile:
    description: The profile to read. The default is the active profile of the file, or E(OMERO_CONFIG) if it is set.
    type: str
  show_secrets:
    description:
      - Return secrets as they are, for a task that has C(no_log) set. Otherwise they are masked, user names and
        passwords inside URLs included.
    type: bool
    default: false
attributes:
  check_mode:
    description: Never changes anything.
    support: full
notes:
  - Runs with the Python of OMERO's virtualenv, in which C(omero-py) is installed; set C(ansible_python_interpreter)
    for the task. Python 2.7 and 3.6 or newer.
seealso:
  - module: omero_config
author: The omero-web maintainers (@openmicroscopy-community)
"""

EXAMPLES = r"""
- name: Read the configuration
  omero_config_info:
    path: /opt/omero/web/current/etc/grid/config.xml
  vars:
    ansible_python_interpreter: /opt/omero/web/current/release/venv/bin/python
  register: configuration

- name: Show which servers the site offers
  ansible.builtin.debug:
    msg: "{{ configuration.settings['omero.web.server_list'] | from_json }}"
"""

RETURN = r"""
exists:
  description: Whether there is a configuration. Without one, OMERO uses its defaults.
  returned: success
  type: bool
  sample: true
settings:
  description: The properties of the profile as OMERO reads them, all of them text.
  returned: success
  type: dict
  sample: {omero.web.wsgi_workers: '9', omero.web.public.password: '********'}
profile:
  description: The profile that was read.
  returned: success
  type: str
  sample: default
profiles:
  description: The names of all profiles in the file, sorted.
  returned: success
  type: list
  elements: str
  sample: [default]
path:
  description: The path as it was given.
  returned: success
  type: str
  sample: /opt/omero/web/current/etc/grid/config.xml
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.omero_config import open_config, properties_of, read_file, run_module
from ansible.module_utils.omero_secrets import masked


def read(module, scratch):
    """What config.xml says, secrets masked unless they are asked for."""
    path, show_secrets = module.params['path'], module.params['show_secrets']
    source = read_file(path)
    with open_config(path, source, scratch, module.params['profile']) as config:
        settings = properties_of(config)
        return dict(
            changed=False,
            exists=bool(source),
            settings=settings if show_secrets else {key: masked(key, settings[key]) for key in settings},
            profile=config.default(),
            profiles=sorted(name for name, _properties in config.properties(None, True)) if source else [],
            path=path,
        )


ARGUMENT_SPEC = dict(
    path=dict(type='path', required=True),
    profile=dict(type='str'),
    show_secrets=dict(type='bool', default=False, no_log=False),
)


def main():
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), read)


if __name__ == '__main__':
    main()

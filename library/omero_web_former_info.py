#!/usr/bin/python
# -*- coding: utf-8 -*-
"""Ansible module: reads off a host the OMERO.web that was installed there in another way."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: omero_web_former_info
short_description: Reads an OMERO.web that was installed in another way
version_added: 1.0.0
description:
  - Finds the OMERO.web that runs on a host and is not the role's, and returns the variables of the role that make the
    same site. It changes nothing.
  - Whatever the user of that OMERO.web may have written is read with no more rights than that user has.
options:
  port:
    description: The port that it listens at, where there is more than one. 0 is any.
    type: int
    default: 0
attributes:
  check_mode:
    support: full
    description: Never changes anything.
notes:
  - Python 2.7, or 3.6 and newer. Its result has secrets, so a task that registers it has C(no_log) set.
seealso:
  - module: omero_web_change
author: The omero-web maintainers (@openmicroscopy-community)
"""

EXAMPLES = r"""
- name: Read the OMERO.web that is there
  omero_web_former_info:
  no_log: true
  register: former
"""

RETURN = r"""
variables:
  description: The variables of the role that make the same site, but for its secrets.
  returned: success
  type: dict
  sample: {omero_web_release: 5.33.2, omero_web_former: {unit: omero-web.service, address: "127.0.0.1:4080"}}
secrets:
  description: The properties that are secrets, for C(omero_web_secrets).
  returned: success
  type: dict
remarks:
  description: What the variables do not say and somebody is to see to, one sentence each.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.omero_web_adopt import adopted, found_on_host
from ansible.module_utils.omero_web_host import Problem, in_words
from ansible.module_utils.omero_web_systemd import Commands


def main():
    module = AnsibleModule(argument_spec={"port": {"type": "int", "default": 0}}, supports_check_mode=True)
    try:
        found = adopted(found_on_host(module.params["port"], Commands()))
    except (EnvironmentError, Problem) as problem:
        module.fail_json(msg=in_words(problem))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()

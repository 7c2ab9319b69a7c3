#!/usr/bin/python
# -*- coding: utf-8 -*-
"""Ansible module: which hosts a balancer sends users to."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: omero_web_balancer
short_description: Has nginx send users to hosts of OMERO.web, and keeps hosts without users that are to change
version_added: 1.0.0
description:
  - Writes the upstreams of nginx on a balancer, and what else is given for it, after nginx has tested it. What nginx
    rejects is never there for it to read.
  - A host that leaves is a backup from then on. It has no users as long as another host has, and all of them if none
    answers. So a run that is broken off never takes the last host from users.
  - It is one process on the balancer, which goes on if the controller or the connection is gone.
options:
  name:
    description: Name of the instance of OMERO.web.
    type: str
    default: omero-web
  by:
    description: Who changes the balancer, for others that have to wait.
    type: str
    required: true
  path:
    description: File with the upstreams, which nginx reads.
    type: path
    required: true
  upstreams:
    description: The sets of hosts. Those of one set are equal to users. Left out, they stay those that nginx has.
    type: list
    elements: dict
    suboptions:
      name:
        description: What nginx calls it.
        type: str
        required: true
      servers:
        description: Its hosts.
        type: list
        elements: dict
        required: true
        suboptions:
          name:
            description: What the host is called here.
            type: str
            required: true
          address:
            description: Where its nginx listens, as V(192.0.2.20:80).
            type: str
            required: true
  leave:
    description: Names of hosts that are to have no users. A set never loses all that it has.
    type: list
    elements: str
    default: []
  enter:
    description: Names of hosts that are to have users again, if they answer. All others stay as they are.
    type: list
    elements: str
    default: []
  health_path:
    description: What a host is asked for; it is well if the answer is 200.
    type: str
    default: /healthz
  host:
    description: Name of the site under which the hosts are asked.
    type: str
    default: localhost
  patience:
    description: Seconds that a host has until it answers.
    type: int
    default: 10
  drain:
    description: Seconds that the requests in hand of a host that leaves may take before it is left alone with them.
    type: int
    default: 30
  slow_start:
    description: Seconds for which a host that comes back has a tenth of the users of another one. V(0) is for none.
    type: int
    default: 10
  files:
    description: What else nginx is to read, by its path, with V(content) and V(mode). It is a secret, as keys are.
    type: dict
    default: {}
  default_site:
    description: The distribution's own site, which would answer in place of OMERO.web, as V(path) and perhaps V(part).
    type: dict
  lock_timeout:
    description: Seconds to wait for another run that changes the balancer.
    type: int
    default: 600
attributes:
  check_mode:
    support: full
    description: It is told whether anything would change.
notes:
  - Runs on Python 2.7, or 3.6 and newer, with nginx and C(ss).
seealso:
  - module: omero_web_change
author: The omero-web maintainers (@openmicroscopy-community)
"""

EXAMPLES = r"""
- name: Let web-1 have no users
  omero_web_balancer:
    by: admin
    path: /etc/nginx/conf.d/omero-web-hosts.conf
    leave: [web-1]
"""

RETURN = r"""
weights:
  description: The weight of each host by its name; that of one that has no users is 0.
  type: dict
  returned: success
not_well:
  description: Names of hosts of O(enter) that do not answer and so have no users.
  type: list
  elements: str
  returned: success
stayed:
  description: Names of hosts of O(leave) that go on having users, because no other host of their set has any.
  type: list
  elements: str
  returned: success
busy:
  description: Names of hosts of O(leave) that still had requests in hand after O(drain).
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.omero_web_balancer import change_balancer

SERVER = dict(name=dict(type="str", required=True), address=dict(type="str", required=True))
UPSTREAM = dict(
    name=dict(type="str", required=True),
    servers=dict(type="list", elements="dict", required=True, options=SERVER),
)
ARGUMENT_SPEC = dict(
    name=dict(type="str", default="omero-web"),
    by=dict(type="str", required=True),
    path=dict(type="path", required=True),
    upstreams=dict(type="list", elements="dict", options=UPSTREAM),
    leave=dict(type="list", elements="str", default=[]),
    enter=dict(type="list", elements="str", default=[]),
    health_path=dict(type="str", default="/healthz"),
    host=dict(type="str", default="localhost"),
    patience=dict(type="int", default=10),
    drain=dict(type="int", default=30),
    slow_start=dict(type="int", default=10),
    # The key of a certificate may be among them, which neither a log nor an output is to have.
    files=dict(type="dict", default={}, no_log=True),
    default_site=dict(type="dict"),
    lock_timeout=dict(type="int", default=600),
)


def main():
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    result = change_balancer(dict(module.params, check=module.check_mode))
    if result is None:
        module.fail_json(msg="The process that changes this balancer was killed; run again.")
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# -*- coding: utf-8 -*-
"""Ansible module: asks a site for pages, so many at once or in a second, and tells how long its answers took."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: omero_web_benchmark
short_description: Measures how much an OMERO.web serves, and how fast
version_added: 1.0.0
description:
  - Asks a site for its pages in steps of more and more requests at once, by ApacheBench where anybody may see the page,
    and then so many in a second.
  - Stops as soon as requests fail, or the site no longer serves its users well. All of it is one process on the host,
    which ends where nobody waits for it any more.
  - With O(kinds), runs the live generation with other workers, one kind after the other, on a socket that nobody else
    knows, and measures these. This must be on the site's own host.
options:
  name:
    description: What the names of OMERO.web's units begin with.
    type: str
    default: omero-web
  by:
    description: Whose run this is.
    type: str
    required: true
  url:
    description: Where the site is asked, without its prefix, as V(https://127.0.0.1:443).
    type: str
    required: true
  host:
    description: The name that the site goes by.
    type: str
    required: true
  prefix:
    description: The path that the site is under.
    type: str
    default: ''
  static_url:
    description: The path that its static files are under.
    type: str
    default: /static/
  health:
    description: The path by which it is told whether the site serves its users.
    type: str
    required: true
  paths:
    description: What to ask for, below O(prefix). By default the login page, the JSON API's root and a static file.
    type: list
    elements: str
    default: []
  images:
    description: Numbers of images whose thumbnails and first planes to ask for.
    type: list
    elements: int
    default: []
  user:
    description:
      - Who asks, with V(user) and V(password), both empty for the public user, and V(server), the number of the
        OMERO.server at the login page. Without, nobody logs in.
      - It is never shown or logged. Given as the text of a JSON dictionary, it is one value to Ansible.
    type: dict
  requests:
    description: How many requests a step has at most.
    type: int
    default: 5000
  seconds:
    description: How long a step takes at most.
    type: int
    default: 20
  concurrency:
    description: How many requests there are at once, for each step.
    type: list
    elements: int
    default: [1, 5, 20, 100]
  rate:
    description: How many requests in a second the last step has; 0 is half of what the site has served at most.
    type: float
    default: 0
  patience:
    description: How many seconds the site may take to answer O(health) meanwhile.
    type: float
    default: 5
  timeout:
    description: How many seconds all of it may take.
    type: int
    default: 3600
  kinds:
    description: Kinds of workers to measure in place of the site - C(name), the number of C(workers), C(settings),
      properties of OMERO.web, and C(packages), which are installed for it if the release has no C(needs).
    type: list
    elements: dict
    default: []
  basedir:
    description: Directory of the releases and generations, for O(kinds).
    type: path
    default: ''
  service_user:
    description: The service user, for O(kinds).
    type: str
    default: ''
  group:
    description: The group that may read the configuration, for O(kinds).
    type: str
    default: ''
  pip:
    description:
      - How to install what O(kinds) need and the release does not have, C(install), the arguments of the interpreter,
        and C(sources), lines for C(pip) to read, which may have passwords in them.
      - It is never shown or logged. Given as the text of a JSON dictionary, as O(user) is.
    type: dict
  start_timeout:
    description: How many seconds workers may take to start, for O(kinds).
    type: int
    default: 120
attributes:
  check_mode:
    support: none
    description: What is not measured has no figures.
notes:
  - Runs on Python 2.7, or 3.6 and newer; with O(kinds), with that of the live release.
seealso:
  - module: omero_web_change
author: The omero-web maintainers (@openmicroscopy-community)
"""

EXAMPLES = r"""
- name: Measure the login page
  omero_web_benchmark:
    by: ansible-playbook, by root on controller
    url: http://127.0.0.1:80
    host: omero.example.org
    health: /healthz
    paths: [/webclient/login/]
    requests: 500
"""

RETURN = r"""
rows:
  description: What was measured - a row for each step, and for each round of kinds of workers. V(percentiles) are in
    milliseconds.
  type: list
  elements: dict
  returned: success
  sample:
    - kind: ""
      round: 1
      target: login page
      path: /webclient/login/
      tool: ab
      concurrency: 20
      rate: 0
      requests: 500
      errors: 0
      seconds: 3.125
      per_second: 160.0
      percentiles: {"50": 120.1, "90": 131.5, "95": 140.0, "99": 180.2, "100": 201.0}
kinds:
  description: Kinds of workers - C(name), C(memory_mb), and C(problem), why one was not measured.
  type: list
  elements: dict
  returned: success
stopped:
  description: Why it was stopped before its end, empty if it was not.
  type: str
  returned: success
rest_ms:
  description: How long the site took to answer O(health) before there was any load.
  type: float
  returned: success
slowest_ms:
  description: How long it took at most.
  type: float
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.omero_config import secret_dictionary
from ansible.module_utils.omero_web_benchmark import benchmark_as_a_whole


def main():
    module = AnsibleModule(argument_spec={
        "name": {"type": "str", "default": "omero-web"},
        "by": {"type": "str", "required": True},
        "url": {"type": "str", "required": True},
        "host": {"type": "str", "required": True},
        "prefix": {"type": "str", "default": ""},
        "static_url": {"type": "str", "default": "/static/"},
        "health": {"type": "str", "required": True},
        "paths": {"type": "list", "elements": "str", "default": []},
        "images": {"type": "list", "elements": "int", "default": []},
        "user": {"type": secret_dictionary, "no_log": True},
        "requests": {"type": "int", "default": 5000},
        "seconds": {"type": "int", "default": 20},
        "concurrency": {"type": "list", "elements": "int", "default": [1, 5, 20, 100]},
        "rate": {"type": "float", "default": 0},
        "patience": {"type": "float", "default": 5},
        "timeout": {"type": "int", "default": 3600},
        "kinds": {"type": "list", "elements": "dict", "default": []},
        "basedir": {"type": "path", "default": ""},
        "service_user": {"type": "str", "default": ""},
        "group": {"type": "str", "default": ""},
        "pip": {"type": secret_dictionary, "no_log": True},
        "start_timeout": {"type": "int", "default": 120},
    })
    # Ansible's own scrubbing would mask whatever figure looks like a short secret.
    module.no_log_values.clear()
    secrets = dict((name, module.params[name]) for name in ("user", "pip"))
    plain = dict((name, secret.plain if secret is not None else None) for name, secret in secrets.items())
    result = benchmark_as_a_whole(dict(module.params, **plain))
    if result is None:
        module.fail_json(msg="The process that measures was killed.")
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()

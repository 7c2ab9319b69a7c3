#!/usr/bin/python
# -*- coding: utf-8 -*-
"""Ansible module: makes, tries, puts live, takes back, retires and removes generations of OMERO.web, as one process."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: omero_web_change
short_description: Changes which generation of OMERO.web a host runs
version_added: 1.0.0
description:
  - Makes a generation, tries it, hands over to it, takes it back where that fails, and removes what is kept no longer.
    It decides nothing - what is to be done comes as plain data.
  - All of it is one process on the host, which holds a lock of the kernel's while it lives, and which finishes or
    undoes its work even if the controller or the connection is gone.
  - Before C(current) leads to another generation, everything that it leads to has reached the disk, and that
    generation itself has answered.
options:
  name:
    description: What all names begin with - units, runtime directories, the lock.
    type: str
    default: omero-web
  basedir:
    description: Directory of the releases and generations.
    type: path
    required: true
  user:
    description: The service user.
    type: str
    required: true
  group:
    description: The group that may read the configuration.
    type: str
    required: true
  by:
    description: Whose run this is, for others that have to wait for it, for the generation's manifest and the history.
    type: str
    required: true
  says:
    description: What this run does, a sentence for each thing, as the file C(history) in O(basedir) is to have it.
    type: list
    elements: str
    default: []
  lock_timeout:
    description: How many seconds to wait for another run.
    type: int
    default: 600
  seen:
    description: What this change was decided on. Where it is no longer so, nothing is done and RV(stale) is true.
    type: dict
    required: true
    suboptions:
      current:
        description: Number of the live generation, 0 if there was none.
        type: int
        required: true
      generations:
        description: Numbers of the finished generations, failed ones included.
        type: list
        elements: int
        required: true
  target:
    description: The generation that is to serve.
    type: dict
    required: true
    suboptions:
      number:
        description: Its number.
        type: int
        required: true
      socket:
        description: The socket unit that it listens on.
        type: str
        required: true
      units:
        description: Other units that it needs.
        type: list
        elements: str
        default: []
      installed:
        description: Where its files are installed, by their names in it. One that it does not have is removed there.
        type: dict
        default: {}
      url:
        description: Where the host asks itself for the site, prefix included.
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
      address:
        description: Where it listens itself, as V(127.0.0.1:4080).
        type: str
        required: true
  fallback:
    description: The generation that serves now, and goes on doing so where the target does not work.
    type: dict
    default: {}
    suboptions:
      number:
        description: Its number, 0 if nobody serves.
        type: int
        default: 0
      installed:
        description: Where its files are installed, by their names in it.
        type: dict
        default: {}
      url:
        description: Where the site is asked on its host, as V(https://127.0.0.1:443); empty if that is not known.
        type: str
        default: ''
  former:
    description:
      - The OMERO.web that was on the host before the role's, where the target is to take over from it, or where it is
        to serve again (O(to_former)). It is ended once the target serves, and nothing of it is deleted.
    type: dict
    suboptions:
      unit:
        description: The unit that it runs by; empty if it has none, and then it is left to run.
        type: str
        default: ''
      address:
        description: Where it listens, which is not where the target does, as V(127.0.0.1:4080).
        type: str
        required: true
      site:
        description: The file of its site in nginx.
        type: path
        required: true
      sessions:
        description: The directory that has its sessions as files; empty if they are elsewhere.
        type: str
        default: ''
      user:
        description: The user that it runs as.
        type: str
        default: ''
      cookie:
        description: The name of the cookie for sessions, with which the names of their files begin.
        type: str
        default: sessionid
      django:
        description: The version of its Django, as V(5.2). Another version cannot read its sessions.
        type: str
        default: ''
      seconds:
        description: How many seconds it has to finish its requests.
        type: int
        default: 600
  to_former:
    description: Let the OMERO.web that was there before serve again, and end what serves now.
    type: bool
    default: false
  make:
    description:
      - What the target is made of, if it is to be made.
      - V(files), by name, each with C(content) and, if they differ from the defaults, C(mode) and C(group); V(links),
        the destination by path; V(sessions), the name of a directory below C(var/sessions); V(configuration) with
        C(settings), C(secrets), C(append) and C(purge) as M(omero_config) has them, C(from), the number of the
        generation whose configuration is to be changed, and C(digest), which is kept beside the file; and V(manifest).
      - Or V(copy_of), the number of the generation that it is made like, and V(manifest).
      - It is never shown or logged. Given as the text of a JSON dictionary, it is one value to Ansible, which otherwise
        masks whatever looks like any of its numbers and words where it logs the other options.
    type: dict
  trial:
    description: Start the target on a socket of its own first, and ask it for the login page.
    type: bool
    default: true
  pages:
    description: What a user is to find, where O(tried_as) says who that is.
    type: dict
    default: {}
    suboptions:
      apps:
        description: Pages of the apps, each as its path below the prefix.
        type: list
        elements: str
        default: []
      site:
        description: Pages of the site's own, each with its C(path) and what the answer must be or have, C(status),
          C(type) and C(text).
        type: list
        elements: dict
        default: []
      public_filter:
        description: The regular expression of the paths that the public user may have.
        type: str
        default: ''
  tried_as:
    description:
      - As whom to try the target, before it goes live and once more through nginx, with V(user) and V(password), both
        empty for the public user; V(server), the number of the OMERO.server at the login page; V(timeout), how many
        seconds all of it may take, and V(request_timeout), how many one answer may; and V(required), whether a target
        goes live only if OMERO.server answers. Without, nobody tries it.
      - It is never shown or logged. Given as the text of a JSON dictionary, as O(make) is.
    type: dict
  start:
    description: Start and stop units. Without, files and links are put in place for the next boot.
    type: bool
    default: true
  hand_over:
    description: Put the target live.
    type: bool
    default: true
  nginx:
    description: What else to do to nginx if the site in it is the role's; null leaves nginx alone.
    type: dict
    suboptions:
      default_site:
        description:
          - C(path) of the distribution's own default site, and with C(part), a regular expression, what of that
            file goes. Without C(part) the file goes.
        type: dict
      ports:
        description: The ports that it is to listen on, by the names of the variables that say so.
        type: dict
        default: {}
  start_timeout:
    description: How many seconds a generation may take to start, or to answer.
    type: int
    default: 120
  remove:
    description: What is kept no longer. What is in use, or is not what its name says, is refused.
    type: dict
    default: {}
    suboptions:
      generations:
        description: Numbers of generations.
        type: list
        elements: int
        default: []
      releases:
        description: Names of releases.
        type: list
        elements: str
        default: []
      sessions:
        description: Names of directories of sessions.
        type: list
        elements: str
        default: []
      wheels:
        description: Names of wheels.
        type: list
        elements: str
        default: []
      units:
        description: Paths of unit files.
        type: list
        elements: path
        default: []
attributes:
  check_mode:
    support: none
    description: What it would do is what it is asked to do.
notes:
  - Runs with the Python of the target's release, whose libraries write and check the configuration. Python 2.7, or 3.6
    and newer.
seealso:
  - module: omero_web_info
  - module: omero_config
author: The omero-web maintainers (@openmicroscopy-community)
"""

EXAMPLES = r"""
- name: Go back to generation 6
  omero_web_change:
    basedir: /opt/omero/web
    user: omero-web
    group: omero-web
    by: ansible-playbook, by root on controller
    seen: {current: 7, generations: [6, 7]}
    target:
      number: 6
      socket: omero-web.socket
      installed:
        omero-web.service: /etc/systemd/system/omero-web@6.service
        omero-web.socket: /etc/systemd/system/omero-web.socket
        nginx.conf: /etc/nginx/conf.d/omero-web.conf
      url: http://127.0.0.1:80
      host: omero.example.org
      address: 127.0.0.1:4080
    fallback:
      number: 7
      installed:
        omero-web.service: /etc/systemd/system/omero-web@7.service
        omero-web.socket: /etc/systemd/system/omero-web.socket
        nginx.conf: /etc/nginx/conf.d/omero-web.conf
      url: http://127.0.0.1:80
    nginx: {ports: {omero_web_http_port: 80}}
  vars:
    ansible_python_interpreter: /opt/omero/web/generations/6/release/venv/bin/python
"""

RETURN = r"""
stale:
  description: Whether another run has changed the host since it was looked at; then nothing was done.
  type: bool
  returned: success
removed:
  description: Paths of what was removed.
  type: list
  elements: str
  returned: success
remarks:
  description: What an administrator may want to know of a change that succeeded, one sentence each.
  type: list
  elements: str
  returned: success
outcome:
  description: What came of a change that failed.
  type: dict
  returned: failure
  contains:
    step:
      description: Where it failed.
      type: str
      sample: answer
    reason:
      description: What was wrong, as who found out said it.
      type: str
    status:
      description: The HTTP status of the answer that was wrong, 0 if there was none.
      type: int
    missing_static:
      description: Static files that the login page asks for and the release does not have.
      type: list
      elements: str
    log:
      description: The last lines that the unit in question has logged, as they are.
      type: list
      elements: str
    serving:
      description: Number of the generation that serves now, 0 if none does.
      type: int
    undo:
      description: What could not be undone, one sentence each.
      type: list
      elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.omero_config import secret_dictionary
from ansible.module_utils.omero_web_transaction import change_as_a_whole

ARGUMENT_SPEC = dict(
    name=dict(type="str", default="omero-web"),
    basedir=dict(type="path", required=True),
    user=dict(type="str", required=True),
    group=dict(type="str", required=True),
    by=dict(type="str", required=True),
    says=dict(type="list", elements="str", default=[]),
    lock_timeout=dict(type="int", default=600),
    seen=dict(
        type="dict",
        required=True,
        options=dict(
            current=dict(type="int", required=True),
            generations=dict(type="list", elements="int", required=True),
        ),
    ),
    target=dict(
        type="dict",
        required=True,
        options=dict(
            number=dict(type="int", required=True),
            socket=dict(type="str", required=True),
            units=dict(type="list", elements="str", default=[]),
            installed=dict(type="dict", default={}),
            url=dict(type="str", required=True),
            host=dict(type="str", required=True),
            prefix=dict(type="str", default=""),
            static_url=dict(type="str", default="/static/"),
            address=dict(type="str", required=True),
        ),
    ),
    fallback=dict(
        type="dict",
        default={},
        apply_defaults=True,
        options=dict(
            number=dict(type="int", default=0),
            installed=dict(type="dict", default={}),
            url=dict(type="str", default=""),
        ),
    ),
    former=dict(
        type="dict",
        options=dict(
            unit=dict(type="str", default=""),
            address=dict(type="str", required=True),
            site=dict(type="path", required=True),
            sessions=dict(type="str", default=""),
            user=dict(type="str", default=""),
            cookie=dict(type="str", default="sessionid"),
            django=dict(type="str", default=""),
            seconds=dict(type="int", default=600),
        ),
    ),
    to_former=dict(type="bool", default=False),
    make=dict(type=secret_dictionary, no_log=True),
    trial=dict(type="bool", default=True),
    pages=dict(
        type="dict",
        default={},
        apply_defaults=True,
        options=dict(
            apps=dict(type="list", elements="str", default=[]),
            site=dict(type="list", elements="dict", default=[]),
            public_filter=dict(type="str", default=""),
        ),
    ),
    tried_as=dict(type=secret_dictionary, no_log=True),
    start=dict(type="bool", default=True),
    hand_over=dict(type="bool", default=True),
    nginx=dict(type="dict", options=dict(default_site=dict(type="dict"), ports=dict(type="dict", default={}))),
    start_timeout=dict(type="int", default=120),
    remove=dict(
        type="dict",
        default={},
        apply_defaults=True,
        options=dict(
            generations=dict(type="list", elements="int", default=[]),
            releases=dict(type="list", elements="str", default=[]),
            sessions=dict(type="list", elements="str", default=[]),
            wheels=dict(type="list", elements="str", default=[]),
            units=dict(type="list", elements="path", default=[]),
        ),
    ),
)


def main():
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC)
    # From here on, what is secret is in the lines of a log alone, which the controller masks, for it knows the secrets.
    # Ansible's own scrubbing would mask whatever looks like a short secret, or a number, of what is to be made.
    module.no_log_values.clear()
    secrets = dict((name, module.params[name]) for name in ("make", "tried_as"))
    plain = dict((name, secret.plain if secret is not None else None) for name, secret in secrets.items())
    result = change_as_a_whole(dict(module.params, **plain))
    if result is None:
        module.fail_json(
            msg="The process that changes this host was killed; run again, which finishes or repeats its work.",
            outcome=dict(step="", reason="killed", status=0, missing_static=[], log=[], serving=0, undo=[]),
        )
    for remark in result.get("remarks", []):
        module.warn(remark)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()

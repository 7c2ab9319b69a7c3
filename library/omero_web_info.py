#!/usr/bin/python
# -*- coding: utf-8 -*-
"""Ansible module: what a host runs of OMERO.web, read in one round trip."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: omero_web_info
short_description: Reads what a host has and runs of OMERO.web
version_added: 1.0.0
description:
  - Reads, and never changes, all that a deployment is decided on - the releases and generations below O(basedir), the
    units that run them, whether the site answers, and what the operating system has.
  - One look is one round trip. The role decides on nothing else, so a run with nothing to change is one look.
  - Nothing that the service user can write is followed, listed or believed.
options:
  name:
    description: What the names of OMERO.web's units begin with.
    type: str
    default: omero-web
  basedir:
    description: Directory of the releases and generations (the role's C(omero_web_basedir)).
    type: path
    required: true
  pythons:
    description: Python interpreters whose versions are wanted, as paths or names of commands.
    type: list
    elements: str
    default: []
  paths:
    description: Paths to describe in RV(paths).
    type: list
    elements: path
    default: []
  files:
    description: Paths of files that should be there, or be led to by links; what is in them makes no difference.
    type: list
    elements: path
    default: []
  directories:
    description: Paths of directories that should be there, or be led to by links.
    type: list
    elements: path
    default: []
  user:
    description: Name of the service user, for RV(ids).
    type: str
    default: ""
  group:
    description: Name of the service group, for RV(ids).
    type: str
    default: ""
  uid:
    description: Number that the service user is to have, for RV(ids).
    type: int
    default: 0
  gid:
    description: Number that the service group is to have, for RV(ids).
    type: int
    default: 0
  patterns:
    description: Regular expressions, by the path of the file in which each is looked for (RV(matched)).
    type: dict
    default: {}
  units:
    description: Names of systemd units whose state is wanted, beside those of the generations.
    type: list
    elements: str
    default: []
  booleans:
    description: Names of SELinux booleans whose state is wanted.
    type: list
    elements: str
    default: []
  firewall:
    description: Whether to look at the firewall.
    type: bool
    default: false
  configuration:
    description:
      - Digest of the configuration that is wanted. It is compared on the host with that of the live generation, which
        only root can read, because passwords could be guessed from it.
    type: str
    default: ""
  timeout:
    description: Seconds that the site may take to answer.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    description: The module only reads.
author: The omero-web maintainers (@openmicroscopy-community)
"""

EXAMPLES = r"""
- name: Read what the host runs
  omero_web_info:
    basedir: /opt/omero/web
    pythons: [/usr/bin/python3]
    units: [nginx.service]
  register: host

- name: Say which generation is live
  ansible.builtin.debug:
    var: host.current
"""

RETURN = r"""
ansible_facts:
  description: What is known of the operating system, as M(ansible.builtin.setup) has it.
  type: dict
  returned: always
  sample: {distribution: Debian, distribution_major_version: "12", service_mgr: systemd}
time:
  description: When the host was looked at, by its own clock, in seconds since the epoch.
  type: float
  returned: always
pythons:
  description:
    - For each of O(pythons) that runs, its C(version), as C(3.11.2), and its C(tag) in names of wheels, as C(cp311).
  type: dict
  returned: always
  sample: {/usr/bin/python3: {version: 3.11.2, tag: cp311}}
cores:
  description: How many processor cores the host has online.
  type: int
  returned: always
  sample: 4
packages:
  description: Names of the operating system packages that are installed.
  type: list
  elements: str
  returned: always
free_bytes:
  description: Free space in the file system that holds (or would hold) O(basedir).
  type: int
  returned: always
read_only:
  description: Whether that file system is mounted read-only.
  type: bool
  returned: always
current:
  description: Number of the generation that C(current) points to, 0 if there is none.
  type: int
  returned: always
previous:
  description: Number of the generation that C(previous) points to, 0 if there is none.
  type: int
  returned: always
generations:
  description:
    - The finished generations on disk by ascending number. C(failed) - it was tried and found wanting; C(activated) -
      it is or was live; C(manifest) - what it says of itself; C(release) - the release that it runs; C(address) - where
      its socket listens; C(files) - the names of what it has.
  type: list
  elements: dict
  returned: always
  sample:
    - number: 7
      failed: false
      activated: true
      release: 5.33.2-0f3c9a12
      address: 127.0.0.1:4080
      files: [activated, manifest, nginx.conf, omero-web.service, omero-web.socket]
      manifest: {schema: 2, previous: 6}
releases:
  description: The manifests of the complete releases on disk, by name of their directory.
  type: dict
  returned: always
  sample: {5.33.2-0f3c9a12: {django: "5.2"}}
unfinished:
  description: What an interrupted run left without a manifest - C(generations), each with what is known of it without
    one, and the names of C(releases).
  type: dict
  returned: always
  sample: {generations: [{number: 8, release: 5.33.2-9c1b77aa}], releases: [5.33.2-9c1b77aa]}
wheels:
  description: File names of the wheels and archives kept on the host, the newest first.
  type: list
  elements: str
  returned: always
sessions:
  description: Names of the directories of sessions, one for each version of Django.
  type: list
  elements: str
  returned: always
  sample: [django-5.2]
misplaced:
  description:
    - What generations share below O(basedir), and is of another kind than it should be, by path. No link is followed
      there, for whoever can write there could lead to any file of the host.
  type: dict
  returned: always
  sample: {/opt/omero/web/var/sessions: a link}
paths:
  description:
    - What each of O(paths) is that is there - its C(kind) (C(file), C(directory), C(link) or C(other)), C(owner),
      C(group), C(mode) and, of a file, C(sha256).
  type: dict
  returned: always
missing_files:
  description: Those of O(files) that are not there.
  type: list
  elements: str
  returned: always
missing_directories:
  description: Those of O(directories) that are not there.
  type: list
  elements: str
  returned: always
ids:
  description:
    - The numbers C(uid) of O(user) and C(gid) of O(group), and the names of the C(user) who has O(uid) and the C(group)
      that has O(gid); null where there is none.
  type: dict
  returned: always
  sample: {uid: 998, gid: 998, user: null, group: null}
matched:
  description: Those files in O(patterns) that their regular expression matches in.
  type: list
  elements: str
  returned: always
service:
  description: Where the OMERO.web is that the role installed before, and whose, by its newest unit; empty without one.
  type: dict
  returned: always
  sample: {basedir: /opt/omero/web, user: omero-web, group: omero-web}
neighbours:
  description:
    - The other instances of OMERO.web that the role installed - the C(name) of each, where it is and whose; the
      C(address) of the one that is live; C(sites), what that has nginx listen for, as C(ports) and C(server_names); and
      C(ports), the ports of all its generations.
  type: list
  elements: dict
  returned: always
  sample:
    - name: omero-web-public
      basedir: /opt/omero/public
      user: omero-public
      group: omero-public
      address: 127.0.0.1:4081
      sites: [{ports: [80], server_names: [public.example.org]}]
      ports: [80]
astray:
  description: Paths where files of the live generation are installed, and that differ from what it has.
  type: list
  elements: str
  returned: always
units:
  description: C(active) state, C(enabled) state, C(listen) addresses and C(control_group) of OMERO.web's loaded units
    and of O(units), as C(systemctl show) has them.
  type: dict
  returned: always
  sample: {omero-web.socket: {active: active, enabled: enabled, listen: 127.0.0.1:4080, control_group: ""}}
runs_deleted_files:
  description:
    - Whether processes of the live generation's unit have mapped files of releases that are deleted. What these failed
      to load meanwhile, they do not load again, even where the release has been built again.
  type: bool
  returned: always
configuration_is_wanted:
  description: Whether the live generation was configured as O(configuration) says, and is so still.
  type: bool
  returned: always
answer:
  description:
    - How the site answers at the address of the live generation - C(status), 0 where nothing answers; C(generation),
      the number of the one that answered, 0 where that is not told; C(message), the reason where nothing answers.
  type: dict
  returned: always
  sample: {status: 200, generation: 7, message: OK}
systemd:
  description: The version of systemd, 0 where there is none.
  type: int
  returned: always
  sample: 252
selinux:
  description: What SELinux does - C(enforcing), C(permissive) or C(disabled).
  type: str
  returned: always
booleans_off:
  description: Those of O(booleans) that are off, none where SELinux is disabled.
  type: list
  elements: str
  returned: always
nginx:
  description: The version of nginx, V(0) where it is not installed.
  type: str
  returned: always
  sample: 1.22.1
hold:
  description: Why the site is to stay as it is, by the first line of the file C(hold) in O(basedir); empty without one.
  type: str
  returned: always
  sample: course until Friday
former:
  description: The OMERO.web that the role has taken over from and can give back to, as M(omero_web_change) has it;
    empty without one.
  type: dict
  returned: always
  sample: {unit: omero-web.service, address: "127.0.0.1:4080", site: /etc/nginx/conf.d/omeroweb.conf}
maintenance:
  description: C(since) when the site is closed for users, and C(until) when, as they are told; empty if it is open.
  type: dict
  returned: always
  sample: {since: "2026-11-26T20:21:27+00:00", until: Friday}
ipv6:
  description: Whether the host has IPv6.
  type: bool
  returned: always
firewall:
  description:
    - If O(firewall) is true, what the firewall lets in that runs, or will with the next boot; empty without one.
    - Its C(name), C(firewalld) or C(ufw); the C(default) zone; and its C(zones), by name, each with the C(interfaces)
      and C(sources) that are bound to it, whether it C(accepts) everything, and which TCP ports are open C(now) and
      C(later), after firewalld has started again, as V(80) or V(8000-8100). Ufw has one zone, without a name.
  type: dict
  returned: always
  sample:
    name: firewalld
    default: public
    zones: {public: {interfaces: [eth0], sources: [], accepts: false, now: ["22"], later: ["22", "80"]}}
opened:
  description: What the role has opened in the firewall itself, and not closed again, each a C(zone) and a C(port).
  type: list
  elements: dict
  returned: always
  sample: [{zone: public, port: 80}]
generation_ports:
  description: The ports on which nginx listens for each generation, by its number.
  type: dict
  returned: always
  sample: {"7": [80, 443]}
interfaces_to_outside:
  description: The network interfaces that default routes lead through.
  type: list
  elements: str
  returned: always
  sample: [eth0]
"""

import glob
import grp
import io
import multiprocessing
import os
import pwd
import re
import stat
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.facts.system.distribution import DistributionFactCollector
from ansible.module_utils.facts.system.platform import PlatformFactCollector
from ansible.module_utils.facts.system.python import PythonFactCollector
from ansible.module_utils.facts.system.service_mgr import ServiceMgrFactCollector
from ansible.module_utils.omero_web_firewall import Firewall, interfaces_to_outside, opened
from ansible.module_utils.omero_web_host import read_json
from ansible.module_utils.omero_web_look import all_ports, look_at_generations, sha256
from ansible.module_utils.omero_web_systemd import Commands, Systemd

DIGEST = "config.digest"
FIREWALLD = "firewalld.service"


def has_part(path, pattern):
    """Tell whether the regular expression matches anywhere in a file."""
    try:
        with io.open(path, encoding="utf-8", errors="replace") as content:
            return re.search(pattern, content.read()) is not None
    except IOError:
        return False


def description(path):
    """Return what a path is, None if it is not there; a link is never taken for what it points to."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    kinds = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "directory"), (stat.S_ISLNK, "link"))
    kind = next((name for is_kind, name in kinds if is_kind(found.st_mode)), "other")
    described = {
        "kind": kind,
        "owner": user_name(found.st_uid),
        "group": group_name(found.st_gid),
        "mode": "%04o" % stat.S_IMODE(found.st_mode),
    }
    return dict(described, sha256=sha256(path)) if kind == "file" else described


def user_name(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def group_name(gid):
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return None


def number(entry, name):
    """Return the number of a user (pwd.getpwnam) or a group (grp.getgrnam), None if there is none of this name."""
    try:
        return entry(name)[2]
    except KeyError:
        return None


def wheels(basedir):
    """Return the names of the wheels, and of what else a build has left, the newest first."""
    patterns = [os.path.join(basedir, "wheels", "*." + ending) for ending in ("whl", "zip", "tar")]
    paths = [path for pattern in patterns for path in glob.glob(pattern)]
    return [os.path.basename(path) for path in sorted(paths, key=os.path.getmtime, reverse=True)]


def is_configured(directory, wanted):
    """Tell whether a generation was configured as wanted, and is so still."""
    made = read_json(directory, DIGEST) or {}
    return bool(wanted) and made == {"wanted": wanted, "file": sha256(os.path.join(directory, "etc/grid/config.xml"))}


def facts_of_system(module):
    """Return what Ansible's own collectors find out, under the names that they have as facts."""
    facts = {}
    for collector in (PlatformFactCollector, DistributionFactCollector, ServiceMgrFactCollector, PythonFactCollector):
        known = dict(("ansible_" + name, value) for name, value in facts.items())
        facts.update(collector().collect(module=module, collected_facts=known))
    return facts


class Tools(object):
    """What only the host's own tools can tell."""

    def __init__(self, commands):
        self.commands = commands

    def run(self, *command):
        """Return the exit code and the output of a command; one that is not there fails like any other."""
        done = self.commands.run(*command)
        return done.code, done.output

    def pythons(self, interpreters):
        program = "import sys; print('%d.%d.%d cp%d%d' % (sys.version_info[:3] + sys.version_info[:2]))"
        found = {}
        for interpreter in interpreters:
            code, output = self.run(interpreter, "-c", program)
            words = output.split()
            if code == 0 and len(words) == 2:
                found[interpreter] = {"version": words[0], "tag": words[1]}
        return found

    def packages(self):
        """Ask the package database directly: a package manager would take seconds to start."""
        # Either kind of system may have the other's command as well.
        if os.path.exists("/etc/debian_version"):
            dummy, output = self.run("dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n")
            return sorted(set(line.split()[0] for line in output.splitlines() if line.endswith(" installed")))
        dummy, output = self.run("rpm", "--query", "--all", "--queryformat", "%{NAME}\n")
        return sorted(set(output.split()))

    def systemd(self):
        found = re.match(r"systemd (\d+)", self.run("systemctl", "--version")[1])
        return int(found.group(1)) if found else 0

    def nginx(self):
        """Return its version, which it tells on standard error."""
        found = re.search(r"nginx/([\d.]+)", self.commands.run("nginx", "-v").errors)
        return found.group(1) if found else "0"

    def selinux(self):
        """Hosts that never had SELinux lack even the command."""
        return self.run("getenforce")[1].strip().lower() or "disabled"

    def booleans_off(self, booleans):
        if not booleans or self.selinux() == "disabled":
            return []
        dummy, output = self.run("getsebool", *booleans)
        return re.findall(r"(\w+) --> off", output)


def look(module):
    """Return all that RETURN describes."""
    params, commands = module.params, Commands()
    basedir = params["basedir"]
    found = look_at_generations(params["name"], basedir, Systemd(commands), params["timeout"], params["units"])
    live = os.path.join(basedir, "generations", str(found["current"]))
    tools = Tools(commands)
    described = dict((path, description(path)) for path in params["paths"])
    return dict(
        found,
        ansible_facts=facts_of_system(module),
        pythons=tools.pythons(params["pythons"]),
        cores=multiprocessing.cpu_count(),
        packages=tools.packages(),
        wheels=wheels(basedir),
        paths=dict((path, what) for path, what in described.items() if what),
        missing_files=[path for path in params["files"] if not os.path.isfile(path)],
        missing_directories=[path for path in params["directories"] if not os.path.isdir(path)],
        ids={
            "uid": number(pwd.getpwnam, params["user"]),
            "gid": number(grp.getgrnam, params["group"]),
            "user": user_name(params["uid"]),
            "group": group_name(params["gid"]),
        },
        matched=[path for path, pattern in sorted(params["patterns"].items()) if has_part(path, pattern)],
        configuration_is_wanted=is_configured(live, params["configuration"]),
        systemd=tools.systemd(),
        nginx=tools.nginx(),
        ipv6=os.path.exists("/proc/net/if_inet6"),
        selinux=tools.selinux(),
        booleans_off=tools.booleans_off(params["booleans"]),
        firewall=Firewall(commands, found["units"].get(FIREWALLD, {})).look() if params["firewall"] else {},
        opened=opened(basedir),
        generation_ports=all_ports(basedir),
        interfaces_to_outside=interfaces_to_outside(),
    )


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "default": "omero-web"},
            "basedir": {"type": "path", "required": True},
            "pythons": {"type": "list", "elements": "str", "default": []},
            "paths": {"type": "list", "elements": "path", "default": []},
            "files": {"type": "list", "elements": "path", "default": []},
            "directories": {"type": "list", "elements": "path", "default": []},
            "user": {"type": "str", "default": ""},
            "group": {"type": "str", "default": ""},
            "uid": {"type": "int", "default": 0},
            "gid": {"type": "int", "default": 0},
            "patterns": {"type": "dict", "default": {}},
            "units": {"type": "list", "elements": "str", "default": []},
            "booleans": {"type": "list", "elements": "str", "default": []},
            "firewall": {"type": "bool", "default": False},
            "configuration": {"type": "str", "default": "", "no_log": True},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    # The digest is never part of the result, and hiding it there would only cost time.
    module.no_log_values.clear()
    now = time.time()
    module.exit_json(changed=False, time=now, **look(module))


if __name__ == "__main__":
    main()

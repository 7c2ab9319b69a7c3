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
  ports:
    description: Ports that firewalld should have open, as V(80/tcp).
    type: list
    elements: str
    default: []
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
author: The omero-web maintainers
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
      C(address) of the one that is live; and C(sites), what that has nginx listen for, as C(ports) and C(server_names).
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
ipv6:
  description: Whether the host has IPv6.
  type: bool
  returned: always
closed_ports:
  description: Those of O(ports) that are not open in firewalld's default zone, none where firewalld does not run.
  type: list
  elements: str
  returned: always
"""

import errno
import glob
import grp
import hashlib
import io
import multiprocessing
import os
import pwd
import re
import stat
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.converters import to_bytes
from ansible.module_utils.facts.system.distribution import DistributionFactCollector
from ansible.module_utils.facts.system.platform import PlatformFactCollector
from ansible.module_utils.facts.system.python import PythonFactCollector
from ansible.module_utils.facts.system.service_mgr import ServiceMgrFactCollector
from ansible.module_utils.omero_web_host import (
    MANIFEST,
    address_of,
    generations,
    linked_generation,
    listing,
    read_json,
)
from ansible.module_utils.omero_web_http import get_once, place_of
from ansible.module_utils.omero_web_units import UNITS, is_socket_of

# What generations share, some of it written by the service: of these names nothing but directories, and one file.
SHARED = re.compile(r"var(/log|/sessions(/django-\d+\.\d+)?|/django_secret_key)?\Z")
SHARED_FILE = "var/django_secret_key"
A_FILE = "a file"
A_DIRECTORY = "a directory"
A_LINK = "a link"
ANOTHER = "neither a file nor a directory"
# The unit of a generation, of whichever instance.
GENERATION_UNIT = re.compile(r"(omero-web(?:-[a-z][a-z0-9]*)?)@([1-9][0-9]*)\.service\Z")
# Where systemd has its control groups: by version 2 alone, by version 1, by version 2 beside version 1.
HIERARCHIES = ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified")
DIGEST = "config.digest"
LOGIN_PAGE = "/webclient/login/"
# Python 2.7 has no name for it.
ST_RDONLY = 1
# Of a sentence.
LONGEST_HOLD = 200


def read(*path):
    """Return the text of a file, none if it is not there."""
    try:
        with io.open(os.path.join(*path), encoding="utf-8", errors="replace") as content:
            return content.read()
    except IOError:
        return ""


def sha256(path):
    """Return the checksum of a file, None if it is not there."""
    try:
        with open(path, "rb") as content:
            return hashlib.sha256(content.read()).hexdigest()
    except IOError:
        return None


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


def releases(basedir):
    """Return the manifests of complete releases by name, and the names of unfinished ones."""
    top = os.path.join(basedir, "releases")
    # Those that begin with a dot are half removed.
    manifests = dict((name, read_json(top, name, MANIFEST)) for name in listing(top) if not name.startswith("."))
    complete = dict((name, manifest) for name, manifest in manifests.items() if manifest is not None)
    return complete, sorted(set(manifests) - set(complete))


def kind(path):
    """Return what there is, which is told by no link's target; None if there is nothing."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return None
    kinds = {stat.S_IFREG: A_FILE, stat.S_IFDIR: A_DIRECTORY, stat.S_IFLNK: A_LINK}
    return kinds.get(stat.S_IFMT(mode), ANOTHER)


def kinds(top, *names):
    """Return the kinds of what is in a directory by name, none if there is no such directory or a link leads to it."""
    way = "/proc/self/fd/%d"
    try:
        directory = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in names:
                below = os.open(os.path.join(way % directory, name), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                os.close(directory)
                directory = below
            # By that path, for Python 2.7 takes no descriptor here.
            found = os.listdir(way % directory)
            return dict((name, kind(os.path.join(way % directory, name))) for name in found)
        finally:
            os.close(directory)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        return {}


def shared(basedir):
    """Return the names of the directories of sessions, and the kinds of what is of another kind than it should be."""
    found = {"var": kind(os.path.join(basedir, "var"))}
    for directory in ("var", "var/sessions"):
        below = kinds(basedir, *directory.split("/"))
        found.update((os.path.join(directory, name), what) for name, what in below.items())
    ours = dict((path, what) for path, what in found.items() if what and SHARED.match(path))
    wanted = dict((path, A_FILE if path == SHARED_FILE else A_DIRECTORY) for path in ours)
    misplaced = dict((os.path.join(basedir, path), what) for path, what in ours.items() if what != wanted[path])
    sessions = [path for path, what in ours.items() if os.path.dirname(path) == "var/sessions" and what == wanted[path]]
    return sorted(os.path.basename(path) for path in sessions), misplaced


def hold(basedir):
    """Return why somebody on the host wants it to stay as it is."""
    return read(basedir, "hold").strip().partition("\n")[0][:LONGEST_HOLD]


def services(directory=UNITS):
    """Return what the newest unit of each instance says of it, whichever basedir it is in."""
    newest = {}
    for found in filter(None, map(GENERATION_UNIT.match, listing(directory))):
        newest[found.group(1)] = max(int(found.group(2)), newest.get(found.group(1), 0))
    found = dict((name, service(directory, name, number)) for name, number in newest.items())
    # A unit that a power cut has emptied says nothing.
    return dict((name, known) for name, known in found.items() if known)


def service(directory, name, number):
    text = read(directory, "%s@%d.service" % (name, number))
    found = re.findall(r"(?m)^(WorkingDirectory|User|Group)=(.+?)(?:/generations/%i)?$", text)
    names = {"WorkingDirectory": "basedir", "User": "user", "Group": "group"}
    return dict((names[directive], value) for directive, value in found)


def neighbour(name, service):
    """Return what belongs to another instance: as its newest unit says, and where its live generation answers."""
    live = os.path.join(service["basedir"], "current")
    servers = re.split(r"(?m)^\s*server\s*\{", read(live, "nginx.conf"))[1:]
    return dict(service, name=name, address=address_of(live), sites=[site_of(server) for server in servers])


def site_of(server):
    """Return the ports and the names of a server of nginx."""
    ports = re.findall(r"(?m)^\s*listen\s+(?:\S*:)?(\d+)\b", server)
    names = " ".join(re.findall(r"(?m)^\s*server_name\s+([^;]+);", server)).split()
    return {"ports": sorted(set(map(int, ports))), "server_names": names}


def wheels(basedir):
    """Return the names of the wheels, and of archives that a build has left, the newest first."""
    paths = [path for ending in ("whl", "zip") for path in glob.glob(os.path.join(basedir, "wheels", "*." + ending))]
    return [os.path.basename(path) for path in sorted(paths, key=os.path.getmtime, reverse=True)]


def astray(directory, installed):
    """Return the paths whose content is not that of the generation's file."""
    return sorted(path for name, path in installed.items() if sha256(path) != sha256(os.path.join(directory, name)))


def is_configured(directory, wanted):
    """Tell whether a generation was configured as wanted, and is so still."""
    made = read_json(directory, DIGEST) or {}
    return bool(wanted) and made == {"wanted": wanted, "file": sha256(os.path.join(directory, "etc/grid/config.xml"))}


def runs_deleted_files(group, basedir, hierarchies=HIERARCHIES):
    """Tell whether a process in a control group has mapped files of releases that are deleted."""
    releases = to_bytes(os.path.realpath(os.path.join(basedir, "releases")) + "/")
    return any(has_mapped_deleted(pid, releases) for pid in processes(group, hierarchies))


def processes(group, hierarchies):
    """Return the ids of the processes in a control group. A unit that does not run has no group, and none of them."""
    return set(pid for top in hierarchies if group for pid in read(top + group, "cgroup.procs").split())


def has_mapped_deleted(pid, beginning):
    """Tell whether a process has mapped deleted files with such a beginning of their paths; none if it has ended."""
    try:
        with open("/proc/%s/maps" % pid, "rb") as maps:
            # Line by line, for the service can have as many as it likes. The path is last, for it may have spaces.
            return any(path.startswith(beginning) and path.endswith(b" (deleted)\n")
                       for line in maps for path in line.split(None, 5)[5:])
    except IOError:
        return False


def file_system(path):
    """Return the free bytes where the path is or would be made, and whether that is read-only."""
    path = os.path.abspath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize, bool(found.f_flag & ST_RDONLY)


def answer_of(url, host, timeout):
    """Return how a site answers for its login page, asked as whoever looks for `host`."""
    place, path = place_of(url)
    found = get_once(place, path + LOGIN_PAGE, host, timeout)
    return {"status": found.status, "generation": found.generation, "message": found.reason}


def facts_of_system(module):
    """Return what Ansible's own collectors find out, under the names that they have as facts."""
    facts = {}
    for collector in (PlatformFactCollector, DistributionFactCollector, ServiceMgrFactCollector, PythonFactCollector):
        known = dict(("ansible_" + name, value) for name, value in facts.items())
        facts.update(collector().collect(module=module, collected_facts=known))
    return facts


class Commands(object):
    """What only the host's own tools can tell."""

    def __init__(self, module):
        self.module = module

    def run(self, *command):
        """Return the exit code and the output of a command; one that is not there fails like any other."""
        environment = {"LC_ALL": "C", "LANGUAGE": "C"}
        path = self.module.get_bin_path(command[0])
        if not path:
            return 127, ""
        code, output, dummy = self.module.run_command([path] + list(command[1:]), environ_update=environment)
        return code, output

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

    def units(self, names):
        """Return the states of loaded units; patterns match loaded units only."""
        properties = "--property=Id,ActiveState,UnitFileState,Listen,ControlGroup"
        code, output = self.run("systemctl", "show", properties, *names)
        states = {}
        for block in re.split(r"\n\n+", output.strip()) if code == 0 else []:
            unit = dict(line.split("=", 1) for line in block.splitlines())
            if "Id" in unit:
                # CentOS 7 shows it as in the unit, ListenStream=…; others as Listen=127.0.0.1:4080 (Stream).
                listen = unit.get("ListenStream") or unit.get("Listen", "")
                states[unit["Id"]] = {
                    "active": unit["ActiveState"],
                    "enabled": unit["UnitFileState"],
                    "listen": listen.split(" ")[0],
                    # CentOS 7 escapes the backslash of system-omero\x2dweb.slice once more.
                    "control_group": unit.get("ControlGroup", "").replace("\\x5c", "\\"),
                }
        return states

    def systemd(self):
        found = re.match(r"systemd (\d+)", self.run("systemctl", "--version")[1])
        return int(found.group(1)) if found else 0

    def nginx(self):
        """Return its version, which it tells on standard error."""
        command = self.module.get_bin_path("nginx")
        dummy, dummy, message = self.module.run_command([command, "-v"]) if command else (1, "", "")
        found = re.search(r"nginx/([\d.]+)", message)
        return found.group(1) if found else "0"

    def selinux(self):
        """Hosts that never had SELinux lack even the command."""
        return self.run("getenforce")[1].strip().lower() or "disabled"

    def booleans_off(self, booleans):
        if not booleans or self.selinux() == "disabled":
            return []
        dummy, output = self.run("getsebool", *booleans)
        return re.findall(r"(\w+) --> off", output)

    def closed_ports(self, ports):
        """Ask for each: a code of 1 says no, others that firewalld does not run."""
        return [port for port in ports if self.run("firewall-cmd", "--query-port=" + port)[0] == 1]


def look(module):
    """Return all that RETURN describes."""
    name, basedir = module.params["name"], module.params["basedir"]
    commands = Commands(module)
    current = linked_generation(basedir, "current")
    free, read_only = file_system(basedir)
    finished, unfinished_generations = generations(basedir)
    complete, unfinished_releases = releases(basedir)
    sessions, misplaced = shared(basedir)
    live = os.path.join(basedir, "generations", str(current))
    manifest = next((one["manifest"] for one in finished if one["number"] == current), {})
    described = dict((path, description(path)) for path in module.params["paths"])
    # Patterns match loaded units only, and a generation that waits for a boot is not loaded.
    live_unit = "%s@%d.service" % (name, current)
    patterns = ("@*.service", "-probe@*.service", "-build-*.service", "*.socket", ".target")
    units = commands.units([name + pattern for pattern in patterns] + [live_unit] + module.params["units"])
    others = services()
    own = others.pop(name, {})
    return dict(
        ansible_facts=facts_of_system(module),
        pythons=commands.pythons(module.params["pythons"]),
        cores=multiprocessing.cpu_count(),
        packages=commands.packages(),
        free_bytes=free,
        read_only=read_only,
        current=current,
        previous=linked_generation(basedir, "previous"),
        generations=finished,
        releases=complete,
        unfinished={"generations": unfinished_generations, "releases": unfinished_releases},
        wheels=wheels(basedir),
        sessions=sessions,
        misplaced=misplaced,
        service=own,
        neighbours=[neighbour(name, other) for name, other in sorted(others.items())],
        paths=dict((path, found) for path, found in described.items() if found),
        missing_files=[path for path in module.params["files"] if not os.path.isfile(path)],
        matched=[path for path, pattern in sorted(module.params["patterns"].items()) if has_part(path, pattern)],
        astray=astray(live, manifest.get("installed", {})),
        units=dict(one for one in units.items() if not one[0].endswith(".socket") or is_socket_of(name, one[0])),
        runs_deleted_files=runs_deleted_files(units.get(live_unit, {}).get("control_group", ""), basedir),
        configuration_is_wanted=is_configured(live, module.params["configuration"]),
        answer=answer_of(manifest["url"], manifest["host"], module.params["timeout"])
        if "host" in manifest
        else {"status": 0, "generation": 0, "message": "no generation is live"},
        systemd=commands.systemd(),
        nginx=commands.nginx(),
        hold=hold(basedir),
        ipv6=os.path.exists("/proc/net/if_inet6"),
        selinux=commands.selinux(),
        booleans_off=commands.booleans_off(module.params["booleans"]),
        closed_ports=commands.closed_ports(module.params["ports"]),
    )


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "default": "omero-web"},
            "basedir": {"type": "path", "required": True},
            "pythons": {"type": "list", "elements": "str", "default": []},
            "paths": {"type": "list", "elements": "path", "default": []},
            "files": {"type": "list", "elements": "path", "default": []},
            "patterns": {"type": "dict", "default": {}},
            "units": {"type": "list", "elements": "str", "default": []},
            "booleans": {"type": "list", "elements": "str", "default": []},
            "ports": {"type": "list", "elements": "str", "default": []},
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

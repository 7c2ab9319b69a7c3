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
  - Reads, and never changes, the releases and generations below O(basedir), the units that run them, and what a
    deployment needs to know of the host first - its Python, its free disk space, the packages it lacks.
  - The role decides on nothing else, so that a run with nothing to change is one look at the host.
options:
  basedir:
    description: Directory of the releases and generations (the role's C(omero_web_basedir)).
    type: path
    required: true
  python:
    description: The Python interpreter that is to run OMERO.web. Empty means that there is none.
    type: str
    default: python3
  packages:
    description: Names of operating system packages to look for.
    type: list
    elements: str
    default: []
  paths:
    description: What should be on the host's disk. Those that are not as described are returned as RV(drift).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The path.
        type: path
        required: true
      state:
        description: What it should be.
        type: str
        choices: [file, directory, absent]
        default: file
      owner:
        description: Name of the user who should own it.
        type: str
        default: root
      group:
        description: Name of the group it should belong to.
        type: str
        default: root
      mode:
        description: Its permissions in octal digits, as V("0644").
        type: str
        default: "0644"
      sha256:
        description: SHA-256 of a file's content; any content will do without it.
        type: str
      part:
        description:
          - A regular expression. With O(paths[].state=absent), only what it matches in the file should be absent.
        type: str
  files:
    description: Paths of files that should be there, or be led to by links; what is in them makes no difference.
    type: list
    elements: str
    default: []
  installed:
    description: Where files of the live generation are installed, by their name in it; V(%i) stands for its number.
    type: dict
    default: {}
  units:
    description: Names of systemd units whose state is wanted, beside those of OMERO.web itself.
    type: list
    elements: str
    default: []
  booleans:
    description: Names of SELinux booleans that should be on.
    type: list
    elements: str
    default: []
  ports:
    description: Ports that firewalld should have open, as V(80/tcp).
    type: list
    elements: str
    default: []
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
    python: /usr/bin/python3
    packages: [nginx]
    units: [nginx.service]
  register: host

- name: Say which generation is live
  ansible.builtin.debug:
    var: host.current
"""

RETURN = r"""
time:
  description: When the host was looked at, by its own clock, in seconds since the epoch.
  type: float
  returned: always
python:
  description: The interpreter's version, as C(3.11.2), and its tag in the names of wheels, as C(cp311). Empty
    strings where the interpreter does not run.
  type: dict
  returned: always
  sample: {version: 3.11.2, tag: cp311}
cores:
  description: How many processor cores the host has online.
  type: int
  returned: always
  sample: 4
missing_packages:
  description: Those of O(packages) that are not installed.
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
generations:
  description:
    - The finished generations on disk by ascending number. C(failed) - it was tried and found wanting;
      C(activated) - it is or was live, and nothing of that was left half done; C(manifest) - what it says of itself.
  type: list
  elements: dict
  returned: always
  sample: [{number: 7, failed: false, activated: true, manifest: {release: 5.33.2-0f3c9a12, previous: 6}}]
releases:
  description: The manifests of the complete releases on disk, by name of their directory.
  type: dict
  returned: always
  sample: {5.33.2-0f3c9a12: {django: "5.2"}}
unfinished:
  description: Paths of releases and generations that some interrupted run left without a manifest.
  type: list
  elements: str
  returned: always
wheels:
  description: File names of the wheels kept on the host, the newest first.
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
drift:
  description: Those of O(paths) that are not as described there.
  type: list
  elements: str
  returned: always
service:
  description: Where the OMERO.web is that the role installed before, and whose, by its newest unit; empty without one.
  type: dict
  returned: always
  sample: {basedir: /opt/omero/web, user: omero-web, group: omero-web}
missing_files:
  description: Those of O(files) that are not there.
  type: list
  elements: str
  returned: always
astray:
  description: Destinations of O(installed) that differ from what the live generation has.
  type: list
  elements: str
  returned: always
units:
  description: C(active) state, C(enabled) state and C(listen) addresses of OMERO.web's loaded units and of O(units),
    as C(systemctl show) has them.
  type: dict
  returned: always
  sample: {omero-web.socket: {active: active, enabled: enabled, listen: 127.0.0.1:4080 (Stream)}}
systemd:
  description: The version of systemd.
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
import json
import multiprocessing
import os
import pwd
import re
import stat
import time

from ansible.module_utils.basic import AnsibleModule

OMERO_WEB_UNITS = ("omero-web@*.service", "omero-web-probe@*.service", "omero-web.socket", "omero-web.target")
NUMBER = re.compile(r"[1-9][0-9]*\Z")
# What generations share, some of it written by the service: of these names nothing but directories, and one file.
SHARED = re.compile(r"var(/log|/sessions(/django-\d+\.\d+)?|/django_secret_key)?\Z")
SHARED_FILE = "var/django_secret_key"
A_FILE = "a file"
A_DIRECTORY = "a directory"
A_LINK = "a link"
ANOTHER = "neither a file nor a directory"
MANIFEST = "manifest"
FAILED = "failed"
ACTIVATED = "activated"
# Python 2.7 has no name for it.
ST_RDONLY = 1


def listing(directory):
    """Return the entries of a directory, none if it is not there."""
    try:
        return sorted(os.listdir(directory))
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        return []


def read_json(*path):
    """Return what a file says, None if it says nothing."""
    try:
        with open(os.path.join(*path)) as content:
            return json.load(content)
    except (IOError, ValueError):
        return None


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


def is_as_described(wanted):
    """Tell whether a path is what it should be; a link is never taken for what it points to."""
    if wanted["part"]:
        return not has_part(wanted["path"], wanted["part"])
    try:
        found = os.lstat(wanted["path"])
    except OSError:
        return wanted["state"] == "absent"
    is_wanted_kind = {"file": stat.S_ISREG, "directory": stat.S_ISDIR, "absent": lambda mode: False}[wanted["state"]]
    return (
        is_wanted_kind(found.st_mode)
        and stat.S_IMODE(found.st_mode) == int(wanted["mode"], 8)
        and user_name(found.st_uid) == wanted["owner"]
        and group_name(found.st_gid) == wanted["group"]
        and (not wanted["sha256"] or sha256(wanted["path"]) == wanted["sha256"])
    )


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


def astray(basedir, number, installed):
    """Return the destinations whose content is not that of the live generation's file."""
    directory = os.path.join(basedir, "generations", str(number))
    destinations = dict((name, path.replace("%i", str(number))) for name, path in installed.items())
    return sorted(path for name, path in destinations.items() if sha256(path) != sha256(os.path.join(directory, name)))


def current_generation(basedir):
    """Return the number of the live generation: the link is the only truth about it."""
    directory, name = os.path.split(os.path.realpath(os.path.join(basedir, "current")))
    is_generation = directory == os.path.realpath(os.path.join(basedir, "generations")) and NUMBER.match(name)
    return int(name) if is_generation else 0


def generations(basedir):
    """Return the finished generations in their order, and the directories of unfinished ones."""
    top = os.path.join(basedir, "generations")
    finished, unfinished = [], []
    for number in sorted(int(name) for name in listing(top) if NUMBER.match(name)):
        directory = os.path.join(top, str(number))
        manifest = read_json(directory, MANIFEST) or read_json(directory, FAILED)
        failed = os.path.exists(os.path.join(directory, FAILED))
        if failed or manifest is not None:
            activated = os.path.exists(os.path.join(directory, ACTIVATED))
            finished.append({"number": number, "failed": failed, "activated": activated, "manifest": manifest or {}})
        else:
            unfinished.append(directory)
    return finished, unfinished


def releases(basedir):
    """Return the manifests of complete releases by name, and the directories of unfinished ones."""
    top = os.path.join(basedir, "releases")
    complete, unfinished = {}, []
    for name in listing(top):
        manifest = read_json(top, name, MANIFEST)
        if manifest is not None:
            complete[name] = manifest
        else:
            unfinished.append(os.path.join(top, name))
    return complete, unfinished


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


def service(directory="/etc/systemd/system"):
    """Return what the newest unit of a generation says of it, whichever basedir that generation is in."""
    units = [name for name in listing(directory) if re.match(r"omero-web@[1-9][0-9]*\.service\Z", name)]
    newest = max(units, key=lambda name: int(re.sub("[^0-9]", "", name))) if units else ""
    found = re.findall(r"(?m)^(WorkingDirectory|User|Group)=(.+?)(?:/generations/%i)?$", read(directory, newest))
    names = {"WorkingDirectory": "basedir", "User": "user", "Group": "group"}
    return dict((names[directive], value) for directive, value in found)


def wheels(basedir):
    """Return the names of the wheels, the newest first."""
    paths = glob.glob(os.path.join(basedir, "wheels", "*.whl"))
    return [os.path.basename(path) for path in sorted(paths, key=os.path.getmtime, reverse=True)]


def file_system(path):
    """Return the free bytes where the path is or would be made, and whether that is read-only."""
    path = os.path.abspath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize, bool(found.f_flag & ST_RDONLY)


class Commands(object):
    """What only the host's own tools can tell."""

    def __init__(self, module):
        self.module = module

    def run(self, *command):
        environment = {"LC_ALL": "C", "LANGUAGE": "C"}
        code, output, dummy = self.module.run_command(list(command), environ_update=environment)
        return code, output

    def python(self, interpreter):
        program = "import sys; print('%d.%d.%d cp%d%d' % (sys.version_info[:3] + sys.version_info[:2]))"
        path = interpreter and self.module.get_bin_path(interpreter)
        code, output = self.run(path, "-c", program) if path else (1, "")
        words = output.split()
        version, tag = words if code == 0 and len(words) == 2 else ("", "")
        return {"version": version, "tag": tag}

    def missing_packages(self, packages):
        """Ask the package database directly: a package manager would take seconds to start."""
        if not packages:
            return []
        # Either kind of system may have the other's command as well.
        if os.path.exists("/etc/debian_version"):
            dummy, output = self.run(
                "dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *packages
            )
            installed = set(line.split()[0] for line in output.splitlines() if line.endswith(" installed"))
        else:
            dummy, output = self.run("rpm", "--query", "--queryformat", "%{NAME}\n", *packages)
            installed = set(output.splitlines())
        return [package for package in packages if package not in installed]

    def units(self, names):
        """Return the states of loaded units; patterns match loaded units only."""
        code, output = self.run("systemctl", "show", "--property=Id,ActiveState,UnitFileState,Listen", *names)
        states = {}
        for block in re.split(r"\n\n+", output.strip()) if code == 0 else []:
            unit = dict(line.split("=", 1) for line in block.splitlines())
            if "Id" in unit:
                states[unit["Id"]] = {
                    "active": unit["ActiveState"],
                    "enabled": unit["UnitFileState"],
                    # That of CentOS 7 shows it as in the unit, ListenStream=127.0.0.1:4080.
                    "listen": "%(ListenStream)s (Stream)" % unit if "ListenStream" in unit else unit.get("Listen", ""),
                }
        return states

    def systemd(self):
        dummy, output = self.run("systemctl", "--version")
        return int(re.match(r"systemd (\d+)", output).group(1))

    def nginx(self):
        """Return its version, which it tells on standard error."""
        command = self.module.get_bin_path("nginx")
        dummy, dummy, message = self.module.run_command([command, "-v"]) if command else (1, "", "")
        found = re.search(r"nginx/([\d.]+)", message)
        return found.group(1) if found else "0"

    def selinux(self):
        """Hosts that never had SELinux lack even the command."""
        command = self.module.get_bin_path("getenforce")
        return self.run(command)[1].strip().lower() if command else "disabled"

    def booleans_off(self, booleans):
        if not booleans or self.selinux() == "disabled":
            return []
        dummy, output = self.run("getsebool", *booleans)
        return re.findall(r"(\w+) --> off", output)

    def closed_ports(self, ports):
        """Ask for each: a code of 1 says no, others that firewalld does not run."""
        command = self.module.get_bin_path("firewall-cmd")
        return [port for port in ports if command and self.run(command, "--query-port=" + port)[0] == 1]


def main():
    module = AnsibleModule(
        argument_spec={
            "basedir": {"type": "path", "required": True},
            "python": {"type": "str", "default": "python3"},
            "packages": {"type": "list", "elements": "str", "default": []},
            "paths": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "state": {"type": "str", "choices": ["file", "directory", "absent"], "default": "file"},
                    "owner": {"type": "str", "default": "root"},
                    "group": {"type": "str", "default": "root"},
                    "mode": {"type": "str", "default": "0644"},
                    "sha256": {"type": "str"},
                    "part": {"type": "str"},
                },
            },
            "files": {"type": "list", "elements": "str", "default": []},
            "installed": {"type": "dict", "default": {}},
            "units": {"type": "list", "elements": "str", "default": []},
            "booleans": {"type": "list", "elements": "str", "default": []},
            "ports": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    now = time.time()
    basedir = module.params["basedir"]
    commands = Commands(module)
    current = current_generation(basedir)
    free, read_only = file_system(basedir)
    finished_generations, unfinished_generations = generations(basedir)
    complete_releases, unfinished_releases = releases(basedir)
    sessions, misplaced = shared(basedir)
    module.exit_json(
        changed=False,
        time=now,
        python=commands.python(module.params["python"]),
        cores=multiprocessing.cpu_count(),
        missing_packages=commands.missing_packages(module.params["packages"]),
        free_bytes=free,
        read_only=read_only,
        current=current,
        generations=finished_generations,
        releases=complete_releases,
        unfinished=unfinished_generations + unfinished_releases,
        wheels=wheels(basedir),
        sessions=sessions,
        misplaced=misplaced,
        drift=[wanted["path"] for wanted in module.params["paths"] if not is_as_described(wanted)],
        missing_files=[path for path in module.params["files"] if not os.path.isfile(path)],
        service=service(),
        astray=astray(basedir, current, module.params["installed"]),
        # By its name, for patterns match loaded units only, and a generation that waits for a boot is not loaded.
        units=commands.units(list(OMERO_WEB_UNITS) + ["omero-web@%d.service" % current] + module.params["units"]),
        systemd=commands.systemd(),
        nginx=commands.nginx(),
        ipv6=os.path.exists("/proc/net/if_inet6"),
        selinux=commands.selinux(),
        booleans_off=commands.booleans_off(module.params["booleans"]),
        closed_ports=commands.closed_ports(module.params["ports"]),
    )


if __name__ == "__main__":
    main()

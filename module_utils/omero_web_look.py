# -*- coding: utf-8 -*-
"""What a plan has to know of the generations of a host, read off its disk and asked of its systemd; nothing changes."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import hashlib
import io
import os
import re
import stat

from ansible.module_utils.common.text.converters import to_bytes
from ansible.module_utils.omero_web_former import record_of
from ansible.module_utils.omero_web_host import (
    MANIFEST,
    NUMBER,
    Problem,
    address_of,
    generations,
    linked_generation,
    listing,
    read_json,
)
from ansible.module_utils.omero_web_http import LOGIN_PAGE, get_once, place_of
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


def maintenance(basedir):
    """Return since when the site is closed for users, and until when as they are told; empty if it is open."""
    state = read_json(basedir, "maintenance", "state.json") or {}
    return dict((key, state[key]) for key in ("since", "until") if key in state)


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
    ports = [port for one in all_ports(service["basedir"]).values() for port in one]
    return dict(service, name=name, address=address_of(live), sites=sites_of(live), ports=sorted(set(ports)))


def all_ports(basedir):
    """Return the ports on which nginx listens for each generation, by its number."""
    top = os.path.join(basedir, "generations")
    sites = dict((int(name), sites_of(os.path.join(top, name))) for name in listing(top) if NUMBER.match(name))
    return dict((number, sorted(set(port for site in found for port in site["ports"])))
                for number, found in sites.items())


def sites_of(directory):
    """Return what nginx listens for, server by server, where a generation is live."""
    return [site_of(server) for server in re.split(r"(?m)^\s*server\s*\{", read(directory, "nginx.conf"))[1:]]


def site_of(server):
    """Return the ports and the names of a server of nginx."""
    ports = re.findall(r"(?m)^\s*listen\s+(?:\S*:)?(\d+)\b", server)
    names = " ".join(re.findall(r"(?m)^\s*server_name\s+([^;]+);", server)).split()
    return {"ports": sorted(set(map(int, ports))), "server_names": names}


def astray(directory, installed):
    """Return the paths whose content is not that of the generation's file."""
    return sorted(path for name, path in installed.items() if sha256(path) != sha256(os.path.join(directory, name)))


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


def sleeps(units, service, socket):
    """Tell whether a question would start OMERO.web: its socket listens, and it was stopped."""
    listens = units.get(socket, {}).get("active") == "active"
    return listens and units.get(service, {}).get("active") == "inactive"


def answer_of(url, host, timeout):
    """Return how a site answers for its login page, asked as whoever looks for `host`."""
    place, path = place_of(url)
    found = get_once(place, path + LOGIN_PAGE, host, timeout)
    return {"status": found.status, "generation": found.generation, "message": found.reason}


def units(systemd, *names):
    """Return the states of loaded units; of none where there is no systemd."""
    try:
        return systemd.units(*names)
    except Problem:
        return {}


def look_at_generations(name, basedir, systemd, timeout, more_units=()):
    """Return what there is of generations, releases and their units, and who answers, as omero_web_info has it."""
    current = linked_generation(basedir, "current")
    free, read_only = file_system(basedir)
    finished, unfinished_generations = generations(basedir)
    complete, unfinished_releases = releases(basedir)
    sessions, misplaced = shared(basedir)
    live = os.path.join(basedir, "generations", str(current))
    manifest = next((one["manifest"] for one in finished if one["number"] == current), {})
    # Patterns match loaded units only, and a generation that waits for a boot is not loaded.
    live_unit = "%s@%d.service" % (name, current)
    patterns = ("@*.service", "-probe@*.service", "-build-*.service", "*.socket", ".target")
    states = units(systemd, *([name + pattern for pattern in patterns] + [live_unit] + list(more_units)))
    others = services()
    own = others.pop(name, {})
    silent = "no generation is live" if "host" not in manifest else ""
    if sleeps(states, live_unit, manifest.get("socket")):
        silent = "it is stopped, and was not asked, which would start it"
    return dict(
        free_bytes=free,
        read_only=read_only,
        current=current,
        previous=linked_generation(basedir, "previous"),
        generations=finished,
        releases=complete,
        unfinished={"generations": unfinished_generations, "releases": unfinished_releases},
        sessions=sessions,
        misplaced=misplaced,
        service=own,
        neighbours=[neighbour(other, known) for other, known in sorted(others.items())],
        astray=astray(live, manifest.get("installed", {})),
        units=dict(one for one in states.items() if not one[0].endswith(".socket") or is_socket_of(name, one[0])),
        runs_deleted_files=runs_deleted_files(states.get(live_unit, {}).get("control_group", ""), basedir),
        answer={"status": 0, "generation": 0, "message": silent}
        if silent
        else answer_of(manifest["url"], manifest["host"], timeout),
        hold=hold(basedir),
        former=record_of(basedir) or {},
        maintenance=maintenance(basedir),
    )

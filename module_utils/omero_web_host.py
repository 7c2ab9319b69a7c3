# -*- coding: utf-8 -*-
"""What a host has of OMERO.web on its disk, how that is read and written, and who listens on its ports."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import json
import os
import pwd
import re
import socket
import stat
import struct
import subprocess
import tempfile
import time
from collections import namedtuple

from ansible.module_utils.common.text.converters import to_bytes, to_native

NUMBER = re.compile(r"[1-9][0-9]*\Z")
MANIFEST = "manifest"
FAILED = "failed"
ACTIVATED = "activated"
# What a removal that was cut off leaves; it counts for nothing.
REMOVING = ".removing-"
# Wherever a program listens that takes every address of the host.
EVERYWHERE = ("0.0.0.0", "::")


class Problem(Exception):
    """What keeps a change from going on, in one sentence, and what is known beside it."""

    def __init__(self, sentence, **details):
        super(Problem, self).__init__(to_native(sentence))
        self.details = details


def in_words(error):
    """Return what an exception says, as a sentence for somebody who does not know this program."""
    if isinstance(error, Problem):
        return str(error)
    if isinstance(error, EnvironmentError) and error.strerror:
        return "%s: %s" % (error.filename, error.strerror) if error.filename else error.strerror
    return "%s: %s" % (type(error).__name__, error)


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())


def as_json(data):
    return to_bytes(json.dumps(data, indent=4, sort_keys=True, separators=(",", ": ")) + "\n")


# --- reading ----------------------------------------------------------------------------------------------------------


def listing(directory):
    """Return the entries of a directory, none if it is not there."""
    try:
        return sorted(os.listdir(directory))
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        return []


def read(*path):
    """Return the bytes of a file, None if it is not there."""
    try:
        with open(os.path.join(*path), "rb") as content:
            return content.read()
    except IOError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        return None


def read_json(*path):
    """Return what a file says, None if it says nothing."""
    try:
        with open(os.path.join(*path)) as content:
            return json.load(content)
    except (IOError, ValueError):
        return None


def linked_generation(basedir, link):
    """Return the number of the generation that a link points to, 0 if it points to none."""
    directory, name = os.path.split(os.path.realpath(os.path.join(basedir, link)))
    is_generation = directory == os.path.realpath(os.path.join(basedir, "generations")) and NUMBER.match(name)
    return int(name) if is_generation else 0


def address_of(directory):
    """Return where the socket of a generation listens, as its own unit says."""
    try:
        with open(os.path.join(directory, "omero-web.socket")) as unit:
            return "".join(re.findall(r"(?m)^ListenStream=(\S+)$", unit.read())[:1])
    except IOError:
        return ""


def release_of(directory):
    """Return the name of the release that a generation runs, which its link tells even where its manifest is lost."""
    try:
        return os.path.basename(os.readlink(os.path.join(directory, "release")))
    except OSError:
        return ""


def generations(basedir):
    """Return the finished generations in their order, and the unfinished ones."""
    top = os.path.join(basedir, "generations")
    finished, unfinished = [], []
    for number in sorted(int(name) for name in listing(top) if NUMBER.match(name)):
        directory = os.path.join(top, str(number))
        manifest = read_json(directory, MANIFEST) or read_json(directory, FAILED)
        files = listing(directory)
        known = {"number": number, "release": release_of(directory), "address": address_of(directory), "files": files}
        if FAILED in files or manifest is not None:
            marks = {"failed": FAILED in files, "activated": ACTIVATED in files, "manifest": manifest or {}}
            finished.append(dict(known, **marks))
        else:
            unfinished.append(known)
    return finished, unfinished


# --- writing, so that a crash leaves the old or the new, and never a part ---------------------------------------------


def sync_directory(path):
    """Let the names in a directory reach the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(path, content, mode=0o644, uid=0, gid=0):
    """Replace a file by one that is complete, that has its owner before it has a content, and that is on the disk."""
    directory, name = os.path.split(path)
    handle, temporary = tempfile.mkstemp(prefix=".%s." % name, dir=directory)
    try:
        with os.fdopen(handle, "wb") as target:
            os.fchown(target.fileno(), uid, gid)
            os.fchmod(target.fileno(), mode)
            target.write(content)
            target.flush()
            os.fsync(target.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync_directory(directory)


def point(path, destination):
    """Let a link lead to a destination, without a moment in which there is no link; None removes it."""
    if destination is None:
        remove_file(path)
        return
    directory, name = os.path.split(path)
    # Hidden, or nginx would read it beside the other, if it started just then.
    temporary = os.path.join(directory, ".%s.new" % name)
    remove_file(temporary)
    os.symlink(destination, temporary)
    os.rename(temporary, path)
    sync_directory(directory)


def destination_of(path):
    """Return where a link leads, None if there is none."""
    try:
        return os.readlink(path)
    except OSError:
        return None


def remove_file(path):
    """Remove a file or a link, and tell whether there was one."""
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        return False
    sync_directory(os.path.dirname(path))
    return True


def remove_tree(path):
    """Remove a directory of root's: first its name, so that a cut leaves nothing that looks complete."""
    directory, name = os.path.split(path)
    leftover = os.path.join(directory, REMOVING + name)
    if os.path.lexists(leftover):
        sweep(directory)
    try:
        os.rename(path, leftover)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # What came with the image of a container cannot be renamed: without a manifest, it is incomplete as well.
        leftover = path
        for manifest in MANIFEST, FAILED:
            remove_file(os.path.join(path, manifest))
    sync_directory(directory)
    _delete(leftover)


def sweep(directory):
    """Remove what removals that were cut off have left."""
    for name in listing(directory):
        if name.startswith(REMOVING):
            _delete(os.path.join(directory, name))


def _delete(path):
    """Remove a directory and all that is in it, however deep, and nothing that a link leads to.

    In generations of the first versions of the role, the service user may write. Python 2.7 could follow a link that is
    put in the place of a directory at the wrong moment, and no Python gets to the bottom of thousands of directories.
    """
    process = subprocess.Popen(["rm", "--recursive", "--force", "--one-file-system", "--", path],
                               stderr=subprocess.PIPE, cwd="/")
    errors = process.communicate()[1]
    if process.returncode != 0:
        raise Problem("%s cannot be removed: %s" % (path, to_native(errors).strip()))


# --- where the service user may write, and so may have put anything ---------------------------------------------------


class Ground(object):
    """A directory that is held open, so that nobody can put another in its place; no link is followed to it.

    Python 2.7 cannot name files relative to an open directory; /proc can.
    """

    def __init__(self, path, *below):
        self.path = path
        self.handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        for name in below:
            self.enter(name)

    def enter(self, name):
        """Go on to a directory below."""
        self.path = os.path.join(self.path, name)
        try:
            handle = os.open(self.at(name), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise Problem("%s is not a directory, but %s; move it away and make the directory again."
                              % (self.path, self.kind(name)))
            raise Problem("%s cannot be opened: %s." % (self.path, error.strerror))
        os.close(self.handle)
        self.handle = handle

    def at(self, name):
        return "/proc/self/fd/%d/%s" % (self.handle, name)

    def kind(self, name):
        mode = os.lstat(self.at(name)).st_mode
        if stat.S_ISLNK(mode):
            return "a link to %s" % os.readlink(self.at(name))
        return "a file" if stat.S_ISREG(mode) else "something else"

    def make(self, name, uid, gid, mode=0o750):
        """Make a directory of the service's unless it has one of that name; anything else of that name is refused."""
        try:
            os.mkdir(self.at(name), 0o700)
            is_new = True
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise Problem("%s cannot be made: %s." % (os.path.join(self.path, name), error.strerror))
            is_new = False
        self.enter(name)
        found = os.fstat(self.handle)
        if is_new and found.st_uid == os.geteuid():
            os.fchown(self.handle, uid, gid)
            os.fchmod(self.handle, mode)
        elif found.st_uid != uid:
            raise Problem("%s belongs to %s and not to the service; move it away, or give it to the service."
                          % (self.path, name_of_user(found.st_uid)))

    def close(self):
        os.close(self.handle)

    def __enter__(self):
        return self

    def __exit__(self, *dummy):
        self.close()


def name_of_user(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "user %d" % uid


# --- who listens ------------------------------------------------------------------------------------------------------

# pids, programs and units are those of all processes that have the socket, empty where nobody may look.
Listener = namedtuple("Listener", "address port pids programs units")


def listeners(port, proc="/proc"):
    """Return who listens on a TCP port, at whatever address."""
    found = []
    for table in "net/tcp", "net/tcp6":
        for line in (read(proc, table) or b"").decode("ascii").splitlines()[1:]:
            words = line.split()
            address, number = words[1].split(":")
            if words[3] == "0A" and int(number, 16) == port:
                found.append((_address(address), "socket:[%s]" % words[9]))
    holders = _holders([link for dummy, link in found], proc) if found else {}
    return [Listener(
        address=address,
        port=port,
        pids=holders[link],
        programs=sorted(set(_program(pid, proc) for pid in holders[link])),
        units=sorted(set(unit_of_process(pid, proc) for pid in holders[link]) - set([""])),
    ) for address, link in found]


def _address(digits):
    """Return an address of the kernel's table, which has it in words of the machine, as people write it."""
    words = [int(digits[start:start + 8], 16) for start in range(0, len(digits), 8)]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return socket.inet_ntop(family, struct.pack("=%dI" % len(words), *words))


def _holders(links, proc):
    holders = dict((link, []) for link in links)
    for pid in sorted(int(name) for name in os.listdir(proc) if name.isdigit()):
        for link in _open_files(pid, proc) & set(links):
            holders[link].append(pid)
    return holders


def _open_files(pid, proc):
    directory = os.path.join(proc, str(pid), "fd")
    try:
        return set(destination_of(os.path.join(directory, name)) for name in os.listdir(directory))
    except OSError:
        return set()  # It has ended, or nobody may look.


def _program(pid, proc):
    return (read(proc, str(pid), "comm") or b"").decode("utf-8", "replace").strip()


def unit_of_process(pid, proc="/proc"):
    """Return the service that a process belongs to, by its control group."""
    groups = (read(proc, str(pid), "cgroup") or b"").decode("utf-8", "replace")
    found = re.findall(r"/([^/\n]+\.service)(?:/|$)", groups, re.MULTILINE)
    return found[-1] if found else ""

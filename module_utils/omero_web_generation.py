# -*- coding: utf-8 -*-
"""A generation of OMERO.web on disk: how it is made there, and what it says of itself."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import grp
import hashlib
import os
import pwd
import re
import shutil
import stat
import tempfile
from contextlib import contextmanager

from ansible.module_utils.common.text.converters import to_bytes, to_native
from ansible.module_utils.omero_web_host import (
    ACTIVATED,
    FAILED,
    MANIFEST,
    Problem,
    as_json,
    destination_of,
    now,
    read,
    read_json,
    remove_file,
    write,
)
from ansible.module_utils.omero_web_http import GENERATION


class Generation(object):
    """One generation: its directory, which is made here, and what is said of it there."""

    def __init__(self, host, basedir, number):
        self.number = number
        self.top = host.path(basedir, "generations")
        self.directory = os.path.join(self.top, str(number))

    def path(self, *names):
        return os.path.join(self.directory, *[to_native(name) for name in names])

    def has(self, name):
        return os.path.isfile(self.path(name))

    def manifest(self):
        return read_json(self.path(MANIFEST)) or read_json(self.path(FAILED)) or {}

    def release(self):
        """Return the name of its release."""
        return os.path.basename(destination_of(self.path("release")) or "")

    def sessions(self):
        """Return the name of the directory that has its sessions."""
        return os.path.basename(destination_of(self.path("var/tmp")) or "")

    def says_who_answers(self):
        """Tell whether its answers have its number; those of generations from before that do not."""
        return GENERATION.encode("ascii") in (read(self.path("gunicorn.conf.py")) or b"")

    def make_directories(self, gid):
        for path, group, mode in (("", 0, 0o755), ("etc", 0, 0o755), ("etc/grid", 0, 0o755), ("var", gid, 0o750)):
            os.mkdir(self.path(path), mode)
            os.chown(self.path(path), 0, group)
            os.chmod(self.path(path), mode)

    def write_files(self, files):
        for name in sorted(files):
            self._make_parents(name)
            gid = id_of_group(to_native(files[name].get("group") or "root"))
            write(self.path(name), to_bytes(files[name]["content"]), int(files[name].get("mode") or "0644", 8), gid=gid)

    def make_links(self, links):
        for path in sorted(links):
            self._make_parents(path)
            os.symlink(to_native(links[path]), self.path(path))

    def copy(self, other, name):
        """Become what another generation is, one that the service cannot write to, but for where the number is."""
        where = r"((?:/run/|RuntimeDirectory=){0}(?:-probe)?-|Service={0}@){1}\b".format(re.escape(name), other.number)

        def renumbered(content):
            return re.sub(where.encode("ascii"), br"\g<1>" + str(self.number).encode("ascii"), content)

        for directory, below, files in os.walk(other.directory):
            for entry in below + files:
                source = os.path.join(directory, entry)
                path = os.path.relpath(source, other.directory)
                if os.path.islink(source):
                    os.symlink(renumbered(to_bytes(os.readlink(source))), to_bytes(self.path(path)))
                elif entry in below:
                    self._make_parents(path + "/.")
                elif path not in (MANIFEST, FAILED, ACTIVATED):
                    found = os.lstat(source)
                    write(self.path(path), renumbered(read(source)), stat.S_IMODE(found.st_mode), gid=found.st_gid)

    def _make_parents(self, name):
        parts = to_native(name).split("/")
        if os.path.isabs(name) or ".." in parts or "" in parts:
            raise Problem("%s is no path inside of a generation" % to_native(name))
        for depth in range(1, len(parts)):
            if not os.path.isdir(self.path(*parts[:depth])):
                os.mkdir(self.path(*parts[:depth]), 0o755)

    def configure(self, configuration, gid):
        """Write config.xml as OMERO's own library does, once OMERO.web's own settings have nothing against it."""
        path = self.path("etc/grid/config.xml")
        source = b""
        if configuration.get("from"):
            source = read(os.path.join(self.top, str(configuration["from"]), "etc/grid/config.xml")) or b""
        content = content_of_configuration(configuration, path, source, self.directory)
        write(path, content, 0o640, gid=gid)
        digest = {"wanted": configuration.get("digest", ""), "file": hashlib.sha256(content).hexdigest()}
        write(self.path("config.digest"), as_json(digest), 0o600)

    def complete(self, manifest):
        write(self.path(MANIFEST), as_json(manifest))

    def fail(self, manifest):
        write(self.path(FAILED), as_json(dict(manifest, failed=now())))

    def forgive(self):
        """Take back that it failed: its manifest first, for with neither it would count for nothing."""
        if self.has(FAILED):
            manifest = self.manifest()
            manifest.pop("failed", None)
            self.complete(manifest)
            remove_file(self.path(FAILED))


def content_of_configuration(configuration, path, source, directory):
    """Return the bytes of config.xml; what is wrong with the properties is raised as a Problem."""
    # Only here: the command of a host, which goes back to what is configured already, has neither.
    from ansible.module_utils.omero_config import ConfigError
    from ansible.module_utils.omero_config_write import evaluate, problems_of, problems_of_evaluation

    settings, secrets = configuration.get("settings") or {}, configuration.get("secrets") or {}
    append, purge = configuration.get("append") or {}, bool(configuration.get("purge"))
    problems = problems_of(settings, secrets, append, None)
    if problems:
        raise Problem(" ".join(problems))
    environment = dict(os.environ)
    scratch = tempfile.mkdtemp(prefix=".scratch-", dir=directory)
    try:
        found = evaluate(dict(settings, **secrets), append, purge, path, source, scratch)
        problems = problems_of_evaluation(found, scratch, set(settings) | set(append))
    except ConfigError as error:
        raise Problem(" ".join(error.problems))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        # What OMERO.web was told there is not for the commands that follow.
        os.environ.clear()
        os.environ.update(environment)
    if problems:
        raise Problem(" ".join(problems))
    return found.result


def id_of_group(name):
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise Problem("the group %s does not exist on this host" % name)


def id_of_user(name):
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise Problem("the user %s does not exist on this host" % name)


@contextmanager
def acting_as(uid, gid):
    """Let this process do for a while no more than a user may; it stays root's, so that this user cannot touch it."""
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)

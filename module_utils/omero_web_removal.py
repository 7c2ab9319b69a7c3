# -*- coding: utf-8 -*-
"""What is kept no longer of OMERO.web on a host is removed; what is in use, or is not what its name says, is not."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import stat

from ansible.module_utils.omero_web_generation import Generation
from ansible.module_utils.omero_web_host import (
    NUMBER,
    Ground,
    Problem,
    destination_of,
    linked_generation,
    remove_file,
    remove_tree,
)
from ansible.module_utils.omero_web_units import UNITS, is_socket_of

SESSIONS = re.compile(r"django-\d+\.\d+\Z")
# The service user may have put more there than can be removed in a while.
CLEARING_TIMEOUT = 600


class Removal(object):
    """Removes what it is told to, once nobody uses it."""

    def __init__(self, params, host, units):
        self.wanted = params["remove"]
        self.basedir, self.user = params["basedir"], params["user"]
        self.target, self.fallback = params["target"], params["fallback"]
        self.host, self.units, self.systemd = host, units, units.systemd
        self.removed, self.remarks = [], []

    def in_use(self, and_previous=True):
        """Return the numbers of generations that serve or are to, and of the one that users go back to."""
        basedir = self.host.path(self.basedir)
        numbers = self.units.running() | set([
            linked_generation(basedir, "current"), self.target["number"], self.fallback["number"]])
        previous = os.path.basename(destination_of(os.path.join(basedir, "previous")) or "")
        return numbers | set([int(previous)] if and_previous and NUMBER.match(previous) else [])

    def refuse(self, in_use):
        """Refuse to remove what is in use or is not what its name says."""
        for number in self.wanted["generations"]:
            if number in in_use or number < 1:
                raise Problem("generation %d is in use and is not removed" % number)
        releases = set(Generation(self.host, self.basedir, number).release() for number in in_use)
        for name in self.wanted["releases"]:
            if name in releases:
                raise Problem("release %s is in use and is not removed" % name)
            self.refuse_name("release", name)
        for name in self.wanted["wheels"]:
            self.refuse_name("wheel", name)
        for name in self.wanted["sessions"]:
            if not SESSIONS.match(name):
                raise Problem("%s is no name of a directory of sessions" % name)
        for path in self.wanted["units"]:
            self.refuse_unit(path, in_use)

    def refuse_name(self, what, name):
        if "/" in name or name.startswith(".") or not name:
            raise Problem("%s is no name of a %s" % (name, what))

    def refuse_unit(self, path, in_use):
        directory, name = os.path.split(path)
        number = self.units.number_of(name)
        is_socket = is_socket_of(self.units.name, name)
        socket = self.units.sockets().get(name) if is_socket else None
        is_gone = is_socket and not os.path.lexists(self.host.path(path))
        if directory != UNITS or not (number or socket or is_gone):
            raise Problem("%s is no unit of a generation" % path)
        if number in in_use or name == self.target["socket"] or socket and socket["active"] == "active":
            raise Problem("%s is in use and is not removed" % path)

    def run(self):
        if not any(self.wanted.values()):
            return
        self.refuse(self.in_use())
        self.remove_units(self.wanted["units"])
        for number in self.wanted["generations"]:
            self.remove_directory("generations", str(number))
        for name in self.wanted["releases"]:
            # By a run that began since this one looked.
            if not self.units.is_building(name):
                self.remove_directory("releases", name)
        for name in self.wanted["wheels"]:
            self.remove_wheel(name)
        for name in self.wanted["sessions"]:
            self.remove_sessions(name)

    def remove_units(self, paths):
        states = self.systemd.units(*[os.path.basename(path) for path in paths]) if paths else {}
        self.systemd.disable(*sorted(name for name in states if states[name]["enabled"] == "enabled"))
        gone = [path for path in paths if remove_file(self.host.path(path))]
        self.removed += gone
        if gone:
            self.systemd.reload()

    def remove_directory(self, kind, name):
        path = self.host.path(self.basedir, kind, name)
        if not os.path.lexists(path):
            return
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise Problem("%s is not a directory and is not removed" % path)
        remove_tree(path)
        self.removed.append(path)

    def remove_wheel(self, name):
        path = self.host.path(self.basedir, "wheels", name)
        if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
            raise Problem("%s is not a file and is not removed" % path)
        if remove_file(path):
            self.removed.append(path)

    def remove_sessions(self, name):
        """Remove a directory of sessions: what is in it as the service user, who may have put anything there."""
        path = self.host.path(self.basedir, "var/sessions", name)
        try:
            with Ground(self.host.path(self.basedir), "var", "sessions") as sessions:
                if os.path.lexists(sessions.at(name)):
                    clear = ["find", path, "-xdev", "-mindepth", "1", "-delete"]
                    self.systemd.commands.run("runuser", "-u", self.user, "--", *clear,
                                              seconds=CLEARING_TIMEOUT, quiet=True)
                    os.rmdir(sessions.at(name))
                    self.removed.append(path)
        except (Problem, OSError) as error:
            self.remarks.append("%s could not be removed (%s)" % (
                path, error.strerror if isinstance(error, OSError) else error))

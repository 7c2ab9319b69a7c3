# -*- coding: utf-8 -*-
"""The OMERO.web that was on a host before the role's: it is taken over from, and stays there to be gone back to."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import pwd
import re
import stat
import time

from ansible.module_utils.common.text.converters import to_native
from ansible.module_utils.omero_web_generation import acting_as, id_of_group, id_of_user
from ansible.module_utils.omero_web_host import (
    Ground,
    Problem,
    as_json,
    destination_of,
    point,
    read,
    read_json,
    remove_tree,
    sync_directory,
    write,
)
from ansible.module_utils.omero_web_http import LOGIN_PAGE, Place, host_and_port

DIRECTORY = "former"
RECORD = "record"
SITE = "nginx.conf"
SECONDS_BETWEEN_QUESTIONS = 0.2
ANSWER_TIMEOUT = 60
# Of sessions, which anybody who can write where they are could make more or larger.
MOST_SESSIONS = 20000
LARGEST_SESSION = 65536


def record_of(basedir):
    """Return what is known of the OMERO.web that was taken over from, None if there was none."""
    return read_json(basedir, DIRECTORY, RECORD)


class Former(object):
    """The OMERO.web that was there before: its unit, its site in nginx and its sessions.

    Nothing of it is deleted. Whenever power is lost, nginx starts again with its site or that of the role. It would
    refuse both at once, for the upstream that they have in common: so the one takes the name of the other first.
    """

    def __init__(self, host, systemd, name, basedir, known):
        self.host, self.systemd, self.name, self.basedir = host, systemd, name, basedir
        self.known = known
        self.directory = host.path(basedir, DIRECTORY)
        self.timer = "%s-former.timer" % name

    # -- its site

    def keep(self, path, anew):
        """Keep its site and what it takes to go back, before anything of it changes.

        Where it has the name of the role's, a run that was cut off may have replaced it, unless this one begins anew.
        """
        if not os.path.isdir(self.directory):
            os.mkdir(self.directory, 0o700)
            sync_directory(os.path.dirname(self.directory))
        site = self.host.path(self.known["site"])
        content = read(site)
        if content is not None and (self.known["site"] != path or anew):
            as_it_is = {"link": destination_of(site) or "", "mode": stat.S_IMODE(os.stat(site).st_mode)}
            write(os.path.join(self.directory, RECORD), as_json(dict(self.known, **as_it_is)), 0o600)
            write(os.path.join(self.directory, SITE), content, 0o600)

    def give_way(self, path):
        """Give its site the name of the role's, which is to be written there next."""
        site, path = self.host.path(self.known["site"]), self.host.path(path)
        if site != path and os.path.lexists(site):
            if os.path.islink(site):
                # Moved, it might lead elsewhere.
                write(site, read(site), stat.S_IMODE(os.stat(site).st_mode))
            rename(site, path)

    def put_site_back(self, path):
        """Have nginx read its site again, at its own place."""
        content = read(self.directory, SITE)
        site, path = self.host.path(self.known["site"]), self.host.path(path)
        if content is None or site != path and os.path.lexists(site):
            return
        record = read_json(self.directory, RECORD)
        write(path, content, record["mode"])
        if site != path:
            rename(path, site)
        if record["link"]:
            point(site, to_native(record["link"]))

    def forget(self):
        """Remove what was kept to go back to it, once it serves."""
        if os.path.isdir(self.directory):
            remove_tree(self.directory)

    # -- its unit

    def retire(self, seconds):
        """Keep it from starting with the host, and end it once it has had time to finish its requests."""
        unit = self.known["unit"]
        if unit:
            self.systemd.disable(unit)
            self.systemd.reload()
            if seconds is not None and self.systemd.state(unit) == "active":
                self.systemd.stop_later(unit, self.timer, seconds)

    def serve_again(self, prefix, name, timeout):
        """Start it, and see that it answers by itself."""
        unit = self.known["unit"]
        if unit:
            self.systemd.commands.run("systemctl", "stop", self.timer)
            self.systemd.enable(unit)
            # systemctl leaves its links in memory, and without them power that is lost would leave nobody to serve.
            self.systemd.commands.must("sync")
            self.systemd.start(unit, seconds=timeout + 30)
        place, deadline = Place(host_and_port(self.known["address"]), False), time.time() + timeout
        while True:
            answer = self.host.get_once(place, prefix + LOGIN_PAGE, name, ANSWER_TIMEOUT)
            if answer.status == 200:
                return
            if time.time() > deadline:
                raise Problem("it answers %s at %s" % (
                    answer.status or "nothing (%s)" % answer.reason, self.known["address"]), status=answer.status)
            time.sleep(SECONDS_BETWEEN_QUESTIONS)

    # -- its sessions

    def shares_sessions_with(self, sessions):
        """Tell whether another OMERO.web, which keeps its sessions in a directory of that name, can read its own."""
        return bool(self.known["sessions"]) and sessions == "django-%s" % self.known["django"]

    def hand_sessions_on(self, sessions, user, group):
        """Let the role's OMERO.web have the sessions of those who are logged in."""
        if self.shares_sessions_with(sessions):
            with Ground(self.host.path(self.known["sessions"])) as source, self._sessions_of_role(sessions) as target:
                copy_sessions(source, self._owner(), target, ids_of(user, group), self.known["cookie"])

    def take_sessions_back(self, sessions, user, group):
        if self.shares_sessions_with(sessions):
            with self._sessions_of_role(sessions) as source, Ground(self.host.path(self.known["sessions"])) as target:
                copy_sessions(source, ids_of(user, group), target, self._owner(), self.known["cookie"])

    def _sessions_of_role(self, sessions):
        return Ground(self.host.path(self.basedir), "var", "sessions", sessions)

    def _owner(self):
        uid = id_of_user(self.known["user"])
        return uid, pwd.getpwuid(uid).pw_gid


def ids_of(user, group):
    return id_of_user(user), id_of_group(group)


def rename(old, new):
    """Give a file another name, for good."""
    os.rename(old, new)
    for directory in set(map(os.path.dirname, (old, new))):
        sync_directory(directory)


def copy_sessions(source, reader, target, writer, cookie):
    """Copy sessions that are newer than what is there of them.

    Either directory may have been filled by anybody: each is read and written with no more rights than its owner has.
    """
    pattern = re.compile(re.escape(cookie) + r"[0-9a-z]{8,64}\Z")
    with acting_as(*reader):
        names = [name for name in os.listdir(source.at("")) if pattern.match(name)][:MOST_SESSIONS]
    for name in names:
        with acting_as(*reader):
            session = session_in(source.at(name))
        if session is not None:
            with acting_as(*writer):
                put_session(target, name, *session)


def session_in(path):
    """Return the bytes of a session and when it was written; None for what is no such file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_size > LARGEST_SESSION:
        os.close(handle)
        return None
    with os.fdopen(handle, "rb") as source:
        return source.read(LARGEST_SESSION), found.st_mtime


def put_session(target, name, content, written):
    """Write a session as a whole, unless there is one as new."""
    try:
        if os.lstat(target.at(name)).st_mtime >= written:
            return
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
    temporary = target.at(".%s.new" % name)
    try:
        os.unlink(temporary)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as written_to:
        written_to.write(content)
    os.utime(temporary, (written, written))
    os.rename(temporary, target.at(name))

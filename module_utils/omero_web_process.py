# -*- coding: utf-8 -*-
"""One run at a time on a host, in a process that outlives whoever started it."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import json
import os
import signal
import stat
import time

from ansible.module_utils.common.text.converters import to_bytes, to_native
from ansible.module_utils.omero_web_host import Problem, as_json, now, read_json, write

# Whoever only waited for the kernel would not see the time run out, nor who started the run be gone.
SECONDS_BETWEEN_TRIES = 0.5


class Lock(object):
    """The lock of a host. The kernel frees it with the process that holds it, however that ends."""

    def __init__(self, path, by):
        self.path, self.by = path, by
        self.handle = None

    def take(self, timeout, is_wanted=lambda: True):
        """Wait for the lock for as long as may be, or until nobody wants it any more."""
        deadline = time.time() + timeout
        while not self._try():
            if not is_wanted():
                raise Problem("whoever started this run was gone before it had changed anything")
            if time.time() >= deadline:
                raise Problem(self._who())
            time.sleep(SECONDS_BETWEEN_TRIES)
        os.ftruncate(self.handle, 0)
        os.write(self.handle, as_json({"by": self.by, "since": now(), "pid": os.getpid()}))

    def free(self):
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None

    def _try(self):
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        fcntl.fcntl(handle, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        if stat.S_IMODE(os.fstat(handle).st_mode) != 0o600:
            # Where anybody could open it, anybody may hold it for ever: they hold what is no longer the lock.
            os.close(handle)
            write(self.path, b"", mode=0o600, uid=os.geteuid(), gid=os.getegid())
            return self._try()
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), os.stat(self.path)):
                self.handle = handle
                return True
        except EnvironmentError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES, errno.ENOENT):
                raise
        os.close(handle)
        return False

    def _who(self):
        holder = read_json(self.path)
        if not isinstance(holder, dict) or "by" not in holder:
            return "another run is changing this host; wait for its end"
        return ("another run is changing this host: that of %s, since %s; wait for its end"
                % (to_native(holder["by"]), to_native(holder.get("since", "some time"))))


def in_a_process_of_its_own(work):
    """Do work in a process that outlives this one, its connection and its login; return what it returned, None if it
    was killed."""
    reading, writing = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if not child:
        os.close(reading)
        leave_session()
        result = work(lambda: os.getppid() == parent)
        send(writing, to_bytes(json.dumps(result)))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text.decode("utf-8")) if text else None


def leave_session():
    """Become independent of whoever started this: of their terminal, their signals, their connection."""
    os.setsid()
    for number in signal.SIGHUP, signal.SIGPIPE, signal.SIGINT:
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in 0, 1, 2:
        os.dup2(nothing, stream)
    os.umask(0o022)
    os.chdir("/")


def send(pipe, content):
    """Hand over the result, if anybody still waits for it."""
    try:
        while content:
            content = content[os.write(pipe, content):]
    except OSError:
        pass

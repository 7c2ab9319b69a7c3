# -*- coding: utf-8 -*-
"""The commands of a host, and its systemd, which they speak to."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import subprocess
import time
from collections import namedtuple

from ansible.module_utils.common.text.converters import to_bytes, to_native
from ansible.module_utils.omero_web_host import Problem

Done = namedtuple("Done", "code output errors")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# As `timeout` says that the time was up.
OUT_OF_TIME = 124
NO_SUCH_COMMAND = 127
# Of a log.
LAST_LINES = 100


class Commands(object):
    """Runs the commands of a host: the one seam between what is done and what a test pretends."""

    def run(self, *command, **options):
        """Run a command to its end, within so many seconds if `seconds` says how many.

        `input` is what it reads, and `environment` what it has beside the environment of this process.
        With `quiet`, nothing that it prints is read: of one that runs as the service user, others of that user could
        keep the output open, or let it grow, for as long as they like.
        """
        seconds = options.get("seconds")
        words = (["timeout", "--kill-after=10", str(seconds)] if seconds else []) + list(command)
        environment = dict(os.environ, LC_ALL="C", LANGUAGE="C", PATH=PATH, **options.get("environment", {}))
        output = open(os.devnull, "wb") if options.get("quiet") else subprocess.PIPE
        read = options.get("input")
        source = open(os.devnull, "rb") if read is None else subprocess.PIPE
        try:
            process = subprocess.Popen(words, stdin=source, stdout=output, stderr=output, close_fds=True, cwd="/",
                                       env=environment)
        except OSError as error:
            return Done(NO_SUCH_COMMAND, "", "%s: %s" % (words[0], error.strerror))
        output, errors = process.communicate(None if read is None else to_bytes(read))
        return Done(process.returncode, to_native(output or ""), to_native(errors or ""))

    def must(self, *command, **options):
        """Run a command that has to succeed; what it complains of becomes a sentence."""
        done = self.run(*command, **options)
        if done.code == OUT_OF_TIME:
            raise Problem("%s did not end within %s s" % (" ".join(command), options["seconds"]))
        if done.code != 0:
            # Where systemctl goes on, it is about how to look at the log.
            complaint = (done.errors or done.output).strip().split("\nSee ")[0] or "it ended with code %d" % done.code
            raise Problem("%s: %s" % (" ".join(command), complaint))
        return done.output


class Systemd(object):
    """The system's service manager."""

    SHOWN = ("Id", "ActiveState", "UnitFileState", "Listen", "ListenStream", "ControlGroup")

    def __init__(self, commands):
        self.commands = commands

    def do(self, verb, *units, **options):
        """Do something with units, if there are any."""
        if units:
            self.commands.must("systemctl", verb, *units, **options)

    def reload(self):
        self.commands.must("systemctl", "daemon-reload")

    def start(self, *units, **options):
        """Start units and return once they are ready; a limit on starts that was reached before does not count."""
        if units:
            self.commands.run("systemctl", "reset-failed", *units)
        self.do("start", *units, **options)

    def forget(self, unit):
        """Let a unit be gone that has failed; one that has not is left alone."""
        self.commands.run("systemctl", "reset-failed", unit)

    def stop(self, *units):
        """Stop units and return once they have stopped."""
        self.do("stop", *units)

    def let_end(self, *units):
        """Stop units without waiting for the requests that they finish."""
        if units:
            self.commands.must("systemctl", "--no-block", "stop", *units)

    def stop_later(self, unit, timer, seconds):
        """Stop a unit in so many seconds, by a timer that is forgotten where the host starts anew."""
        self.commands.run("systemctl", "stop", timer)
        self.commands.must("systemd-run", "--on-active=%d" % seconds, "--unit=" + timer.rpartition(".")[0],
                           "systemctl", "stop", unit)

    def enable(self, *units):
        """Let units start at boot."""
        self.do("enable", *units)

    def disable(self, *units):
        """Keep units from starting at boot; that systemd has read it again is for the next reload."""
        if units:
            self.commands.must("systemctl", "--no-reload", "disable", *units)

    def units(self, *names):
        """Return what is known of units by their names; patterns match loaded units only."""
        shown = ["--property=" + ",".join(self.SHOWN)]
        output = self.commands.must("systemctl", "show", *(shown + list(names)))
        found = {}
        for block in re.split(r"\n\n+", output.strip()):
            unit = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            if unit.get("Id"):
                found[unit["Id"]] = {
                    "active": unit.get("ActiveState", ""),
                    "enabled": unit.get("UnitFileState", ""),
                    # That of CentOS 7 shows it as in the unit, ListenStream=127.0.0.1:4080.
                    "listen": unit.get("ListenStream") or unit.get("Listen", "").split(" ")[0],
                    # That of CentOS 7 escapes the backslash of system-omero\\x2dweb.slice once more.
                    "control_group": unit.get("ControlGroup", "").replace("\\x5c", "\\"),
                }
        return found

    def state(self, unit):
        return self.units(unit).get(unit, {}).get("active", "")

    def log(self, unit, since):
        """Return the last lines that a unit has logged since a time in seconds, what it said last included."""
        if self.commands.run("journalctl", "--sync").code != 0:
            # That of CentOS 7 cannot be asked to take in what is on its way.
            time.sleep(1)
        done = self.commands.run("journalctl", "--quiet", "--no-pager", "--output=cat",
                                 "--since=@%d" % since, "--unit=" + unit)
        # With --since, --lines would be the first ones.
        return done.output.splitlines()[-LAST_LINES:]

    def adopt(self, pid, scope):
        """Make a process a unit of its own, which no end of a login takes along, if that can be had."""
        manager = ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"]
        properties = ["1", "PIDs", "au", "1", str(pid), "0"]
        self.commands.run("busctl", "call", *(manager + ["StartTransientUnit", "ssa(sv)a(sa(sv))", scope, "fail"]
                                              + properties))

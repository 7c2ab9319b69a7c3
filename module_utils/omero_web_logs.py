# -*- coding: utf-8 -*-
"""What a site logs, in one stream by time: the journal of its units, OMERO.web's own log, and nginx's two."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import calendar
import json
import os
import re
import select
import stat
import subprocess
import time
from collections import namedtuple

from ansible.module_utils.common.text.converters import to_text

# time is in seconds since 1970.
Line = namedtuple("Line", "time source text")

# Of a file that has grown large, this much of its end is read.
MOST_BYTES = 1 << 20
SECONDS_BETWEEN_LOOKS = 0.5
# Users, and the service, have a say in what is logged; none of it is to command a terminal.
CONTROL = re.compile(u"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# How a line begins: OMERO.web's own and nginx's errors have the time of the host, the others one with its zone.
LOCAL = ((re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3})\b"), "%Y-%m-%d %H:%M:%S"),
         (re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)()\b"), "%Y/%m/%d %H:%M:%S"))
ZONED = ((re.compile(r"[^\[]*\[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d) ([+-])(\d\d):?(\d\d)\]"), "%d/%b/%Y:%H:%M:%S"),
         (re.compile(r'\{"time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)([+-])(\d\d):?(\d\d)"'), "%Y-%m-%dT%H:%M:%S"))


def time_of(text):
    """Return when a line was logged, None if it does not say, or says what is no time."""
    try:
        return _time_of(text)
    except (ValueError, OverflowError):
        return None


def _time_of(text):
    for pattern, form in LOCAL:
        found = pattern.match(text)
        if found:
            return time.mktime(time.strptime(found.group(1), form)) + int(found.group(2) or 0) / 1000.0
    for pattern, form in ZONED:
        found = pattern.match(text)
        if found:
            when, sign, hours, minutes = found.groups()
            offset = int(hours) * 3600 + int(minutes) * 60
            return calendar.timegm(time.strptime(when, form)) - (offset if sign == "+" else -offset)
    return None


class LogFile(object):
    """A file of lines. It may be the service's own, so no link is followed, and nothing but a file is read."""

    def __init__(self, source, path):
        self.source, self.path = source, path
        self.place = None
        self.rest, self.last = b"", 0

    def lines(self, most=MOST_BYTES):
        """Return the lines that have come since this was last asked; at first, those at the end of the file."""
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return []
        try:
            return [line for text in self._texts(handle, most) for line in self._lines_of(text)]
        finally:
            os.close(handle)

    def _texts(self, handle, most):
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            return []
        begin = max(found.st_size - most, 0)
        if self.place and self.place[0] == found.st_ino and begin <= self.place[1] <= found.st_size:
            begin = self.place[1]
        else:
            self.rest = b""
        os.lseek(handle, begin, os.SEEK_SET)
        content = os.read(handle, most)
        self.place = found.st_ino, begin + len(content)
        whole, dummy, self.rest = (self.rest + content).rpartition(b"\n")
        return whole.split(b"\n") if whole else []

    def _lines_of(self, text):
        text = to_text(text)
        # A traceback has the time of the line before.
        self.last = time_of(text) or self.last
        return [Line(self.last, self.source, text)]


class Journal(object):
    """What systemd and the units themselves say, of all generations."""

    def __init__(self, name):
        self.command = ["journalctl", "--quiet", "--no-pager", "--output=json", "--unit=%s@*" % name]

    def lines(self, number):
        with open(os.devnull, "wb") as nothing:
            process = subprocess.Popen(self.command + ["--lines=%d" % number], stdout=subprocess.PIPE, stderr=nothing)
            return [line_of_journal(text) for text in process.communicate()[0].splitlines()]

    def follow(self):
        """Start to say what comes from now on, a line of JSON for each."""
        return subprocess.Popen(self.command + ["--lines=0", "--follow"], stdout=subprocess.PIPE)


def line_of_journal(text):
    entry = json.loads(text.decode("utf-8", "replace"))
    message = entry.get("MESSAGE") or u""
    if isinstance(message, list):  # What is no text comes as its bytes.
        message = bytes(bytearray(message)).decode("utf-8", "replace")
    unit = entry.get("_SYSTEMD_UNIT") or entry.get("UNIT") or u""
    if not unit.startswith(u"omero-web"):
        unit = entry.get("UNIT") or unit
    return Line(int(entry["__REALTIME_TIMESTAMP"]) / 1e6, unit.replace(u".service", u""), message)


def shown(line):
    """Return a line as people read it."""
    seconds, milliseconds = divmod(int(line.time * 1000 + 0.5), 1000)
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    return u"%s.%03d  %-12s  %s" % (when, milliseconds, line.source, line.text)


def last_lines(journal, files, number):
    """Return the last lines of all logs, the oldest first; those of one log stay in its order."""
    lines = journal.lines(number) + [line for log in files for line in log.lines()]
    lines.sort(key=lambda line: line.time)
    return lines[max(len(lines) - number, 0):]


def following_lines(journal, files):
    """Yield what is logged from now on, until the journal ends."""
    process = journal.follow()
    handle = process.stdout.fileno()
    rest = b""
    try:
        while True:
            is_ready = select.select([handle], [], [], SECONDS_BETWEEN_LOOKS)[0]
            content = os.read(handle, MOST_BYTES) if is_ready else b""
            whole, dummy, rest = (rest + content).rpartition(b"\n")
            lines = [line_of_journal(text) for text in whole.splitlines()]
            for line in sorted(lines + [one for log in files for one in log.lines()], key=lambda line: line.time):
                yield line
            if is_ready and not content:
                return
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()

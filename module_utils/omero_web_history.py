# -*- coding: utf-8 -*-
"""The changes of a host, as whoever asks afterwards wants to know them: a line of JSON for each, the oldest first."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import textwrap
import time

from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.module_utils.omero_secrets import parse_json, without_secrets, without_userinfo
from ansible.module_utils.omero_web_host import now, read, write

HISTORY = "history"
MOST = 1000
# What a change that never came to tell how it ended has to say of itself.
CUT_OFF = "cut off"
WIDTH = 110


class History(object):
    """A file of root's alone, for the reason of a failure may quote anything."""

    def __init__(self, basedir):
        self.path = os.path.join(basedir, HISTORY)
        self.lines, self.entry, self.began = [], {}, 0

    def begin(self, entry):
        """Say that a change begins, before anything can cut it off."""
        self.lines = (read(self.path) or b"").splitlines()[1 - MOST:]
        self.began = time.time()
        self._write(dict(entry, began=now(), outcome=CUT_OFF))

    def end(self, secrets, **how):
        """Say how the change ended that has begun, without the secrets."""
        if self.entry:
            self._write(dict(self.entry, seconds=round(time.time() - self.began, 1), **masked(how, secrets)))

    def _write(self, entry):
        self.entry = entry
        line = to_bytes(json.dumps(entry, sort_keys=True))
        write(self.path, b"\n".join(self.lines + [line, b""]), 0o600)


def masked(texts, secrets):
    """Return texts by name with asterisks in place of secrets, and of who logs in by a URL."""
    return dict((name, without_userinfo(without_secrets(to_text(text), secrets))) for name, text in texts.items())


def changes(basedir, most):
    """Return the last changes of a host, the oldest first, as what History wrote of them."""
    lines = (read(basedir, HISTORY) or b"").splitlines()
    found = [parse_json(line.decode("utf-8", "replace")) for line in lines[max(len(lines) - most, 0):]]
    return [one for one in found if one]


def lines_of_change(change):
    """Return the lines by which people are told of a change."""
    began = change["began"].replace("T", " ").replace("+00:00", " UTC")
    numbers = u"{from} -> {to}".format(**change) if change["from"] != change["to"] else change["to"]
    took = " in %s s" % change["seconds"] if "seconds" in change else ""
    first = u"%s  %s  %s%s  %s" % (began, numbers, change["outcome"], took, change["by"])
    more = textwrap.wrap("; ".join(change["says"]), WIDTH) + textwrap.wrap(change.get("reason", ""), WIDTH)
    return [first] + ["    " + line for line in more]

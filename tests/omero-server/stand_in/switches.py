"""Faults that can be set while the stand-in runs: a JSON file that is read again when it has changed.

    python -m stand_in switch latency=5 refuse=getThumbnail*,renderCompressed
    python -m stand_in switch                                                   puts everything right again

A value that is not named is as it is without faults.
"""

import fnmatch
import json
import os
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path


class BadSwitch(ValueError):
    """What is wrong with a switch, in one sentence."""


@dataclass(frozen=True)
class State:
    # Seconds before each call is answered, and which calls.
    latency: float = 0.0
    slow: tuple = ("*",)
    # Calls that are refused, and those that are never answered, as shell patterns.
    refuse: tuple = ()
    hang: tuple = ()
    # Sessions that started before this time are lost; "now" is what one says.
    sessions_lost: float = 0.0
    # Seconds after which a session that nobody uses ends; 0 is as the settings have it.
    session_timeout: float = 0.0
    # Of each original file that is read; 0 is as fast as it goes.
    bytes_per_second: float = 0.0
    # What the server says that it is, as if it had been upgraded; by default what the settings say.
    version: str = ""

    def is_slow(self, operation):
        return self.latency > 0 and matches(operation, self.slow)


def matches(operation, patterns):
    return any(fnmatch.fnmatchcase(operation, pattern) for pattern in patterns)


def parse(words, now=time.time):
    """The state that NAME=VALUE words ask for."""
    known = {field.name: field.default for field in fields(State)}
    values = {}
    for word in words:
        name, equals, text = word.partition("=")
        if name not in known or not equals:
            raise BadSwitch(f"{word!r} is no switch; there are {', '.join(f'{name}=' for name in known)}")
        if isinstance(known[name], tuple):
            values[name] = tuple(text.split(",")) if text else ()
            continue
        if isinstance(known[name], str):
            values[name] = text
            continue
        try:
            values[name] = now() if text == "now" and name == "sessions_lost" else float(text)
        except ValueError:
            raise BadSwitch(f"{word!r} needs a number") from None
        if not 0 <= values[name] < float("inf"):
            raise BadSwitch(f"{word!r} needs a number that is not negative")
    return State(**values)


def write(path, state):
    """Replace the file as a whole: a reader never sees half of it."""
    new = Path(path).with_suffix(".new")
    new.write_text(json.dumps(asdict(state), indent=2) + "\n")
    os.replace(new, path)


class Switches:
    """The state as the file has it now."""

    def __init__(self, path):
        self.path, self.seen, self.read = Path(path), None, State()

    @property
    def state(self):
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self.seen, self.read = None, State()
            return self.read
        seen = status.st_ino, status.st_mtime_ns
        if seen != self.seen:
            values = json.loads(self.path.read_text()).items()
            self.read = State(**{name: tuple(value) if isinstance(value, list) else value for name, value in values})
            self.seen = seen
        return self.read

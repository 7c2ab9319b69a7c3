"""What a site logs, in one stream by time; the lines are as OMERO.web, nginx and journald write them."""

import json
import os
import subprocess
import sys
import time

import pytest
from ansible.module_utils.omero_web_logs import (
    Line,
    LogFile,
    following_lines,
    last_lines,
    line_of_journal,
    shown,
    time_of,
)

OWN = "2026-11-26 20:21:27,125 ERROR [                       omeroweb.webclient.views] (proc.00071) handler500:1 x"
ERROR = "2026/11/26 20:21:28 [error] 71#71: *9 open() failed"
ACCESS = '192.0.2.7 - - [26/Nov/2026:22:21:29 +0200] "GET /webclient/ HTTP/1.1" 200 12 "-" "-"'
JSON = '{"time":"2026-11-26T14:51:30-05:30","client":"192.0.2.7"}'


@pytest.fixture(autouse=True)
def at_utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def entry(when, message, **more):
    known = {"__REALTIME_TIMESTAMP": str(int(when * 1e6)), "MESSAGE": message, "_SYSTEMD_UNIT": "omero-web@7.service"}
    return json.dumps({**known, **more}).encode()


class Journal:
    def __init__(self, *entries):
        self.entries = entries

    def lines(self, number):
        return [line_of_journal(one) for one in self.entries][len(self.entries) - number :] if number else []

    def follow(self):
        text = b"\n".join([*self.entries, b""])
        return subprocess.Popen([sys.executable, "-c", f"print({text.decode()!r}, end='')"], stdout=subprocess.PIPE)


@pytest.mark.parametrize(
    "text, seconds",
    [
        (OWN, 27.125),
        (ERROR, 28),
        (ACCESS, 29),
        (JSON, 30),
        ("Traceback (most recent call last):", None),
        ("", None),
        ("2026-99-99 99:99:99,001 x", None),
        (ACCESS.replace("Nov", "Xyz"), None),
    ],
)
def test_when_a_line_was_logged(text, seconds):
    midnight = 1795724460
    assert time_of(text) == (seconds and midnight + seconds)


def test_logs_are_one_stream_by_time(tmp_path):
    (tmp_path / "own").write_text(f"{OWN}\nTraceback\n  of it\n")
    (tmp_path / "access").write_text(f"{JSON}\n{ACCESS}\n")
    files = [LogFile(name, str(tmp_path / name)) for name in ("own", "access", "absent")]
    journal = Journal(entry(time_of(ERROR), "started"))
    texts = [line.text for line in last_lines(journal, files, 100)]
    assert texts == [OWN, "Traceback", "  of it", "started", ACCESS, JSON]
    files = [LogFile("own", str(tmp_path / "own"))]
    assert [line.text for line in last_lines(journal, files, 2)] == ["  of it", "started"]
    assert last_lines(journal, [], 0) == []


def test_what_comes_is_followed_through_a_rotation(tmp_path):
    path = tmp_path / "own"
    log = LogFile("own", str(path))
    assert log.lines() == []
    path.write_text("one\ntw")
    assert [line.text for line in log.lines()] == ["one"]
    with path.open("a") as more:
        more.write("o\n")
    assert [line.text for line in log.lines()] == ["two"]
    assert log.lines() == []
    path.rename(tmp_path / "own.1")
    path.write_text("three\n")
    assert [line.text for line in log.lines()] == ["three"]
    path.write_text("4\n")
    assert [line.text for line in log.lines()] == ["4"], "it was cut"
    journal = Journal(entry(5, "five"), entry(6, "six"))
    assert [line.text for line in following_lines(journal, [log])] == ["five", "six"]


def test_what_the_service_has_in_place_of_its_log_is_not_read(tmp_path):
    (tmp_path / "secret").write_text("secret\n")
    (tmp_path / "link").symlink_to("secret")
    os.mkfifo(tmp_path / "pipe")
    for name in "link", "pipe", ".":
        assert LogFile(name, str(tmp_path / name)).lines() == []
    (tmp_path / "large").write_text("x" * 100 + "\nlast\n")
    assert [line.text for line in LogFile("large", str(tmp_path / "large")).lines(most=10)] == ["xxxx", "last"]


def test_entries_of_the_journal():
    assert line_of_journal(entry(1.5, "started")) == Line(1.5, "omero-web@7", "started")
    assert line_of_journal(entry(1, list("né".encode()))).text == "né"
    assert line_of_journal(entry(1, None)).text == ""
    of_systemd = entry(1, "Started", _SYSTEMD_UNIT="init.scope", UNIT="omero-web@8.service")
    assert line_of_journal(of_systemd).source == "omero-web@8"


def test_how_a_line_is_shown():
    assert shown(Line(1795724460.25, "own", "a\tb")) == "2026-11-26 20:21:00.250  own           a\tb"

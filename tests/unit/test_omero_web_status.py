"""The state of a site: the verdict and the causes that follow from what is measured, and how some of that is."""

import json
import subprocess
import time

import pytest
from ansible.module_utils import omero_web_status
from ansible.module_utils.omero_web_logs import Line
from ansible.module_utils.omero_web_status import (
    errors,
    exit_code_of,
    given_back,
    kind_of,
    lines_of,
    secrets_in,
    status_of,
)
from ansible.module_utils.omero_web_systemd import Commands, Done

NOW = 1795724460
PAGE = {"path": "/webclient/login/", "status": 200, "reason": "OK", "generation": 7, "milliseconds": 12}
BY = "ansible-playbook, by ann on controller"
UNIT = "omero-web@7.service"
SERVER = {
    "server": "omero.example.org",
    "port": 4064,
    "name": "omero",
    "reason": "",
    "is_another": False,
    "milliseconds": 8,
}
TLS = {"where": "127.0.0.1:443", "version": "TLSv1.3", "reason": "", "milliseconds": 5}


def layer(name, where="127.0.0.1:80", tls=False, **differences):
    return {**PAGE, "layer": name, "where": where, "tls": tls, **differences}


def measured(**differences):
    """What a site in order is measured as, but for these."""
    return {
        "time": NOW,
        "name": "omero-web",
        "title": "OMERO.web",
        "host": "web-1",
        "basedir": "/opt/omero/web",
        "generation": 7,
        "leads_to": "generations/7",
        "release": "5.33.2",
        "has_release": True,
        "activated": {"activated": "2026-11-26T20:21:27+00:00", "by": BY},
        "good": [5, 6],
        "unit": {"name": UNIT, "active": "active", "result": "success", "restarts": 0},
        "units": dict.fromkeys((UNIT, "omero-web.socket", "omero-web.target", "nginx.service"), "active"),
        "socket": "omero-web.socket",
        "is_enabled": True,
        "workers": {"processes": 6, "pss_mb": 300},
        "nginx": {"is_wanted": True, "complaint": ""},
        "layers": layers(),
        "servers": [SERVER],
        "store": {},
        "tls": {},
        "certificate": certificate(90),
        "is_clock_set": None,
        "disks": [{"path": "/opt/omero/web", "free_mb": 9000, "free_inodes": 100000}],
        "read_only": False,
        "astray": [],
        "misplaced": {},
        "runs_deleted_files": False,
        "hold": "",
        "maintenance": {},
        "last_change": {"outcome": "done"},
        "given_back": "",
        "errors": [],
        **differences,
    }


def failed(days):
    """A change that failed so many days ago."""
    began = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(NOW - days * 24 * 3600))
    return {"outcome": "failed", "reason": "no\n  luck", "began": began}


def layers(own=200, nginx=200, static=200):
    return [
        layer("OMERO.web", "127.0.0.1:4080", status=own, reason="Connection refused" if not own else "OK"),
        layer("nginx", status=nginx),
        layer("files", status=static, path="/static/a.css"),
    ]


def error(text, count=1):
    return {"source": "nginx", "text": text, "count": count, "last": NOW}


def unit(**differences):
    return {**measured()["unit"], **differences}


def units(**differences):
    return {**measured()["units"], **differences}


def certificate(days):
    return {"path": "/etc/nginx/omero-web.pem", "ends": NOW + days * 86400, "not_for": []}


CASES = [
    ("down", "no generation of omero-web is live", {"generation": 0, "leads_to": "", "layers": [], "good": []}),
    (
        "attention",
        "the OMERO.web from before the role has the site since 2026-11-26 20:21:27 UTC",
        {"generation": 0, "leads_to": "", "layers": [], "good": [], "given_back": "2026-11-26T20:21:27+00:00"},
    ),
    ("down", "current leads to generations/9, where no generation is", {"generation": 0, "leads_to": "generations/9"}),
    (
        "down",
        "omero-web.socket is inactive: nobody listens at 127.0.0.1:4080",
        {"units": units(**{"omero-web.socket": "inactive"}), "layers": layers(0, 502)},
    ),
    (
        "down",
        "omero-web@7.service has failed (exit-code)",
        {"unit": unit(active="failed", result="exit-code"), "layers": layers(0, 502)},
    ),
    (
        "down",
        "omero-web@7.service does not start, and systemd tries again and again",
        {"unit": unit(active="activating", result="exit-code", restarts=9), "layers": layers(0, 504)},
    ),
    ("down", "omero-web@7.service is inactive", {"unit": unit(active="inactive"), "layers": layers(0, 502)}),
    (
        "down",
        "omero-web@7.service is inactive, until somebody asks for a page",
        {"unit": unit(active="inactive"), "layers": []},
    ),
    ("down", "OMERO.web answers 500 for its login page", {"layers": layers(500, 500)}),
    ("down", "OMERO.web gives no answer (Connection refused)", {"layers": layers(0, 504)}),
    ("down", "the release of generation 7 is gone", {"has_release": False, "layers": layers(0, 502)}),
    ("attention", "the release of generation 7 is gone", {"has_release": False}),
    ("attention", "the release was replaced while generation 7 runs it", {"runs_deleted_files": True}),
    ("down", "nginx is inactive", {"units": units(**{"nginx.service": "inactive"}), "layers": layers(200, 0)}),
    (
        "down",
        "nginx is failed: its configuration is wrong (unknown directive)",
        {
            "units": units(**{"nginx.service": "failed"}),
            "layers": layers(200, 0),
            "nginx": {"is_wanted": True, "complaint": "unknown directive"},
        },
    ),
    (
        "attention",
        "nginx would not start again: unknown directive",
        {"nginx": {"is_wanted": True, "complaint": "unknown directive"}},
    ),
    ("down", "nginx answers 502, where OMERO.web answers 200", {"layers": layers(200, 502)}),
    ("down", "nginx answers 404 for the static file /static/a.css", {"layers": layers(200, 200, 404)}),
    ("attention", "the site is closed for users since then", {"maintenance": {"since": "then"}}),
    (
        "down",
        "OMERO.server omero at omero.example.org, port 4064, cannot be reached (timed out): nobody can log in there",
        {"servers": [{**SERVER, "reason": "timed out"}]},
    ),
    (
        "attention",
        "OMERO.server omero at omero.example.org, port 4064, cannot be reached (timed out): nobody can log in there",
        {"servers": [{**SERVER, "reason": "timed out"}, SERVER]},
    ),
    (
        "attention",
        "what listens at omero.example.org, port 4064, is no OMERO.server (it is silent): nobody can log in at omero",
        {"servers": [{**SERVER, "reason": "it is silent", "is_another": True}, SERVER]},
    ),
    (
        "down",
        "the Redis of the sessions at /run/omero-web-redis/redis.sock cannot be used (gone): nobody stays logged in",
        {"store": {"where": "/run/omero-web-redis/redis.sock", "reason": "gone"}},
    ),
    (
        "down",
        "nginx does not speak TLS at 127.0.0.1:443 (no)",
        {"tls": {**TLS, "reason": "no"}, "layers": layers(200, 0)},
    ),
    (
        "attention",
        "the clock is not synchronised: sessions and certificates end by the wrong time",
        {"is_clock_set": False},
    ),
    (
        "attention",
        "the certificate is not for b.org: browsers refuse the site there",
        {"certificate": {**certificate(90), "not_for": ["b.org"]}},
    ),
    ("down", "the certificate ended 2 days ago: browsers refuse the site", {"certificate": certificate(-2)}),
    ("attention", "the certificate ends in 3 days", {"certificate": certificate(3)}),
    ("attention", "/var has only 7 MiB left", {"disks": [{"path": "/var", "free_mb": 7, "free_inodes": None}]}),
    ("attention", "/var has only 0 inodes left", {"disks": [{"path": "/var", "free_mb": 700, "free_inodes": 0}]}),
    ("down", "/opt/omero/web is on a file system that is read-only", {"read_only": True}),
    ("attention", "/opt/omero/web/var is a link", {"misplaced": {"/opt/omero/web/var": "a link"}}),
    ("attention", "/etc/x is not as generation 7 has it", {"astray": ["/etc/x"]}),
    ("attention", "the site does not start at boot", {"is_enabled": False}),
    ("attention", "the last change was cut off, or goes on", {"last_change": {"outcome": "cut off"}}),
    ("attention", "the last change failed: no luck", {"last_change": failed(0.5)}),
    ("attention", "systemd had to start OMERO.web again 4 times", {"unit": unit(restarts=4)}),
    (
        "attention",
        "requests took longer than a worker may (omero_web_timeout): 3 in the last day",
        {"errors": [error("WORKER TIMEOUT (pid:N)", 3)]},
    ),
    (
        "attention",
        "workers were killed, perhaps for want of memory: 2 in the last day",
        {"errors": [error("Worker (pid:N) was sent SIGKILL! Perhaps out of memory?", 2)]},
    ),
]


@pytest.mark.parametrize("level, cause, differences", CASES)
def test_cause_is_named(level, cause, differences):
    status = status_of(measured(**differences))
    assert [(one["level"], one["what"]) for one in status["findings"]] == [(level, cause)]
    assert all(one["remedy"] for one in status["findings"])
    assert status["verdict"] == level
    assert exit_code_of(status) == {"attention": 1, "down": 2}[level]
    assert f"  {level:9}  {cause}" in lines_of(status)


def test_a_worker_that_is_killed_for_being_late_is_not_short_of_memory():
    def found(late, killed):
        texts = {"WORKER TIMEOUT (pid:N)": late, "Worker (pid:N) was sent SIGKILL! Perhaps out of memory?": killed}
        findings = status_of(measured(errors=[error(*one) for one in texts.items()]))["findings"]
        return [finding["what"].partition(" in the")[0].rpartition(": ")[2] for finding in findings]

    assert found(3, 3) == ["3"]
    assert found(3, 5) == ["3", "2"]


def test_a_change_that_failed_days_ago_says_nothing_of_today():
    assert status_of(measured(last_change=failed(1.5)))["verdict"] == "ok"


def test_the_worst_comes_first():
    status = status_of(measured(is_enabled=False, layers=layers(500, 500), astray=["/etc/x"]))
    assert [one["level"] for one in status["findings"]] == ["down", "attention", "attention"]
    assert status["verdict"] == "down"


def test_site_in_order():
    status = status_of(measured(hold="course until Friday", errors=[error("no such file", 2)]))
    assert (status["verdict"], status["findings"], exit_code_of(status)) == ("ok", [], 0)
    assert lines_of(status) == [
        "OMERO.web on web-1: ok",
        f"  runs       OMERO.web 5.33.2 as generation 7 since 2026-11-26 20:21:27 UTC, by {BY}",
        "  go back    to 6, 5",
        "  on hold    course until Friday",
        "  OMERO.web  200 in 12 ms, 127.0.0.1:4080",
        "  nginx      200 in 12 ms, 127.0.0.1:80",
        "  files      200 in 12 ms, 127.0.0.1:80",
        "  server     omero at omero.example.org, port 4064, answers in 8 ms",
        "  memory     300 MiB in 6 processes",
        "  free       9000 MiB in /opt/omero/web",
        "  error      2 x nginx: no such file",
    ]
    without_nginx = measured(nginx={"is_wanted": False, "complaint": ""}, layers=layers()[:1], certificate={})
    assert status_of(without_nginx)["verdict"] == "ok"


def test_errors_are_counted_by_their_kind(tmp_path, monkeypatch):
    monkeypatch.setattr(omero_web_status, "journal_lines", lambda name: [
        Line(NOW, "omero-web@7", "[2026-11-26 20:21:00 +0000] [71] [CRITICAL] WORKER TIMEOUT (pid:81)"),
        Line(NOW, "omero-web@7", "[2026-11-26 20:22:00 +0000] [71] [CRITICAL] WORKER TIMEOUT (pid:82)"),
        Line(NOW, "omero-web@7", "[2026-11-26 20:22:00 +0000] [71] [INFO] Booting worker with pid: 83"),
        Line(NOW - 90000, "omero-web@7", "[2026-11-25 20:22:00 +0000] [71] [ERROR] of yesterday"),
    ])  # fmt: skip
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(NOW))
    (tmp_path / "var/log").mkdir(parents=True)
    own = f"{stamp},001 ERROR [  omeroweb.views] (proc.00071) handler500:1 no hunter2 of 7\nTraceback\n"
    (tmp_path / "var/log/OMEROweb.log").write_text(own)
    found = errors("omero-web", str(tmp_path), {}, ["hunter2"], NOW - 3600)
    assert [(one["source"], one["text"], one["count"]) for one in found] == [
        ("OMERO.web's unit", "[CRITICAL] WORKER TIMEOUT (pid:N)", 2),
        ("OMEROweb.log", "ERROR [ omeroweb.views] handlerN:N no ******** of N", 1),
    ]


def test_kinds_of_errors():
    nginx = '2026/11/26 20:21:28 [error] 71#71: *9 open() "/x" failed, client: 192.0.2.7, server: a, request: "GET /"'
    assert kind_of(nginx, []) == '[error] open() "/x" failed'
    assert len(kind_of("x" * 1000, [])) == 160
    assert kind_of("a\x1b[2Jb", []) == "a [NJb"


def test_secrets_that_no_error_shows():
    properties = {
        "omero.web.secret_key": "hunter2",
        "omero.web.caches": json.dumps({"default": {"PASSWORD": "hunter3", "LOCATION": "x"}}),
        "omero.web.page_size": "200",
    }
    found = secrets_in(properties)
    assert {"hunter2", "hunter3"} < set(found)
    assert "200" not in found


def test_what_else_is_told_where_there_is_more():
    lines = lines_of(status_of(measured(tls=TLS, store={"where": "10.0.0.1:6379", "reason": ""}, is_clock_set=True)))
    assert lines[0] == "OMERO.web on web-1: ok"
    assert "  TLS        TLSv1.3 in 5 ms, 127.0.0.1:443" in lines
    assert "  sessions   Redis at 10.0.0.1:6379, answers" in lines


def test_what_starts_a_redis_again():
    for where, remedy in (
        ("/run/omero-web-redis/redis.sock", "systemctl start omero-web-redis.service"),
        ("10.0.0.1:6379", "start it, or open the way to it"),
    ):
        status = status_of(measured(store={"where": where, "reason": "gone"}))
        assert [one["remedy"] for one in status["findings"]] == [remedy]


def test_a_redis_of_its_own_comes_with_omero_web():
    for where, number in (("/run/omero-web-redis/redis.sock", 1), ("10.0.0.1:6379", 2)):
        store = {"where": where, "reason": "gone"}
        unit = {"name": UNIT, "active": "inactive", "result": "success", "restarts": 0}
        assert len(status_of(measured(store=store, unit=unit, layers=[]))["findings"]) == number


SITE = """
server {
    server_name A.org b.org *.c.org ~^d _;
    ssl_certificate %s;
}
server {
    server_name $hostname a.org;
}
"""


@pytest.mark.parametrize(
    "covered, not_for",
    [
        ("DNS:a.org,DNS:B.org", []),
        ("DNS:*.org", []),
        ("DNS:a.org,IP:192.0.2.7", ["b.org"]),
        ("DNS:*.a.org,DNS:*", ["a.org", "b.org"]),
    ],
)
def test_names_that_a_certificate_is_not_for(tmp_path, covered, not_for):
    pem = tmp_path / "own.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
        + ["-subj", "/CN=a.org", "-addext", f"subjectAltName={covered}", "-keyout", pem.with_name("key"), "-out", pem],
        check=True,
        capture_output=True,
    )
    (tmp_path / "nginx.conf").write_text(SITE % pem)
    found = omero_web_status.certificate(Commands(), str(tmp_path))
    assert found["path"] == str(pem)
    assert 29.9 < (found["ends"] - time.time()) / 86400 <= 30
    assert found["not_for"] == not_for
    pem.write_text("nonsense")
    assert omero_web_status.certificate(Commands(), str(tmp_path)) == {"path": str(pem)}
    (tmp_path / "nginx.conf").write_text("server {}")
    assert omero_web_status.certificate(Commands(), str(tmp_path)) == {}


class Systemd:
    """A host whose systemd says this of its clock."""

    def __init__(self, root, says):
        self.root, self.says = root, says

    def path(self, path):
        return f"{self.root}{path}"

    def run(self, *command, **_):
        assert command[0] == "timedatectl"
        return Done(0 if self.says else 1, self.says, "")


@pytest.mark.parametrize(
    "says, is_set", [("NTPSynchronized=yes\n", True), ("NTPSynchronized=no\n", False), ("", None), ("NTP=x", None)]
)
def test_clock(tmp_path, says, is_set):
    host = Systemd(tmp_path, says)
    assert omero_web_status.is_clock_set(host, host) is is_set
    (tmp_path / "run/systemd").mkdir(parents=True)
    (tmp_path / "run/systemd/container").write_text("systemd-nspawn")
    assert omero_web_status.is_clock_set(host, host) is None


@pytest.mark.parametrize(
    "history, since",
    [
        ([], ""),
        ([{"outcome": "done", "to": 1, "began": "1"}], ""),
        ([{"outcome": "done", "to": 1, "began": "1"}, {"outcome": "done", "to": 0, "began": "2"}], "2"),
        ([{"outcome": "done", "to": 0, "began": "2"}, {"outcome": "failed", "to": 2, "began": "3"}], "2"),
        ([{"outcome": "done", "to": 0, "began": "2"}, {"outcome": "done", "to": 2, "began": "3"}], ""),
        ([{"outcome": "failed", "to": 0, "began": "2"}], ""),
        ([{"outcome": "done"}], ""),
    ],
)
def test_whether_a_site_was_given_back(history, since):
    assert given_back(history) == since

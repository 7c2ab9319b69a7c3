# -*- coding: utf-8 -*-
"""The benchmark of a site on its host: what is asked for, by whom, when it is enough, and the unit of other workers."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import threading

import pytest
from ansible.module_utils import omero_web_benchmark as module
from ansible.module_utils.omero_web_benchmark import (
    Benchmark,
    Target,
    TrialOfWorkers,
    benchmark,
    is_read,
    targets_of,
    unit_of,
)
from ansible.module_utils.omero_web_host import Problem
from ansible.module_utils.omero_web_load import Figures
from ansible.module_utils.omero_web_process import Lock
from ansible.module_utils.omero_web_systemd import Done
from ansible.module_utils.omero_web_transaction import Host
from ansible.module_utils.six.moves.BaseHTTPServer import BaseHTTPRequestHandler, HTTPServer
from ansible.module_utils.six.moves.socketserver import ThreadingMixIn

PASSWORD = "researcher-hunter2"
LOGIN = b'<html><head><link rel="stylesheet" href="/static/webclient/css/a.css?1"><script src="/static/z.js"></script>'
PAGES = {"/healthz": "text/plain", "/webclient/userdata/": "text/html", "/webgateway/render_image/7/0/0/": "image/jpeg"}
PROBE = """\
[Unit]
Description=OMERO.web, generation %i (probe)

[Service]
WorkingDirectory=/opt/omero/web/generations/%i
Environment=OMERODIR=/opt/omero/web/generations/%i
RuntimeDirectory=omero-web-probe-7
ExecStart=/opt/omero/web/generations/%i/release/venv/bin/gunicorn --config gunicorn.conf.py --workers 1 \
--bind unix:/run/omero-web-probe-7/probe.sock --pid /run/omero-web-probe-7/probe.pid omeroweb.wsgi:application
TimeoutStopSec=610
"""


class Handler(BaseHTTPRequestHandler):
    """An OMERO.web of a few pages, with the form of its login page. Its pages fail from `server.fails_after` on."""

    def do_GET(self):
        path, cookies = self.path, self.headers.get("Cookie") or ""
        self.server.asked.append((path, cookies))
        if path == "/webclient/login/":
            self.reply(200, "text/html", LOGIN, "csrftoken=t")
        elif path != "/healthz" and "sessionid=s" not in cookies:
            self.reply(302, "text/html", b"", location="/webclient/login/")
        elif path not in PAGES or len(self.server.asked) > self.server.fails_after:
            self.reply(500, "text/html", b"")
        else:
            self.reply(200, PAGES[path], b"\xff\xd8\xff" if path.startswith("/webgateway") else b"page")

    def do_POST(self):
        form = self.rfile.read(int(self.headers["Content-Length"])).decode("ascii")
        self.server.asked.append((self.path, form))
        if "logout" in self.path:
            self.reply(302, "text/html", b"", location="/webclient/login/")
        elif "csrfmiddlewaretoken=t" in form and "password=" + PASSWORD in form:
            self.reply(302, "text/html", b"", "sessionid=s", "/webclient/")
        else:
            self.reply(200, "text/html", b'<span class="error">Not for you</span>')

    def reply(self, status, kind, content, cookie="", location=""):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (("Set-Cookie", cookie), ("Location", location)):
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *dummy):
        pass


class Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True
    request_queue_size = 100


@pytest.fixture
def site():
    server = Server(("127.0.0.1", 0), Handler)
    server.asked, server.fails_after = [], 10 ** 6
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def params(site):
    return {
        "name": "omero-web",
        "by": "ann",
        "url": "http://127.0.0.1:%d" % site.server_port,
        "host": "omero.example.org",
        "prefix": "",
        "static_url": "/static/",
        "health": "/healthz",
        "paths": ["/webclient/userdata/"],
        "images": [],
        "user": {"user": "researcher", "password": PASSWORD, "server": 1},
        "requests": 10,
        "seconds": 60,
        "concurrency": [1, 4],
        "rate": 200,
        "patience": 30,
        "timeout": 600,
        "kinds": [],
    }


class Commands(object):
    def __init__(self, version=252):
        self.version, self.ran = version, []

    def run(self, *command, **dummy):
        self.ran.append(command)
        return Done(0, "systemd %d (252)" % self.version, "")

    must = run


@pytest.fixture
def measure(params, tmp_path):
    (tmp_path / "run").mkdir()
    return lambda **others: benchmark(dict(params, **others), Host(str(tmp_path)), Commands())


def test_what_is_asked_for_by_default():
    params = {"paths": [], "images": [], "prefix": "/omero", "static_url": "/static/", "user": None}
    assert targets_of(params, LOGIN.decode("ascii")) == [
        Target("login page", ["/omero/webclient/login/"], True, ""),
        Target("API root", ["/omero/api/"], True, ""),
        Target("static file", ["/static/webclient/css/a.css"], True, ""),
    ]
    elsewhere = dict(params, static_url="https://cdn.example.org/")
    assert [target.name for target in targets_of(elsewhere, LOGIN.decode("ascii"))] == ["login page", "API root"]


def test_what_is_asked_for_where_the_site_says_so():
    params = {"paths": ["/figure/"], "images": [7, 8], "prefix": "/omero", "static_url": "/static/", "user": None}
    pictures = [
        Target(
            "thumbnails",
            ["/omero/webgateway/render_thumbnail/7/", "/omero/webgateway/render_thumbnail/8/"],
            False,
            "image/jpeg",
        ),
        Target(
            "planes",
            ["/omero/webgateway/render_image/7/0/0/", "/omero/webgateway/render_image/8/0/0/"],
            False,
            "image/jpeg",
        ),
    ]
    assert targets_of(params, "") == [Target("/figure/", ["/omero/figure/"], True, "")] + pictures
    assert targets_of(dict(params, user={"user": "ann"}), "")[0] == Target("/figure/", ["/omero/figure/"], False, "")


def test_a_user_is_measured(measure, site):
    found = measure()
    assert found["stopped"] == ""
    rows = [(row["concurrency"], row["rate"], row["requests"], row["errors"], row["tool"]) for row in found["rows"]]
    assert rows == [(1, 0, 10, 0, "omero-web"), (4, 0, 10, 0, "omero-web"), (0, 200, 10, 0, "omero-web")]
    assert all(set(row["percentiles"]) == {"50", "90", "95", "99", "100"} for row in found["rows"])
    asked = [what for path, what in site.asked if path == "/webclient/userdata/"]
    # Once before any load, to see that there is such a page.
    assert asked == 31 * ["csrftoken=t; sessionid=s"]
    assert site.asked[-1][0] == "/webclient/logout/"
    assert found["rest_ms"] > 0 and found["slowest_ms"] >= found["rest_ms"]


def test_a_rate_that_the_site_can_bear(measure):
    steps = measure(rate=0)["rows"]
    assert steps[2]["rate"] == min(max(round(max(steps[0]["per_second"], steps[1]["per_second"]) / 2, 1), 1), 300)


def test_a_user_who_is_refused(measure, site):
    found = measure(user={"user": "researcher", "password": "wrong", "server": 1})
    assert found == {"failed": True, "msg": 'The login page refuses the user: "Not for you".'}
    assert "wrong" not in str(found)


@pytest.mark.parametrize(
    "others, fault",
    [
        ({"paths": ["/nowhere/"]}, "/nowhere/ answers 500."),
        ({"paths": ["/webclient/userdata/"], "user": None}, "/webclient/userdata/ answers 302."),
        ({"images": [8]}, "/webgateway/render_thumbnail/8/ answers 500."),
        ({"health": "/nowhere"}, "The site is not well before any load: /nowhere answers 302."),
    ],
)
def test_what_is_not_there_is_not_measured(measure, site, others, fault):
    assert measure(**others) == {"failed": True, "msg": fault}


def test_errors_end_it(measure, site):
    site.fails_after = 20
    found = measure()
    assert [row["concurrency"] for row in found["rows"]] in ([1], [1, 4])
    last = found["rows"][-1]
    assert last["errors"] > 0
    assert found["stopped"] == "%d of %d requests for the /webclient/userdata/ failed at %d at once (status 500)" % (
        last["errors"], last["errors"] + last["requests"], last["concurrency"])


def test_there_is_one_benchmark_at_a_time(measure, tmp_path):
    other = Lock(str(tmp_path / "run/omero-web-benchmark.lock"), "somebody")
    other.take(0)
    sentence = "Another benchmark of this site is running on this host; wait for its end."
    assert measure() == {"failed": True, "msg": sentence}
    other.free()
    assert "failed" not in measure()


@pytest.mark.parametrize(
    "reason, seconds, is_wanted, stopped",
    [
        ("", 600, True, ""),
        ("the site is slow", 600, True, "the site is slow"),
        ("", -1, True, "the -1 s of omero_web_benchmark_timeout were over"),
        ("", 600, False, "whoever started it is gone"),
    ],
)
def test_when_it_is_enough(params, reason, seconds, is_wanted, stopped):
    one = Benchmark(dict(params, timeout=seconds), None, Commands(), lambda: is_wanted)
    one.watch.reason = reason
    assert (one.is_over(), one.stopped) == (bool(stopped), stopped)


def test_why_it_was_stopped_is_said_once(params):
    one = Benchmark(params, None, Commands())
    one.watch.reason = "the site is slow"
    assert one.is_over()
    one.keep(Target("planes", ["/p"], False, ""), "", 4, 0, (Figures(1, 2, 1, {}), None))
    assert one.stopped == "the site is slow"
    one = Benchmark(params, None, Commands())
    one.keep(Target("planes", ["/p"], False, ""), "", 0, 2.5, (Figures(1, 2, 2, {}), None))
    assert one.stopped == "2 of 3 requests for the planes failed at 2.5 in a second"
    assert (one.rows[0]["per_second"], one.rows[0]["tool"]) == (0.5, "ab")


def test_workers_that_fail_are_no_reason_to_go_without_others(params):
    one = Benchmark(params, None, Commands())
    with pytest.raises(Problem, match="2 of 3 requests for the planes failed at 4 at once"):
        one.keep(Target("planes", ["/p"], False, ""), "5 sync workers", 4, 0, (Figures(1, 2, 1, {}), None))
    assert (one.stopped, len(one.rows)) == ("", 1)


def test_all_kinds_of_workers_are_asked_at_the_same_rate(params):
    one = Benchmark(dict(params, rate=0), None, Commands())
    target = Target("planes", ["/p"], False, "")
    for kind, requests in (("a", 40), ("b", 80)):
        one.keep(target, kind, 4, 0, (Figures(requests, 0, 1, {}), None))
        assert one.rate_for(target, kind) == 20


def test_whether_somebody_waits_for_the_figures():
    reading, writing = os.pipe()
    assert is_read(writing)
    os.close(reading)
    assert not is_read(writing)
    os.close(writing)


def test_kinds_of_workers_are_measured_in_turn_and_back(params, monkeypatch):
    order = []

    def measure_kind(one, kind, known, targets):
        order.append((one.round, kind["name"]))
        known["problem"] = "it did not start" if kind["name"] == "b" else ""

    monkeypatch.setattr(Benchmark, "measure_kind", measure_kind)
    one = Benchmark(dict(params, kinds=[{"name": name} for name in "abc"]), None, Commands())
    one.measure_all([])
    assert order == [(1, "a"), (1, "b"), (1, "c"), (2, "c"), (2, "a")]
    assert [known["name"] for known in one.kinds] == ["a", "b", "c"]


def unit(systemd, packages="", number=7):
    return unit_of(PROBE, number, "omero-web", "/opt/omero/web", packages, 2100, (998, 997), systemd)


def test_the_unit_of_other_workers_has_nothing_of_the_live_ones():
    text = unit(252, packages="/opt/omero/web/benchmark/packages")
    assert "/generations/" not in text and "probe" not in text and "%i" not in text and "--workers" not in text
    lines = text.splitlines()
    directory = "/opt/omero/web/benchmark/7"
    assert {
        "WorkingDirectory=" + directory,
        "Environment=OMERODIR=" + directory,
        "RuntimeDirectory=omero-web-benchmark",
        "ExecStart=%s/release/venv/bin/gunicorn --config gunicorn.conf.py --bind unix:/run/omero-web-benchmark/"
        "benchmark.sock --pid /run/omero-web-benchmark/benchmark.pid omeroweb.wsgi:application" % directory,
        "TimeoutStopSec=15",
        "Environment=OMERO_WEB_GRACEFUL_TIMEOUT=5",
        "RuntimeMaxSec=2100",
        "CPUWeight=20",
        "TemporaryFileSystem=/opt/omero/web/var/log:mode=0750,uid=998,gid=997,size=64M",
        "ExecStopPost=+/bin/rm -rf /opt/omero/web/benchmark /run/systemd/system/omero-web-benchmark.service",
        "Environment=PYTHONPATH=/opt/omero/web/benchmark/packages",
    } <= set(lines)
    # Of two values, the last one counts.
    assert lines.index("TimeoutStopSec=15") > lines.index("TimeoutStopSec=610")


def test_an_old_systemd_is_told_what_it_knows():
    text = unit(219)
    assert "RuntimeMaxSec" not in text and "TemporaryFileSystem" not in text and "PYTHONPATH" not in text
    assert "TimeoutStopSec=15" in text


@pytest.fixture
def workers(params, tmp_path):
    web = tmp_path / "opt/omero/web"
    (web / "generations/7").mkdir(parents=True)
    (web / "current").symlink_to("generations/7")
    kind = {"name": "2 gevent workers", "workers": 2, "settings": {}, "needs": "gevent", "packages": ["gevent==1"]}
    known = dict(params, basedir="/opt/omero/web", group="root", service_user="root", start_timeout=5,
                 pip={"install": "-m pip install --requirement /dev/stdin", "sources": ["--index-url https://a:b@c"]})
    return TrialOfWorkers(known, Host(str(tmp_path)), Commands(), kind)


def test_packages_that_the_release_has_are_not_installed(workers):
    assert workers.install() == ""
    assert len(workers.commands.ran) == 1


def test_packages_are_installed_and_no_password_is_on_a_command_line(workers, monkeypatch, tmp_path):
    top = tmp_path / "opt/omero/web/benchmark"
    top.mkdir()
    monkeypatch.setattr(module, "write", lambda path, content, mode: (top / "requirements").write_bytes(content))
    monkeypatch.setattr(workers.commands, "run", lambda *command, **_: workers.commands.ran.append(command) or Done(
        1 if "import gevent" in command else 0, "", ""))
    assert workers.install() == str(top / "packages")
    assert (top / "requirements").read_bytes() == b"--index-url https://a:b@c\ngevent==1\n"
    shell = workers.commands.ran[-1][2]
    assert shell.endswith("--target %s < %s" % (top / "packages", top / "requirements"))
    assert "a:b@c" not in str(workers.commands.ran)


def test_packages_that_cannot_be_installed(workers, monkeypatch, tmp_path):
    (tmp_path / "opt/omero/web/benchmark").mkdir()
    monkeypatch.setattr(module, "write", lambda *dummy: None)
    monkeypatch.setattr(workers.commands, "run", lambda *command, **_: Done(1, "", "a\nERROR: no such version\n"))
    with pytest.raises(Problem, match=r"its packages \(gevent==1\) cannot be installed: ERROR: no such version"):
        workers.install()


def test_a_generation_without_a_trial_of_its_own(workers):
    with pytest.raises(Problem, match="generation 7 has no probe.service to make a trial from"):
        workers.make()

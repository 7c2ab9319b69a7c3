# -*- coding: utf-8 -*-
"""Load for a site: each request, many at once or in a second, ApacheBench, and who watches the site meanwhile."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
from ansible.module_utils import omero_web_load as load
from ansible.module_utils.omero_web_host import Problem
from ansible.module_utils.omero_web_http import Answer, Place
from ansible.module_utils.omero_web_load import (
    MOST_ERRORS,
    ApacheBench,
    Asker,
    Load,
    Watch,
    at_once,
    at_rate,
    end_of,
    figures_of,
    figures_of_ab,
    percentile,
    status_of,
)

HOST = "omero.example.org"
AB = """\
Concurrency Level:      20
Time taken for tests:   2.500 seconds
Complete requests:      500
Failed requests:        12
   (Connect: 0, Receive: 3, Length: 7, Exceptions: 2)
Non-2xx responses:      5
Requests per second:    200.00 [#/sec] (mean)

Percentage of the requests served within a certain time (ms)
  50%     90
 100%    201 (longest request)
"""
TABLE = "Percentage served,Time in ms\n0,60.1\n50,90.123\n90,131.5\n95,140.0\n98,170\n99,180.259\n"


@pytest.fixture
def server():
    """Serve what a test puts there: the answers to come, and what was asked."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(50)
    return Server(listener, listener.getsockname())


class Server(object):
    def __init__(self, listener, address):
        self.place = Place(address, False)
        self.asked, self.answer = [], b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        self.listener = listener
        thread = threading.Thread(target=self.serve)
        thread.daemon = True
        thread.start()

    def serve(self):
        while True:
            connection = self.listener.accept()[0]
            self.asked.append(connection.recv(65536))
            if self.answer is None:
                # Kept open, and silent.
                self.silent = connection
                continue
            connection.sendall(self.answer)
            connection.close()


class FakeTime(object):
    """A clock that goes on as somebody sleeps, or is told."""

    def __init__(self):
        self.now = 100.0

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def fake_time(monkeypatch):
    fake = FakeTime()
    monkeypatch.setattr(load, "clock", fake.clock)
    monkeypatch.setattr(load.time, "sleep", fake.sleep)
    return fake


@pytest.mark.parametrize("percent, value", [(0, 1), (25, 1), (26, 2), (50, 2), (75, 3), (76, 4), (99, 4), (100, 4)])
def test_a_percentile_is_a_value_that_was_measured(percent, value):
    assert percentile([1, 2, 3, 4], percent) == value


def test_figures():
    figures = figures_of([0.002, 0.001], 3, 1.23456)
    assert figures == (2, 3, 1.235, {"50": 1.0, "90": 2.0, "95": 2.0, "99": 2.0, "100": 2.0})
    assert figures_of([], 3, 1) == (0, 3, 1, {})


@pytest.mark.parametrize(
    "answer, status",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
        (b"HTTP/1.0 404 Not Found\r\n\r\n", 404),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Len", 0),
        (b"SSH-2.0-OpenSSH\r\n\r\n", 0),
        (b"", 0),
    ],
)
def test_status_of_an_answer_that_came_as_a_whole(answer, status):
    assert status_of(answer, len(answer)) == status


def test_a_request(server):
    asker = Asker(server.place, HOST, {"Cookie": "sessionid=abc"})
    assert asker.ask("/page") == 200
    lines = server.asked[0].decode("ascii").split("\r\n")
    assert lines[0] == "GET /page HTTP/1.0"
    assert set(lines[1:]) > {"Host: " + HOST, "Cookie: sessionid=abc", "Connection: close"}


def test_a_request_by_a_unix_socket(tmp_path):
    path = str(tmp_path / "socket")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(5)
    server = Server(listener, path)
    assert Asker(server.place, HOST, {}).ask("/") == 200
    assert server.asked


def test_a_request_by_tls_whoever_the_certificate_is_for(tmp_path):
    path = str(tmp_path / "self-signed.pem")
    with open(os.devnull, "w") as nothing:
        subprocess.check_call(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other",
                               "-keyout", path, "-out", path], stdout=nothing, stderr=nothing)
    context = ssl.SSLContext(getattr(ssl, "PROTOCOL_TLS_SERVER", ssl.PROTOCOL_SSLv23))
    context.load_cert_chain(path)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(5)
    address = listener.getsockname()
    server = Server(context.wrap_socket(listener, server_side=True), address)
    assert Asker(server.place._replace(tls=True), HOST, {}).ask("/") == 200


def test_no_answer(server):
    server.answer = None
    assert Asker(server.place, HOST, {}, timeout=0.05).ask("/") == 0
    assert Asker(Place(("127.0.0.1", 1), False), HOST, {}).ask("/") == 0
    assert Asker(Place("/nowhere", False), HOST, {}).ask("/") == 0


def test_many_at_once(server):
    asker = Asker(server.place, HOST, {})
    measured = Load(asker.ask, ["/a", "/b"], at_once(20), 60)
    figures = measured.run(5)
    assert (figures.requests, figures.errors) == (20, 0)
    assert sorted(line.split()[1] for line in server.asked) == 10 * [b"/a"] + 10 * [b"/b"]
    assert 0 < figures.percentiles["50"] <= figures.percentiles["100"]


def test_as_many_are_under_way_as_are_to_be():
    together = threading.Barrier(5)
    assert Load(lambda path: together.wait(30) and 200 or 200, ["/"], at_once(5), 60).run(5).requests == 5


def test_at_a_rate_whoever_waits_for_others_has_waited(fake_time):
    """One thread, whose answers take a second: requests that are due meanwhile count from then."""

    def ask(path):
        fake_time.sleep(1)
        return 200

    measured = Load(ask, ["/"], at_rate(2, 4), 60)
    figures = measured.run(1)
    assert measured.seconds == [1, 1.5, 2, 2.5]
    assert figures.seconds == 4


def test_at_a_rate_nobody_asks_before_it_is_time(fake_time):
    asked = []
    Load(lambda path: asked.append(fake_time.now - 100) or 200, ["/"], at_rate(4, 4), 60).run(1)
    assert asked == [0, 0.25, 0.5, 0.75]


def test_load_ends_with_its_time(fake_time):
    def ask(path):
        fake_time.sleep(1)
        return 200

    assert Load(ask, ["/"], at_once(1000), 10).run(1).requests == 11
    assert Load(ask, ["/"], at_rate(1, 1000), 10).run(1).requests == 11


def test_load_ends_with_errors():
    measured = Load(lambda path: 502, ["/"], at_once(1000), 60)
    figures = measured.run(1)
    assert (figures.requests, figures.errors, measured.statuses) == (0, MOST_ERRORS, {502: MOST_ERRORS})


def test_load_ends_when_it_is_over():
    over = []
    measured = Load(lambda path: over.append(path) or 200, ["/"], at_once(1000), 60, lambda: len(over) >= 3)
    assert measured.run(1).requests == 3


def test_command_of_apache_bench():
    command = ApacheBench("http://127.0.0.1:80", HOST).command("/webclient/login/", 100, 5000, 20, "/table")
    line = " ".join(command)
    assert line == (
        "ab -q -r -s 30 -t 20 -n 5000 -c 100 -H Host: omero.example.org -e /table http://127.0.0.1:80/webclient/login/"
    )
    # It refuses fewer requests than there are at once.
    assert "-n 100" in " ".join(ApacheBench("http://a", HOST).command("/", 100, 10, 20, "/table"))


def test_figures_of_apache_bench():
    """A page whose length differs from that of the first is none that failed."""
    figures = figures_of_ab(0, AB, TABLE)
    assert figures == (490, 10, 2.5, {"50": 90.12, "90": 131.5, "95": 140.0, "99": 180.26, "100": 201.0})
    well = AB.replace("Receive: 3", "Receive: 0").replace("Exceptions: 2", "Exceptions: 0").replace("Non-2xx", "X")
    assert figures_of_ab(0, well, TABLE)[:2] == (500, 0)


def test_apache_bench_reads_past_the_end_of_few_times():
    table = "Percentage served,Time in ms\n0,1.5\n50,3.2\n90,6.66\n95,11.33\n99,0.26\n"
    text = AB.replace("500", "30").replace("201", "11")
    known = figures_of_ab(0, text, table).percentiles
    assert known == {"50": 3.2, "90": 6.66, "95": 11.33, "99": 11.33, "100": 11.33}
    assert figures_of_ab(0, text, "").percentiles == {}


def test_apache_bench_that_says_nothing():
    with pytest.raises(Problem, match="ab: it ended with code 22 and said nothing"):
        figures_of_ab(22, "", "")
    with pytest.raises(Problem, match="ab: ab: invalid URL"):
        figures_of_ab(22, "ab: invalid URL\n", "")


def test_apache_bench_that_is_not_there(tmp_path):
    with open(str(tmp_path / "output"), "wb") as output, pytest.raises(Problem, match="no-such-ab: No such file"):
        end_of(["no-such-ab"], output, 60, lambda: False)


@pytest.mark.parametrize("in_the_background", [False, True])
def test_a_command_ends_when_it_is_over(tmp_path, request, in_the_background):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if in_the_background else signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    with open(str(tmp_path / "output"), "wb") as output:
        assert end_of(["sleep", "600"], output, 600, lambda: True) == -2
        assert end_of(["sleep", "600"], output, 0, lambda: False) == -2
        assert end_of(["sh", "-c", "exit 3"], output, 600, lambda: False) == 3


class Site(object):
    """Answers in so many seconds, by a clock of its own."""

    def __init__(self, fake, *answers):
        self.fake, self.answers = fake, list(answers)

    def __call__(self, place, path, host, timeout):
        seconds, status = self.answers.pop(0)
        self.fake.sleep(seconds)
        return Answer(status, "refused", 0, None, "")


def watch(site):
    return Watch(Place(("127.0.0.1", 80), False), "/healthz", HOST, 5, site)


def test_a_site_at_rest(fake_time):
    times = [(0.1, 200), (0.2, 200), (0.3, 200), (0.4, 200), (4, 200)]
    assert watch(Site(fake_time, *times)).rest() == pytest.approx(0.3)


@pytest.mark.parametrize(
    "answer, fault",
    [
        ((6, 200), "/healthz took 6.0 s"),
        ((0.1, 503), "/healthz answers 503"),
        ((0.1, 0), r"/healthz gives no answer \(refused\)"),
    ],
)
def test_a_site_in_need_is_not_measured(fake_time, answer, fault):
    with pytest.raises(Problem, match="The site is not well before any load: " + fault):
        watch(Site(fake_time, (0.1, 200), answer)).rest()


def test_who_watches_the_site():
    one = watch(None)
    for seconds, status in ((0.1, 200), (9, 200), (0.1, 200), (0.1, 502), (1, 200)):
        one.judge(seconds, status, "")
    assert (one.reason, one.slowest) == ("", 9)
    one.judge(7, 200, "")
    one.judge(0.1, 502, "Bad Gateway")
    one.judge(0.1, 200, "")
    assert one.reason == "the site no longer serves its users well: /healthz answers 502, 2 times in a row"


def test_the_site_is_watched_until_the_end(monkeypatch):
    monkeypatch.setattr(load, "SECONDS_BETWEEN_CHECKS", 0.001)
    seen = threading.Event()
    with watch(lambda *dummy: seen.set() or Answer(503, "", 0, None, "")) as one:
        assert seen.wait(60)
        while not one.reason:
            time.sleep(0.001)
    assert not one.thread.is_alive()
    assert not [name for name in os.listdir(os.environ["TMPDIR"]) if "benchmark" in name]

# -*- coding: utf-8 -*-
"""Load for a site: who asks for its pages, how many at once or in a second, and how long their answers take."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import math
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections import namedtuple

from ansible.module_utils.common.text.converters import to_bytes, to_native
from ansible.module_utils.omero_web_host import Problem, read
from ansible.module_utils.omero_web_http import get_once
from ansible.module_utils.omero_web_systemd import PATH

# Python 2.7 has none that nobody can set.
clock = getattr(time, "monotonic", time.time)
PERCENTILES = (50, 90, 95, 99, 100)
# Whoever fails so often would fail all others, too.
MOST_ERRORS = 10
# One answer may take so long, as ApacheBench has it.
ANSWER_TIMEOUT = 30
# More would wait for each other in Python, not for the site.
MOST_AT_ONCE = 200
MOST_PER_SECOND = 300
LONGEST_HEADER = 64 * 1024
SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_BETWEEN_CHECKS = 1
TIMES_AT_REST = 5
# One slow answer may be chance.
SLOW_IN_A_ROW = 2

# What came of some load: how many requests were answered well, how many were not, for how many seconds it lasted, and
# milliseconds by percentile.
Figures = namedtuple("Figures", "requests errors seconds percentiles")


def percentile(sorted_values, percent):
    """Return the value that so many in a hundred do not exceed: one that was measured, none in between."""
    return sorted_values[max(int(math.ceil(len(sorted_values) * percent / 100.0)), 1) - 1]


def figures_of(seconds, errors, lasted):
    """Return the figures of answers that took so many seconds each."""
    ordered = sorted(seconds)
    known = dict((str(one), round(1000 * percentile(ordered, one), 2)) for one in PERCENTILES) if ordered else {}
    return Figures(len(ordered), errors, round(lasted, 3), known)


# --- one request ------------------------------------------------------------------------------------------------------


class Asker(object):
    """Asks a place for pages, each by a connection of its own, as browsers do that come to nginx, and as ab does.

    place is as omero_web_http has it. Not by its own way: that keeps a timer and the whole answer for each request.
    """

    def __init__(self, place, host, headers, timeout=ANSWER_TIMEOUT):
        self.place, self.timeout = place, timeout
        lines = ["Host: %s" % host, "Connection: close", "User-Agent: omero-web-benchmark"]
        lines += ["%s: %s" % (name, headers[name]) for name in sorted(headers)]
        self.head = "".join("%s\r\n" % to_native(line) for line in lines)
        self.name = re.sub(r":\d+$", "", host)
        self.context = ssl.SSLContext(getattr(ssl, "PROTOCOL_TLS_CLIENT", ssl.PROTOCOL_SSLv23)) if place.tls else None
        if self.context:
            self.context.check_hostname = False
            self.context.verify_mode = ssl.CERT_NONE

    def ask(self, path):
        """Return the status of the answer, 0 where none came as a whole and in time."""
        deadline = clock() + self.timeout
        connection = None
        try:
            connection = self.connect()
            connection.sendall(to_bytes("GET %s HTTP/1.0\r\n%s\r\n" % (path, self.head)))
            return status_of(*receive(connection, deadline))
        except (EnvironmentError, ValueError):
            return 0
        finally:
            if connection is not None:
                connection.close()

    def connect(self):
        address = self.place.address
        if not isinstance(address, tuple):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(self.timeout)
            connection.connect(address)
            return connection
        connection = socket.create_connection(address, self.timeout)
        return self.context.wrap_socket(connection, server_hostname=self.name) if self.context else connection


def receive(connection, deadline):
    """Return the beginning of an answer, and the number of bytes that it has."""
    beginning, size = b"", 0
    while True:
        connection.settimeout(max(deadline - clock(), 0.001))
        part = connection.recv(65536)
        if not part:
            return beginning, size
        if len(beginning) < LONGEST_HEADER:
            beginning += part
        size += len(part)


def status_of(beginning, size):
    """Return the status of an answer, 0 of one that is cut off or none of HTTP."""
    head, end, dummy = beginning.partition(b"\r\n\r\n")
    found = re.match(br"HTTP/1\.[01] (\d{3})\b", head)
    if not found or not end:
        return 0
    length = re.search(br"(?im)^Content-Length: *(\d{1,18})\r?$", head)
    is_whole = length is None or size - len(head) - len(end) >= int(length.group(1))
    return int(found.group(1)) if is_whole else 0


# --- many requests ----------------------------------------------------------------------------------------------------


def at_once(requests):
    """Yield when each request is due, where the next one is as soon as one is answered."""
    for _ in range(requests):
        yield clock()


def at_rate(rate, requests):
    """Yield when each request is due, where so many are in a second, whether others are answered or not."""
    start = clock()
    for number in range(requests):
        yield start + number / float(rate)


class Load(object):
    """Some threads that ask for paths in turn, each at its time.

    No tool of Debian's does this: hey and h2load wait for an answer before they ask again on a connection, so that a
    site that stands still for ten seconds has one slow answer to show instead of hundreds; httperf does not, but tells
    no percentiles; and each of them has a cookie on its command line, which everybody on the host sees. Here a time
    counts from when the request was due.
    """

    def __init__(self, ask, paths, dues, seconds, is_over=lambda: False):
        self.ask, self.paths, self.dues, self.is_over = ask, paths, dues, is_over
        self.lock = threading.Lock()
        self.began = clock()
        self.deadline = self.began + seconds
        self.taken, self.seconds, self.errors, self.statuses = 0, [], 0, {}

    def run(self, threads):
        """Let so many threads ask, and return the figures."""
        workers = [threading.Thread(target=self.work) for _ in range(threads)]
        for worker in workers:
            worker.daemon = True
            worker.start()
        for worker in workers:
            worker.join()
        return figures_of(self.seconds, self.errors, clock() - self.began)

    def work(self):
        for due, path in iter(self.take, None):
            time.sleep(max(due - clock(), 0))
            status = self.ask(path)
            took = clock() - due
            with self.lock:
                if 200 <= status < 300:
                    self.seconds.append(took)
                else:
                    self.errors += 1
                    self.statuses[status] = self.statuses.get(status, 0) + 1

    def take(self):
        """Return when the next request is due, and for what; None if there is none."""
        with self.lock:
            if self.errors >= MOST_ERRORS or self.is_over() or clock() > self.deadline:
                return None
            due = next(self.dues, None)
            if due is None or due > self.deadline:
                return None
            self.taken += 1
            return due, self.paths[(self.taken - 1) % len(self.paths)]


# --- ApacheBench ------------------------------------------------------------------------------------------------------


class ApacheBench(object):
    """The benchmark of OMERO.web's own documentation: for pages that anybody may see, so that no cookie is shown."""

    def __init__(self, url, host):
        self.url, self.host = url, host

    def command(self, path, concurrency, requests, seconds, table):
        # -n after -t, which would ask for 50000. -r: an answer that does not come is counted, and no end of it all.
        return ["ab", "-q", "-r", "-s", str(ANSWER_TIMEOUT), "-t", str(seconds), "-n", str(max(requests, concurrency)),
                "-c", str(concurrency), "-H", "Host: " + self.host, "-e", table, self.url + path]

    def run(self, path, concurrency, requests, seconds, is_over=lambda: False):
        """Return the figures of a run, which ends early once it is over."""
        directory = tempfile.mkdtemp(prefix="omero-web-benchmark-")
        table = os.path.join(directory, "percentiles")
        command = self.command(path, concurrency, requests, seconds, table)
        try:
            with tempfile.TemporaryFile() as output:
                code = end_of(command, output, seconds + ANSWER_TIMEOUT, is_over)
                output.seek(0)
                text = to_native(output.read(), errors="surrogate_or_replace")
            return figures_of_ab(code, text, to_native(read(table) or b""))
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def end_of(command, output, seconds, is_over):
    """Run a command until it ends or is to, and return its code. ApacheBench tells what it has at an interrupt."""
    environment = dict(os.environ, LC_ALL="C", PATH=PATH)
    try:
        process = subprocess.Popen(command, stdin=open(os.devnull, "rb"), stdout=output, stderr=output,
                                   close_fds=True, cwd="/", env=environment, preexec_fn=be_interruptible)
    except OSError as error:
        raise Problem("%s: %s" % (command[0], error.strerror))
    deadline = clock() + seconds
    while process.poll() is None and clock() < deadline and not is_over():
        time.sleep(SECONDS_BETWEEN_LOOKS)
    for last in signal.SIGINT, signal.SIGKILL:
        if process.poll() is None:
            process.send_signal(last)
            deadline = clock() + 5
            while process.poll() is None and clock() < deadline:
                time.sleep(SECONDS_BETWEEN_LOOKS)
    return process.wait()


def be_interruptible():
    """What is begun in the background of a shell ignores interrupts, and leaves that to all that it begins."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def figures_of_ab(code, text, table):
    """Return the figures that ApacheBench tells; its table of percentiles has fractions of a millisecond."""
    completed = number_in(r"(?m)^Complete requests: +(\d+)", text)
    lasted = number_in(r"(?m)^Time taken for tests: +([\d.]+)", text)
    if completed is None or lasted is None:
        complaint = " ".join(text.split())[-200:]
        raise Problem("ab: %s" % (complaint or "it ended with code %d and said nothing" % code))
    failed = sum(int(one) for one in re.findall(r"(?:Connect|Receive|Exceptions): (\d+)", text))
    refused = int(number_in(r"(?m)^Non-2xx responses: +(\d+)", text) or 0)
    errors = min(failed + refused, int(completed))
    return Figures(int(completed) - errors, errors, lasted, percentiles_of_ab(text, table, int(completed)))


def number_in(pattern, text):
    found = re.search(pattern, text)
    return float(found.group(1)) if found else None


def percentiles_of_ab(text, table, completed):
    """Return the percentiles of its table. Of few requests, ApacheBench takes the last ones from past the end of its
    times, where anything may be; and the longest time it tells in whole milliseconds."""
    found = [(int(percent), float(ms)) for percent, ms in re.findall(r"(?m)^(\d+),([\d.]+)$", table)]
    known = dict((percent, ms) for percent, ms in found if int(0.5 + completed * percent / 100.0) < completed)
    if not known:
        return {}
    longest = max(list(known.values()) + [number_in(r"(?m)^ *100% +(\d+)", text) or 0])
    return dict((str(one), round(known.get(one, longest), 2)) for one in PERCENTILES)


# --- the site meanwhile -----------------------------------------------------------------------------------------------


class Watch(object):
    """Whether the site still serves its users: asks as a balancer does, and says what is wrong with the answers."""

    def __init__(self, place, path, host, patience, ask=get_once):
        self.place, self.path, self.host, self.patience, self.ask_site = place, path, host, patience, ask
        self.slow, self.reason, self.slowest = 0, "", 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.daemon = True

    def ask(self):
        began = clock()
        answer = self.ask_site(self.place, self.path, self.host, self.patience + 1)
        return clock() - began, answer.status, answer.reason

    def rest(self):
        """Return how long an answer takes before there is any load, in seconds; a site in need is not measured."""
        times = []
        for _ in range(TIMES_AT_REST):
            seconds, status, reason = self.ask()
            if status != 200 or seconds > self.patience:
                raise Problem("The site is not well before any load: %s" % self.fault(seconds, status, reason))
            times.append(seconds)
        return percentile(sorted(times), 50)

    def fault(self, seconds, status, reason):
        if status == 200:
            return "%s took %.1f s" % (self.path, seconds)
        return "%s %s" % (self.path, "answers %d" % status if status else "gives no answer (%s)" % reason)

    def watch(self):
        while not self.ended.wait(SECONDS_BETWEEN_CHECKS):
            self.judge(*self.ask())

    def judge(self, seconds, status, reason):
        self.slowest = max(self.slowest, seconds)
        self.slow = self.slow + 1 if status != 200 or seconds > self.patience else 0
        if self.slow == SLOW_IN_A_ROW:
            self.reason = self.reason or "the site no longer serves its users well: %s, %d times in a row" % (
                self.fault(seconds, status, reason), SLOW_IN_A_ROW)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *dummy):
        self.ended.set()
        self.thread.join(self.patience + 2)

"""Users of a site, for tests of what they notice of a change: visitors at a constant rate, and a slow download."""

import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections import namedtuple
from hashlib import sha256
from http.client import HTTPConnection, HTTPException, IncompleteRead
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

LOCUSTFILE = Path(__file__).with_name("resources") / "locustfile.py"
# From where it takes what it knows of users, and of what the stand-in for OMERO.server has.
KNOWLEDGE = Path(__file__).parent, Path(__file__).parents[1] / "tests/omero-server"

# Test hosts have certificates that nobody has issued.
UNVERIFIED = ssl._create_unverified_context()

# So much that buffers on the way hold a part at most.
BLOCK = 65536
BLOCKS = 512

Failure = namedtuple("Failure", "time path status error title")


class Users:
    """They come when a block begins and go when it ends; what they met with is known then.

    Every other visitor has the session of a logged-in user, if there is one, and then some log in themselves; these are
    the options of locustfile.py.

    failures  requests of visitors that were not answered as they should be
    download  the one that was under way all the time
    figures   how many requests and failures; the median, the 99th percentile and the slowest of the answers, and the
              latest start, which tells whether the rate was kept, in milliseconds; the seconds that the block took
    """

    def __init__(self, directory, site, download, **options):
        self.records = directory / "requests.jsonl"
        self.log = directory / "locust.log"
        self.visitors = ["locust", f"--locustfile={LOCUSTFILE}", f"--host={site}", f"--records={self.records}"]
        self.visitors += [f"--{name}={value}" for name, value in options.items()]
        self.download = download

    def __enter__(self):
        self.records.unlink(missing_ok=True)
        with self.log.open("w") as log:
            environment = {**os.environ, "PYTHONPATH": ":".join(map(str, KNOWLEDGE))}
            self.locust = subprocess.Popen(self.visitors, env=environment, stdout=log, stderr=log)
        while not (self.records.exists() and self.records.stat().st_size):
            assert self.locust.poll() is None, self.log.read_text()
            # Until the first visitor has been answered.
            time.sleep(0.1)
        self.download.start()
        self.start = time.monotonic()
        return self

    def answers(self):
        """How many requests have been answered by now, well or not."""
        return len(self.records.read_text().splitlines())

    def failed(self):
        """How many of them, not as they should be."""
        return self.records.read_text().count('"error": "')

    def leave(self):
        """Let the visitors go before the block ends: what follows is not for them to see."""
        self.locust.send_signal(signal.SIGTERM)
        self.locust.wait()

    def __exit__(self, *_):
        seconds = time.monotonic() - self.start
        self.leave()
        self.download.finish()
        records = [json.loads(line) for line in self.records.read_text().splitlines()]
        self.failures = [Failure(*map(record.get, Failure._fields)) for record in records if record["error"]]
        answers = sorted(record["seconds"] for record in records)
        self.figures = {
            "requests": len(records),
            "failed": len(self.failures),
            "median": round(1000 * answers[len(answers) // 2]),
            "p99": round(1000 * answers[len(answers) * 99 // 100]),
            "slowest": round(1000 * answers[-1]),
            "latest": round(1000 * max(record["late"] for record in records)),
            "seconds": round(seconds, 1),
        }


def blocks_of_the_test_app():
    """What it makes of the numbers of the blocks."""
    for number in range(BLOCKS):
        pattern = sha256(b"%d" % number).digest()
        yield pattern * (BLOCK // len(pattern))


class Download(Thread):
    """A download that takes a block a second, and all the rest at once when it is told to finish."""

    def __init__(self, url, content=blocks_of_the_test_app, session=""):
        super().__init__()
        self.url, self.content, self.session = urlsplit(url), content, session
        self.is_under_way, self.is_in_a_hurry = Event(), Event()
        self.is_abandoned = False
        self.received, self.error = sha256(), None

    def start(self):
        super().start()
        self.is_under_way.wait()

    def run(self):
        try:
            for block in self.blocks():
                if self.is_abandoned:
                    break
                self.received.update(block)
                self.is_under_way.set()
                self.is_in_a_hurry.wait(1)
        except (OSError, HTTPException) as error:
            self.error = error
        self.is_under_way.set()

    def blocks(self):
        address = self.url.hostname, self.url.port or {"http": 80, "https": 443}[self.url.scheme]
        connection = HTTPConnection(*address)
        connection.sock = socket.socket()
        # Small, or this end would take in megabytes before anybody asks for them.
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BLOCK)
        connection.sock.settimeout(60)
        connection.sock.connect(address)
        if self.url.scheme == "https":
            connection.sock = UNVERIFIED.wrap_socket(connection.sock)
        headers = {"Cookie": f"sessionid={self.session}"} if self.session else {}
        connection.request("GET", f"{self.url.path}?{self.url.query}", headers=headers)
        response = connection.getresponse()
        while block := response.read(BLOCK):
            yield block
        # It does not complain by itself where it was asked for so many bytes.
        if response.length:
            raise IncompleteRead(b"", response.length)

    def finish(self):
        self.is_in_a_hurry.set()
        self.join()

    def abandon(self):
        """Go away in the middle of it."""
        self.is_abandoned = True
        self.finish()

    @property
    def is_complete(self):
        """Whether all bytes arrived, and no others."""
        sent = sha256()
        for block in self.content():
            sent.update(block)
        return self.received.digest() == sent.digest()

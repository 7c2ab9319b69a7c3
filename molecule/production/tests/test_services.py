"""Services at paths of the site, by the hooks of nginx: one with a cache of its own, and OMERO.server by WebSockets."""

import json
from threading import Event, Thread

import pytest
from conftest import NAME, USER, exhaustive, wait_until

# A service that says who asks, and how often it was asked.
SERVICE = """
import http.server, itertools, json
numbers = itertools.count(1)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        said = {"number": next(numbers), "path": self.path, "headers": dict(self.headers)}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("127.0.0.1", 8090), Handler).serve_forever()
"""
# Log in, and ask who it is from then on, by the same connection; it says whether it is.
CLIENT = """
import sys, time, omero.clients
client = omero.client("wss://127.0.0.1/omero-ws")
session = client.createSession(*sys.argv[1:])
connection = session.ice_getConnection()
while True:
    context = session.getAdminService().getEventContext()
    print(context.userId, session.ice_getConnection() == connection, connection.type(), flush=True)
    time.sleep(0.1)
"""


@pytest.fixture
def service(host):
    host.check_output("find /var/cache/tiles -type f -delete")
    host.check_output("systemd-run --collect --unit=tiles python3 -c %s", SERVICE)
    wait_until(lambda: host.socket("tcp://127.0.0.1:8090").is_listening)
    yield
    host.check_output("systemctl stop tiles")


@pytest.fixture
def tile(ask, service):
    """What the service says to somebody who asks with these headers."""

    def tile(path, **headers):
        answer = ask(f"/tiles{path}", **headers)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    return tile


def test_service_is_asked_once_by_each_session(tile):
    users = [
        {},
        {"Cookie": "sessionid=ann"},
        {"Cookie": "sessionid=bob"},
        # One of these may count for nginx, and the other for the service.
        {"Cookie": "sessionid=ann; sessionid=bob"},
        {"Authorization": "Bearer ann"},
    ]
    first = [tile("/1/?z=1", **headers) for headers in users]
    assert [one["path"] for one in first] == ["/1/?z=1"] * len(users)
    assert [one["headers"].get("Cookie") for one in first] == [headers.get("Cookie") for headers in users]
    assert len({one["number"] for one in first}) == len(users), "none was given what another was"
    assert [tile("/1/?z=1", **headers) for headers in users] == first
    assert tile("/1/?z=2")["number"] > first[-1]["number"]


def test_service_learns_what_omero_web_does(tile, variables):
    headers = tile("/2/")["headers"]
    assert (headers["Host"], headers["X-Forwarded-Proto"]) == (variables["ansible_host"], "https")
    assert headers["X-Forwarded-For"]
    upgraded = tile("/3/", Upgrade="websocket", Connection="Upgrade")["headers"]
    assert (upgraded["Upgrade"], upgraded["Connection"]) == ("websocket", "upgrade")


def test_site_does_without_a_service(ask, login):
    assert ask("/tiles/1/").status == 502
    assert login().status == 200


@exhaustive
def test_service_answers_throughout_a_change(play, tile):
    is_over, numbers = Event(), []

    def look():
        while not is_over.is_set():
            numbers.append(tile(f"/{len(numbers)}/")["number"])

    thread = Thread(target=look)
    thread.start()
    try:
        code, output = play(omero_web_max_upload_mb=1000)
    finally:
        is_over.set()
        thread.join()
    assert code == 0, output
    assert len(numbers) > 20 and numbers == sorted(set(numbers))
    code, output = play()
    assert code == 0, output


@pytest.fixture
def client(host, generation, basedir, passwords):
    """A client that is not OMERO.web, which OMERO.server knows as a user; what it has said so far."""
    python = f"{basedir}/generations/{generation}/release/venv/bin/python"
    host.check_output(
        f"systemd-run --collect --unit=omero-client --property=DynamicUser=yes --setenv=HOME=/tmp {python} -c %s %s %s",
        CLIENT, NAME, passwords[NAME],
    )  # fmt: skip
    invocation = host.check_output("systemctl show --property=InvocationID --value omero-client")
    journal = f"journalctl --quiet --output=cat _SYSTEMD_INVOCATION_ID={invocation}"
    yield lambda: host.check_output(journal).splitlines()
    host.run("systemctl stop omero-client")


def test_client_by_websockets_outlives_a_change(host, client):
    line = f"{USER} True wss"
    wait_until(lambda: line in client())
    host.check_output("systemctl reload nginx")
    before = len(client())
    wait_until(lambda: len(client()) > before + 20)
    assert {*client()} == {line}
    assert host.service("omero-client").is_running, "its connection was not cut"

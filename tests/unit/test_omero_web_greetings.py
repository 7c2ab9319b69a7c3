"""Who is at a port: real sockets, and somebody behind them who greets, answers, is silent or is somebody else."""



import json
import os
import socket
import ssl
import subprocess
import threading
import time

import pytest
from ansible.module_utils import omero_web_greetings
from ansible.module_utils.omero_web_greetings import reach_servers, reach_store, servers_in, store_in

# As OMERO.server sends it: magic, protocol and encoding 1.0, the type validate connection, no compression, 14 bytes.
GREETING = b"IceP\x01\x00\x01\x00\x03\x00\x0e\x00\x00\x00"
NOT_ICE = "it does not greet as an OMERO.server does"
NOT_TLS = "it does not speak TLS"


@pytest.fixture(scope="module", name="certificate")
def certificate_with_key(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("tls") / "own.pem")
    with open(os.devnull, "wb") as nowhere:
        subprocess.check_call(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                               "-subj", "/CN=a", "-keyout", path, "-out", path], stderr=nowhere)
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(omero_web_greetings, "TIMEOUT", 0.5)


@pytest.fixture(name="listen")
def listen_with(certificate):
    """Let somebody listen who does something with each connection; where."""
    opened = []

    def listen(serve, tls=False, path=None):
        server = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        server.bind(path or ("127.0.0.1", 0))
        server.listen(5)
        opened.append(server)
        context = ssl.SSLContext(getattr(ssl, "PROTOCOL_TLS_SERVER", ssl.PROTOCOL_SSLv23))
        context.load_cert_chain(certificate)

        def run():
            while True:
                try:
                    connection = server.accept()[0]
                    opened.append(connection)
                    serve(context.wrap_socket(connection, server_side=True) if tls else connection)
                except (OSError, ValueError):
                    if server.fileno() < 0:
                        return

        thread = threading.Thread(target=run)
        thread.daemon = True
        thread.start()
        return path or server.getsockname()[1]

    yield listen
    for one in opened:
        one.close()


def greet(connection):
    connection.sendall(GREETING)
    connection.recv(1)


def answer_as_http(connection):
    connection.recv(10)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    connection.close()


def be_silent(connection):
    connection.recv(100000)


def reached(*servers):
    return [(one["reason"], one["is_another"]) for one in reach_servers(list(servers))]


def test_omero_server_that_greets(listen):
    plain, tls = listen(greet), listen(greet, tls=True)
    assert reached(("tcp://127.0.0.1", plain, "a"), ("127.0.0.1", tls, "b"), ("ssl://127.0.0.1", tls, "c")) == [
        ("", False), ("", False), ("", False)]
    found = reach_servers([("tcp://127.0.0.1", plain, "a")])[0]
    assert (found["server"], found["port"], found["name"]) == ("tcp://127.0.0.1", plain, "a")
    assert 0 <= found["milliseconds"] < 500


def test_greeting_that_comes_in_pieces(listen):
    def trickle(connection):
        for byte in (b"I", b"c", b"e", b"P"):
            connection.sendall(byte)
            time.sleep(0.01)

    assert reached(("tcp://127.0.0.1", listen(trickle), "a")) == [("", False)]


@pytest.mark.parametrize("scheme, serve, tls, reason", [
    ("tcp://", answer_as_http, False, NOT_ICE),
    ("tcp://", be_silent, False, NOT_ICE),
    ("tcp://", lambda connection: connection.sendall(b"SSH-2.0-OpenSSH"), False, NOT_ICE),
    ("ssl://", answer_as_http, True, NOT_ICE),
    ("ssl://", be_silent, True, NOT_ICE),
    ("ssl://", answer_as_http, False, NOT_TLS),
    ("ssl://", be_silent, False, NOT_TLS),
    ("", greet, False, NOT_TLS),
    ("wss://", greet, False, NOT_TLS),
])  # fmt: skip
def test_who_is_no_omero_server(listen, scheme, serve, tls, reason):
    assert reached((scheme + "127.0.0.1", listen(serve, tls=tls), "a")) == [(reason, True)]


def test_of_web_sockets_only_a_login_tells(listen):
    plain, tls = listen(be_silent), listen(be_silent, tls=True)
    assert reached(("ws://127.0.0.1/ws", plain, "a"), ("wss://127.0.0.1/ws", tls, "b")) == [("", False), ("", False)]


def test_who_refuses_by_tls_speaks_tls(listen, monkeypatch):
    class Refusal:
        def tls_over(self, *_):
            raise ssl.SSLError(1, "[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] sslv3 alert handshake failure")

    monkeypatch.setattr(omero_web_greetings, "tls_over", Refusal().tls_over)
    assert reached(("127.0.0.1", listen(be_silent), "a")) == [("", False)]


def test_nobody_is_there():
    strange = [("127.0.0.1", 9, "a"), ("ws://127.0.0.1/ws", 9, "b"), ("a..b", 4064, "c"), ("127.0.0.1", 70000, "d")]
    found = reached(*strange)
    assert found[:2] == [("Connection refused", False)] * 2
    assert not any(is_another for _, is_another in found)
    assert not {"", "timed out"} & {reason for reason, _ in found}


def test_dead_servers_do_not_add_up(listen):
    port = listen(be_silent)
    began = time.time()
    assert reached(*[("tcp://127.0.0.1", port, str(number)) for number in range(5)]) == [(NOT_ICE, True)] * 5
    # One after the other, it would be five times the timeout.
    assert time.time() - began < 5 * 0.5


def test_nobody_waits_for_a_name_for_long(monkeypatch):
    ended = threading.Event()
    monkeypatch.setattr(omero_web_greetings, "reach", lambda *_: ended.wait(60))
    assert reached(("a", 1, "a"), ("b", 1, "b")) == [("timed out", False)] * 2
    ended.set()


def test_servers_of_a_configuration():
    assert servers_in({}) == [("localhost", 4064, "omero")]
    assert servers_in({"omero.web.server_list": '[["a", 4064, "one"], ["wss://b/ws", "443", "two"]]'}) == [
        ("a", 4064, "one"),
        ("wss://b/ws", 443, "two"),
    ]
    for strange in "[", "[7]", '[["a"]]':
        assert servers_in({"omero.web.server_list": strange}) == []


# --- Redis ------------------------------------------------------------------------------------------------------------


def redis(password=None, greeting=b""):
    """Somebody who answers as a Redis does, with a password or without one."""

    def serve(connection):
        asked = connection.recv(1000)
        if greeting:
            connection.sendall(greeting)
        elif password is None:
            connection.sendall(b"-ERR no password is set\r\n" if b"AUTH" in asked else b"+PONG\r\n")
        elif b"AUTH" not in asked:
            connection.sendall(b"-NOAUTH Authentication required.\r\n")
        else:
            is_right = b"$%d\r\n%s\r\n" % (len(password), password) in asked
            connection.sendall(b"+OK\r\n+PONG\r\n" if is_right else b"-WRONGPASS invalid\r\n-NOAUTH\r\n")
        connection.recv(1)

    return serve


@pytest.mark.parametrize("own, given, reason", [
    (None, "", ""),
    (b" s3cr\r\nt\n", " s3cr\r\nt\n", ""),
    (b"s3cret", "", "it answers -NOAUTH Authentication required."),
    (None, "s3cret", "it answers -ERR no password is set"),
])  # fmt: skip
def test_redis_with_its_password(listen, own, given, reason):
    port = listen(redis(own))
    where = "127.0.0.1:%d" % port
    assert reach_store("redis://%s/0" % where, given) == {"where": where, "reason": reason}


def test_redis_by_tls_and_by_a_unix_socket(listen, tmp_path):
    path = listen(redis(b"x"), path=str(tmp_path / "redis.sock"))
    assert reach_store("unix://%s?db=0" % path, "x") == {"where": path, "reason": ""}
    port = listen(redis(b"x"), tls=True)
    assert reach_store("rediss://:x@127.0.0.1:%d/0" % port, "")["reason"] == ""
    assert reach_store("unix:///nowhere/redis.sock", "") == {
        "where": "/nowhere/redis.sock", "reason": "No such file or directory"}


def test_who_is_no_redis(listen):
    where = "127.0.0.1:%d"
    port = listen(answer_as_http)
    assert reach_store("redis://" + where % port, "")["reason"] == "it does not answer as a Redis does"
    port = listen(redis(greeting=b"-LOADING Redis is loading\r\n"))
    assert reach_store("redis://" + where % port, "")["reason"] == "it answers -LOADING Redis is loading"
    assert reach_store("redis://127.0.0.1:9", "") == {"where": "127.0.0.1:9", "reason": "Connection refused"}
    assert reach_store("", "") == {}


def test_redis_of_a_configuration():
    caches = {"default": {"LOCATION": "redis://a:7/1", "OPTIONS": {"PASSWORD": "x"}}}
    properties = {"omero.web.session_engine": "django.contrib.sessions.backends.cache",
                  "omero.web.caches": json.dumps(caches)}
    assert store_in(properties) == ("redis://a:7/1", "x")
    assert store_in(dict(properties, **{"omero.web.session_engine": "omeroweb.filesessionstore"})) == ("", "")
    for strange in ("", "[", "[]", '{"default": 7}', '{"default": {"LOCATION": 7}}', '{"default": {"LOCATION": []}}',
                    '{"default": {"LOCATION": "redis://a:x"}}', '{"default": {"LOCATION": "/var/tmp/cache"}}'):
        assert store_in(dict(properties, **{"omero.web.caches": strange})) == ("", ""), strange

# -*- coding: utf-8 -*-
"""What OMERO.web is asked over HTTP, and of whom."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import socket
import ssl
import subprocess
import threading
import time

import pytest
from ansible.module_utils.omero_web_http import LONGEST, Answer, Place, ask, get, get_once, host_and_port, place_of
from ansible.module_utils.six.moves.BaseHTTPServer import BaseHTTPRequestHandler, HTTPServer

NAME = "omero.example.org"
PAGES = {
    "/": (200, {"Omero-Web-Generation": "7"}),
    "/odd": (200, {"Omero-Web-Generation": "seven"}),
    "/moved": (302, {"Location": "/"}),
    "/moved/far": (301, {"Location": "http://%s/moved" % NAME}),
    "/away": (302, {"Location": "http://elsewhere.example.org/"}),
    "/round": (302, {"Location": "/round"}),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, headers = PAGES.get(self.path, (404, {}))
        self.send_response(status)
        for name in headers:
            self.send_header(name, headers[name])
        page = ("%s of %s" % (self.path, self.headers["Host"])).encode("ascii")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def do_POST(self):
        form = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Set-Cookie", "a=1; Path=/")
        self.send_header("Set-Cookie", "b=2, 3")
        self.send_header("Content-Type", "Text/Plain; charset=utf-8")
        self.end_headers()
        self.wfile.write(("%s as %s: " % (self.path, self.headers["X-As"])).encode("ascii") + form)

    def log_message(self, *dummy):
        pass

    def address_string(self):
        return ""


class UnixServer(HTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self):
        self.socket.bind(self.server_address)


def served(server):
    thread = threading.Thread(target=server.serve_forever)
    thread.daemon = True
    thread.start()
    return server


@pytest.fixture(name="server")
def tcp_server():
    server = served(HTTPServer(("127.0.0.1", 0), Handler))
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(name="place")
def tcp_place(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    return Place(server.server_address, False)


@pytest.fixture(name="certificate", scope="module")
def certificate_of_another_name(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("tls") / "self-signed.pem")
    with open(os.devnull, "w") as nothing:
        subprocess.check_call(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other",
                               "-keyout", path, "-out", path], stdout=nothing, stderr=nothing)
    return path


def with_tls(listening, certificate):
    context = ssl.SSLContext(getattr(ssl, "PROTOCOL_TLS_SERVER", ssl.PROTOCOL_SSLv23))
    context.load_cert_chain(certificate)
    return context.wrap_socket(listening, server_side=True)


def one_visit(listening, answer):
    """Answer one visitor, who may leave while they are answered, and nobody else."""
    def visit():
        connection = listening.accept()[0]
        try:
            answer(connection)
        except EnvironmentError:
            return
        finally:
            connection.close()

    thread = threading.Thread(target=visit)
    thread.daemon = True
    thread.start()
    return thread


def test_answer(place):
    assert get_once(place, "/", NAME, 5) == Answer(200, "OK", 7, None, "/ of " + NAME)
    assert get_once(place, "/odd", NAME, 5).generation == 0
    assert get_once(place, "/nothing", NAME, 5).status == 404


def test_form(place):
    reply = ask(place, "POST", "/form?b=c", NAME, 5, {"X-As": "me"}, b"\xff=1")
    assert (reply.status, reply.kind, reply.cookies) == (200, "text/plain", ["a=1; Path=/", "b=2, 3"])
    assert reply.content == b"/form?b=c as me: \xff=1"


@pytest.mark.parametrize("content, length, status", [
    (1000, 1000, 200), (1000, 1001, 0), (LONGEST + 10, LONGEST + 99, 200)])
def test_answer_that_breaks_off(content, length, status):
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(1)

    def answer(connection):
        connection.recv(1000)
        connection.sendall(("HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % length).encode("ascii"))
        connection.sendall(b"x" * content)

    thread = one_visit(listening, answer)
    reply = ask(Place(listening.getsockname(), False), "GET", "/", NAME, 5)
    assert reply.status == status
    assert len(reply.content) == (min(content, LONGEST) if status else 0)
    assert status or "broke off" in reply.reason or "IncompleteRead" in reply.reason
    thread.join()
    listening.close()


@pytest.mark.parametrize("path, status", [("/moved", 200), ("/moved/far", 200), ("/away", 302), ("/round", 302)])
def test_redirects_are_followed_within_the_site(place, path, status):
    assert get(place, path, NAME, 5).status == status
    assert get_once(place, path, NAME, 5).status in (301, 302)


def test_nobody_answers(server, place):
    server.shutdown()
    server.server_close()
    answer = get(place, "/", NAME, 5)
    assert (answer.status, answer.generation) == (0, 0)
    assert "refused" in answer.reason


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("start", [b"", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.0 200 OK\r\nOmero-Web-Generation: 7\r\n\r\n"])
def test_answer_that_does_not_end(start, tls, certificate):
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(1)
    if tls:
        listening = with_tls(listening, certificate)

    def answer(connection):
        connection.sendall(start)
        # A status line without an end, or headers, or the body: more comes before anybody could call it late.
        letters = b"x: 1\r\n" if start else b"x"
        for number in range(600):
            connection.sendall(letters[number % len(letters):][:1])
            time.sleep(0.1)

    one_visit(listening, answer)
    answer = get_once(Place(listening.getsockname(), tls), "/", NAME, 0.5)
    assert (answer.status, answer.generation) == (0, 0)
    assert answer.reason == "timed out"
    listening.close()


def test_unix_socket(tmp_path):
    path = str(tmp_path / "socket")
    server = served(UnixServer(path, Handler))
    assert get(Place(path, False), "/moved", NAME, 5).body == "/ of " + NAME
    server.shutdown()
    server.server_close()
    assert get(Place(str(tmp_path / "none"), False), "/", NAME, 5).status == 0


def test_certificate_of_another_name(certificate):
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = with_tls(server.socket, certificate)
    served(server)
    assert get(Place(server.server_address, True), "/", NAME, 5).generation == 7
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("url, address, tls, path", [
    ("http://127.0.0.1:80/omero", ("127.0.0.1", 80), False, "/omero"),
    ("https://127.0.0.1", ("127.0.0.1", 443), True, ""),
    ("http://[::1]:4080", ("::1", 4080), False, ""),
])
def test_place_of(url, address, tls, path):
    assert place_of(url) == (Place(address, tls), path)


def test_host_and_port():
    assert host_and_port("127.0.0.1:4080") == ("127.0.0.1", 4080)
    assert host_and_port("[::1]:4080") == ("::1", 4080)

# -*- coding: utf-8 -*-
"""One question to OMERO.web over HTTP, asked of a certain address or unix socket, through no proxy."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re
import socket
import ssl
import threading
from collections import namedtuple

try:
    from http.client import HTTPConnection, HTTPException
    from urllib.parse import urljoin, urlsplit
except ImportError:  # Python 2.7
    from httplib import HTTPConnection, HTTPException
    from urlparse import urljoin, urlsplit

# The header by which a generation says that it was the one who answered.
GENERATION = "Omero-Web-Generation"
MOVED = (301, 302, 303, 307, 308)
REDIRECTS = 5
# Below the prefix.
LOGIN_PAGE = "/webclient/login/"
LONGEST = 4 * 1024 * 1024

# status is 0 where nobody answered, and reason says why; generation is 0 where the answer does not say.
Answer = namedtuple("Answer", "status reason generation location body")
# The same of a request that may have more to it: kind is the type of the content, cookies are as they were set.
Reply = namedtuple("Reply", "status reason generation location kind cookies content")
# Where to ask: address is (host, port), or the path of a unix socket.
Place = namedtuple("Place", "address tls")


def place_of(url):
    """Return where a URL is served, and the path that it has there."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Place((parts.hostname, port), parts.scheme == "https"), parts.path


def host_and_port(address):
    """Split 127.0.0.1:4080 or [::1]:4080."""
    host, port = address.rsplit(":", 1)
    return host.strip("[]"), int(port)


def tls_over(connection, name, ciphers=()):
    """Speak TLS on a connection with whomever it is to, whatever certificate they have.

    ciphers are choices of them, of which the first is taken that this OpenSSL understands.
    """
    context = ssl.SSLContext(getattr(ssl, "PROTOCOL_TLS_CLIENT", ssl.PROTOCOL_SSLv23))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for choice in ciphers:
        try:
            context.set_ciphers(choice)
            break
        except ssl.SSLError:
            pass
    return context.wrap_socket(connection, server_hostname=name)


class _Connection(HTTPConnection):
    """A connection to a place, whatever name the request has for it, that ends when its time is up.

    The timeout of a socket is for each of its reads: whoever says a little now and then could keep us for ever.
    """

    def __init__(self, place, name, timeout):
        HTTPConnection.__init__(self, "localhost", timeout=timeout)
        self.place, self.name = place, name
        self.handle, self.is_late = None, False
        self.timer = threading.Timer(timeout, self.end)
        self.timer.daemon = True
        self.timer.start()

    def end(self):
        self.is_late = True
        try:
            self.handle.shutdown(socket.SHUT_RDWR)
        except (AttributeError, EnvironmentError):
            pass  # It was not open yet, which has the same time, or is so no longer.

    def finish(self):
        self.timer.cancel()
        self.close()
        if self.handle:
            self.handle.close()

    def connect(self):
        if isinstance(self.place.address, tuple):
            self.sock = socket.create_connection(self.place.address, self.timeout)
        else:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            self.sock.connect(self.place.address)
        # Its own, for that of the connection goes over to TLS, and is closed early.
        self.handle = socket.fromfd(self.sock.fileno(), self.sock.family, self.sock.type)
        if self.place.tls:
            # The host asks itself, by a number that no certificate is for.
            self.sock = tls_over(self.sock, re.sub(r":\d+$", "", self.name))


def ask(place, method, path, name, timeout, headers=None, body=None):
    """Ask a place for a path of the site of that name, in one request; the content is cut off at LONGEST."""
    connection = _Connection(place, name, timeout)
    fixed = {"Host": name, "Connection": "close", "User-Agent": "omero-web"}
    try:
        connection.request(method, path, body, dict(headers or {}, **fixed))
        response = connection.getresponse()
        content = response.read(LONGEST)
        if connection.is_late:
            raise socket.timeout("timed out")
        if len(content) < min(int(response.getheader("Content-Length") or 0), LONGEST):
            raise ValueError("the answer broke off")
        generation = response.getheader(GENERATION) or ""
        return Reply(
            status=response.status,
            reason=response.reason,
            generation=int(generation) if generation.isdigit() else 0,
            location=response.getheader("Location"),
            kind=(response.getheader("Content-Type") or "").split(";")[0].strip().lower(),
            cookies=_all_of(response.msg, "Set-Cookie"),
            content=content,
        )
    except (EnvironmentError, HTTPException, ValueError) as error:
        reason = "timed out" if connection.is_late else str(error) or type(error).__name__
        return Reply(0, reason, 0, None, "", [], b"")
    finally:
        connection.finish()


def _all_of(message, name):
    # Python 2.7 has another name for it.
    return (message.get_all(name) if hasattr(message, "get_all") else message.getheaders(name)) or []


def get_once(place, path, name, timeout):
    """Ask a place for a path of the site of that name."""
    reply = ask(place, "GET", path, name, timeout)
    body = reply.content.decode("utf-8", "replace")
    return Answer(reply.status, reply.reason, reply.generation, reply.location, body)


def get(place, path, name, timeout):
    """Ask as get_once does, and go where the site itself sends us, but to no other site."""
    for _ in range(REDIRECTS):
        answer = get_once(place, path, name, timeout)
        there = urlsplit(urljoin("//%s%s" % (name, path), answer.location or ""))
        if answer.status not in MOVED or not answer.location or there.netloc != name:
            return answer
        path = there.path + ("?" + there.query if there.query else "")
    return answer

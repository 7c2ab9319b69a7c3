# -*- coding: utf-8 -*-
"""Who is at a port: an OMERO.server by the greeting of its protocol, a Redis by its answer, TLS by its handshake."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import re
import socket
import ssl
import threading
import time

from ansible.module_utils.common.text.converters import to_bytes, to_native
from ansible.module_utils.omero_web_http import tls_over

try:
    from urllib.parse import unquote, urlsplit
except ImportError:  # Python 2.7
    from urllib import unquote

    from urlparse import urlsplit

# In seconds, for a connection, and as much again for what is said on it.
TIMEOUT = 2
# Whoever accepts a connection of Ice sends a message first, which asks nothing and begins with this.
ICE = b"IceP"
# An OMERO.server may offer only ciphers without a certificate. OpenSSL before 1.1 has no levels.
ANY_CIPHERS = "ALL:aNULL:@SECLEVEL=0", "ALL:aNULL"
# How OpenSSL calls an answer that is none of TLS, or none at all.
NOT_TLS = re.compile("wrong.version.number|unknown.protocol|http.request|unexpected|eof|timed out", re.IGNORECASE)
LONGEST = 512


class Stranger(Exception):
    """Who listens speaks something else."""


def side_by_side(function, items):
    """Return what a function returns for each item, None where that takes too long: they are asked all at once.

    What a name means may take longer to find out than any timeout allows for; nobody waits for that.
    """
    found = [None] * len(items)

    def put(number, item):
        found[number] = function(*item)

    threads = [threading.Thread(target=put, args=one) for one in enumerate(items)]
    deadline = time.time() + 2 * TIMEOUT + 1
    for thread in threads:
        thread.daemon = True
        thread.start()
    for thread in threads:
        thread.join(max(0, deadline - time.time()))
    return list(found)


def connected(address):
    """Return a connection to (host, port), or to the unix socket of this path."""
    if isinstance(address, tuple):
        return socket.create_connection(address, TIMEOUT)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(TIMEOUT)
    connection.connect(address)
    return connection


def said(connection, number):
    """Return the next bytes of a connection, fewer if it ends before."""
    content = b""
    while len(content) < number:
        more = connection.recv(number - len(content))
        if not more:
            break
        content += more
    return content


def meet(address, speak):
    """Connect, and speak; return why nobody can be reached, and whether it is somebody else who was."""
    try:
        connection = connected(address)
        try:
            speak(connection)
        finally:
            connection.close()
    except Stranger as stranger:
        return str(stranger), True
    except (EnvironmentError, OverflowError, ValueError) as error:  # Of strange names and numbers, too.
        return getattr(error, "strerror", "") or str(error), False
    return "", False


# --- OMERO.server -----------------------------------------------------------------------------------------------------


def servers_in(properties):
    """Return the OMERO.servers that users can choose, as (host, port, name)."""
    try:
        listed = json.loads(properties.get("omero.web.server_list") or '[["localhost", 4064, "omero"]]')
        return [(to_native(host), int(port), to_native(name)) for host, port, name in listed]
    except (TypeError, ValueError):
        return []


def reach_servers(servers):
    """Return of each server whether it can be reached and is an OMERO.server, as far as one sees without a login."""
    late = {"reason": "timed out", "is_another": False, "milliseconds": 1000 * TIMEOUT}
    found = side_by_side(reach, servers)
    return [dict(found[number] or late, server=server, port=port, name=name)
            for number, (server, port, name) in enumerate(servers)]


def reach(server, port, _name):
    scheme, host = re.match(r"(?:(\w+)://)?(.*)", server).groups()
    # As in the URL of a web socket; an address of IPv6 stands for itself elsewhere.
    host = re.match(r"\[([^\]]*)\]|([^/:]*)", host).group(0).strip("[]") if scheme else host
    began = time.time()
    reason, is_another = meet((host, port), SPEAK[scheme])
    return {"reason": reason, "is_another": is_another, "milliseconds": int((time.time() - began) * 1000)}


def greet_by_ice(connection):
    try:
        greeting = said(connection, len(ICE))
    except (socket.timeout, ssl.SSLError) as error:
        if NOT_TLS.search(str(error)) is None:
            return  # It refuses us, by TLS.
        greeting = b""
    if greeting != ICE:
        raise Stranger("it does not greet as an OMERO.server does")


def speak_tls(connection):
    """Return a connection by TLS; None with whoever speaks TLS and refuses us."""
    try:
        return tls_over(connection, None, ANY_CIPHERS)
    except (socket.timeout, ssl.SSLError) as error:
        if NOT_TLS.search(str(error)):
            raise Stranger("it does not speak TLS")
    return None


def greet_by_tls(connection):
    spoken = speak_tls(connection)
    if spoken:
        greet_by_ice(spoken)


# Without a scheme, OMERO's client takes ssl. Of web sockets, only a login tells more.
SPEAK = {"tcp": greet_by_ice, "ssl": greet_by_tls, None: greet_by_tls, "ws": lambda _: None, "wss": speak_tls}


# --- Redis ------------------------------------------------------------------------------------------------------------


def store_in(properties):
    """Return the URL of the Redis that has the sessions, and its password; two empty texts where none has."""
    try:
        cache = json.loads(properties.get("omero.web.caches") or "{}").get("default", {})
        location = cache.get("LOCATION") or ""
        url = to_native(location[0] if isinstance(location, list) else location)
        password = to_native((cache.get("OPTIONS") or {}).get("PASSWORD") or "")
        parts = urlsplit(url)
        is_known = parts.scheme in ("redis", "rediss") and (parts.port or 6379) > 0 or parts.scheme == "unix"
    except (AttributeError, IndexError, TypeError, ValueError):
        return "", ""
    is_used = "cache" in properties.get("omero.web.session_engine", "")
    return (url, password) if is_used and is_known else ("", "")


def reach_store(url, password):
    """Return where the Redis is, without its password, and why it cannot be used; nothing without one."""
    if not url:
        return {}
    parts = urlsplit(url)
    address = parts.path if parts.scheme == "unix" else (parts.hostname, parts.port or 6379)
    words = [word for word in (unquote(parts.username or ""), password or unquote(parts.password or "")) if word]

    def ask(connection):
        if parts.scheme == "rediss":
            connection = tls_over(connection, parts.hostname)
        login = command_of_redis("AUTH", *words) if words else b""
        connection.sendall(login + command_of_redis("PING"))
        wanted = b"+OK\r\n+PONG\r\n" if words else b"+PONG\r\n"
        answer = said(connection, 1)
        if answer not in (b"+", b"-"):
            raise Stranger("it does not answer as a Redis does")
        answer += said(connection, len(wanted) - 1) if answer == b"+" else connection.recv(LONGEST)
        if answer != wanted:
            raise Stranger("it answers %s" % to_native(answer.strip().splitlines()[-1].decode("ascii", "replace")))

    reason, _ = meet(address, ask)
    where = address if parts.scheme == "unix" else "%s:%d" % address
    return {"where": where, "reason": reason}


def command_of_redis(*words):
    """Return a command in the protocol of Redis, whatever bytes its words have."""
    parts = [to_bytes(word) for word in words]
    return b"".join([b"*%d\r\n" % len(parts)] + [b"$%d\r\n%s\r\n" % (len(part), part) for part in parts])

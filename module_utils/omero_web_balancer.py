# -*- coding: utf-8 -*-
"""Which hosts a balancer sends users to: what nginx knows of them, and how a host leaves and comes back.

nginx has them in a file of its own, which says all that is remembered of them. A host that is to be left alone is a
backup there: it has no users as long as another host has, and all of them if no other answers.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import time

from ansible.module_utils.common.text.converters import to_bytes, to_native
from ansible.module_utils.omero_web_host import in_words, read, remove_file, write
from ansible.module_utils.omero_web_http import get, place_of
from ansible.module_utils.omero_web_nginx import Nginx
from ansible.module_utils.omero_web_process import Lock, in_a_process_of_its_own
from ansible.module_utils.omero_web_systemd import Commands, Systemd
from ansible.module_utils.omero_web_transaction import Host

# Of all that users ask, the share of a host that is new beside others is as 1 to this.
FULL_WEIGHT = 10
SERVER = re.compile(r"(?m)^ *server (\S+) weight=(\d+)( backup)? .*# (\S+)$")
KNOWN_UPSTREAM = re.compile(r"(?ms)^upstream (\S+) \{$(.*?)^\}$")
UPSTREAM = """\
upstream %(name)s {
    zone %(name)s 512k;
    least_conn;
%(servers)s
    keepalive 64;
}
"""
# One that does not answer is asked again after some seconds, by a request that then goes on to another.
LINE = "    server %(address)s weight=%(weight)d%(backup)s max_fails=3 fail_timeout=5s; # %(name)s"
HEADING = "# Written by omero_web_balancer, which also reads it: which hosts have users.\n"
SECONDS_OF_A_QUESTION = 5
SECONDS_BETWEEN_QUESTIONS = 0.5


# --- deciding ---------------------------------------------------------------------------------------------------------


def known_of(text):
    """Return what a file says of its hosts, by their names: the weight of each, 0 if it is out."""
    return dict((name, 0 if backup else int(weight)) for _, weight, backup, name in SERVER.findall(text))


def upstreams_in(text):
    """Return the sets of hosts that a file has."""
    return [{"name": upstream, "servers": [{"name": name, "address": address}
                                           for address, _, _, name in SERVER.findall(inner)]}
            for upstream, inner in KNOWN_UPSTREAM.findall(text)]


def text_of(upstreams, weights):
    """Return the file in which the hosts have these weights; nginx wants one that is no backup in each upstream."""
    parts = [HEADING]
    for upstream in upstreams:
        names = [server["name"] for server in upstream["servers"]]
        has_users = [name for name in names if weights[name]] or names
        lines = [LINE % dict(server, weight=weights[server["name"]] or FULL_WEIGHT,
                             backup="" if server["name"] in has_users else " backup")
                 for server in upstream["servers"]]
        parts.append(UPSTREAM % {"name": upstream["name"], "servers": "\n".join(lines)})
    return "\n".join(parts)


def servers_of(upstreams):
    """Return all hosts by their names."""
    return dict((server["name"], server) for upstream in upstreams for server in upstream["servers"])


def decide(upstreams, before, leave, enter, is_well):
    """Return the weights that the hosts are to have, and which of them are not well enough to have users.

    before: what the file has said of hosts by their names; of one that is new, nothing
    leave: names of those that are to have no users
    enter: names of those that are to have users again, if is_well(name)
    A host leaves only where another one has users. Where that one is out as well, for whatever run has left it so, it
    comes back first.
    """
    names = servers_of(upstreams)
    enter = [name for name in names if name in enter and name not in leave and before.get(name) != FULL_WEIGHT]
    ill = [name for name in enter if not is_well(name)]
    weights = dict((name, before.get(name, 0)) for name in names)
    weights.update((name, FULL_WEIGHT) for name in enter if name not in ill)
    for upstream in upstreams:
        own = [server["name"] for server in upstream["servers"]]
        others = [name for name in own if name not in leave]
        if not any(weights[name] for name in others):
            back = [name for name in others if name not in ill and is_well(name)]
            weights.update((name, FULL_WEIGHT) for name in back)
            if not back:
                continue
        weights.update((name, 0) for name in own if name in leave)
    return weights, ill


def begin_slowly(upstreams, before, weights):
    """Return the weights of the first seconds, in which hosts that come back beside others have few users."""
    first = dict(weights)
    for upstream in upstreams:
        own = [server["name"] for server in upstream["servers"]]
        if any(before.get(name) and weights[name] for name in own):
            first.update((name, 1) for name in own if weights[name] and not before.get(name))
    return first


# --- doing ------------------------------------------------------------------------------------------------------------


class Balancer(object):
    """The nginx of a balancer, and what it is asked for."""

    def __init__(self, params, commands):
        self.params, self.commands = params, commands
        self.nginx = Nginx(Host(), Systemd(self.commands), params["default_site"])
        self.before = dict((path, read(path)) for path in [params["path"]] + sorted(params["files"]))
        self.hosts = to_native(self.before[params["path"]] or b"")
        # Until the site is written anew, it leads to the sets of hosts that there are.
        self.upstreams = upstreams_in(self.hosts) if params["upstreams"] is None else params["upstreams"]

    def change(self):
        params = self.params
        if not self.upstreams:
            # It is not installed yet: where a site gets its first balancer, users are at the hosts themselves.
            return {"changed": False, "weights": {}, "not_well": [], "stayed": params["leave"], "busy": []}
        known = known_of(self.hosts)
        weights, ill = decide(self.upstreams, known, params["leave"], params["enter"], self.is_well)
        first = begin_slowly(self.upstreams, known, weights) if params["slow_start"] else weights
        changed = self.put(first)
        left = [name for name in params["leave"] if name in weights and known.get(name) and not weights[name]]
        busy = [name for name in left if not self.is_idle(name)]
        if first != weights:
            time.sleep(params["slow_start"])
            changed = self.put(weights) or changed
        return {
            "changed": changed,
            "weights": weights,
            "not_well": ill,
            "stayed": [name for name in params["leave"] if weights.get(name)],
            "busy": busy,
        }

    def is_well(self, name):
        """Tell whether a host answers as a balancer asks it, within the time that it is given."""
        address = servers_of(self.upstreams)[name]["address"]
        place, path = place_of("http://%s%s" % (address, self.params["health_path"]))
        deadline = time.time() + self.params["patience"]
        while get(place, path, self.params["host"], SECONDS_OF_A_QUESTION).status != 200:
            if time.time() > deadline:
                return False
            time.sleep(SECONDS_BETWEEN_QUESTIONS)
        return True

    def put(self, weights):
        """Let nginx have what is wanted, if it judges it to be good; tell whether anything had to change."""
        contents = {self.params["path"]: (to_bytes(text_of(self.upstreams, weights)), 0o644)}
        for path, file in self.params["files"].items():
            contents[path] = (to_bytes(file["content"]), int(file["mode"], 8))
        due = dict((path, one) for path, one in contents.items() if read(path) != one[0])
        is_running = self.nginx.systemd.state("nginx.service") == "active"
        if not due and is_running:
            return False
        if self.params["check"]:
            return True
        self.nginx.test(dict((path, content) for path, (content, _) in contents.items()))
        try:
            for path, (content, mode) in due.items():
                if not os.path.isdir(os.path.dirname(path)):
                    os.makedirs(os.path.dirname(path), 0o755)
                write(path, content, mode)
            self.nginx.remove_default_site()
            self.nginx.test_in_place()
            self.nginx.bring_up_to_date_everywhere()
        except Exception:
            self.put_back()
            raise
        return True

    def put_back(self):
        for path, content in self.before.items():
            if content is None:
                remove_file(path)
            elif read(path) != content:
                write(path, content, os.stat(path).st_mode & 0o777)
        self.nginx.put_default_site_back()
        if self.nginx.systemd.state("nginx.service") == "active":
            self.nginx.bring_up_to_date()

    def is_idle(self, name):
        """Wait until no request of a host is in hand here, for as long as may be."""
        host, port = servers_of(self.upstreams)[name]["address"].rsplit(":", 1)
        deadline = time.time() + self.params["drain"]
        command = ("ss", "--no-header", "--tcp", "--numeric", "state", "established", "dst", host, "dport", "=", port)
        while self.commands.run(*command).output.strip():
            if time.time() > deadline:
                return False
            time.sleep(SECONDS_BETWEEN_QUESTIONS)
        return True


def change_balancer(params):
    """Do what is asked, in a process that goes on where the run is cut off; return what came of it, None if it died."""

    def work(is_wanted):
        commands = Commands()
        Systemd(commands).adopt(os.getpid(), "%s-balancer-%d.scope" % (params["name"], os.getpid()))
        lock = Lock("/run/%s-balancer.lock" % params["name"], params["by"])
        try:
            lock.take(params["lock_timeout"], is_wanted)
            return Balancer(params, commands).change()
        except Exception as error:
            return {"failed": True, "msg": in_words(error)}
        finally:
            lock.free()

    return in_a_process_of_its_own(work)

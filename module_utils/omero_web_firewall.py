# -*- coding: utf-8 -*-
"""What the firewall of a host lets in, firewalld or ufw, as far as their own commands tell; nothing changes."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import os
import re
from xml.etree import ElementTree

from ansible.module_utils.omero_web_host import read_json

# What the role has opened itself, below basedir.
OPENED = "firewall"
SERVICES = ("/etc/firewalld/services", "/usr/lib/firewalld/services")
UFW_CONF = "/etc/ufw/ufw.conf"
ROUTES = "/proc/net/route"
ROUTES_V6 = "/proc/net/ipv6_route"
# That of firewalld is a program in Python, which asks a service of the bus.
SECONDS = 20


def opened(basedir):
    """Return what the role has opened, and not closed again, as [{zone, port}]."""
    known = read_json(basedir, OPENED)
    known = known if isinstance(known, list) else []
    return [one for one in known if isinstance(one, dict) and set(one) == set(["zone", "port"])]


def interfaces_to_outside():
    """Return the network interfaces that default routes lead through."""
    found = [words[0] for words in table(ROUTES) if words[1:2] == ["00000000"] and words[7:8] == ["00000000"]]
    # The kernel has one of its own, on lo, for what has no way out.
    found += [words[9] for words in table(ROUTES_V6) if words[:2] == ["0" * 32, "00"] and words[9:10] != ["lo"]]
    return sorted(set(found))


def table(path):
    try:
        with io.open(path, encoding="utf-8", errors="replace") as lines:
            return [line.split() for line in lines]
    except IOError:
        return []


class Firewall(object):
    """The firewall that runs, or will with the next boot."""

    def __init__(self, commands, firewalld):
        """`firewalld` is what systemd says of its unit."""
        self.commands = commands
        self.firewalld = firewalld

    def look(self):
        """Return what it lets in, by zone; empty where there is none."""
        if self.firewalld.get("active") in ("active", "reloading"):
            return self.look_at_firewalld("firewall-cmd", ["--permanent"])
        if self.firewalld.get("enabled") == "enabled":
            return self.look_at_firewalld("firewall-offline-cmd", [])
        return self.look_at_ufw()

    def run(self, *command):
        done = self.commands.run(*command, seconds=SECONDS)
        return done.output if done.code == 0 else ""

    def look_at_firewalld(self, command, permanently):
        """Firewalld has what is now, and what will be once it starts or reads its configuration again."""
        default = self.run(command, "--get-default-zone").strip()
        now = zones_in(self.run(command, "--list-all-zones"))
        later = zones_in(self.run(command, *(permanently + ["--list-all-zones"]))) if permanently else now
        if default not in now:
            return {}
        return {
            "name": "firewalld",
            "default": default,
            "zones": dict((name, {
                "interfaces": zone["interfaces"],
                "sources": zone["sources"],
                "accepts": zone["target"] == ["ACCEPT"],
                "now": ports_of(zone),
                # One that was made for now alone cannot be changed for good.
                "later": ports_of(later.get(name, {})),
            }) for name, zone in now.items()),
        }

    def look_at_ufw(self):
        """Ufw has one set of rules, for all interfaces. Asked where it is to be on, for its command takes its time."""
        if not any(words == ["ENABLED=yes"] for words in table(UFW_CONF)):
            return {}
        output = self.run("ufw", "status", "verbose")
        if not re.search(r"(?m)^Status: active$", output):
            return {}
        accepts = re.search(r"(?m)^Default: allow \(incoming\)", output) is not None
        ports = ports_of_ufw(output)
        zone = {"interfaces": [], "sources": [], "accepts": accepts, "now": ports, "later": ports}
        return {"name": "ufw", "default": "", "zones": {"": zone}}


def zones_in(output):
    """Return the words of each property of each zone that firewall-cmd or firewall-offline-cmd lists."""
    zones = {}
    for block in re.split(r"\n\n+", output.strip()):
        heading, dummy, rest = block.partition("\n")
        # One that is active says so, in brackets.
        name = heading.partition(" ")[0]
        found = re.findall(r"(?m)^  ([a-z-]+):(.*)$", rest)
        if name and found:
            known = dict((key, value.split()) for key, value in found)
            keys = ("target", "interfaces", "sources", "services", "ports")
            zones[name] = dict((key, known.get(key, [])) for key in keys)
    return zones


def ports_of(zone):
    """Return the TCP ports that a zone lets in, those of its services included, as 80 or 8000-8100."""
    own = [port.partition("/tcp")[0] for port in zone.get("ports", []) if port.endswith("/tcp")]
    return sorted(set(own + [port for service in zone.get("services", []) for port in ports_of_service(service)]))


def ports_of_service(name):
    for directory in SERVICES:
        path = os.path.join(directory, name + ".xml")
        if os.path.isfile(path):
            try:
                ports = ElementTree.parse(path).getroot().findall("port")
            except ElementTree.ParseError:  # Firewalld leaves it out, too.
                return []
            return [port.get("port") for port in ports if port.get("protocol") == "tcp" and port.get("port")]
    return []


def ports_of_ufw(output):
    """Return the TCP ports that rules let in from anywhere, by any interface, as 80 or 8000-8100."""
    found = re.findall(r"(?m)^([\d,:]+)(?:/tcp)?(?: \(.*\))? +(?:ALLOW|LIMIT) IN +Anywhere *(?:\(log.*|#.*)?$",
                       output)
    return sorted(set(port.replace(":", "-") for ports in found for port in ports.split(",")))

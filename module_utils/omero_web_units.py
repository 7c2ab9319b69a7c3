# -*- coding: utf-8 -*-
"""What systemd and the kernel know of the generations of one OMERO.web: their services, their sockets, who listens."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from ansible.module_utils.omero_web_host import EVERYWHERE, listing, read
from ansible.module_utils.omero_web_http import host_and_port

UNITS = "/etc/systemd/system"
RUNNING = ("active", "activating", "reloading")


def is_socket_of(name, unit):
    """Tell whether a unit is a socket of the OMERO.web of that name, and not of an instance whose name goes on.

    One for an address other than the first has that in its name. Each has a colon, and no name of an instance has.
    """
    return re.match(re.escape(name) + r"(-[0-9A-Za-z.]*:[0-9A-Za-z.:]+)?\.socket\Z", unit) is not None


class Units(object):
    """The units of the generations of one OMERO.web, which all begin with its name."""

    def __init__(self, name, host, systemd):
        self.name, self.host, self.systemd = name, host, systemd

    def service_of(self, number):
        return "%s@%d.service" % (self.name, number)

    def probe_of(self, number):
        return "%s-probe@%d.service" % (self.name, number)

    def is_probe(self, name):
        return re.match(re.escape(self.name) + r"-probe@\d+\.service\Z", name) is not None

    def number_of(self, unit):
        """Return the number of the generation whose service a unit is, 0 for any other unit."""
        found = re.match(re.escape(self.name) + r"@([1-9]\d*)\.service\Z", unit)
        return int(found.group(1)) if found else 0

    def services(self):
        """Return the states of the services of all generations, loaded or installed."""
        installed = [name for name in listing(self.host.path(UNITS)) if self.number_of(name)]
        return dict((name, unit) for name, unit in
                    self.systemd.units("%s@*.service" % self.name, *installed).items() if self.number_of(name))

    def running(self):
        """Return the numbers of the generations that run, or have not quite ended."""
        return set(self.number_of(name) for name, unit in self.services().items()
                   if unit["active"] not in ("inactive", "failed"))

    def is_building(self, release):
        """Tell whether a release is being built by some run."""
        return self.systemd.state("%s-build-%s.service" % (self.name, release)) in RUNNING

    def sockets(self):
        """Return the states of the sockets of generations: those whose unit names a service of one."""
        ours = []
        for name in listing(self.host.path(UNITS)):
            if is_socket_of(self.name, name):
                text = (read(self.host.path(UNITS, name)) or b"").decode("utf-8", "replace")
                if any(self.number_of(service) for service in re.findall(r"(?m)^Service=(\S+)", text)):
                    ours.append(name)
        return self.systemd.units(*ours) if ours else {}

    def strangers(self, address):
        """Return in words who but OMERO.web itself listens on its address; empty if nobody does."""
        is_ours = bool(self.sockets_at(address))
        strangers = set()
        for listener in self.listeners_at(address):
            ours = any(self.number_of(unit) for unit in listener.units) or is_ours and (
                1 in listener.pids or not listener.pids)
            if not ours:
                strangers.update(listener.programs or ["another program"])
        return " and ".join(sorted(strangers))

    def sockets_at(self, address):
        """Return the names of the sockets of generations that listen where a listener on the address is in the way."""
        host, port = host_and_port(address)
        open_ones = [(name, host_and_port(unit["listen"])) for name, unit in self.sockets().items()
                     if unit["active"] == "active" and unit["listen"]]
        return sorted(name for name, (other, other_port) in open_ones
                      if other_port == port and (host in EVERYWHERE or other in EVERYWHERE + (host,)))

    def listeners_at(self, address):
        """Return who listens where a listener on the address would be in the way."""
        host, port = host_and_port(address)
        return [listener for listener in self.host.listeners(port)
                if host in EVERYWHERE or listener.address in EVERYWHERE + (host,)]

# -*- coding: utf-8 -*-
"""Planned maintenance: nginx tells users that the site is closed, until it is opened again, whatever is deployed.

Two files of nginx, which the site includes where they are, do it all; OMERO.web itself goes on as ever.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import binascii
import os
import re

from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.module_utils.omero_web_host import (
    Problem,
    as_json,
    now,
    read,
    read_json,
    remove_file,
    write,
)
from ansible.module_utils.omero_web_nginx import NGINX_SERVICE, Nginx

DIRECTORY = "maintenance"
STATE, HTTP_FILE, SERVER_FILE = "state.json", "http.conf", "server.conf"
# 192.0.2.7, 192.0.2.0/24, 2001:db8::/32: which of these are addresses indeed is for nginx to judge.
ADDRESS = re.compile(r"[0-9A-Fa-f:.]+(/\d{1,3})?\Z")
# Of a logo that nginx has itself.
PATH = re.compile(r"/[\w./-]+\Z")
RETRY_AFTER = 600
SECONDS_TO_RELOAD_PAGE = 60

PAGE = u"""<!DOCTYPE html>
<html lang='en'>
<head>
  <meta charset='utf-8'>
  <meta name='viewport' content='width=device-width, initial-scale=1'>
  <meta name='robots' content='noindex'>
  <meta http-equiv='refresh' content='{refresh}'>
  <title>{title} is closed for maintenance</title>
  <style>
    :root {{ color-scheme: light dark; }}
    body {{ margin: 20vh auto; max-width: 36rem; padding: 0 1rem; font: 1rem/1.5 sans-serif; }}
    h1 {{ font-size: 1.4rem; }}
  </style>
</head>
<body>
  {logo}<h1>{title} is closed for maintenance{until}</h1>
  <p>{text}</p>
  <p>This page goes on by itself once the site is open again.</p>
</body>
</html>
"""

# An address is let through, or a cookie, or what has to be answered all the time. The host itself is asked by no proxy.
HTTP = u"""# {by}, {since}
geo $remote_addr ${variable}_guest {{
    default "";
    127.0.0.1 local;
    ::1 local;
{addresses}}}
map "${variable}_guest$http_x_forwarded_for" ${variable}_let_through {{
    default "";
    local 1;
    "~^named" 1;
}}
map $cookie_{variable}_maintenance ${variable}_let_in {{
    default "";
    {token} 1;
}}
map $uri ${variable}_always_open {{
    default "";
    "~^/[.]well-known/acme-challenge/" 1;
    "~/omero-web-let-in/{token}$" 1;
{health}{logo}}}
map "${variable}_let_through${variable}_let_in${variable}_always_open" ${variable}_closed {{
    default "";
    "" 1;
}}
map $status ${variable}_retry_after {{
    default "";
    503 {retry_after};
}}
"""
SERVER = u"""# {by}, {since}
if (${variable}_closed) {{
    return 503;
}}
error_page 503 @{variable}_closed;
add_header Retry-After ${variable}_retry_after always;
location @{variable}_closed {{
    types {{}}
    default_type "text/html; charset=utf-8";
    return 503 "{page}";
}}
location ~ "^((?:/[.\\w-]+)*)/omero-web-let-in/{token}$" {{
    add_header Set-Cookie "{variable}_maintenance={token}; Path=/; HttpOnly; SameSite=Lax";
    return 302 $1/;
}}
"""


def page_of(branding, text, until):
    """Return the page that users see, as it can stand in a string of nginx."""
    title, logo = escaped(branding["name"]), escaped(branding["logo"])
    image = u"<p><img src='%s' alt='' style='max-height: 150px; max-width: 100%%'></p>" % logo if logo else u""
    until = u" until " + until if until else u""
    page = PAGE.format(refresh=SECONDS_TO_RELOAD_PAGE, title=title, logo=image,
                       text=escaped(text or branding["text"]), until=escaped(until))
    return page.replace(u"\n", u"\\n")


def escaped(text):
    """Return a text as HTML that is also free of what nginx and its strings take for their own."""
    return re.sub(u"[&<>\"'$\\\\{}\\x00-\\x1f]", lambda found: u"&#%d;" % ord(found.group(0)), to_text(text))


class Maintenance(object):
    """Whether a site is closed, and how it is closed and opened."""

    def __init__(self, host, basedir, systemd, variable, health_path=""):
        self.directory = host.path(basedir, DIRECTORY)
        self.systemd, self.nginx = systemd, Nginx(host, systemd, None)
        # What names of variables of nginx begin with, and what whoever balances asks for.
        self.variable, self.health_path = variable, health_path

    def state(self):
        """Return since when the site is closed, by whom, until when and with what words; empty if it is open."""
        return read_json(self.directory, STATE) or {}

    def close(self, branding, text, until, addresses, fails_health, by):
        """Close the site, or change what is said of it; those who are let in stay so. Return the state.

        `branding` has the name of the site, its text for users who wait, and the URL of its logo, empty without one.

        With `fails_health`, whoever balances takes users elsewhere; without, it leads them here, to the page.
        """
        strange = [address for address in addresses if not ADDRESS.match(address)]
        if strange:
            raise Problem("%s is no address or network, as 192.0.2.7 and 2001:db8::/32 are" % ", ".join(strange))
        self._check_site()
        before = self.state()
        state = {
            "since": before.get("since") or now(),
            "by": by,
            "until": until,
            "text": text,
            "addresses": addresses,
            "fails_health": fails_health,
            "token": before.get("token") or to_text(binascii.hexlify(os.urandom(16))),
        }
        known = dict(state)
        known.update(
            by=re.sub(r"[^\w.,@ -]", "?", by),
            variable=self.variable,
            retry_after=RETRY_AFTER,
            page=page_of(branding, text, until),
            logo=u'    "%s" 1;\n' % branding["logo"] if PATH.match(branding["logo"]) else u"",
            addresses=u"".join(u"    %s named;\n" % address for address in addresses),
            health=u'    "%s" 1;\n' % self.health_path if self.health_path and not fails_health else u"",
        )
        self._replace([
            (STATE, as_json(state)),
            (HTTP_FILE, to_bytes(HTTP.format(**known))),
            (SERVER_FILE, to_bytes(SERVER.format(**known))),
        ])
        return state

    def open(self):
        self._replace([(SERVER_FILE, None), (HTTP_FILE, None), (STATE, None)])

    def _check_site(self):
        """Refuse a site that does not include these files, as those do not that older versions of the role made."""
        site = read(os.path.dirname(self.directory), "current", "nginx.conf") or b""
        if to_bytes("/%s/server*.conf;" % DIRECTORY) not in site:
            raise Problem("the live generation was made by a version of the role that cannot close a site; run "
                          "site.yml, which makes one that can")

    def _replace(self, files):
        """Put files in place of those that are there, if nginx has nothing against them.

        In an order in which nginx can read what there is, wherever the machine stops.
        """
        before = [(name, read(self.directory, name)) for name, dummy in files]
        if not os.path.isdir(self.directory):
            os.mkdir(self.directory, 0o755)
        self._write(files)
        try:
            self.nginx.test_in_place()
        except Problem as problem:
            self._write(reversed(before))
            raise Problem("nginx refuses it, and all is as it was: %s" % problem)
        if self.systemd.state(NGINX_SERVICE) == "active":
            self.nginx.bring_up_to_date_everywhere()

    def _write(self, files):
        for name, content in files:
            path = os.path.join(self.directory, name)
            if content is None:
                remove_file(path)
            else:
                # The way to be let in is for root to tell.
                write(path, content, 0o600)

# -*- coding: utf-8 -*-
"""A site as one of its users meets it: logs in by OMERO.web's own form, asks for pages, their static files and a
thumbnail, and logs out. What OMERO.web answers is quoted, and trusted in nothing."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import re
import time
import uuid

try:
    from urllib.parse import urlencode, urljoin, urlsplit
except ImportError:  # Python 2.7
    from urllib import urlencode

    from urlparse import urljoin, urlsplit

from ansible.module_utils.common.text.converters import to_bytes, to_native, to_text
from ansible.module_utils.omero_secrets import without_secrets
from ansible.module_utils.omero_web_host import Problem
from ansible.module_utils.omero_web_http import LOGIN_PAGE, MOVED, REDIRECTS

WEB_CLIENT = "/webclient/"
LOGOUT = "/webclient/logout/"
# Of some images, for one may have no thumbnail of its own.
IMAGES = "/api/v0/m/images/?limit=5"
# For whom the first is not public, the second may be.
THUMBNAILS = ("/webclient/render_thumbnail/%d/", "/webgateway/render_thumbnail/%d/96/")
CSRF_COOKIE = "csrftoken"
# What the login page says where OMERO.web finds no OMERO.server.
NO_SERVER = "Server is not responding"
# What nginx answers where OMERO.web does not.
SILENT = (0, 502, 503, 504)
# A placeholder of another kind comes with the type of what it stands for.
BEGINNINGS = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG"}
COOKIE = re.compile(r"^\s*([\w.-]{1,64})=\"?([\w.!%:+/=-]{0,4096})\"?\s*(?:;|$)")
MOST_COOKIES = 20
ENTITIES = (("&#x27;", "'"), ("&#39;", "'"), ("&quot;", '"'), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
LONGEST_QUOTE = 200
# Of a page that says what is wrong.
LONGEST_PAGE = 256 * 1024
# For finding out whose fault it is, once the time of the trial is up; and for logging out.
SECONDS_TO_BLAME = 30
SECONDS_TO_LOG_OUT = 10


class Broken(Problem):
    """What of the site fails a user."""


class LoggedOut(Broken):
    """The site has forgotten who the user is, or a page is not for them."""


class Unreachable(Problem):
    """OMERO.server is what fails, not OMERO.web."""


# --- what is asked for ------------------------------------------------------------------------------------------------


def is_public(path, public_filter):
    """Tell whether OMERO.web lets the public user have a path; its own filter does not count where it is none."""
    try:
        return re.search(public_filter, path) is not None
    except re.error:
        return False


def pages_of(known, prefix, is_allowed):
    """Return the pages to ask for: those that every site has, those of its apps, and the site's own."""
    usual = [{"path": WEB_CLIENT, "type": "text/html"}] + [{"path": path} for path in known.get("apps") or []]
    usual = [page for page in usual if is_allowed(prefix + urlsplit(page["path"]).path)]
    pages = [dict({"status": 200, "text": "", "type": ""}, **page) for page in usual + (known.get("site") or [])]
    return [dict(page, status=int(page["status"])) for page in pages]


def static_files_in(html, static_url):
    """Return the scripts and style sheets that a page has from the site; names of pictures may be made by scripts."""
    pattern = r'<(?:link|script)\b[^<>]*?\s(?:href|src)="%s([^"?#<>]+)' % re.escape(static_url)
    return sorted(set(to_native(name) for name in re.findall(pattern, html)))


# --- what is wrong with an answer -------------------------------------------------------------------------------------


def quoted(text, secret=""):
    """Return a text of the site's as a message may have it: one short line, without the password."""
    text = without_secrets(to_text(text, errors="replace"), [secret])
    text = re.sub(u"[\\s\\x00-\\x1f\\x7f-\\x9f]+", u" ", text).strip()
    return to_native(text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + u"…")


def without_markup(html):
    text = re.sub(r"<[^<>]*>", "", html[:LONGEST_PAGE])
    for entity, character in ENTITIES:
        text = text.replace(entity, character)
    return text


def exception_in(html):
    """Return what OMERO.web's own page of an error has of the reason: the line that ends its traceback."""
    dummy, found, traceback = without_markup(html).rpartition("Traceback (most recent call last)")
    lines = traceback.split("\n")[1:] if found else []
    return next((line for line in lines if line[:1].strip()), "")


def complaint_in(html):
    """Return what OMERO.web's login page says is wrong."""
    said = re.findall(r'(?s)class="(?:form_)?error">(.{1,500}?)</span>', html[:LONGEST_PAGE])
    return " ".join(without_markup(one) for one in said)


def fault_of(page, reply, secret=""):
    """Return what is wrong with the answer for a page, empty if nothing is."""
    html = reply.content.decode("utf-8", "replace")
    if not reply.status:
        return "gives no answer (%s)" % quoted(reply.reason, secret)
    if reply.status != page["status"]:
        reason = quoted(exception_in(html), secret)
        return "answers %d%s" % (reply.status, " (%s)" % reason if reason else "")
    if page["type"] and reply.kind != page["type"]:
        return "is of the type %s instead of %s" % (quoted(reply.kind) or "none", page["type"])
    if not reply.content.startswith(BEGINNINGS.get(page["type"], b"")):
        return "has a placeholder in place of what is %s" % page["type"]
    if page["text"] and to_text(page["text"]) not in html:
        return "does not have the text %s" % json.dumps(page["text"])
    return ""


# --- the user ---------------------------------------------------------------------------------------------------------


class Cookies(object):
    """What the site wants to be told again; it may not have us keep more than a browser would."""

    def __init__(self):
        self.values = {}

    def keep(self, lines):
        for line in lines:
            found = COOKIE.match(line)
            if not found:
                continue
            name, value = found.groups()
            self.values.pop(name, None)
            is_gone = re.search(r"(?i);\s*max-age=\s*(-|0+\s*(;|$))", line)
            if value and not is_gone and len(self.values) < MOST_COOKIES:
                self.values[name] = value

    def header(self):
        return "; ".join("%s=%s" % pair for pair in sorted(self.values.items()))


class Trial(object):
    """One user of one site.

    target is the site as omero_web_change knows it, and known says which pages there are. user has the name and the
    password, which are empty for the public user, the number of the server at the login page, and the seconds that all
    of it and that one answer may take. ask(method, path, headers, body, seconds, by) asks the site, until generation
    `by` has answered if it is not 0. missing_static(names) returns those static files that are missing.
    """

    def __init__(self, target, known, user, ask, missing_static, number=0, logins=2, clock=time.time):
        self.target, self.known, self.user = target, known, user
        self.ask_site, self.missing_static = ask, missing_static
        self.number, self.logins, self.clock = number, logins, clock
        self.prefix = target["prefix"]
        self.login = target["prefix"] + LOGIN_PAGE
        self.cookies = Cookies()
        self.session_of = None  # the generation that has logged the user in
        self.deadline = clock() + user["timeout"]
        self.is_blaming = False

    def run(self):
        """Ask for everything. What fails is raised: Unreachable where it is OMERO.server, else Broken."""
        try:
            if self.user["user"]:
                self.log_in()
            for page in pages_of(self.known, self.prefix, self.may_have):
                self.insist(lambda page=page: self.try_page(page))
            self.insist(self.try_thumbnail)
        finally:
            self.log_out()

    def may_have(self, path):
        return bool(self.user["user"]) or is_public(path, self.known.get("public_filter") or "a^")

    # -- asking

    def ask(self, method, path, fields=None, by=0, seconds=None):
        left = self.deadline - self.clock()
        if seconds is None:
            if left <= 0:
                most = "%d s (omero_web_trial_timeout)" % self.user["timeout"]
                raise Broken("the trial takes more than %s" % most, status=0)
            seconds = min(left, self.user["request_timeout"])
        scheme = urlsplit(self.target["url"]).scheme
        headers = {
            # Django wants to see where the form is from, where there is TLS.
            "Referer": "%s://%s%s" % (scheme, self.target["host"], self.login),
            "X-Forwarded-Proto": scheme,
        }
        if self.cookies.values:
            headers["Cookie"] = self.cookies.header()
        body = None
        if fields is not None:
            fields = dict(fields, csrfmiddlewaretoken=self.cookies.values.get(CSRF_COOKIE, ""))
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = to_bytes(urlencode([(name, to_bytes(fields[name])) for name in sorted(fields)]))
        headers = dict((name, to_native(headers[name])) for name in headers)
        reply = self.ask_site(method, to_native(path), headers, body, seconds, by)
        self.cookies.keep(reply.cookies)
        return reply

    def fetch(self, page):
        """Ask for a page, and go where the site leads, but to no other site and not to the login page."""
        path = first = self.prefix + page["path"]
        for _ in range(REDIRECTS):
            reply = self.ask("GET", path, by=self.number)
            if reply.status not in MOVED or page["status"] in MOVED:
                return reply
            path = self.led_to(path, reply.location or "")
            if path is None:
                raise Broken("%s leads to another site" % first, status=reply.status)
            if path.partition("?")[0] == self.login:
                raise LoggedOut("%s leads to the login page" % first, status=reply.status)
        raise Broken("%s leads from one page to the next without end" % first, status=reply.status)

    def led_to(self, path, location):
        """Return the path that a redirect leads to, None where it is not of this site."""
        try:
            there = urlsplit(urljoin("//%s%s" % (self.target["host"], path), location))
        except ValueError:
            return None
        if there.netloc != self.target["host"]:
            return None
        return there.path + ("?" + there.query if there.query else "")

    def see(self, page, reply=None):
        """Return the answer for a page, which has nothing wrong."""
        reply = reply or self.fetch(page)
        fault = fault_of(page, reply, self.user["password"])
        if fault:
            raise Broken("%s %s" % (self.prefix + page["path"], fault), status=reply.status)
        return reply

    def try_page(self, page):
        reply = self.see(page)
        if reply.kind == "text/html":
            html = reply.content.decode("utf-8", "replace")
            missing = self.missing_static(static_files_in(html, self.target["static_url"]))
            if missing:
                raise Broken("%s asks for static files that the site does not have: %s"
                             % (self.prefix + page["path"], quoted(", ".join(missing))), status=reply.status)

    def try_thumbnail(self):
        """See that one of the first images that the user finds has a thumbnail."""
        allowed = [path for path in THUMBNAILS if self.may_have(self.prefix + path % 1)]
        if not allowed or not self.may_have(self.prefix + urlsplit(IMAGES).path):
            return
        images = as_page(IMAGES, "application/json")
        reply = self.fetch(images)
        if reply.status == 404:
            return  # An OMERO.web from before there was such a page.
        problem = None
        for image in numbers_in(self.see(images, reply).content):
            try:
                self.see(as_page(allowed[0] % image, "image/jpeg"))
                return
            except Broken as error:
                problem = error
        if problem is not None:
            raise problem

    def insist(self, action):
        """Take what fails for broken once it fails after another login as well: that one fails where it is OMERO.server
        that is gone, and mends what an OMERO.server that was started anew has forgotten."""
        for attempt in range(1, self.logins + 1):
            try:
                action()
                return
            except Broken as problem:
                is_lost = isinstance(problem, LoggedOut)
                if attempt == self.logins or attempt > 1 and not is_lost:
                    raise
                self.allow_time()
                self.log_out()
                self.log_in()
                if problem.details["status"] in SILENT:
                    raise  # It would take as long again.

    def allow_time(self):
        if not self.is_blaming:
            self.is_blaming = True
            self.deadline = max(self.deadline, self.clock() + SECONDS_TO_BLAME)

    # -- logging in and out

    def log_in(self):
        """Log in, or, for the public user, who never does, see that OMERO.server is there to refuse a login."""
        self.cookies = Cookies()
        page = self.ask("GET", self.login)
        if page.status != 200:
            raise Broken("the login page %s" % fault_of(as_page(self.login), page), status=page.status)
        if CSRF_COOKIE not in self.cookies.values:
            raise Broken("the login page has no token for its form", status=page.status)
        user, password = self.user["user"], self.user["password"]
        if not user:
            user, password = "omero-web-trial", uuid.uuid4().hex
        reply = self.ask("POST", self.login, {
            "username": user, "password": password, "server": str(self.user["server"])})
        if reply.status in MOVED:
            self.session_of = reply.generation
            return
        complaint = complaint_in(reply.content.decode("utf-8", "replace"))
        if reply.status in SILENT:
            self.blame_for_silence(reply)
        if reply.status == 200 and NO_SERVER in complaint:
            raise Unreachable('OMERO.server does not answer: OMERO.web\'s login page says "%s"'
                              % quoted(complaint, password))
        if reply.status != 200:
            raise Broken("the form of the login page %s" % fault_of(as_page(self.login), reply, password),
                         status=reply.status)
        if self.user["user"]:
            raise Broken('the login page refuses the user: "%s"' % quoted(complaint, password), status=reply.status)

    def blame_for_silence(self, reply):
        """A login page needs no OMERO.server, its form does."""
        self.allow_time()
        page = self.ask("GET", self.login)
        what = "answers %d" % reply.status if reply.status else "gives no answer (%s)" % quoted(reply.reason)
        if page.status == 200:
            raise Unreachable("OMERO.server does not answer in time: OMERO.web has its login page, whose form %s"
                              % what)
        raise Broken("the form of the login page %s" % what, status=reply.status)

    def log_out(self):
        """Leave no session behind on OMERO.server; a session that nobody uses ends there at last, too."""
        if self.session_of is None:
            return
        by, self.session_of = self.session_of, None
        try:
            self.ask("POST", self.prefix + LOGOUT, {}, by=by, seconds=SECONDS_TO_LOG_OUT)
        except Problem:
            pass


def as_page(path, kind=""):
    return dict(path=path, status=200, text="", type=kind)


def numbers_in(content):
    """Return the numbers of the images that OMERO.web lists."""
    try:
        # A number may have so many digits that it takes minutes to read.
        images = json.loads(content.decode("utf-8"), parse_int=lambda digits: int(digits[:18]))["data"]
        return [int(image["@id"]) for image in images[:5]]
    except (KeyError, RuntimeError, TypeError, ValueError):  # A RuntimeError is for what is nested too deep.
        raise Broken("%s has no list of images" % IMAGES, status=200)

# -*- coding: utf-8 -*-
"""What a user asks of a site, what of the answers is wrong, and whose fault that is."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import pytest
from ansible.module_utils.common.text.converters import to_native, to_text
from ansible.module_utils.omero_web_http import Reply
from ansible.module_utils.omero_web_trial import (
    Broken,
    Cookies,
    Trial,
    Unreachable,
    complaint_in,
    exception_in,
    fault_of,
    numbers_in,
    pages_of,
    quoted,
    static_files_in,
)

try:
    from urllib.parse import parse_qsl
except ImportError:  # Python 2.7
    from urlparse import parse_qsl

PASSWORD = u"pass wörd&"
JPEG, PNG = b"\xff\xd8\xff\xe0 a picture", b"\x89PNG a placeholder"
NO_SERVER = "Server is not responding, please contact administrator."
REFUSED = "Connection not available, please check your user name and password."
ERROR_PAGE = u"""<html><textarea>Traceback (most recent call last)

  File &quot;one.py&quot;, line 1

KeyError: &#x27;one&#x27;

During handling of the above exception, another exception occurred:


Traceback (most recent call last)

  File &quot;two.py&quot;, line 2, in show

RuntimeError: no &lt;b&gt; &amp; that

&lt;WSGIRequest: GET &#x27;/page/&#x27;&gt;</textarea>"""


def page(path="/page/", **more):
    return dict({"path": path, "status": 200, "text": "", "type": ""}, **more)


def reply(status=200, text=u"", kind="text/html", location=None, cookies=(), content=None, reason="", generation=0):
    content = text.encode("utf-8") if content is None else content
    return Reply(status, reason, generation, location, kind, list(cookies), content)


class Site(object):
    """An OMERO.web: what it answers by path, who is logged in, and what it was asked. Its clock goes on with each."""

    def __init__(self, prefix=""):
        self.prefix, self.now, self.log = prefix, 0, []
        self.sessions, self.server_is_up, self.seconds = [], True, 1
        self.refusal, self.silent = "", {}
        self.pages = {"/webclient/": reply(text=u'<link href="/static/a.css">'), "/figure/": reply(text=u"figure"),
                      "/api/v0/m/images/?limit=5": reply(text=u'{"data": [{"@id": 5}, {"@id": 6}]}',
                                                         kind="application/json"),
                      "/webclient/render_thumbnail/5/": reply(content=JPEG, kind="image/jpeg")}
        self.missing = []
        self.opened = self.closed = 0

    def clock(self):
        return self.now

    def ask(self, method, path, headers, body, seconds, by):
        assert path.startswith(self.prefix), path
        path = path[len(self.prefix):]
        self.log.append((method, path, by))
        self.now += self.seconds
        cookies = dict(pair.split("=", 1) for pair in headers["Cookie"].split("; ")) if "Cookie" in headers else {}
        status = self.silent.get((method, path))
        if status is not None:
            self.now += seconds
            return reply(status, reason="timed out")
        if path == "/webclient/login/":
            has_token = reply(cookies=["csrftoken=token; Path=/; Secure"])
            return self.log_in(cookies, body) if method == "POST" else has_token
        is_known = cookies.get("sessionid") in self.sessions
        if path == "/webclient/logout/":
            self.closed += is_known
            self.sessions = [one for one in self.sessions if one != cookies.get("sessionid")]
            return reply(302, location=self.prefix + "/webclient/login/")
        if not self.server_is_up or not is_known and "public" not in path:
            return reply(302, location=self.prefix + "/webclient/login/?url=" + path)
        found = self.pages.get(path, reply(404))
        return found() if callable(found) else found

    def log_in(self, cookies, body):
        fields = dict(parse_qsl(body.decode("ascii")))
        assert fields["csrfmiddlewaretoken"] == cookies["csrftoken"] == "token"
        self.fields = fields
        complaint = self.refusal if self.server_is_up else NO_SERVER
        if complaint or fields["username"] == "omero-web-trial":
            return reply(text=u'<span class="error">Error: %s</span>' % (complaint or REFUSED))
        self.opened += 1
        self.sessions.append("s%d" % self.opened)
        return reply(302, location="/webclient/", cookies=['sessionid=s%d; HttpOnly' % self.opened], generation=3)

    def run(self, user="researcher", logins=2, apps=("/figure/",), site=(), public_filter="", number=0):
        target = {"prefix": self.prefix, "host": "omero.example.org",
                  "url": "https://127.0.0.1:443" + self.prefix, "static_url": "/static/"}
        known = {"apps": list(apps), "site": list(site), "public_filter": public_filter}
        who = {"user": user, "password": PASSWORD if user else "", "server": 2, "timeout": 120, "request_timeout": 60}
        trial = Trial(target, known, who, self.ask, lambda names: [one for one in names if one in self.missing],
                      number=number, logins=logins, clock=self.clock)
        trial.run()

    def fails(self, kind, **options):
        with pytest.raises(kind) as caught:
            self.run(**options)
        assert not self.sessions
        return str(caught.value)


@pytest.fixture(name="site", params=["", "/omero"])
def site_with_and_without_prefix(request):
    return Site(request.param)


def test_everything_is_asked_for_once(site):
    site.run(site=[{"path": "/more/?a=1", "status": "404"}])
    assert site.log == [
        ("GET", "/webclient/login/", 0), ("POST", "/webclient/login/", 0), ("GET", "/webclient/", 0),
        ("GET", "/figure/", 0), ("GET", "/more/?a=1", 0), ("GET", "/api/v0/m/images/?limit=5", 0),
        ("GET", "/webclient/render_thumbnail/5/", 0), ("POST", "/webclient/logout/", 3)]
    assert (site.opened, site.closed, site.sessions) == (1, 1, [])
    assert site.fields["server"] == "2"
    assert site.fields["username"] == "researcher"


def test_form_is_as_a_browser_fills_it_in(site):
    asked = []

    def ask(method, path, headers, body, seconds, by):
        asked.append((headers, body))
        return original(method, path, headers, body, seconds, by)

    original, site.ask = site.ask, ask
    site.run()
    headers, body = asked[1]
    assert body == b"csrfmiddlewaretoken=token&password=pass+w%C3%B6rd%26&server=2&username=researcher"
    assert headers == {"Cookie": "csrftoken=token", "Content-Type": "application/x-www-form-urlencoded",
                       "Referer": "https://omero.example.org%s/webclient/login/" % site.prefix,
                       "X-Forwarded-Proto": "https"}
    assert asked[2][0]["Cookie"] == "csrftoken=token; sessionid=s1"


@pytest.mark.parametrize("answer, sentence", [
    (reply(500, ERROR_PAGE), "answers 500 (RuntimeError: no <b> & that)"),
    (reply(404), "answers 404"),
    (reply(302, location="https://elsewhere.example.org/"), "leads to another site"),
    (reply(302, location="//elsewhere.example.org/figure/"), "leads to another site"),
    (reply(302, location="http://["), "leads to another site"),
    (reply(text=u'<script src="/static/x.js"></script><script src="/static/y.js?_5"></script>'),
     "asks for static files that the site does not have: x.js, y.js"),
])
def test_page_that_fails(site, answer, sentence):
    site.pages["/figure/"] = answer
    site.missing = ["x.js", "y.js"]
    assert site.fails(Broken).startswith("%s/figure/ %s" % (site.prefix, sentence))
    assert site.opened == site.closed == 2, "another login tells that OMERO.server is there"


def test_page_that_fails_is_asked_for_twice_however_many_logins_there_may_be(site):
    site.pages["/figure/"] = reply(500)
    site.fails(Broken, logins=10)
    assert [path for dummy, path, dummy in site.log].count("/figure/") == 2


def test_redirects_within_the_site():
    site = Site()
    site.pages["/figure/"] = reply(302, location="https://omero.example.org/figure/index/")
    site.pages["/figure/index/"] = reply(text=u"figure")
    site.run()
    site.pages["/figure/index/"] = reply(302, location="/figure/")
    assert site.fails(Broken) == "/figure/ leads from one page to the next without end"
    site.run(apps=(), site=[{"path": "/figure/", "status": 302}])


def test_page_that_fails_once(site):
    answers = [reply(500), reply(text=u"figure")]
    site.pages["/figure/"] = lambda: answers.pop(0)
    site.run()
    assert site.opened == site.closed == 2


def test_session_that_is_lost(site):
    def lose():
        del site.pages["/figure/"], site.sessions[:]
        site.pages["/figure/"] = reply(text=u"figure")
        return reply(302, location=site.prefix + "/webclient/login/?url=/figure/")

    site.pages["/figure/"] = lose
    site.run()
    assert site.opened == 2


def test_page_that_is_not_for_the_user(site):
    site.pages["/figure/"] = reply(302, location=site.prefix + "/webclient/login/")
    assert site.fails(Broken) == site.prefix + "/figure/ leads to the login page"
    assert site.opened == site.closed == 2


def test_sessions_that_two_generations_do_not_share(site):
    """Through nginx, where the one that serves until then may have the login."""
    def forget():
        forgotten.append(1)
        found = reply(302, location=site.prefix + "/webclient/login/") if len(forgotten) < 5 else reply()
        return found

    forgotten, site.pages["/webclient/"] = [], forget
    site.run(logins=10, number=4)
    assert site.opened == site.closed == 5
    assert ("GET", "/webclient/", 4) in site.log
    assert set(by for method, path, by in site.log if path == "/webclient/logout/") == set([3])


def test_server_that_is_down(site):
    site.server_is_up = False
    assert site.fails(Unreachable) == (
        'OMERO.server does not answer: OMERO.web\'s login page says "Error: %s"' % NO_SERVER)


def test_server_that_goes_down(site):
    def go_down():
        site.server_is_up = False
        return reply(500)

    site.pages["/figure/"] = go_down
    with pytest.raises(Unreachable):
        site.run()


def test_server_that_goes_down_under_the_public_user():
    site = Site()
    site.server_is_up = False
    assert "OMERO.server does not answer" in site.fails(
        Unreachable, user="", site=[{"path": "/public/"}], apps=(), public_filter="a^")


def test_server_that_takes_its_time(site):
    site.silent[("POST", "/webclient/login/")] = 0
    assert site.fails(Unreachable) == (
        "OMERO.server does not answer in time: OMERO.web has its login page, whose form gives no answer (timed out)")
    site.silent[("POST", "/webclient/login/")] = 504
    assert site.fails(Unreachable).endswith("answers 504")


def test_omero_web_that_gives_no_answer(site):
    site.silent = {("POST", "/webclient/login/"): 0}
    site.pages["/figure/"] = reply(0)
    original = site.ask

    def ask(method, path, *rest):
        if method == "POST":
            site.silent[("GET", "/webclient/login/")] = 0
        return original(method, path, *rest)

    site.ask = ask
    assert site.fails(Broken) == "the form of the login page gives no answer (timed out)"
    assert site.fails(Broken) == "the login page gives no answer (timed out)"


def test_page_that_gives_no_answer(site):
    site.silent[("GET", "/figure/")] = 0
    assert site.fails(Broken) == site.prefix + "/figure/ gives no answer (timed out)"
    assert [path for dummy, path, dummy in site.log].count("/figure/") == 1, "it would take as long again"
    assert site.opened == 2


def test_user_who_is_refused(site):
    site.refusal = REFUSED + u" It is not pass wörd&amp;. " + "x" * 300
    sentence = site.fails(Broken)
    assert sentence.startswith('the login page refuses the user: "Error: Connection not available')
    assert "********" in sentence
    assert len(sentence) < 300


def test_time_that_is_up(site):
    site.seconds = 50
    assert site.fails(Broken) == "the trial takes more than 120 s (omero_web_trial_timeout)"


def test_time_that_is_up_is_told_apart_from_a_server_that_is_down(site):
    def take_long(method, path, headers, body, seconds, by):
        assert seconds <= 60
        if path.endswith("/figure/"):
            site.server_is_up = False
            site.silent["GET", "/figure/"] = 0
        return ask(method, path, headers, body, seconds, by)

    ask, site.ask, site.seconds = site.ask, take_long, 13
    assert "OMERO.server does not answer" in site.fails(Unreachable)
    assert site.now > 120


def test_form_that_is_forbidden(site):
    original = site.ask
    site.ask = lambda method, *rest: reply(403) if method == "POST" else original(method, *rest)
    assert site.fails(Broken) == "the form of the login page answers 403"
    site.ask = lambda method, *rest: reply(200)
    assert site.fails(Broken) == "the login page has no token for its form"


@pytest.mark.parametrize("thumbnails, sentence", [
    ({5: reply(content=PNG, kind="image/jpeg"), 6: reply(content=JPEG, kind="image/jpeg")}, None),
    ({5: reply(content=PNG, kind="image/jpeg"), 6: reply(content=PNG, kind="image/jpeg")},
     "6/ has a placeholder in place of what is image/jpeg"),
    ({5: reply(content=PNG, kind="image/png"), 6: reply(404)}, "6/ answers 404"),
    ({5: reply(content=PNG, kind="image/png"), 6: reply(kind="")}, "6/ is of the type none instead of image/jpeg"),
])
def test_thumbnail(site, thumbnails, sentence):
    site.pages.update(("/webclient/render_thumbnail/%d/" % number, thumbnails[number]) for number in thumbnails)
    if sentence is None:
        site.run()
    else:
        assert site.fails(Broken) == "%s/webclient/render_thumbnail/%s" % (site.prefix, sentence)


@pytest.mark.parametrize("images", [reply(404), reply(text=u'{"data": []}', kind="application/json")])
def test_no_image_that_could_have_a_thumbnail(site, images):
    site.pages["/api/v0/m/images/?limit=5"] = images
    site.run()
    assert not [path for dummy, path, dummy in site.log if "thumbnail" in path]


@pytest.mark.parametrize("public_filter, asked", [
    ("^/omero/(webgateway|api)/", ["/api/v0/m/images/?limit=5", "/webgateway/render_thumbnail/5/96/"]),
    ("^/omero/", ["/webclient/", "/figure/", "/api/v0/m/images/?limit=5", "/webclient/render_thumbnail/5/"]),
    ("^/omero/figure", ["/figure/"]),
    ("^/webclient/", []),
    ("", []),
    ("(", []),
])
def test_public_user(public_filter, asked):
    site = Site("/omero")
    site.sessions = [None]
    site.pages["/webgateway/render_thumbnail/5/96/"] = site.pages["/webclient/render_thumbnail/5/"]
    site.run(user="", public_filter=public_filter)
    assert [path for dummy, path, dummy in site.log] == asked


def test_pages():
    assert pages_of({}, "", lambda path: True) == [page("/webclient/", type="text/html")]
    known = {"apps": ["/a/?b=1"], "site": [{"path": "/c/", "status": 302, "text": "d"}]}
    assert pages_of(known, "/p", lambda path: path == "/p/a/") == [page("/a/?b=1"), page("/c/", status=302, text="d")]


def test_texts():
    wanted = page(text=u"Füße")
    assert fault_of(wanted, reply(text=u"Meine Füße")) == ""
    assert fault_of(wanted, reply(text=u"nichts")) == 'does not have the text "F\\u00fc\\u00dfe"'


def test_what_a_page_may_have_in_a_message():
    assert quoted(u"a\n\x1b[31m b\x00 " + "c" * 500, "") == to_native(u"a [31m b " + u"c" * 191 + u"…")
    assert quoted("it is secret", "secret") == "it is ********"


def test_reasons():
    assert exception_in(ERROR_PAGE) == "RuntimeError: no <b> & that"
    assert exception_in("<html>\n<p>\nBad Gateway\n</html>") == ""
    html = '<span class="error">Error: <a href="x">a</a>\n b</span> <span class="form_error">c</span>'
    assert complaint_in(html) == "Error: a\n b c"


@pytest.mark.parametrize("start, more", [
    ("", "<"), ("", 'class="error">'), ("", "<link "), ("", "<script src="), ("<link", " href="),
    ("", "Traceback (most recent call last)")])
def test_hostile_pages_take_no_time(start, more):
    """What is quadratic would take hours."""
    hostile = to_text(start + more * (4000000 // len(more)))
    answer = reply(500, hostile)
    fault_of(page(), answer)
    complaint_in(hostile)
    static_files_in(hostile, "/static/")


@pytest.mark.parametrize("content, numbers", [
    (b'{"data": [{"@id": 7}, {"@id": "8"}]}', [7, 8]),
    (b'{"data": [' + b'{"@id": 1},' * 99 + b'{"@id": 1}]}', [1] * 5),
    (b'{"data": [{"@id": ' + b"9" * 3000000 + b"}]}", [10**18 - 1]),
], ids=["two", "many", "long"])
def test_numbers(content, numbers):
    assert numbers_in(content) == numbers


@pytest.mark.parametrize("content", [
    b"", b"{}", b"[]", b"7", b"\xff", b"[", b'{"data": 7}', b'{"data": [{}]}', b'{"data": [{"@id": null}]}',
    b'{"data": [{"@id": "x"}]}'])
def test_what_is_no_list_of_images(content):
    # What is nested deeply, too.
    content = content * 1000000 if content == b"[" else content
    with pytest.raises(Broken):
        numbers_in(content)


def test_static_files():
    html = u"""<link rel="x" href="/static/b.css?_5"><script type="a" src="/static/a%20b.js"></script>
    <img src="/static/image/rating' + stars + '.png"><link href="https://elsewhere.example.org/static/c.css">"""
    assert static_files_in(html, "/static/") == ["a%20b.js", "b.css"]


def test_cookies():
    cookies = Cookies()
    cookies.keep(["a=1; Path=/", 'b="2"; Secure', "c=3", "d=x y", "e=1\r\nX: y", "=5", "novalue"])
    assert cookies.header() == "a=1; b=2; c=3"
    cookies.keep(['a=""; Max-Age=0', "b=; Path=/", "c=4; Max-Age=1209600"])
    cookies.keep(["d=1", "e=2", "d=1; Max-Age=0; Path=/", "e=2; max-age=-1"])
    assert cookies.header() == "c=4"
    cookies.keep(["n%d=1" % number for number in range(1000)] + ["big=" + "1" * 5000])
    assert len(cookies.values) == 20

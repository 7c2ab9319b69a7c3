# -*- coding: utf-8 -*-
"""omero_web_change on a host that is a directory, with commands that do as they are told and can be made to fail."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import fnmatch
import grp
import hashlib
import json
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest
from ansible.module_utils import basic, omero_web_host, omero_web_process, omero_web_transaction
from ansible.module_utils.omero_web_host import Listener, Problem
from ansible.module_utils.omero_web_http import Answer, Reply
from ansible.module_utils.omero_web_process import Lock, in_a_process_of_its_own
from ansible.module_utils.omero_web_systemd import LAST_LINES, Commands, Done, Systemd
from conftest import ROOT, read_properties, run_module

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to others, as root")

BASEDIR = "/opt/omero/web"
NGINX_CONF = "/etc/nginx/conf.d/omero-web.conf"
TLS = "/etc/nginx/omero-web.pem"
DEFAULT_SITE = "/etc/nginx/sites-enabled/default"
PAGE = u'<link href="/static/a.css?_5"><script src="/static/b.js"></script>'


class Killed(BaseException):
    """The process ends here."""


class World(Commands, omero_web_transaction.Host):
    """A host: its files are below a directory, its commands are those of this class."""

    def __init__(self, root):
        omero_web_transaction.Host.__init__(self, str(root))
        self.log = []
        self.active, self.enabled = set(), set()
        self.finishing = set()  # services that end once they have finished their requests
        self.open = {}  # what systemd listens on, by socket
        self.strangers = []
        self.status = {}  # what a generation answers, 200 if nothing is said
        self.silent = set()  # generations that do not say who they are
        self.broken = {}  # what a generation answers those who are logged in, "probe" or "site", 200 if nothing is said
        self.omero_server, self.script, self.asked = True, "b.js", []
        self.turn = 0
        self.fail_at = self.die_at = None
        self.failing = None
        for directory in ("/run/systemd/system", "/etc/systemd/system", "/etc/nginx/conf.d", "/etc/nginx/sites-enabled",
                          BASEDIR + "/generations", BASEDIR + "/releases/r1/static", BASEDIR + "/var/sessions",
                          BASEDIR + "/wheels"):
            os.makedirs(self.path(directory))
        for name in "omero-web.target", "omero-web-boot.service":
            self.put("/etc/systemd/system/" + name, "")
        self.put(DEFAULT_SITE, "default")
        for name in "a.css", "b.js":
            self.put(BASEDIR + "/releases/r1/static/" + name, "")

    # -- files

    def put(self, path, content):
        if not os.path.isdir(os.path.dirname(self.path(path))):
            os.makedirs(os.path.dirname(self.path(path)))
        with open(self.path(path), "w") as target:
            target.write(content)

    def content(self, path):
        try:
            with open(self.path(path)) as source:
                return source.read()
        except IOError:
            return None

    def link(self, name):
        return omero_web_host.destination_of(self.path(BASEDIR, name))

    # -- commands

    def run(self, *command, **options):
        words = " ".join(command)
        self.log.append(words)
        if self.die_at == len(self.log):
            raise Killed()
        if self.fail_at == len(self.log) or self.failing and re.search(self.failing, words):
            return Done(1, "", "no luck with %s" % words)
        handler = getattr(self, "on_" + command[0], None)
        return (handler(*command[1:]) if handler else None) or Done(0, "", "")

    def on_systemctl(self, *words):
        verb, names = [word for word in words if not word.startswith("--")][0], [
            word for word in words if not word.startswith("--")][1:]
        if verb == "show":
            return Done(0, "\n\n".join(self.shown(name) for pattern in names for name in self.matching(pattern)), "")
        for name in names:
            if verb in ("start", "stop"):
                getattr(self, verb)(name)
            if verb == "enable":
                self.enabled.add(name)
            if verb == "disable":
                self.enabled.discard(name)

    def matching(self, pattern):
        return sorted(fnmatch.filter(self.active | self.finishing, pattern)) if "*" in pattern else [pattern]

    def shown(self, name):
        exists = os.path.exists(self.path("/etc/systemd/system", name)) or name == "nginx.service"
        return "Id=%s\nActiveState=%s\nUnitFileState=%s\nListen=%s" % (
            name,
            "deactivating" if name in self.finishing else "active" if name in self.active else "inactive",
            "enabled" if name in self.enabled else "disabled" if exists else "",
            "%s (Stream)" % self.open[name] if name in self.open else "")

    def start(self, name):
        assert name not in self.finishing, "it would wait"
        if name.endswith(".socket") and name not in self.active:
            host, port = self.unit(name)["ListenStream"].rsplit(":", 1)
            for other, other_port in (address.rsplit(":", 1) for address in self.open.values()):
                assert port != other_port or host != other and "0.0.0.0" not in (host, other), "Address already in use"
            self.open[name] = self.unit(name)["ListenStream"]
        elif "-probe@" in name:
            assert os.path.exists(self.path("/run/systemd/system", name))
        elif "@" in name:
            assert self.unit(name)["Sockets"] in self.active
        self.active.add(name)

    def stop(self, name):
        self.active.discard(name)
        self.finishing.discard(name)
        self.open.pop(name, None)

    def unit(self, name):
        lines = self.content("/etc/systemd/system/" + name).split("\n")
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def on_unshare(self, *words):
        if words[1:] != ("true",):
            return self.judged(os.path.join(words[-2], "conf.d", "omero-web.conf"))

    def on_nginx(self, *dummy):
        return self.judged(self.path(NGINX_CONF))

    def judged(self, path):
        if os.path.exists(path):
            with open(path) as source:
                if "nonsense" in source.read():
                    return Done(1, "", "nginx: [emerg] nonsense in %s:1\nnginx: configuration file test failed\n"
                                % NGINX_CONF)

    def on_journalctl(self, *dummy):
        return Done(0, "one\ntwo\n", "")

    def on_runuser(self, dummy, user, dashes, find, directory, *dummies):
        for name in os.listdir(directory):
            shutil.rmtree(os.path.join(directory, name))

    # -- sockets and answers

    def listeners(self, port):
        return [listener for listener in self.strangers if listener.port == port] + [
            Listener(address.split(":")[0], port, [1], ["systemd"], []) for address in self.open.values()
            if address.endswith(":%d" % port)]

    def get(self, place, path, name, timeout):
        if not isinstance(place.address, tuple):
            number = int(re.search(r"-probe-(\d+)/probe[.]sock", place.address).group(1))
            return Answer(self.status.get(number, 200), "", number, None, PAGE)
        running = sorted(int(re.search(r"@(\d+)", unit).group(1)) for unit in self.active if "web@" in unit)
        if not running:
            return Answer(0, "Connection refused", 0, None, "")
        self.turn += 1
        number = running[self.turn // 3 % len(running)]
        return Answer(self.status.get(number, 200), "", 0 if number in self.silent else number, None, PAGE)

    get_once = get

    def ask(self, place, method, path, name, timeout, headers, body):
        where = "site" if isinstance(place.address, tuple) else "probe"
        number = self.get(place, path, name, timeout).generation
        self.asked.append((where, number, method, path))
        if path == "/webclient/login/" and method == "GET":
            return Reply(200, "", number, None, "text/html", ["csrftoken=1"], b"")
        if path == "/webclient/login/" and not self.omero_server:
            return Reply(200, "", number, None, "text/html", [], b'<i class="error">Server is not responding</span>')
        if method == "POST":
            return Reply(302, "", number, "/webclient/", "text/html", ["sessionid=1"], b"")
        status = 404 if path.startswith("/api/") else self.broken.get((where, number), 200)
        page = '<link href="/static/a.css?_5"><script src="/static/%s"></script>' % self.script
        return Reply(status, "", number, None, "text/html", [], page.encode("ascii"))

    # -- what is asked of it

    def params(self, number, **more):
        current = omero_web_host.linked_generation(self.path(BASEDIR), "current")
        params = {
            "name": "omero-web", "basedir": BASEDIR, "user": "nobody", "group": "daemon", "by": "a test on here",
            "says": ["make generation %d" % number], "lock_timeout": 0,
            "seen": {"current": current, "generations": self.numbers()},
            "target": {"number": number, "socket": "omero-web.socket", "units": [], "installed": installed(number),
                       "url": "http://127.0.0.1:80", "host": "omero.example.org", "prefix": "",
                       "static_url": "/static/", "address": "127.0.0.1:4080"},
            "fallback": {"number": current, "installed": installed(current) if current else {},
                         "url": "http://127.0.0.1:80"},
            "make": made_of(number, current), "trial": True, "start": True, "hand_over": True,
            "nginx": {"default_site": {"path": DEFAULT_SITE}, "ports": {"omero_web_http_port": 80}},
            "start_timeout": 5, "pages": {}, "tried_as": None, "former": None, "to_former": False,
            "remove": {"generations": [], "releases": [], "sessions": [], "wheels": [], "units": []},
        }
        params.update(more)
        return params

    def numbers(self):
        return [generation["number"] for generation in omero_web_host.generations(self.path(BASEDIR))[0]]

    def change(self, params):
        self.log = []
        return omero_web_transaction.change(params, self, self)

    def make(self, number):
        result = self.change(self.params(number))
        assert not result.get("failed"), result
        return result

    def position(self, pattern):
        return [bool(re.search(pattern, words)) for words in self.log].index(True)

    def serves(self, number):
        """Check that users are served by one generation, with its files, and that it would start at boot."""
        directory = "%s/generations/%d/" % (BASEDIR, number)
        assert self.link("current") == "generations/%d" % number
        for name, path in installed(number).items():
            assert self.content(path) == self.content(directory + name), path
        assert [unit for unit in self.active if "web@" in unit] == ["omero-web@%d.service" % number]
        assert self.open == {"omero-web.socket": "127.0.0.1:4080"}
        assert "nginx.service" in self.active


def installed(number, socket="omero-web.socket"):
    return {"omero-web.service": "/etc/systemd/system/omero-web@%d.service" % number,
            "omero-web.socket": "/etc/systemd/system/" + socket, "nginx.conf": NGINX_CONF, "tls.pem": TLS}


def made_of(number, current, **files):
    return {
        "files": dict({
            "gunicorn.conf.py": {"content": u"Omero-Web-Generation"},
            "omero-web.service": {"content": u"Sockets=omero-web.socket\n"},
            "omero-web.socket": {"content": u"ListenStream=127.0.0.1:4080\nService=omero-web@%d.service\n" % number},
            "probe.service": {"content": u"probe"},
            "nginx.conf": {"content": u"site %d" % number},
            "tls.pem": {"content": u"key %d" % number, "mode": u"0600"},
        }, **files),
        "links": {"release": u"../../releases/r1", "var/log": u"../../../var/log", "etc/templates": u"/x"},
        "sessions": u"django-5.2",
        "configuration": {"settings": {u"test.number": number}, "secrets": {u"test.password": u"xyzzy"}, "append": {},
                          "purge": False, "from": current, "digest": u"d%d" % number},
        "manifest": {"generation": number, "previous": current},
    }


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch):
    monkeypatch.setattr(omero_web_transaction, "SECONDS_BETWEEN_ANSWERS", 0)
    monkeypatch.setattr(omero_web_process, "SECONDS_BETWEEN_TRIES", 0.01)


@pytest.fixture(name="world")
def empty_world(tmp_path):
    return World(tmp_path / "host")


@pytest.fixture(name="live")
def live_world(world):
    """A host on which generation 1 serves."""
    world.make(1)
    world.serves(1)
    return world


# --- what it makes ----------------------------------------------------------------------------------------------------


def test_first_generation(world):
    result = world.make(1)
    assert (result["changed"], result["stale"], result["remarks"]) == (True, False, [])
    world.serves(1)
    assert world.link("previous") is None
    assert not os.path.exists(world.path(DEFAULT_SITE))
    assert world.enabled == {"omero-web.target", "omero-web-boot.service", "nginx.service"}
    assert "omero-web.target" in world.active
    assert os.listdir(world.path("/run/systemd/system")) == []


def test_owners_and_modes(live):
    directory = live.path(BASEDIR, "generations/1")
    daemon = omero_web_transaction.id_of_group("daemon")
    wanted = {"": (0, 0, 0o755), "etc/grid": (0, 0, 0o755), "var": (0, daemon, 0o750), "manifest": (0, 0, 0o644),
              "etc/grid/config.xml": (0, daemon, 0o640), "config.digest": (0, 0, 0o600), "tls.pem": (0, 0, 0o600),
              "gunicorn.conf.py": (0, 0, 0o644)}
    found = {name: os.lstat(os.path.join(directory, name)) for name in wanted}
    assert {name: (it.st_uid, it.st_gid, stat.S_IMODE(it.st_mode)) for name, it in found.items()} == wanted
    sessions = os.lstat(live.path(BASEDIR, "var/sessions/django-5.2"))
    nobody = omero_web_transaction.id_of_user("nobody")
    assert (sessions.st_uid, sessions.st_gid, stat.S_IMODE(sessions.st_mode)) == (nobody, daemon, 0o750)
    assert stat.S_IMODE(os.stat(live.path(TLS)).st_mode) == 0o600
    assert os.readlink(os.path.join(directory, "var/log")) == "../../../var/log"
    assert sorted(os.listdir(directory)) == ["activated", "config.digest", "etc", "gunicorn.conf.py", "manifest",
                                             "nginx.conf", "omero-web.service", "omero-web.socket", "probe.service",
                                             "release", "tls.pem", "var"]


def test_manifest_and_digest(live):
    manifest = json.loads(live.content(BASEDIR + "/generations/1/manifest"))
    assert manifest["generation"] == 1
    assert manifest["made_by"] == "a test on here"
    with open(live.path(BASEDIR, "generations/1/etc/grid/config.xml"), "rb") as source:
        digest = hashlib.sha256(source.read()).hexdigest()
    assert json.loads(live.content(BASEDIR + "/generations/1/config.digest")) == {"wanted": "d1", "file": digest}


def test_configuration_goes_on_from_another(live):
    params = live.params(2)
    params["make"]["configuration"].update(settings={u"test.other": 2}, secrets={})
    assert not live.change(params).get("failed")
    properties = read_properties(live.path(BASEDIR, "generations/2/etc/grid/config.xml"))
    assert properties == {"test.number": "1", "test.password": "xyzzy", "test.other": "2"}


def test_configuration_that_is_refused(live):
    params = live.params(2)
    params["make"]["configuration"]["settings"] = {u"test.password": u"xyzzy"}
    result = live.change(params)
    assert (result["failed"], result["changed"], result["outcome"]["step"]) == (True, False, "make")
    assert "test.password is in secrets and also in settings" in result["msg"]
    assert "xyzzy" not in json.dumps(result)
    assert os.listdir(live.path(BASEDIR, "generations")) == ["1"]
    live.serves(1)


@pytest.mark.parametrize("files, sites", [
    ({"nginx-moving.conf": {"content": u"both"}}, ["both", "site 2"]),
    ({}, ["site 2"]),
])
def test_both_prefixes_answer_before_one_leads_to_the_other(live, monkeypatch, files, sites):
    """The old workers are waited for in between: they know nothing of the new prefix."""
    read_at_reload, workers = [], [["11\n12\n"], ["12\n13\n"], ["13\n"]]
    systemctl = live.on_systemctl

    def on_systemctl(*words):
        if words[0] == "reload":
            read_at_reload.append((live.content(NGINX_CONF), len(workers)))
        return Done(0, "MainPID=10\n", "") if "--property=MainPID" in words else systemctl(*words)

    monkeypatch.setattr(live, "on_systemctl", on_systemctl)
    monkeypatch.setattr(live, "on_pgrep", lambda *words: Done(0, workers.pop(0)[0], ""), raising=False)
    params = live.params(2, make=made_of(2, 1, **files))
    assert not live.change(params).get("failed")
    assert [site for site, dummy in read_at_reload] == sites
    assert read_at_reload[-1][1] == (0 if files else 3)
    live.serves(2)


@pytest.mark.parametrize("before, after, is_nginx_last", [
    ("https://127.0.0.1:443", "http://127.0.0.1:80", True),
    ("http://127.0.0.1:80", "https://127.0.0.1:443", False),
    ("https://127.0.0.1:443", "https://127.0.0.1:443", False),
    ("", "http://127.0.0.1:80", False),
])
def test_cookies_that_are_sent_by_tls_only_are_never_set_without(live, before, after, is_nginx_last):
    params = live.params(2)
    params["fallback"]["url"], params["target"]["url"] = before, after
    assert not live.change(params).get("failed")
    order = live.position("start omero-web@2.service"), live.position("reload nginx")
    if is_nginx_last:
        # Nor may the one before answer any more, at the socket that they share.
        assert order[0] < live.position("no-block stop omero-web@1.service") < order[1]
    else:
        assert order[1] < order[0]
    live.serves(2)


@pytest.mark.parametrize("failing", ["^systemctl reload nginx", "no-block stop omero-web@1"])
def test_tls_that_is_not_given_up_after_all(live, failing):
    params = live.params(2)
    params["fallback"]["url"] = "https://127.0.0.1:443"
    live.failing = failing
    result = live.change(params)
    assert result["failed"]
    live.failing = None
    live.serves(1)


def test_what_omero_was_told_stays_inside(live, monkeypatch):
    monkeypatch.setenv("OMERODIR", "/elsewhere")
    live.make(2)
    assert os.environ["OMERODIR"] == "/elsewhere"


def test_leftover_of_that_number_goes(live):
    live.put(BASEDIR + "/generations/2/gunicorn.conf.py", "half")
    live.put(BASEDIR + "/generations/2/nginx.conf", "half")
    live.make(2)
    live.serves(2)


@pytest.mark.parametrize("file", [None, "manifest", "failed"])
def test_generation_that_is_there_is_not_made_again(live, file):
    live.put(BASEDIR + "/generations/2/%s" % (file or "notes"), "{\"a\": 1}")
    if not file:
        live.active.add("omero-web@2.service")
    result = live.change(live.params(2))
    assert result["failed"]
    assert "generations/2 is there already" in result["msg"]
    assert os.path.exists(live.path(BASEDIR, "generations/2"))


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", "a/../b"])
def test_files_stay_inside(live, name):
    params = live.params(2)
    params["make"]["files"][name] = {"content": u""}
    assert "is no path inside of a generation" in live.change(params)["msg"]


# --- the order --------------------------------------------------------------------------------------------------------


def test_order_of_steps(live, monkeypatch):
    point = omero_web_host.point

    def spy(path, destination):
        live.log.append("point %s" % os.path.basename(path))
        point(path, destination)

    monkeypatch.setattr(omero_web_transaction, "point", spy)
    live.enabled |= {"omero-web.socket", "omero-web@1.service"}  # As they were before there was a unit for the boot.
    live.make(2)
    assert live.enabled == {"omero-web.target", "omero-web-boot.service", "nginx.service"}
    positions = [live.position(pattern) for pattern in (
        "^systemctl start omero-web-probe@2",
        "^systemctl stop omero-web-probe@2",
        "^unshare --mount sh",
        "^sync --file-system",
        "^point previous",
        "^nginx -t",
        "^systemctl reload nginx",
        "^systemctl start omero-web@2",
        "^point current",
        "^systemctl --no-reload disable omero-web.socket omero-web@1.service",
        "^systemctl --no-block stop omero-web@1.service",
    )]
    assert positions == sorted(positions)
    live.serves(2)
    assert live.link("previous") == "generations/1"


def test_where_sync_knows_no_file_systems(live):
    live.failing = "^sync --file-system"
    live.make(2)
    assert live.position("^sync$") < live.position("^systemctl start omero-web@2")


def test_nothing_is_started_that_is_not_to_be(live):
    params = live.params(2, start=False)
    assert not live.change(params).get("failed")
    assert not [words for words in live.log if re.search(r"systemctl (--\S+ )?(start|stop|reload)\b", words)]
    assert live.link("current") == "generations/2"
    assert live.enabled == {"omero-web.target", "omero-web-boot.service", "nginx.service"}
    assert live.content(NGINX_CONF) == "site 2"


def test_generation_that_is_only_made(live):
    assert live.change(live.params(2, hand_over=False))["changed"]
    live.serves(1)
    assert live.numbers() == [1, 2]


def test_stale(live):
    params = live.params(2)
    params["seen"]["generations"] = [1, 2]
    assert live.change(params) == {"changed": False, "stale": True, "removed": [], "remarks": []}
    params["seen"] = {"current": 2, "generations": [1]}
    assert live.change(params)["stale"]
    assert live.log == []
    assert live.numbers() == [1]


def test_history(live, monkeypatch):
    """Of a change that is done, of one that fails with a secret in its reason, of one that is killed."""
    live.make(2)
    params = live.params(3)
    params["make"]["links"]["xyzzy/.."] = u"/"
    assert "xyzzy" in live.change(params)["outcome"]["reason"]
    live.die_at = 5
    with pytest.raises(Killed):
        live.change(live.params(3))
    entries = [json.loads(line) for line in live.content(BASEDIR + "/history").splitlines()]
    told = [(one["from"], one["to"], one["outcome"], one.get("release"), one.get("reason")) for one in entries]
    assert told == [(0, 1, "done", "r1", ""), (1, 2, "done", "r1", ""), (2, 3, "failed", "", told[2][4]),
                    (2, 3, "cut off", None, None)]
    assert "******** is no path" in told[2][4].replace("/..", "")
    assert entries[0]["says"] == ["make generation 1"]
    assert entries[0]["by"] == "a test on here"


def test_history_that_cannot_be_written_is_no_reason_to_fail(live):
    os.unlink(live.path(BASEDIR, "history"))
    os.mkdir(live.path(BASEDIR, "history"))
    result = live.change(live.params(2))
    assert not result.get("failed")
    assert len(result["remarks"]) == 1 and "Is a directory" in result["remarks"][0]
    live.serves(2)


def test_rollback(live):
    live.make(2)
    assert live.change(live.params(1, make=None))["changed"]
    live.serves(1)
    assert live.link("previous") == "generations/2"


RUNS_AT = u"""RuntimeDirectory=omero-web-1
Environment=OMERO_TMPDIR=/run/omero-web-1
ExecStart=gunicorn --bind unix:/run/omero-web-probe-1/probe.sock --keep-alive 1
Sockets=omero-web.socket
"""


def test_rollback_to_a_copy_of_one_that_finishes_requests(world):
    params = world.params(1)
    params["make"]["files"]["omero-web.service"]["content"] = RUNS_AT
    params["make"]["links"]["var/django.pid"] = u"/run/omero-web-1/django.pid"
    # Names that only look as if the number were in them.
    params["make"]["files"]["nginx.conf"]["content"] = u"server_name omero-web-1 omero-web-1.example.org;"
    assert not world.change(params).get("failed")
    world.make(2)
    world.finishing.add("omero-web@1.service")
    manifest = {"generation": 3, "previous": 2}
    assert world.change(world.params(3, make={"copy_of": 1, "manifest": manifest}))["changed"]
    world.serves(3)
    assert "omero-web@1.service" in world.finishing
    first, third = (BASEDIR + "/generations/%d/" % number for number in (1, 3))
    for name in "gunicorn.conf.py", "nginx.conf", "tls.pem", "probe.service", "etc/grid/config.xml", "config.digest":
        assert world.content(third + name) == world.content(first + name)
        assert attributes(world.path(third, name)) == attributes(world.path(first, name))
    assert attributes(world.path(third, "var")) == attributes(world.path(first, "var"))
    assert world.content(third + "omero-web.service") == RUNS_AT.replace("web-1", "web-3").replace("probe-1", "probe-3")
    assert "Service=omero-web@3.service" in world.content(third + "omero-web.socket")
    made = json.loads(world.content(third + "manifest"))
    assert (made["generation"], made["previous"], made["made_by"]) == (3, 2, "a test on here")
    links = {name: os.readlink(world.path(third, name)) for name in ("release", "var/log", "var/django.pid")}
    assert links == {"release": "../../releases/r1", "var/log": "../../../var/log",
                     "var/django.pid": "/run/omero-web-3/django.pid"}
    assert sorted(os.listdir(world.path(third))) == sorted(os.listdir(world.path(first)))


def attributes(path):
    found = os.lstat(path)
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def test_rollback_waits_for_one_that_cannot_be_copied(live):
    live.make(2)
    live.finishing.add("omero-web@1.service")
    assert not live.change(live.params(1, make=None)).get("failed")
    assert live.position("stop omero-web@1.service") < live.position("start omero-web@1.service")
    live.serves(1)


def test_rollback_to_one_that_failed(live):
    live.make(2)
    directory = live.path(BASEDIR, "generations/1")
    os.rename(os.path.join(directory, "manifest"), os.path.join(directory, "failed"))
    live.change(live.params(1, make=None))
    live.serves(1)
    assert not os.path.exists(os.path.join(directory, "failed"))
    assert json.loads(live.content(BASEDIR + "/generations/1/manifest"))["generation"] == 1


def test_rollback_to_one_that_lacks_a_file_and_a_trial(live):
    for name in "tls.pem", "probe.service", "config.digest":
        os.unlink(live.path(BASEDIR, "generations/1", name))
    live.make(2)
    assert not live.change(live.params(1, make=None)).get("failed")
    live.serves(1)
    assert not os.path.exists(live.path(TLS))


def test_live_generation_is_mended(live):
    live.put(NGINX_CONF, "somebody's")
    live.stop("omero-web@1.service")
    assert not live.change(live.params(1, make=None, trial=False)).get("failed")
    live.serves(1)


def test_live_generation_that_cannot_be_mended_is_not_taken_back(live):
    live.status[1] = 500
    result = live.change(live.params(1, make=None, trial=False))
    assert result["outcome"]["step"] == "answer"
    live.serves(1)
    assert not os.path.exists(live.path(BASEDIR, "generations/1/failed"))


# --- trial, ports, nginx ----------------------------------------------------------------------------------------------


def check_refused(world, result, step, text):
    assert (result["failed"], result["outcome"]["step"]) == (True, step)
    assert text in result["outcome"]["reason"]
    assert result["outcome"]["serving"] == 1
    assert result["outcome"]["undo"] == []
    world.serves(1)
    assert world.link("previous") is None
    assert os.listdir(world.path("/run/systemd/system")) == []


def test_trial_that_fails(live):
    live.status[2] = 500
    result = live.change(live.params(2))
    check_refused(live, result, "trial", "its login page answered 500")
    assert (result["outcome"]["status"], result["outcome"]["log"]) == (500, ["one", "two"])
    failed = json.loads(live.content(BASEDIR + "/generations/2/failed"))
    assert failed["generation"] == 2
    assert failed["failed"]
    assert not os.path.exists(live.path(BASEDIR, "generations/2/manifest"))
    assert not [words for words in live.log if "start omero-web@2" in words]


def test_trial_that_does_not_start(live):
    live.failing = "^systemctl start omero-web-probe"
    check_refused(live, live.change(live.params(2)), "trial", "no luck")
    assert live.position("^systemctl stop omero-web-probe@2")


def test_trial_of_a_page_that_lacks_files(live):
    os.unlink(live.path(BASEDIR, "releases/r1/static/b.js"))
    result = live.change(live.params(2))
    check_refused(live, result, "trial", "static files that its release does not have: b.js")
    assert result["outcome"]["missing_static"] == ["b.js"]


def test_failed_trial_of_a_rollback_says_so_of_that_generation(live):
    live.make(2)
    live.status[1] = 500
    assert live.change(live.params(1, make=None))["outcome"]["serving"] == 2
    live.serves(2)
    assert json.loads(live.content(BASEDIR + "/generations/1/failed"))["generation"] == 1
    assert not os.path.exists(live.path(BASEDIR, "generations/2/failed"))


@pytest.fixture(name="tried_as")
def user_of_trial():
    return {"user": "researcher", "password": SECRET, "server": 1, "timeout": 120, "request_timeout": 60,
            "required": True}


def test_a_user_tries_a_generation_by_itself_and_on_the_site(live, tried_as):
    result = live.change(live.params(2, tried_as=tried_as, pages={"apps": ["/figure/"]}))
    assert "failed" not in result, result
    assert result["remarks"] == []
    live.serves(2)
    for where in "probe", "site":
        asked = [(method, path) for there, number, method, path in live.asked if (there, number) == (where, 2)]
        assert set([("GET", "/webclient/"), ("GET", "/figure/")]) < set(asked)
        assert [path for there, _, method, path in live.asked if (there, method) == (where, "POST")].count(
            "/webclient/login/") == 1
    # What the one before answers meanwhile does not count.
    assert ("site", 1) in set(asked[:2] for asked in live.asked)


def test_generation_that_fails_a_user(live, tried_as):
    live.broken["probe", 2] = 500
    result = live.change(live.params(2, tried_as=tried_as))
    check_refused(live, result, "user", "tried as the user researcher: /webclient/ answers 500")
    assert (result["outcome"]["status"], result["outcome"]["log"]) == (500, ["one", "two"])
    assert live.content(BASEDIR + "/generations/2/failed")
    assert not [words for words in live.log if "start omero-web@2" in words]
    assert SECRET not in json.dumps(result)


def test_page_for_a_user_that_lacks_a_file(live, tried_as):
    live.script = "c.js"
    check_refused(live, live.change(live.params(2, tried_as=tried_as)), "user",
                  "/webclient/ asks for static files that the site does not have: c.js")


def test_site_that_fails_a_user_is_taken_back(live, tried_as):
    live.broken["site", 2] = 404
    result = live.change(live.params(2, tried_as=tried_as))
    check_refused(live, result, "answer",
                  "tried as the user researcher at http://127.0.0.1:80: /webclient/ answers 404")
    assert live.content(BASEDIR + "/generations/2/failed")


def test_generation_that_cannot_be_tried_for_want_of_an_omero_server(live, tried_as):
    live.omero_server = False
    result = live.change(live.params(2, tried_as=tried_as))
    check_refused(live, result, "user", "OMERO.server does not answer")
    assert "omero_web_trial_required" in result["msg"]
    del live.asked[:]
    result = live.change(live.params(3, tried_as=dict(tried_as, required=False)))
    live.serves(3)
    assert "Generation 3 went live and could not be tried as the user researcher: OMERO.server" in result["remarks"][0]
    assert len(result["remarks"]) == 1
    assert set(asked[0] for asked in live.asked) == set(["probe"]), "once is enough"


def test_site_that_the_generation_before_answers_all_the_time(live, tried_as, monkeypatch):
    tried_as["request_timeout"] = 0
    get = live.get

    def keep(place, path, name, timeout):
        """Have the generation before answer whoever is logged in."""
        answer = get(place, path, name, timeout)
        return answer._replace(generation=1) if path == "/webclient/" and isinstance(place.address, tuple) else answer

    monkeypatch.setattr(live, "get", keep)
    check_refused(live, live.change(live.params(2, tried_as=tried_as)), "answer",
                  "/webclient/ gives no answer (generation 1 does instead)")


def test_nobody_tries_what_is_live(live, tried_as):
    live.change(live.params(1, make=None, trial=False, tried_as=tried_as))
    assert live.asked == []


def test_generation_that_is_gone_back_to_is_tried(live, tried_as):
    live.make(2)
    live.broken["probe", 1] = 500
    result = live.change(live.params(1, make=None, tried_as=tried_as))
    assert result["outcome"]["step"] == "user"
    live.serves(2)


def test_trials_of_other_runs_end(live):
    live.put("/run/systemd/system/omero-web-probe@9.service", "")
    live.active |= {"omero-web-probe@9.service", "omero-web-probe@2.service"}
    live.make(2)
    assert live.position("^systemctl stop omero-web-probe@2.service omero-web-probe@9.service") < live.position("start")
    live.serves(2)
    assert os.listdir(live.path("/run/systemd/system")) == []


@pytest.mark.parametrize("stranger, sentence", [
    (Listener("0.0.0.0", 4080, [7], ["python3"], []),
     "omero.web.application_server.host and .port are 127.0.0.1:4080, where python3 listens on this host; stop it or"),
    (Listener("127.0.0.1", 4080, [], [], []), "another program listens"),
    (Listener("::", 80, [7], ["apache2"], []), "omero_web_http_port is 80, where apache2 listens on this host;"),
])
def test_ports_that_others_have(world, stranger, sentence):
    world.strangers.append(stranger)
    result = world.change(world.params(1))
    assert result["outcome"]["step"] == "ports"
    assert sentence in result["outcome"]["reason"]
    assert not result["changed"]
    assert world.numbers() == []


@pytest.mark.parametrize("listener", [
    Listener("127.0.0.1", 80, [7], ["nginx"], ["nginx.service"]),
    Listener("10.0.0.1", 4080, [7], ["python3"], []),
    Listener("127.0.0.1", 4080, [8], ["gunicorn"], ["omero-web@3.service"]),
])
def test_ports_that_are_ours_or_nobodys(live, listener):
    live.strangers.append(listener)
    live.make(2)


def test_nginx_is_tested_before_a_file_is_replaced(live):
    params = live.params(2)
    params["make"] = made_of(2, 1, **{"nginx.conf": {"content": u"nonsense"}})
    result = live.change(params)
    check_refused(live, result, "nginx", "nonsense in /etc/nginx/conf.d/omero-web.conf:1")
    assert "test failed" not in result["msg"]
    assert not [words for words in live.log if re.match("nginx|sync|systemctl reload", words)]
    assert os.path.exists(live.path(BASEDIR, "generations/2/failed"))
    assert [name for name in os.listdir(live.path("/run")) if "nginx" in name] == []


def test_nginx_is_tested_in_place_where_nothing_can_be_mounted(live):
    live.failing = "^unshare"
    params = live.params(2)
    params["make"] = made_of(2, 1, **{"nginx.conf": {"content": u"nonsense"}})
    check_refused(live, live.change(params), "nginx", "nonsense in /etc/nginx")
    assert not [words for words in live.log[:live.position("^nginx")] if words.startswith("systemctl reload")]


def test_first_site_that_fails_goes(world):
    world.status[1] = 502
    result = world.change(world.params(1, trial=False))
    assert result["outcome"]["serving"] == 0
    assert world.content(NGINX_CONF) is None
    assert world.content(TLS) is None
    assert world.content(DEFAULT_SITE) == "default"
    assert not [unit for unit in world.active if unit.startswith("omero-web")]
    assert world.link("current") is None


def test_part_of_a_file_that_is_the_default_site(world):
    world.put(DEFAULT_SITE, "a\nserver\nb\n")
    site = {"path": DEFAULT_SITE, "part": "(?m)^server\n"}
    assert not world.change(world.params(1, nginx={"default_site": site, "ports": {}})).get("failed")
    assert re.match("a\n    # .*\nb\n\\Z", world.content(DEFAULT_SITE))
    kept = [name for name in os.listdir(world.path("/etc/nginx/sites-enabled")) if name.endswith("~")]
    assert [world.content("/etc/nginx/sites-enabled/" + name) for name in kept] == ["a\nserver\nb\n"]


def test_without_nginx(world):
    params = world.params(1, nginx=None)
    for name in "nginx.conf", "tls.pem":
        params["target"]["installed"].pop(name)
    assert not world.change(params).get("failed")
    assert not [words for words in world.log if re.search("^nginx|^unshare|nginx[.]service", words)]
    assert os.path.exists(world.path(DEFAULT_SITE))


# --- who answers ------------------------------------------------------------------------------------------------------


def test_answers_of_the_generation_before_do_not_count(live):
    live.status[1] = 200
    live.status[2] = 400
    result = live.change(live.params(2, trial=False))
    check_refused(live, result, "answer", "the site answers 400")
    assert result["outcome"]["status"] == 400


def test_generation_that_never_answers(live, monkeypatch):
    monkeypatch.setattr(live, "get_once", lambda *dummy: Answer(200, "", 1, None, PAGE))
    monkeypatch.setattr(live, "get", lambda *dummy: Answer(200, "", 1, None, PAGE))
    check_refused(live, live.change(live.params(2, trial=False)), "answer",
                  "did not answer http://127.0.0.1:80/webclient/login/; the answers were 200 of generation 1")


def test_nginx_that_keeps_who_answers_to_itself(live, monkeypatch):
    asked = []

    def get(place, path, name, timeout):
        asked.append(place.address)
        return World.get(live, place, path, name, timeout)._replace(generation=0)

    monkeypatch.setattr(live, "get", get)
    live.make(2)
    assert ("127.0.0.1", 80) in asked


def test_nginx_that_answers_once_more_as_before(live, monkeypatch):
    late = [404, 404]

    def get(place, path, name, timeout):
        answer = World.get(live, place, path, name, timeout)
        return answer._replace(status=late.pop(), generation=0) if late and isinstance(place.address, tuple) else answer

    monkeypatch.setattr(live, "get", get)
    live.make(2)
    assert late == []


def test_generation_that_cannot_say_who_it_is(live):
    params = live.params(2)
    params["make"]["files"]["gunicorn.conf.py"] = {"content": u""}
    live.silent.add(2)
    assert not live.change(params).get("failed")
    live.serves(2)


def test_static_file_that_the_site_does_not_have(live, monkeypatch):
    def get_once(place, path, name, timeout):
        answer = World.get(live, place, path, name, timeout)
        return answer._replace(status=404) if path.startswith("/static/") else answer

    monkeypatch.setattr(live, "get_once", get_once)
    check_refused(live, live.change(live.params(2)), "answer", "the site answers 404 for the static file /static/a.css")


# --- sockets ----------------------------------------------------------------------------------------------------------


def on_port(world, number, port, host="127.0.0.1"):
    address = "%s:%d" % (host, port)
    socket = "omero-web-%s.socket" % address
    params = world.params(number)
    params["target"].update(socket=socket, address=address, installed=installed(number, socket))
    params["make"]["files"].update({
        "omero-web.service": {"content": u"Sockets=%s\n" % socket},
        "omero-web.socket": {"content": u"ListenStream=%s\nService=omero-web@%d.service\n" % (address, number)},
    })
    return params


def test_port_change_and_back(live):
    assert not live.change(on_port(live, 2, 4090)).get("failed")
    assert live.open == {"omero-web-127.0.0.1:4090.socket": "127.0.0.1:4090"}
    assert live.position("stop omero-web.socket") < live.position("stop omero-web@1.service")
    assert live.position("start omero-web@2.service") < live.position("reload nginx")
    params = live.params(1, make=None)
    params["fallback"]["installed"] = installed(2, "omero-web-127.0.0.1:4090.socket")
    assert not live.change(params).get("failed")
    live.serves(1)
    live.make(3)
    live.serves(3)


def test_port_change_that_fails(live):
    live.status[2] = 400
    params = on_port(live, 2, 4090)
    params["trial"] = False
    check_refused(live, live.change(params), "answer", "400")
    assert not os.path.exists(live.path("/etc/systemd/system/omero-web-127.0.0.1:4090.socket"))
    assert not [words for words in live.log if re.search(r"stop .*omero-web@1|stop omero-web.socket", words)]


def test_address_that_has_the_one_before_in_it_and_back(live):
    assert not live.change(on_port(live, 2, 4080, "0.0.0.0")).get("failed")
    assert live.open == {"omero-web-0.0.0.0:4080.socket": "0.0.0.0:4080"}
    assert live.position("stop omero-web.socket") < live.position("start omero-web-0.0.0.0:4080.socket")
    params = live.params(1, make=None)
    params["fallback"]["installed"] = installed(2, "omero-web-0.0.0.0:4080.socket")
    assert not live.change(params).get("failed")
    live.serves(1)
    assert live.open == {"omero-web.socket": "127.0.0.1:4080"}


def test_address_that_has_the_one_before_in_it_and_that_fails(live):
    live.status[2] = 400
    params = on_port(live, 2, 4080, "0.0.0.0")
    params["trial"] = False
    # Nothing but its files tells of the service: that of a World holds no address itself.
    live.strangers.append(Listener("127.0.0.1", 4080, [9], ["gunicorn"], ["omero-web@1.service"]))
    check_refused(live, live.change(params), "answer", "400")
    assert live.open == {"omero-web.socket": "127.0.0.1:4080"}


def test_socket_that_was_opened_elsewhere_is_closed(live):
    """Generations from before that differ in their port have sockets of the same name."""
    live.status[2] = 400
    params = on_port(live, 2, 4090)
    params["trial"] = False
    params["target"].update(socket="omero-web.socket", installed=installed(2))
    params["make"]["files"]["omero-web.service"] = {"content": u"Sockets=omero-web.socket\n"}
    result = live.change(params)
    assert (result["outcome"]["step"], result["outcome"]["undo"]) == ("answer", [])
    assert live.open == {}
    assert "omero-web@1.service" in live.active
    assert "4080" in live.content("/etc/systemd/system/omero-web.socket")
    live.change(live.params(1, make=None))
    live.serves(1)


def test_socket_that_systemd_lost(live):
    """A generation has the address for itself: it has to end before anybody else can have it."""
    live.open.clear()
    live.strangers.append(Listener("127.0.0.1", 4080, [9], ["gunicorn"], ["omero-web@1.service"]))
    live.make(2)
    assert live.position("stop omero-web@1.service") < live.position("start omero-web.socket")
    live.strangers = []
    live.serves(2)


def test_another_instance_is_left_alone(live):
    sockets = {"omero-web-public.socket": "127.0.0.1:5000", "omero-web-public-127.0.0.1:4090.socket": "127.0.0.1:4090"}
    for name, address in sockets.items():
        live.put("/etc/systemd/system/" + name, "ListenStream=%s\nService=omero-web-public@1.service" % address)
        live.start(name)
    live.put("/etc/systemd/system/omero-web-public@1.service", "")
    live.put("/run/systemd/system/omero-web-public-probe@2.service", "")
    services = {"omero-web-public@1.service", "omero-web-public-probe@2.service", "omero-web-public-build-r1.service"}
    live.active |= services
    live.enabled |= services
    live.make(2)
    assert not live.change(live.params(1, make=None)).get("failed")
    assert not [words for words in live.log if "omero-web-public" in words]
    assert live.active >= services | set(sockets)
    assert live.enabled >= services
    assert os.listdir(live.path("/run/systemd/system")) == ["omero-web-public-probe@2.service"]


# --- whatever fails, and whenever -------------------------------------------------------------------------------------


def fresh(tmp_path, name):
    world = World(tmp_path / name)
    world.make(1)
    return world


def commands_of_a_change(world):
    world.make(2)
    return list(world.log)


def test_a_failure_at_any_command_is_undone(tmp_path):
    commands = commands_of_a_change(fresh(tmp_path, "whole"))
    undone = []
    for place, words in enumerate(commands, 1):
        world = fresh(tmp_path, str(place))
        world.fail_at = place
        result = world.change(world.params(2))
        world.fail_at = None
        if not result.get("failed"):
            world.serves(2)
            continue
        assert result["outcome"]["serving"] == (2 if result["outcome"]["step"] == "retire" else 1), words
        if result["outcome"]["step"] != "retire":
            undone.append(words)
            world.serves(1)
            assert world.link("previous") is None
            assert (world.content(BASEDIR + "/generations/2/failed") is None) == (
                result["outcome"]["step"] in ("tidy", "remove", "make", "ports"))
        # The next run makes what is wanted, whatever has been.
        world.make(3)
        world.serves(3)
    assert len(undone) > 5


def test_undo_goes_on_past_its_own_errors(live):
    live.status[2] = 400
    live.failing = "^systemctl reload nginx|daemon-reload"
    result = live.change(live.params(2, trial=False))
    assert result["outcome"]["step"] in ("start", "nginx")
    assert any("no luck" in problem for problem in result["outcome"]["undo"])
    live.serves(1)
    assert os.path.exists(live.path(BASEDIR, "generations/2/failed"))


def test_after_a_death_at_any_command_the_next_run_converges(tmp_path):
    commands = commands_of_a_change(fresh(tmp_path, "whole"))
    for place, words in enumerate(commands, 1):
        world = fresh(tmp_path, str(place))
        world.die_at = place
        with pytest.raises(Killed):
            world.change(world.params(2))
        world.die_at = None
        assert world.link("current") in ("generations/1", "generations/2"), words
        number = max(world.numbers()) + 1
        world.make(number)
        world.serves(number)
        assert os.listdir(world.path("/run/systemd/system")) == []


def test_a_disk_that_is_full_is_a_sentence(live, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device", "/opt/x")

    monkeypatch.setattr(omero_web_host.tempfile, "mkstemp", full)
    result = live.change(live.params(2))
    assert result["msg"] == "Generation 2 could not be made: /opt/x: No space left on device"
    live.serves(1)


# --- removals ---------------------------------------------------------------------------------------------------------


def without(**names):
    return dict({"generations": [], "releases": [], "sessions": [], "wheels": [], "units": []}, **names)


def test_removal(live):
    live.make(2)
    live.make(3)
    live.put(BASEDIR + "/releases/old/manifest", "{}")
    live.put(BASEDIR + "/wheels/a.whl", "")
    live.put(BASEDIR + "/var/sessions/django-4.2/a/b", "")
    live.put(BASEDIR + "/releases/.removing-older/manifest", "{}")
    remove = without(generations=[1], releases=["old"], sessions=["django-4.2"], wheels=["a.whl"],
                     units=["/etc/systemd/system/omero-web@1.service"])
    result = live.change(live.params(3, make=None, trial=False, hand_over=False, remove=remove))
    assert result["changed"]
    assert len(result["removed"]) == 5
    assert live.numbers() == [2, 3]
    assert os.listdir(live.path(BASEDIR, "releases")) == ["r1"]
    assert os.listdir(live.path(BASEDIR, "wheels")) == []
    assert os.listdir(live.path(BASEDIR, "var/sessions")) == ["django-5.2"]
    assert not os.path.exists(live.path("/etc/systemd/system/omero-web@1.service"))
    live.serves(3)
    assert not live.change(live.params(3, make=None, trial=False, hand_over=False, remove=remove))["changed"]


def test_what_is_one_before_the_previous_goes_with_the_handover(live):
    live.make(2)
    remove = without(generations=[1], units=["/etc/systemd/system/omero-web@1.service"])
    assert not live.change(live.params(3, remove=remove)).get("failed")
    live.serves(3)
    assert live.numbers() == [2, 3]


def test_a_release_that_another_run_builds_is_not_removed(live):
    live.put(BASEDIR + "/releases/new/venv/pyvenv.cfg", "")
    remove = without(releases=["new"])
    live.active.add("omero-web-build-new.service")
    params = live.params(1, make=None, trial=False, hand_over=False, remove=remove)
    assert live.change(params)["removed"] == []
    live.active.discard("omero-web-build-new.service")
    assert live.change(params)["removed"] == [live.path(BASEDIR, "releases/new")]


@pytest.mark.parametrize("names, sentence", [
    ({"generations": [1]}, "generation 1 is in use"),
    ({"generations": [2]}, "generation 2 is in use"),
    ({"generations": [0]}, "generation 0 is in use"),
    ({"releases": ["r1"]}, "release r1 is in use"),
    ({"releases": ["../generations"]}, "is no name of a release"),
    ({"releases": [".."]}, "is no name of a release"),
    ({"wheels": ["../x.whl"]}, "is no name of a wheel"),
    ({"sessions": ["etc"]}, "is no name of a directory of sessions"),
    ({"sessions": ["../django-4.2"]}, "is no name of a directory of sessions"),
    ({"units": ["/etc/systemd/system/omero-web@2.service"]}, "is in use"),
    ({"units": ["/etc/systemd/system/omero-web.socket"]}, "is in use"),
    ({"units": ["/etc/systemd/system/ssh.service"]}, "is no unit of a generation"),
    ({"units": ["/etc/systemd/system/../../passwd"]}, "is no unit of a generation"),
])
def test_removals_that_are_refused(live, names, sentence):
    live.make(2)
    result = live.change(live.params(2, make=None, hand_over=False, remove=without(**names)))
    assert (result["outcome"]["step"], result["changed"]) == ("remove", False)
    assert sentence in result["outcome"]["reason"]
    live.serves(2)


@pytest.mark.parametrize("ending", [".socket", "-127.0.0.1:5000.socket"])
def test_socket_of_another_instance_is_not_removed(live, ending):
    path = "/etc/systemd/system/omero-web-public" + ending
    live.put(path, "ListenStream=127.0.0.1:5000\nService=omero-web-public@1.service")
    result = live.change(live.params(1, make=None, hand_over=False, remove=without(units=[path])))
    assert "is no unit of a generation" in result["msg"]


def test_socket_that_nobody_uses_is_removed(live):
    path = "/etc/systemd/system/omero-web-127.0.0.1:4090.socket"
    live.put(path, "ListenStream=127.0.0.1:4090\nService=omero-web@1.service")
    assert live.change(live.params(1, make=None, hand_over=False, remove=without(units=[path])))["removed"] == [path]


def test_a_link_is_not_removed_for_a_directory(live, tmp_path):
    (tmp_path / "decoy").mkdir()
    os.symlink(str(tmp_path / "decoy"), live.path(BASEDIR, "releases/old"))
    result = live.change(live.params(1, make=None, hand_over=False, remove=without(releases=["old"])))
    assert "is not a directory and is not removed" in result["msg"]
    assert (tmp_path / "decoy").is_dir()


# --- hostile ground ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["var", "var/sessions", "var/sessions/django-5.2"])
def test_links_below_var_are_not_followed(world, tmp_path, what):
    decoy = tmp_path / "decoy"
    (decoy / "sessions" / "django-5.2").mkdir(parents=True)
    (decoy / "django-5.2").mkdir()
    before = {str(path): path.stat()[:6] for path in decoy.rglob("*")}
    path = world.path(BASEDIR, what)
    if os.path.isdir(path):
        shutil.rmtree(path)
    os.symlink(str(decoy), path)
    result = world.change(world.params(1))
    assert (result["failed"], result["outcome"]["step"]) == (True, "make")
    assert "is not a directory, but a link to %s" % decoy in result["msg"]
    assert {str(path): path.stat()[:6] for path in decoy.rglob("*")} == before


def test_file_in_place_of_sessions(world):
    os.rmdir(world.path(BASEDIR, "var/sessions"))
    world.put(BASEDIR + "/var/sessions", "")
    assert "is not a directory, but a file" in world.change(world.params(1))["msg"]


def test_what_is_not_the_services_stays_so(world):
    os.mkdir(world.path(BASEDIR, "var/sessions/django-5.2"), 0o711)
    assert "belongs to root and not to the service" in world.change(world.params(1))["msg"]
    found = os.stat(world.path(BASEDIR, "var/sessions/django-5.2"))
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, 0o711)


def test_the_socket_of_a_trial_is_asked_as_the_service(world, monkeypatch, tried_as):
    # On real hosts it may be a link to a socket that answers to root alone.
    asked = []

    def get(place, path, name, timeout):
        if not isinstance(place.address, tuple):
            asked.append((os.geteuid(), os.getegid()))
        return World.get(world, place, path, name, timeout)

    monkeypatch.setattr(world, "get", get)
    world.change(world.params(1, tried_as=tried_as))
    assert len(asked) > 2
    assert set(asked) == set([(pwd.getpwnam("nobody").pw_uid, grp.getgrnam("daemon").gr_gid)])
    assert (os.geteuid(), os.getegid()) == (0, 0)


def test_sessions_that_lead_elsewhere_are_not_removed(live, tmp_path):
    (tmp_path / "django-4.2").mkdir()
    shutil.rmtree(live.path(BASEDIR, "var/sessions"))
    os.symlink(str(tmp_path), live.path(BASEDIR, "var/sessions"))
    result = live.change(live.params(1, make=None, hand_over=False, remove=without(sessions=["django-4.2"])))
    assert (tmp_path / "django-4.2").is_dir()
    assert "is not a directory, but a link" in result["remarks"][0]


def test_very_deep_directories_are_removed(tmp_path):
    path = str(tmp_path / "7")
    os.mkdir(path)
    below = os.open(path, os.O_RDONLY)
    (tmp_path / "decoy").mkdir()
    for _ in range(1200):
        directory = "/proc/self/fd/%d/x" % below
        os.mkdir(directory)
        os.symlink(str(tmp_path / "decoy"), directory + "y")
        above, below = below, os.open(directory, os.O_RDONLY)
        os.close(above)
    os.close(below)
    omero_web_host.remove_tree(path)
    assert os.listdir(str(tmp_path)) == ["decoy"]


def test_what_cannot_be_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "rm").write_text(u"#!/bin/sh\necho no luck >&2\nexit 1\n")
    (tmp_path / "rm").chmod(0o755)
    (tmp_path / "7").mkdir()
    with pytest.raises(omero_web_host.Problem, match="cannot be removed: no luck"):
        omero_web_host.remove_tree(str(tmp_path / "7"))


def test_what_cannot_be_renamed_is_removed(tmp_path, monkeypatch):
    (tmp_path / "7" / "etc").mkdir(parents=True)
    (tmp_path / "7" / "manifest").write_text(u"{}")
    left = []

    def rename(*dummy):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    def delete(path):
        left.append((os.path.basename(path), os.listdir(path)))

    monkeypatch.setattr(omero_web_host.os, "rename", rename)
    monkeypatch.setattr(omero_web_host, "_delete", delete)
    omero_web_host.remove_tree(str(tmp_path / "7"))
    assert left == [("7", ["etc"])], "nothing that is cut off here looks complete"


def test_a_command_whose_output_somebody_keeps_open(tmp_path):
    pid = tmp_path / "pid"
    done = Commands().run("sh", "-c", "sleep 60 & echo $! > %s; echo anything" % pid, seconds=30, quiet=True)
    assert done == Done(0, "", "")
    os.kill(int(pid.read_text()), signal.SIGKILL)


# --- the lock ---------------------------------------------------------------------------------------------------------


HOLD = """
import sys, time
sys.path[:0] = [%r]
import conftest
from ansible.module_utils.omero_web_process import Lock
Lock(sys.argv[1], "another on there").take(0)
print("held")
sys.stdout.flush()
time.sleep(60)
"""


@pytest.fixture(name="holder")
def process_that_holds_the_lock(world):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD % os.path.join(ROOT, "tests", "unit"), world.path("/run/omero-web.lock")],
        stdout=subprocess.PIPE)
    assert process.stdout.readline().strip() == b"held"
    yield process
    if process.poll() is None:
        process.kill()
        process.wait()


def test_second_run_waits_and_says_for_whom(world, holder):
    began = time.time()
    result = world.change(world.params(1, lock_timeout=1))
    assert time.time() - began >= 1
    assert (result["outcome"]["step"], result["changed"]) == ("lock", False)
    assert re.match("Another run is changing this host: that of another on there, since 2.*; wait for its end[.]",
                    result["msg"])


def test_a_killed_holder_frees_the_lock(world, holder):
    holder.kill()
    holder.wait()
    world.make(1)


def test_nobody_waits_for_the_lock_in_vain(world, holder):
    with pytest.raises(Problem):
        Lock(world.path("/run/omero-web.lock"), "me").take(60, is_wanted=lambda: False)


def test_whoever_holds_the_lock_of_everybody_holds_nothing(world):
    path = world.path("/run/omero-web.lock")
    with open(path, "w") as old:
        os.chmod(path, 0o644)
        fcntl.flock(old, fcntl.LOCK_EX)
        world.make(1)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert json.loads(world.content("/run/omero-web.lock"))["by"] == "a test on here"


def test_a_link_in_place_of_the_lock_is_a_sentence(world, tmp_path):
    os.symlink(str(tmp_path / "x"), world.path("/run/omero-web.lock"))
    assert "omero-web.lock" in world.change(world.params(1))["msg"]
    assert not (tmp_path / "x").exists()


# --- a process of its own ---------------------------------------------------------------------------------------------


def test_result_of_the_process():
    assert in_a_process_of_its_own(lambda is_wanted: [is_wanted(), os.getsid(0) == os.getpid()]) == [True, True]


def test_process_that_is_killed():
    assert in_a_process_of_its_own(lambda is_wanted: os.kill(os.getpid(), signal.SIGKILL)) is None


def test_process_outlives_the_one_that_waits(tmp_path):
    middle = os.fork()
    if not middle:
        def work(is_wanted):
            while is_wanted():
                time.sleep(0.01)
            (tmp_path / "finished").write_text(u"")
        in_a_process_of_its_own(work)
        os._exit(0)
    time.sleep(0.3)
    os.kill(middle, signal.SIGKILL)
    os.waitpid(middle, 0)
    for _ in range(300):
        if (tmp_path / "finished").exists():
            break
        time.sleep(0.01)
    assert (tmp_path / "finished").exists()


# --- as Ansible runs it -----------------------------------------------------------------------------------------------


SECRET = u"hunter2-PLANTED"


class Syslog(object):
    """Stands in for the module syslog."""

    LOG_INFO = LOG_USER = 0

    def __init__(self):
        self.messages = []

    def openlog(self, *dummy):
        pass

    def syslog(self, priority, message):
        self.messages.append(str(message))


@pytest.fixture(name="apply")
def as_ansible_does(world, monkeypatch):
    """Run the module with parameters for generation 1, a secret among them; its result, and what was logged of it."""
    syslog = Syslog()
    monkeypatch.setattr(basic, "syslog", syslog)
    monkeypatch.setattr(basic, "has_syslog", True, raising=False)
    monkeypatch.setattr(basic, "has_journal", False)
    monkeypatch.setattr(omero_web_transaction, "Host", lambda: world)
    monkeypatch.setattr(omero_web_transaction, "Commands", lambda: world)

    def apply(**more):
        params = world.params(1)
        params["make"]["configuration"]["secrets"] = {u"test.password": SECRET}
        params["make"]["files"]["tls.pem"] = {"content": SECRET, "mode": u"0600"}
        params.update(more)
        result = run_module("omero_web_change", params)
        return result, result.text + "".join(syslog.messages)

    return apply


@pytest.mark.parametrize("as_text", [False, True])
def test_module(world, apply, as_text):
    make = made_of(1, 0)
    make["files"]["tls.pem"] = {"content": SECRET}
    result, shown = apply(**{"make": json.dumps(make)} if as_text else {})
    assert (result["changed"], result["stale"]) == (True, False), result
    assert world.content(TLS) == SECRET
    assert SECRET not in shown
    assert "basedir=/opt/omero/web" in shown
    assert "http://127.0.0.1:80" in shown or not as_text


@pytest.mark.parametrize("as_text", [False, True])
def test_module_that_is_told_a_user(world, apply, tried_as, as_text):
    world.broken["probe", 1] = 404
    result, shown = apply(tried_as=json.dumps(tried_as) if as_text else tried_as, pages={"site": [{"path": "/more/"}]})
    assert result["outcome"]["reason"] == "tried as the user researcher: /webclient/ answers 404"
    assert SECRET not in shown


@pytest.mark.parametrize("more", [
    {"make": SECRET},
    {"make": [SECRET]},
    {"tried_as": SECRET},
    {"no_such_parameter": 1},
    {"start_timeout": "soon"},
    {"seen": None},
    {"target": {"number": 1}},
    {"fallback": {"nobody": 1}},
    {"group": "no-such-group"},
])
def test_nothing_secret_is_shown_of_what_is_refused(apply, more):
    result, shown = apply(**more)
    assert result["failed"]
    assert SECRET not in shown


def test_module_that_fails(world, apply):
    world.status[1] = 500
    result, shown = apply()
    assert (result["failed"], result["changed"]) == (True, True)
    assert result["outcome"]["step"] == "trial"
    assert SECRET not in shown


def test_module_whose_process_is_killed(world, apply, monkeypatch):
    monkeypatch.setattr(omero_web_transaction, "change", lambda *dummy: os.kill(os.getpid(), signal.SIGKILL))
    assert "The process that changes this host was killed" in apply()[0]["msg"]


# --- who listens ------------------------------------------------------------------------------------------------------


def test_listeners(tmp_path):
    row = "   0: %s 00000000:0000 %s 00000000:00000000 00:00000000 00000000     0        0 %d 1 0 100 0 0 10 0\n"
    (tmp_path / "net").mkdir()
    little = sys.byteorder == "little"
    (tmp_path / "net" / "tcp").write_text(
        u"head\n" + row % (("0100007F" if little else "7F000001") + ":0FF0", "0A", 11)
        + row % ("0100007F:0FF1", "0A", 12) + row % ("0100007F:0FF0", "01", 13))
    (tmp_path / "net" / "tcp6").write_text(u"head\n" + row % ("0" * 32 + ":0FF0", "0A", 14))
    (tmp_path / "7" / "fd").mkdir(parents=True)
    os.symlink("socket:[11]", str(tmp_path / "7" / "fd" / "3"))
    (tmp_path / "7" / "comm").write_text(u"gunicorn\n")
    (tmp_path / "7" / "cgroup").write_text(u"1:name=systemd:/\n0::/system.slice/omero-web@3.service\n")
    assert omero_web_host.listeners(4080, str(tmp_path)) == [
        Listener("127.0.0.1", 4080, [7], ["gunicorn"], ["omero-web@3.service"]),
        Listener("::", 4080, [], [], []),
    ]


def test_the_end_of_a_long_log_is_what_is_read():
    class Journal(object):
        def run(self, *command, **dummy):
            # It would show the first ones of these.
            assert not [word for word in command if word.startswith("--lines")]
            return Done(0, "".join("line %d\n" % number for number in range(500)), "")

    lines = Systemd(Journal()).log("omero-web@7.service", 0)
    assert lines[-1] == "line 499"
    assert len(lines) == LAST_LINES

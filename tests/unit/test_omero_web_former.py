# -*- coding: utf-8 -*-
"""The way from an OMERO.web of before the role, and back: whatever fails, and whenever power is lost, one serves."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import pwd
import re
import stat

import pytest
from ansible.module_utils import omero_web_former, omero_web_transaction
from ansible.module_utils.omero_web_host import listing
from ansible.module_utils.omero_web_http import Answer
from ansible.module_utils.omero_web_systemd import Done
from test_omero_web_change import BASEDIR, NGINX_CONF, PAGE, World, installed, made_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to others, as root")

UNIT, SOCKET = "omero-web.service", "omero-web-127.0.0.1:4081.socket"
SITE = "/etc/nginx/conf.d/omeroweb.conf"
OLD = "upstream old"
COOKIE = "sessionid" + "a" * 32


class FormerWorld(World):
    """A host with an OMERO.web of before the role, at port 4080, and nginx that reads all its sites."""

    def __init__(self, root, site=SITE):
        World.__init__(self, root)
        self.site = site
        self.put("/etc/systemd/system/" + UNIT, "")
        if "enabled" in site:
            self.put("/etc/nginx/sites-enabled/.all/omeroweb", OLD)
            os.symlink(".all/omeroweb", self.path(site))
        else:
            self.put(site, OLD)
        self.put("/tmp/" + COOKIE, "theirs")
        nobody = pwd.getpwnam("nobody")
        os.chown(self.path("/tmp", COOKIE), nobody.pw_uid, nobody.pw_gid)
        os.chmod(self.path("/tmp"), 0o1777)
        self.active |= {UNIT, "nginx.service"}
        self.enabled |= {UNIT, "nginx.service"}
        self.old_status, self.read = 200, OLD
        os.unlink(self.path("/etc/nginx/sites-enabled/default"))

    def sites(self):
        paths = [directory + "/" + name for directory in ("/etc/nginx/conf.d", "/etc/nginx/sites-enabled")
                 for name in listing(self.path(directory)) if not name.startswith(".")]
        contents = [self.content(path) for path in paths]
        return [content for content in contents if "upstream" in content]

    def on_systemctl(self, *words):
        if words[0] == "reload":
            assert len(self.sites()) == 1
            (self.read,) = self.sites()
        return World.on_systemctl(self, *words)

    def on_nginx(self, *dummy):
        return World.on_nginx(self) if len(self.sites()) == 1 else Done(1, "", "duplicate upstream")

    def on_unshare(self, *words):
        if words[1:] != ("true",):
            directories = [os.path.join(words[-2], below) for below in ("conf.d", "sites-enabled")]
            sites = [name for directory in directories for name in os.listdir(directory) if not name.startswith(".")]
            assert len(sites) == 1, sites
        return World.on_unshare(self, *words)

    def start(self, name):
        World.start(self, name)
        if name == UNIT and self.old_status == 0:
            self.active.discard(name)

    def get(self, place, path, name, timeout):
        if not isinstance(place.address, tuple) or place.address[1] == 4081:
            return World.get(self, place, path, name, timeout)
        if place.address[1] == 80 and self.read != OLD:
            return self.status_of_site() or World.get(self, place, path, name, timeout)
        status = self.old_status if UNIT in self.active else 0
        return Answer(status, "Connection refused", 0, None, PAGE)

    get_once = get

    def status_of_site(self):
        number = int(re.search(r"site (\d+)", self.read).group(1))
        if self.broken.get(("site", number)):
            return Answer(self.broken["site", number], "", number, None, PAGE)
        return None

    def known(self):
        return {"unit": UNIT, "address": "127.0.0.1:4080", "site": self.site, "sessions": "/tmp", "user": "nobody",
                "cookie": "sessionid", "django": "5.2", "seconds": 600}

    def params(self, number, **more):
        files = {
            "omero-web.service": {"content": u"Sockets=%s\n" % SOCKET},
            "omero-web.socket": {
                "content": u"ListenStream=127.0.0.1:4081\nService=omero-web@%d.service\n" % number},
            "nginx.conf": {"content": u"upstream site %d" % number},
        }
        params = World.params(self, number, former=self.known(), nginx={"default_site": None, "ports": {}})
        made = made_of(number, 0, **files)
        made["links"]["var/tmp"] = u"../../../var/sessions/django-5.2"
        places = installed(number, SOCKET)
        params.update(make=made, fallback={"number": 0, "installed": {}, "url": ""})
        params["target"].update(socket=SOCKET, address="127.0.0.1:4081", installed=places)
        params.update(more)
        return params

    def to_former(self):
        number = int(self.link("current").rpartition("/")[2])
        live = {"number": number, "installed": installed(number, SOCKET), "url": "http://127.0.0.1:80"}
        return self.params(number, make=None, trial=False, to_former=True, fallback=live)

    def serves_now(self):
        """Return who answers users, "former" or a number, by what runs and what nginx has read."""
        if self.read == OLD:
            assert UNIT in self.active and self.old_status == 200
            return "former"
        number = int(re.search(r"site (\d+)", self.read).group(1))
        assert "omero-web@%d.service" % number in self.active
        return number

    def boots(self):
        """Return who would answer users if power were lost now: one, whose site nginx has and which is started."""
        (site,) = self.sites()
        if site == OLD:
            assert UNIT in self.enabled
            return "former"
        number = int(re.search(r"site (\d+)", site).group(1))
        assert self.link("current") == "generations/%d" % number
        assert {"omero-web.target", "omero-web-boot.service"} <= self.enabled
        for name in "omero-web.service", "omero-web.socket":
            assert self.content(installed(number, SOCKET)[name]), name
        return number

    def run(self, *command, **options):
        done = World.run(self, *command, **options)
        self.boots()
        return done


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch):
    monkeypatch.setattr(omero_web_transaction, "SECONDS_BETWEEN_ANSWERS", 0)
    monkeypatch.setattr(omero_web_former, "SECONDS_BETWEEN_QUESTIONS", 0)


@pytest.fixture(params=[SITE, NGINX_CONF, "/etc/nginx/sites-enabled/omeroweb"])
def site(request):
    return request.param


@pytest.fixture
def world(tmp_path):
    return FormerWorld(tmp_path / "host")


def change(world, params):
    result = world.change(params)
    assert not result.get("failed"), result
    return result


def wrapper_of(real, world, seen):
    """Ask after each name that a file gets or loses who would answer if power were lost then."""
    def wrapper(*arguments, **options):
        real(*arguments, **options)
        if os.geteuid() == 0:
            seen.append(world.boots())

    return wrapper


def test_it_is_taken_over_and_stays_there(world):
    result = change(world, world.params(1))
    assert (result["changed"], result["remarks"]) == (True, [])
    assert (world.serves_now(), world.boots()) == (1, 1)
    assert UNIT not in world.enabled
    # It finishes its requests.
    assert UNIT in world.active
    assert world.position("^systemd-run --on-active=600 --unit=omero-web-former systemctl stop omero-web.service")
    assert world.content(SITE) is None
    assert world.content(BASEDIR + "/former/nginx.conf") == OLD


def test_and_back(site, tmp_path):
    world = FormerWorld(tmp_path / "other", site)
    os.chmod(world.path(site), 0o640)
    change(world, world.params(1))
    world.stop(UNIT)
    change(world, world.to_former())
    assert (world.serves_now(), world.boots()) == ("former", "former")
    assert world.content(site) == OLD
    assert stat.S_IMODE(os.stat(world.path(site)).st_mode) == 0o640
    assert os.path.islink(world.path(site)) == ("enabled" in site)
    assert world.link("current") is None
    assert not world.enabled & {"omero-web.target", "omero-web-boot.service"}
    assert not [unit for unit in world.active if "web@" in unit or unit.endswith(".socket")]
    assert not os.path.exists(world.path(BASEDIR, "former"))
    change(world, world.params(2))
    assert (world.serves_now(), world.boots()) == (2, 2)


@pytest.mark.parametrize("way", ["there", "back"])
def test_power_that_is_lost_at_any_moment(tmp_path, monkeypatch, site, way):
    world = FormerWorld(tmp_path / "other", site)
    if way == "back":
        change(world, world.params(1))
    params = world.to_former() if way == "back" else world.params(1)
    seen = []
    for name in "rename", "unlink", "symlink":
        monkeypatch.setattr(os, name, wrapper_of(getattr(os, name), world, seen))
    change(world, params)
    first, last = (1, "former") if way == "back" else ("former", 1)
    assert (seen[0], seen[-1]) == (first, last)
    assert sorted(seen, key=lambda who: who == last) == seen, "from one to the other, once"


@pytest.mark.parametrize("way", ["there", "back"])
def test_a_failure_at_any_command_leaves_who_served(tmp_path, way):
    def fresh(name):
        world = FormerWorld(tmp_path / name)
        if way == "back":
            change(world, world.params(1))
        return world, world.to_former() if way == "back" else world.params(1)

    before, after = (1, "former") if way == "back" else ("former", 1)
    world, params = fresh("whole")
    change(world, params)
    failed = []
    for place, words in enumerate(list(world.log), 1):
        world, params = fresh(str(place))
        world.fail_at = place
        result = world.change(params)
        world.fail_at = None
        serves = world.serves_now()
        if result.get("failed"):
            failed.append(words)
            assert serves == world.boots() == (result["outcome"]["serving"] or "former"), words
            assert serves == before or result["outcome"]["step"] in ("retire", "former"), words
        else:
            assert serves == after, words
    assert len(failed) > 5


def test_a_site_that_does_not_answer_is_given_back(tmp_path, site):
    world = FormerWorld(tmp_path / "other", site)
    world.broken["site", 1] = 502
    result = world.change(world.params(1))
    assert result["outcome"]["step"] == "answer"
    assert (world.serves_now(), world.boots()) == ("former", "former")
    assert world.content(site) == OLD
    assert world.content(NGINX_CONF) in (None, OLD)
    assert world.link("current") is None
    assert not world.enabled & {"omero-web.target", "omero-web-boot.service"}
    assert "omero-web@1.service" not in world.active
    assert not os.path.exists(world.path(BASEDIR, "former"))


def test_a_former_one_that_does_not_start_again(world):
    change(world, world.params(1))
    world.stop(UNIT)
    world.old_status = 0
    params = world.to_former()
    params["start_timeout"] = 0
    result = world.change(params)
    assert result["msg"] == (
        "Generation 1 goes on, for the OMERO.web before it could not take over: it answers nothing "
        "(Connection refused) at 127.0.0.1:4080")
    assert (world.serves_now(), world.boots()) == (1, 1)
    assert UNIT not in world.enabled


@pytest.mark.parametrize("content", [OLD, None])
def test_a_run_that_was_cut_off_is_finished_by_the_next(tmp_path, site, content):
    """Before the site was written, or before the unit was disabled."""
    world = FormerWorld(tmp_path / "other", site)
    change(world, world.params(1))
    world.put(NGINX_CONF, content or world.content(NGINX_CONF))
    world.enabled.add(UNIT)
    change(world, world.params(1, make=None, trial=False, fallback={"number": 1, "installed": {}, "url": ""}))
    assert (world.serves_now(), world.boots()) == (1, 1)
    assert UNIT not in world.enabled
    assert world.content(BASEDIR + "/former/nginx.conf") == OLD


def test_without_a_unit_it_is_left_to_run(world):
    params = world.params(1)
    params["former"]["unit"] = ""
    change(world, params)
    assert UNIT in world.active
    assert not [words for words in world.log if words.startswith("systemd-run")]


# --- its sessions -----------------------------------------------------------------------------------------------------


@pytest.fixture
def sessions(world):
    return world.path(BASEDIR, "var/sessions/django-5.2")


def test_sessions_are_handed_on(world, sessions):
    change(world, world.params(1))
    path = os.path.join(sessions, COOKIE)
    found = os.lstat(path)
    assert world.content(BASEDIR + "/var/sessions/django-5.2/" + COOKIE) == "theirs"
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (pwd.getpwnam("nobody").pw_uid, 0o600)
    assert found.st_mtime == os.stat(world.path("/tmp", COOKIE)).st_mtime


def test_sessions_of_another_django_are_not(world, sessions):
    params = world.params(1)
    params["former"]["django"] = "1.8"
    change(world, params)
    assert os.listdir(sessions) == []


def test_the_newer_of_two_sessions_stays(world, sessions):
    change(world, world.params(1))
    world.put(BASEDIR + "/var/sessions/django-5.2/" + COOKIE, "newer")
    nobody = pwd.getpwnam("nobody")
    os.chown(os.path.join(sessions, COOKIE), nobody.pw_uid, nobody.pw_gid)
    os.utime(os.path.join(sessions, COOKIE), (2e9, 2e9))
    change(world, world.params(1, make=None, trial=False, fallback={"number": 1, "installed": {}, "url": ""}))
    assert world.content(BASEDIR + "/var/sessions/django-5.2/" + COOKIE) == "newer"
    change(world, world.to_former())
    assert world.content("/tmp/" + COOKIE) == "newer"


@pytest.mark.parametrize("kind", ["link", "fifo", "large", "directory", "roots"])
def test_what_is_no_session_is_not_copied(world, sessions, kind):
    name = "sessionid" + "b" * 32
    path = world.path("/tmp", name)
    world.put("/root/secret", "secret")
    if kind == "link":
        os.symlink(world.path("/root/secret"), path)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        os.mkdir(path)
    else:
        world.put("/tmp/" + name, "x" * (65537 if kind == "large" else 1))
    if kind != "roots":
        nobody = pwd.getpwnam("nobody")
        os.lchown(path, nobody.pw_uid, nobody.pw_gid)
    change(world, world.params(1))
    assert os.listdir(sessions) == [COOKIE]

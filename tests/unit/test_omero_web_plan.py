"""What the plan decides, and a model of a host that is changed, broken off, rebooted and rolled back at random."""

import copy
import importlib.util
import re
from pathlib import Path

import pytest
import yaml
from conftest import tally
from hypothesis import given
from hypothesis import strategies as st

PLUGIN = Path(__file__).parents[2] / "roles/omero-web/action_plugins/omero_web_plan.py"
spec = importlib.util.spec_from_file_location("omero_web_plan", PLUGIN)
planning = importlib.util.module_from_spec(spec)
spec.loader.exec_module(planning)
back = planning.back

BASEDIR = "/opt/omero/web"
RELEASES = [
    {"since": "5.33.0", "newest": "5.33.2", "method": "pypi", "python_from": "3.10", "python_to": "3.14"},
    {"since": "5.23.0", "newest": "5.29.3", "method": "pypi", "python_from": "3.8", "python_to": "3.14"},
    {"since": "5.6.1", "newest": "5.22.1", "method": "pypi", "python_from": "3.6", "python_to": "3.14"},
    {"since": "5.6.0", "newest": "5.6.0", "method": "pypi", "python_from": "3", "python_to": "3.9", "instead": "5.6.1"},
    {"since": "5.3.0", "newest": "5.4.10", "method": "archive", "python_from": "2.7", "python_to": "2.7"},
]
NO_REMOVALS = {"generations": [], "releases": [], "sessions": [], "wheels": []}


# --- which release ----------------------------------------------------------------------------------------------------


def order(**differences):
    return {
        "name": "omero-web",
        "basedir": BASEDIR,
        "host": "web-1",
        "system": "Debian 12.5",
        "release": "",
        "method": "auto",
        "python": "",
        "archive_version": "",
        "os_python": {"pypi": "/usr/bin/python3", "archive": ""},
        "os_pythons": {"/usr/bin/python3": {}, "/usr/bin/python2.7": {"version": "2.7"}},
        "releases": RELEASES,
        **differences,
    }


def chosen(pythons=None, **differences):
    pythons = {"/usr/bin/python3": "3.11.2"} if pythons is None else pythons
    found = {path: {"version": version, "tag": "cp311"} for path, version in pythons.items()}
    return planning.choose_release({"pythons": found}, order(**differences))


@pytest.mark.parametrize(
    "wanted, pythons, version, method",
    [
        ({}, None, "5.33.2", "pypi"),
        ({}, {"/usr/bin/python3": "3.9.2"}, "5.29.3", "pypi"),
        ({"release": "latest"}, {"/usr/bin/python3": "3.6.8"}, "5.22.1", "pypi"),
        ({"release": "5.30.0"}, None, "5.30.0", "pypi"),
        ({"release": "5.4.9", "python": "/usr/bin/python2.7"}, {"/usr/bin/python2.7": "2.7.18"}, "5.4.9", "archive"),
        ({"python": "/usr/bin/python2.7"}, {"/usr/bin/python2.7": "2.7.18"}, "5.4.10", "archive"),
        # The package of an interpreter says how old it is before it is installed.
        ({"release": "5.4", "python": "/usr/bin/python2.7", "archive_version": "5.4.10"}, {}, "5.4.10", "archive"),
    ],
)
def test_release(wanted, pythons, version, method):
    release = chosen(pythons, **wanted)
    assert (release["version"], release["method"], release["problem"]) == (version, method, "")


@pytest.mark.parametrize(
    "wanted, pythons, sentence",
    [
        ({"release": "5.33"}, None, "releases from the package index are named in full, such as 5.33.2."),
        ({"python": "/opt/python"}, {}, "omero_web_python is /opt/python, which does not run on web-1;"),
        ({"release": "5.4.10"}, None, "needs Python 2.7, and Debian 12.5 on web-1 has none;"),
        ({"release": "5.2.0", "python": "/usr/bin/python2.7"}, {}, "the role installs releases from 5.3.0 on"),
        (
            {"release": "5.33.2"},
            {"/usr/bin/python3": "3.9.2"},
            "needs Python 3.10 to 3.14; /usr/bin/python3 on web-1 is Python 3.9.2. Set omero_web_python to such a "
            "Python, or omero_web_release to 5.29.3.",
        ),
        ({"release": "5.6.0"}, None, "5.6.0, whose login page fails with every Python; set it to 5.6.1."),
    ],
)
def test_release_that_cannot_be_built(wanted, pythons, sentence):
    assert sentence in chosen(pythons, **wanted)["problem"]


@pytest.mark.parametrize(
    "older, newer", [("5.6.dev7", "5.6.0"), ("5.9.0", "5.10.0"), ("3.9", "3.10"), ("5.4", "5.4.0")]
)
def test_versions_are_numbers(older, newer):
    assert planning.version_key(older) < planning.version_key(newer)


def test_another_definition_is_another_release():
    look = {"releases": {}}
    names = {
        planning.named_release(look, chosen(), definition, order())["name"]
        for definition in ({"packages": []}, {"packages": ["a"]}, {"packages": ["b"]})
    }
    assert len(names) == 3
    assert all(name.startswith("5.33.2-") for name in names)


@pytest.mark.parametrize(
    "asked, archive_version, is_built, needs_archive",
    [
        ("5.4.10", "", False, True),
        ("5.4.10", "", True, False),
        ("5.4", "", True, True),
        ("5.4", "5.4.10", False, False),
    ],
)
def test_archive_is_fetched_for_a_build_and_for_a_version(asked, archive_version, is_built, needs_archive):
    wanted = order(release=asked, python="/usr/bin/python2.7", archive_version=archive_version)
    release = planning.choose_release({"pythons": {}}, wanted)
    name = planning.named_release({"releases": {}}, release, {}, wanted)["name"]
    look = {"releases": {name: {}} if is_built else {}}
    assert planning.named_release(look, release, {}, wanted)["needs_archive"] == needs_archive


# --- a model of a host ------------------------------------------------------------------------------------------------


class Crash(Exception):
    """The machine, or the process that changes it, is gone between two of its actions."""


class Host:
    """What a look sees, and what each action of a run does to it, one after the other."""

    def __init__(self, name):
        self.name = name
        self.generations, self.releases = {}, {}
        self.current = self.previous = 0
        self.active, self.enabled, self.packages, self.strayed = set(), set(), set(), {"/usr/local/bin/omero"}
        # Those that end have requests to finish, as long as users download something.
        self.finishing, self.has_downloads = set(), False
        # The units that run what was deleted.
        self.outlived = set()
        self.answers = True

    def look(self, configuration):
        complete = [one for _, one in sorted(self.generations.items()) if one["manifest"] or one["failed"]]
        known = ("number", "release", "address", "files", "failed", "activated", "manifest")
        live = self.generations.get(self.current, {})
        units = {unit: {"active": "inactive", "enabled": "static", "listen": ""} for unit in ("nginx.service",)}
        for unit in self.active | self.enabled | self.finishing:
            listen = self.listening.get(unit, "") if hasattr(self, "listening") else ""
            units[unit] = {
                "active": {unit in self.finishing: "deactivating", unit in self.active: "active"}.get(True, "inactive"),
                "enabled": "enabled" if unit in self.enabled else "static",
                "listen": listen,
            }
        return {
            "packages": sorted(self.packages),
            "matched": [],
            "paths": {} if self.strayed else {"/usr/local/bin/omero": {"kind": "file", "mode": "0755", "owner": "root",
                      "group": "root", "sha256": None}},
            "free_bytes": 2**34,
            "read_only": False,
            "misplaced": {},
            "missing_files": [],
            "missing_directories": [],
            "ids": {"uid": None, "gid": None, "user": None, "group": None},
            "service": {},
            "neighbours": [],
            "ansible_facts": {"nodename": "Web-1"},
            "selinux": "disabled",
            "booleans_off": [],
            "firewall": {},
            "opened": [],
            "generation_ports": {},
            "interfaces_to_outside": ["eth0"],
            "hold": "",
            "former": {},
            "current": self.current,
            "previous": self.previous,
            "generations": [{key: one[key] for key in known} for one in complete],
            "unfinished": {
                "generations": [
                    {key: one[key] for key in known[:4]} for one in self.generations.values() if one not in complete
                ],
                "releases": [name for name, manifest in self.releases.items() if manifest is None],
            },
            "releases": {name: manifest for name, manifest in self.releases.items() if manifest is not None},
            "wheels": [],
            "sessions": sorted({f"django-{manifest['django']}" for manifest in self.releases.values() if manifest}),
            "astray": [],
            "units": units,
            "runs_deleted_files": f"{self.name}@{self.current}.service" in self.outlived,
            "configuration_is_wanted": live.get("configuration") == configuration,
            "answer": {"status": 200 if self.serving() else 502, "generation": self.current, "message": ""},
        }  # fmt: skip

    def serving(self):
        return {number for number in self.generations if f"{self.name}@{number}.service" in self.active}

    def downloads(self, has_downloads):
        """Users begin to download something, or have all of it."""
        self.has_downloads = has_downloads
        if not has_downloads:
            self.finishing.clear()

    def boot(self):
        """Only the target and nginx are enabled; the boot unit starts what the link says, if that has its release."""
        self.active, self.finishing, self.outlived = set(self.enabled), set(), set()
        if self.current and f"{self.name}-boot.service" in self.enabled:
            live = self.generations[self.current]
            self.active.add(live["socket"])
            if self.releases.get(live["release"]):
                self.active.add(f"{self.name}@{self.current}.service")

    def delete_release(self, release):
        """What runs goes on, with the files that it has mapped."""
        self.releases.pop(release, None)
        running = (number for number in self.serving() if self.generations[number]["release"] == release)
        self.outlived |= {f"{self.name}@{number}.service" for number in running}

    # The actions of a run, in their order. `tick` may stop it between any two of them.

    def take(self, steps, release, configuration, tick, breaks=False):
        for step in steps["steps"]:
            getattr(self, step)(steps, release, configuration, tick, breaks)

    def host(self, steps, release, configuration, tick, breaks):
        for package in steps["host"]["packages"]:
            self.packages.add(package)
            tick()
        self.strayed.clear()
        tick()

    def build(self, steps, release, configuration, tick, breaks):
        # What a broken-off build left goes first, whoever runs it.
        self.delete_release(release["name"])
        self.releases[release["name"]] = None
        tick()
        self.releases[release["name"]] = {"django": release["django_of_it"]}
        tick()

    def change(self, steps, release, configuration, tick, breaks):
        todo = steps["change"]
        number, target, fallback = todo["target"]["number"], todo["target"], todo["fallback"]["number"]
        if todo["make"]:
            assert number not in self.generations
            one = {"number": number, "release": todo["release"], "address": "", "files": [], "failed": False,
                   "activated": False, "manifest": {}, "configuration": None, "socket": target["socket"]}  # fmt: skip
            self.generations[number] = one
            tick()
            if "copy_of" in todo["make"]:
                configuration = self.generations[todo["make"]["copy_of"]]["configuration"]
            one.update(configuration=configuration, address=target["address"], files=["omero-web.socket"])
            tick()
            one["manifest"] = todo["make"]["manifest"]
            tick()
        one = self.generations[number]
        if breaks:
            one["failed"] = True
            tick()
            return
        if todo["hand_over"]:
            if fallback:
                self.previous = fallback
                tick()
            top, service = f"{self.name}.target", f"{self.name}@{number}.service"
            self.enabled |= {top, f"{self.name}-boot.service", "nginx.service"}
            for unit in (top, target["socket"], "nginx.service", service):
                assert unit not in self.finishing, "it would start after its last request"
                self.active.add(unit)
                tick()
            self.current = number
            tick()
            one.update(activated=True, failed=False)
            tick()
            keep = {top, "nginx.service", target["socket"], service}
            for unit in sorted(self.active - keep):
                self.active.discard(unit)
                self.outlived.discard(unit)
                if self.has_downloads and "@" in unit:
                    self.finishing.add(unit)
                tick()
        for gone in todo["remove"]["generations"]:
            del self.generations[gone]
            tick()
        for gone in todo["remove"]["releases"]:
            del self.releases[gone]
            tick()


def wanted(**differences):
    return {
        "name": "omero-web",
        "basedir": BASEDIR,
        "service": {"basedir": BASEDIR, "user": "omero-web", "group": "omero-web"},
        "host": "web-1",
        "start": True,
        "keep": 3,
        "hold": "",
        "despite_hold": False,
        "writes": [],
        "minimum_free_mb": 1500,
        "packages": ["nginx"],
        "gone_repositories": [],
        "directories": [],
        "files": [{"path": "/usr/local/bin/omero", "mode": "0755"}],
        "contents": {},
        "tls_files": {},
        "writable_paths": [],
        "ids": {"uid": 0, "gid": 0},
        "of_others": ["/etc/systemd/system/omero-web.service", "/etc/nginx/conf.d/omeroweb.conf"],
        "logs": [],
        "secret_keys": [],
        "certificates": [],
        "booleans": [],
        "has_nginx": True,
        "ports": [80],
        "firewall_zones": [],
        "server_names": ["web-1"],
        "default_site": {},
        "version": "5.33.2",
        "parts": {"release": "5.33.2-aa", "nginx.conf": "00"},
        "links": {},
        "sessions": "django-5.2",
        "purge": True,
        "former_prefixes": [],
        "nginx_files": {"nginx.conf": "/etc/nginx/conf.d/omero-web.conf"},
        "base_url": "http://127.0.0.1:80",
        "generation": 0,
        "to_failed": False,
        "to_former": False,
        "former": {},
        "tried_as": "",
        "pages": {"apps": ["/figure/"], "site": [], "public_filter": ""},
        "target": {
            "address": "127.0.0.1:4080",
            "socket": "omero-web.socket",
            "url": "http://127.0.0.1:80",
            "host": "web-1",
            "prefix": "",
            "static_url": "/static/",
            "units": [],
        },
        **differences,
    }


def neighbours_of(name):
    """Units of other instances on the host, in all states that would be something to do if they were its own."""
    units = {}
    for other in {"omero-web", "omero-web-public", "omero-web-public2", "omero-web-db"} - {name}:
        for number in range(1, 5):
            units[f"{other}@{number}.service"] = {"active": "active", "enabled": "enabled", "listen": ""}
            units[f"{other}-probe@{number}.service"] = {"active": "active", "enabled": "static", "listen": ""}
            units[f"{other}-build-5.33.2-{number}.service"] = {"active": "active", "enabled": "static", "listen": ""}
        for port, ending in ((4080, ""), (4090, "-127.0.0.1:4090"), (4091, "-::1:4091")):
            listen = f"127.0.0.1:{port}"
            units[f"{other}{ending}.socket"] = {"active": "active", "enabled": "enabled", "listen": listen}
        units[f"{other}.target"] = {"active": "inactive", "enabled": "disabled", "listen": ""}
    return units


class Site:
    """A host and what its administrator wants of it."""

    def __init__(self, name="omero-web"):
        self.machine = Host(name)
        self.release, self.port, self.configuration = 1, 4080, 1

    def plan(self):
        look = self.machine.look(self.configuration)
        address = f"127.0.0.1:{self.port}"
        name = f"5.33.2-{self.release}"
        release = {"name": name, "is_built": name in look["releases"], "django_of_it": f"5.{self.release % 2}"}
        own = self.machine.name

        def planned_for(look):
            variables = wanted(name=own, parts={"release": name, "port": self.port})
            socket = planning.socket_of(own, look, address)
            variables["target"] = {**variables["target"], "address": address, "socket": socket}
            return planning.plan(look, variables, release)

        planned = planned_for(look)
        # Whatever others on the host do makes no difference.
        assert planned_for({**look, "units": {**look["units"], **neighbours_of(own)}}) == planned
        self.check_removals(look, planned)
        return planned, release

    def check_removals(self, look, planned):
        removed = set(planned["change"].get("remove", NO_REMOVALS)["generations"])
        # Where another takes over, it is the live one that becomes the previous one.
        previous = look["previous"] if planned["generation"] == look["current"] else look["current"]
        used = {look["current"], previous, planned["generation"], *self.machine.serving()}
        assert not removed & used
        releases = {one["release"] for number, one in self.machine.generations.items() if number in used}
        assert not set(planned["change"].get("remove", NO_REMOVALS)["releases"]) & releases

    def run(self, actions=None, breaks=False):
        """Run site.yml; it is broken off after so many actions, if it gets as far."""
        self.begin(actions)
        try:
            # As the tasks do: what was built or installed is looked at again.
            for _ in range(3):
                planned, release = self.plan()
                first = [step for step in planned["steps"] if step in ("host", "build")][:1] or planned["steps"]
                self.machine.take({**planned, "steps": first}, release, self.configuration, self.tick, breaks)
                if "change" in first or not first:
                    break
        except Crash:
            pass

    def begin(self, actions):
        """Begin a run that is broken off after so many actions. A site that serves by then goes on."""
        self.actions, self.serves = actions, bool(self.machine.serving())

    def tick(self):
        tally["states of a host that the model went through"] += 1
        assert self.machine.serving() or not self.serves
        if self.actions is not None:
            self.actions -= 1
            if self.actions < 0:
                raise Crash

    def go_back(self, actions=None, generation=0):
        self.begin(actions)
        look = self.machine.look(self.configuration)
        try:
            planned = back.plan_rollback(look, wanted(name=self.machine.name, generation=generation))
        except back.Refusal:
            return False
        look["units"].update(neighbours_of(self.machine.name))
        assert planned == back.plan_rollback(look, wanted(name=self.machine.name, generation=generation))
        try:
            self.machine.take(planned, None, None, self.tick)
        except Crash:
            return False
        return True


NAMES = st.sampled_from(["omero-web", "omero-web-public"])
COUNT = st.one_of(st.none(), st.integers(0, 30))
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("configure"), st.integers(1, 4), COUNT, st.booleans()),
        st.tuples(st.just("upgrade"), st.integers(1, 4), COUNT, st.booleans()),
        st.tuples(st.just("move"), st.sampled_from([4080, 4090, 4091]), COUNT, st.booleans()),
        st.tuples(st.just("go back"), st.integers(0, 9), COUNT, st.just(False)),
        st.tuples(st.just("boot"), st.just(0), st.just(0), st.just(False)),
        st.tuples(st.just("download"), st.just(0), st.just(0), st.booleans()),
        st.tuples(st.just("lose a manifest"), st.integers(0, 9), st.just(0), st.just(False)),
        st.tuples(st.just("lose a release"), st.integers(1, 4), st.just(0), st.just(False)),
    ),
    max_size=12,
)


def happens(site, event):
    kind, value, actions, breaks = event
    if kind == "configure":
        site.configuration = value
        site.run(actions, breaks)
    elif kind == "upgrade":
        site.release = value
        site.run(actions, breaks)
    elif kind == "move":
        site.port = value
        site.run(actions, breaks)
    elif kind == "go back":
        site.go_back(actions, value)
    elif kind == "boot":
        site.machine.boot()
    elif kind == "download":
        site.machine.downloads(breaks)
    elif kind == "lose a release":
        site.machine.delete_release(f"5.33.2-{value}")
    elif value in site.machine.generations:
        # A file that a power cut has emptied.
        site.machine.generations[value]["manifest"] = {}


@given(NAMES, EVENTS)
def test_after_whatever_happened_one_run_is_enough(name, events):
    site = Site(name)
    for event in events:
        happens(site, event)
    site.machine.downloads(False)
    ran_on = site.machine.serving()
    site.run()
    planned, _ = site.plan()
    # What an interrupted run left running ends now, and only then can it be removed.
    left_over = set(planned["change"]["remove"]["generations"])
    assert left_over <= ran_on and all(sentence.startswith("remove ") for sentence in planned["says"])
    site.run()
    assert site.plan()[0]["steps"] == []
    assert site.machine.serving() == {site.machine.current}
    assert not site.machine.outlived
    live = site.machine.generations[site.machine.current]
    assert live["release"] == f"5.33.2-{site.release}"
    assert live["configuration"] == site.configuration
    assert live["address"] == f"127.0.0.1:{site.port}"
    site.machine.boot()
    assert site.machine.serving() == {site.machine.current}
    assert site.plan()[0]["steps"] == []


@given(NAMES, EVENTS)
def test_there_and_back_again(name, events):
    site = Site(name)
    for event in events:
        happens(site, event)
    site.machine.downloads(False)
    site.run()
    first = copy.deepcopy(site.machine.generations[site.machine.current])
    site.configuration += 10
    site.run()
    second = site.machine.current
    assert site.go_back()
    assert site.machine.generations[site.machine.current] == first
    assert site.go_back(generation=second)
    assert site.machine.current == second


@given(NAMES, EVENTS)
def test_there_and_back_again_while_users_download(name, events):
    """What still finishes requests is made anew, so that no rollback waits for a download."""
    site = Site(name)
    for event in events:
        happens(site, event)
    site.run()
    site.machine.downloads(True)
    before = site.machine.generations[site.machine.current]
    site.configuration += 10
    site.run()
    after = site.machine.generations[site.machine.current]
    assert site.go_back()
    copied = site.machine.generations[site.machine.current]
    for key in "release", "configuration", "address", "socket":
        assert copied[key] == before[key]
    assert copied["manifest"]["parts"] == before["manifest"]["parts"]
    assert copied["number"] > after["number"] == copied["manifest"]["previous"]
    # And on, for generation `after` finishes requests, too.
    assert site.go_back()
    assert site.machine.generations[site.machine.current]["configuration"] == after["configuration"]
    assert before["number"] in back.running(site.machine.look(0), name)


# --- one decision at a time -------------------------------------------------------------------------------------------


def converged(**differences):
    """A look at a host on which nothing is due, but for these differences."""
    site = Site()
    site.run()
    site.configuration = 2
    site.run()
    return {**site.machine.look(2), **differences}


def planned(look, **differences):
    variables = wanted(parts={"release": "5.33.2-1", "port": 4080}, **differences)
    return planning.plan(look, variables, {"name": "5.33.2-1", "is_built": True})


def test_nothing_is_due_on_a_converged_host():
    assert planned(converged())["steps"] == []
    assert planned(converged())["problem"] == ""


def firewalld(**zones):
    """What a look says of it: zones by name, each with what is different from one that lets nobody in."""
    closed = {"interfaces": [], "sources": [], "accepts": False, "now": ["22"], "later": ["22"]}
    zones = {"public": {}, "internal": {}, **zones}
    return {
        "name": "firewalld",
        "default": "public",
        "zones": {name: {**closed, **differences} for name, differences in zones.items()},
    }


def opened(*ports, zone="public"):
    return [{"zone": zone, "port": port} for port in ports]


def both(*ports):
    return {"now": [*ports], "later": [*ports]}


def with_unit(unit, **state):
    look = converged()
    before = look["units"].get(unit, {"active": "inactive", "enabled": "static", "listen": ""})
    return {**look, "units": {**look["units"], unit: {**before, **state}}}


@pytest.mark.parametrize(
    "look, sentence",
    [
        (converged(astray=["/etc/nginx/conf.d/omero-web.conf"]), "put generation 2 live"),
        (with_unit("omero-web@2.service", active="failed"), "put generation 2 live"),
        (with_unit("nginx.service", active="inactive"), "put generation 2 live"),
        (with_unit("omero-web-boot.service", enabled="disabled"), "put generation 2 live"),
        (with_unit("omero-web@2.service", enabled="enabled"), "put generation 2 live"),
        (with_unit("omero-web@1.service", active="active"), "put generation 2 live"),
        (with_unit("omero-web-probe@3.service", active="active"), "end the trial that an interrupted run left"),
        (converged(configuration_is_wanted=False), "make generation 3"),
        (converged(runs_deleted_files=True), "replace generation 2, whose release was deleted while it runs"),
        (converged(paths={}), "put right /usr/local/bin/omero"),
        (converged(packages=[]), "install nginx"),
        (converged(firewall=firewalld()), "open port 80 in firewalld, zone public"),
        (converged(sessions=["django-4.2", "django-5.1"]), "remove sessions django-4.2"),
        (converged(wheels=["d.whl", "c.whl", "b.whl", "a.whl"]), "remove wheels a.whl"),
    ],
)
def test_what_is_due(look, sentence):
    plan = planned(look)
    assert sentence in plan["says"]
    assert plan["steps"]


@pytest.mark.parametrize(
    "plan, there, lacking",
    [
        (planned(converged(firewall=firewalld())), [], "firewalld ansible.posix"),
        (planned(converged(firewall=firewalld())), ["ansible.posix.firewalld"], ""),
        (planned(converged(firewall=firewalld(public=both("80")))), [], ""),
        ({"firewall": {"name": "ufw", "open": [], "close": opened(80)}}, [], "ufw community.general"),
        ({"steps": ["selinux"]}, [], "SELinux ansible.posix community.general"),
        ({"steps": ["selinux"]}, ["ansible.posix.seboolean", "community.general.seport"], "SELinux community.general"),
        ({"steps": ["selinux"]}, [name for names in planning.FOREIGN.values() for name in names], ""),
    ],
)
def test_a_controller_that_lacks_modules(plan, there, lacking):
    if not lacking:
        planning.refuse_lack_of_modules(plan, "web", there.__contains__)
        return
    what, collections = lacking.split(" ", 1)
    with pytest.raises(planning.back.Refusal) as refusal:
        planning.refuse_lack_of_modules(plan, "web", there.__contains__)
    assert str(refusal.value) == (
        f"web has {what}, and this controller lacks what changes it; install it there: ansible-galaxy collection "
        f"install {collections}. Nothing has changed."
    )


def test_what_a_controller_may_lack_is_all_that_tasks_take_of_collections():
    tasks = "".join(path.read_text() for path in (PLUGIN.parents[1] / "tasks").glob("*.yml"))
    taken = set(re.findall(r"(?m)^ +((?!ansible\.(?:builtin|legacy))\w+\.\w+\.\w+):$", tasks))
    assert taken == {name for names in planning.FOREIGN.values() for name in names}


@pytest.mark.parametrize(
    "firewall, differences, says",
    [
        ({}, {}, []),
        (firewalld(public=both("80")), {}, []),
        (firewalld(public=both("70-90")), {}, []),
        (firewalld(public={"accepts": True}), {}, []),
        (firewalld(public={"now": ["80"]}), {}, ["open port 80 in firewalld, zone public"]),
        (firewalld(public={"later": ["80"]}), {}, ["open port 80 in firewalld, zone public"]),
        (firewalld(), {"ports": [80, 443]}, ["open port 80, 443 in firewalld, zone public"]),
        # Where the interface is, and not where it is not.
        (
            firewalld(public=both("80"), internal={"interfaces": ["eth0"]}),
            {},
            ["open port 80 in firewalld, zone internal"],
        ),
        (firewalld(internal={"interfaces": ["eth1"], **both("80")}), {}, ["open port 80 in firewalld, zone public"]),
        (
            firewalld(),
            {"firewall_zones": ["internal", "public"]},
            ["open port 80 in firewalld, zone internal", "open port 80 in firewalld, zone public"],
        ),
        ({**firewalld(**{"": {}}), "name": "ufw", "default": ""}, {"firewall_zones": ["any"]}, ["open port 80 in ufw"]),
    ],
)  # fmt: skip
def test_what_is_opened_for_users(firewall, differences, says):
    plan = planned(converged(firewall=firewall), **differences)
    assert plan["says"] == says
    assert plan["steps"] == (["firewall"] if says else [])


def test_an_interface_that_is_in_no_zone_is_in_the_default_one():
    firewall = firewalld(internal={"interfaces": ["eth0"]})
    plan = planned(converged(firewall=firewall, interfaces_to_outside=["eth0", "eth1"]))
    assert plan["firewall"]["open"] == [*opened(80, zone="internal"), *opened(80)]
    assert planned(converged(firewall=firewalld(), interfaces_to_outside=[]))["firewall"]["open"] == opened(80)


def test_a_zone_that_is_not_there_is_refused():
    sentence = "omero_web_firewall_zones has dmz, and firewalld on web-1 has only internal, public; name those"
    with pytest.raises(back.Refusal, match=sentence):
        planned(converged(firewall=firewalld()), firewall_zones=["public", "dmz"])


@pytest.mark.parametrize(
    "zone, record",
    [
        ({}, opened(80)),
        ({"now": ["80"]}, opened(80)),
        # Not yet read by firewalld, and not the role's.
        ({"later": ["80"]}, []),
        (both("80"), []),
    ],
)
def test_the_role_knows_what_it_has_opened_itself(zone, record):
    work = planned(converged(firewall=firewalld(public=zone)))["firewall"]
    assert (work["opened"], work["left"]) == (record, record)
    again = planned(converged(firewall=firewalld(), opened=opened(80)))["firewall"]
    assert (again["open"], again["opened"]) == (opened(80), opened(80))


def port_of_before(**differences):
    """A host where the live generation has port 80, the one before it 8080, and the role opened both."""
    both_open = firewalld(public=both("80", "8080", "9090"))
    known = {"firewall": both_open, "opened": opened(8080, 80), "generation_ports": {"1": [8080], "2": [80]}}
    return converged(**{**known, **differences})


def test_what_the_role_opened_is_closed_when_nobody_needs_it_any_more():
    assert planned(port_of_before())["steps"] == []
    gone = planned(port_of_before(generation_ports={"2": [80]}))
    assert gone["says"] == ["close port 8080 in firewalld, zone public"]
    assert gone["steps"] == ["close"]
    assert (gone["firewall"]["close"], gone["firewall"]["left"]) == (opened(8080), opened(80))
    # Another instance may have come to need it.
    neighbour = {**NEIGHBOUR, "ports": [8080]}
    assert planned(port_of_before(generation_ports={}, neighbours=[neighbour]))["steps"] == []
    # Somebody else's is never closed.
    assert planned(port_of_before(generation_ports={}, opened=opened(80)))["steps"] == []


def test_a_port_is_closed_after_the_last_generation_that_had_it_is_removed():
    look = port_of_before(generation_ports={"1": [8080], "2": [8081], "3": [80]}, configuration_is_wanted=False)
    plan = planned(look, keep=2)
    assert plan["change"]["remove"]["generations"] == [1]
    assert plan["steps"] == ["change", "close"]
    assert plan["says"][-1] == "close port 8080 in firewalld, zone public"


def test_what_is_open_where_users_come_through_no_longer_is_closed():
    firewall = firewalld(public=both("80"), internal={"interfaces": ["eth0"]})
    plan = planned(converged(firewall=firewall, opened=opened(80)))
    assert plan["says"] == [
        "open port 80 in firewalld, zone internal",
        "close port 80 in firewalld, zone public",
    ]
    assert plan["firewall"]["left"] == opened(80, zone="internal")


def test_what_cannot_be_closed_is_remembered():
    nowhere = opened(80, zone="of-another-firewall")
    for firewall in ({}, firewalld(public=both("80"))):
        plan = planned(converged(firewall=firewall, opened=nowhere))
        assert plan["steps"] == []
        assert plan["firewall"]["left"] == nowhere


@pytest.mark.parametrize("actions", [None, *range(20)])
def test_what_runs_a_deleted_release_is_replaced_wherever_the_run_is_broken_off(actions):
    site = Site()
    site.run()
    site.machine.delete_release("5.33.2-1")
    due = [
        "replace generation 1, whose release was deleted while it runs",
        "make generation 2",
        "put generation 2 live",
    ]
    assert site.plan()[0]["says"] == ["build release 5.33.2-1", *due]
    site.machine.build(None, {"name": "5.33.2-1", "django_of_it": "5.1"}, None, lambda: None, False)
    # After the build as before it.
    assert site.plan()[0]["says"] == due
    site.run(actions)
    site.run()
    assert site.machine.serving() == {site.machine.current}
    assert site.machine.current > 1
    assert not site.machine.outlived
    assert site.plan()[0]["steps"] == []


def test_a_generation_that_finishes_its_requests_is_left_to_it():
    assert planned(with_unit("omero-web@1.service", active="deactivating"))["steps"] == []


def test_a_release_that_is_being_built_stays():
    look = converged(unfinished={"generations": [], "releases": ["5.33.2-new", "5.33.2-broken"]})
    assert planned(look)["change"]["remove"]["releases"] == ["5.33.2-broken", "5.33.2-new"]
    units = with_unit("omero-web-build-5.33.2-new.service", active="active")["units"]
    plan = planned({**look, "units": units})
    assert plan["change"]["remove"]["releases"] == ["5.33.2-broken"]
    assert plan["says"] == ["remove releases 5.33.2-broken"]


def test_the_default_site_of_nginx_goes():
    for site, look in (
        ({"path": "/etc/nginx/sites-enabled/default"}, {"paths": {"/etc/nginx/sites-enabled/default": {}}}),
        ({"path": "/etc/nginx/nginx.conf", "part": "server"}, {"matched": ["/etc/nginx/nginx.conf"]}),
    ):
        look = {"matched": [], **look, "paths": {**converged()["paths"], **look.get("paths", {})}}
        assert planned(converged(), default_site=site)["steps"] == []
        assert planned(converged(**look), default_site=site)["steps"] == ["change"]


def test_nothing_is_started_where_that_is_not_wanted():
    look = converged()
    look["units"] = {
        unit: {**state, "active": "inactive"} for unit, state in look["units"].items() if "nginx" not in unit
    }
    look["units"]["nginx.service"] = {"active": "inactive", "enabled": "enabled", "listen": ""}
    assert planned(look, start=False)["steps"] == []
    assert planned(converged(runs_deleted_files=True), start=False)["steps"] == []
    plan = planned({**look, "configuration_is_wanted": False}, start=False)
    assert plan["says"] == ["make generation 3", "put generation 3 live at the next boot"]
    assert not plan["change"]["trial"]


def test_a_site_that_does_not_answer_is_a_problem_of_its_own():
    look = converged(answer={"status": 502, "generation": 0, "message": "Bad Gateway"})
    assert planned(look)["steps"] == []
    assert planned(look)["problem"].startswith("web-1 answers 502 for http://127.0.0.1:80 (Bad Gateway); see ")
    assert planned(look, start=False)["problem"] == ""


@pytest.mark.parametrize(
    "look, differences, sentence",
    [
        ({"read_only": True}, {}, "is on a file system that is read-only; mount it read-write. Nothing has changed."),
        ({"free_bytes": 2**20}, {}, "has 1 MiB free, and a generation needs 16; free some space."),
        ({"misplaced": {"/opt/omero/web/var/log": "a link"}}, {}, "var/log on web-1 is a link, where the role has a"),
        ({"misplaced": {f"{BASEDIR}/var/django_secret_key": "a link"}}, {}, "is a link, where the role has a file"),
        ({"service": {"basedir": "/srv", "user": "omero-web", "group": "omero-web"}}, {}, "an OMERO.web with /srv,"),
        (
            {"service": {"basedir": BASEDIR, "user": "web", "group": "omero-web"}},
            {},
            "an OMERO.web with web, which the new one would take down; set that, or another omero_web_instance, to run "
            "beside it, or first take away what is there (systemctl disable --now omero-web.target; "
            "rm /etc/systemd/system/omero-web@*.service; systemctl daemon-reload; mv /opt/omero/web/var "
            "/opt/omero/web/var.web). Nothing has changed.",
        ),
        (
            {"paths": {"/etc/systemd/system/omero-web.service": {}, "/etc/nginx/conf.d/omeroweb.conf": {}}},
            {},
            "web-1 has an OMERO.web that was installed in another way (/etc/systemd/system/omero-web.service, "
            "/etc/nginx/conf.d/omeroweb.conf); let playbooks/adopt.yml write the variables by which the role takes "
            "over from it, as docs/adoption.md tells. Nothing has changed.",
        ),
        (
            {"missing_files": ["/etc/ssl/a.pem"]},
            {"tls_files": {"omero_web_tls_certificate": "/etc/ssl/a.pem"}},
            "omero_web_tls_certificate is /etc/ssl/a.pem, which is not on web-1; put it there or name another file.",
        ),
        (
            {"missing_directories": ["/srv/cache"]},
            {"writable_paths": ["/srv/cache"]},
            "omero_web_writable_paths has /srv/cache, which is no directory on web-1; make it first, for omero-web. "
            "Nothing has changed.",
        ),
        (
            {"ids": {"uid": None, "gid": None, "user": "ann", "group": None}},
            {"ids": {"uid": 990, "gid": 990}},
            "omero_web_uid is 990, and on web-1 that is the user ann; set another one. Nothing has changed.",
        ),
        (
            {"ids": {"uid": 990, "gid": 998, "user": "omero-web", "group": None}},
            {"ids": {"uid": 990, "gid": 990}},
            "omero_web_gid is 990, and on web-1 the group omero-web has 998, and files by it; set that, or leave out "
            "omero_web_gid. Nothing has changed.",
        ),
    ],
)
def test_what_is_refused_before_anything_changes(look, differences, sentence):
    with pytest.raises(back.Refusal, match=planning.re.escape(sentence)):
        planned(converged(configuration_is_wanted=False, **look), **differences)


def test_a_site_of_others_with_the_name_of_the_roles_own_is_refused_on_a_new_host():
    conf = "/etc/nginx/conf.d/omero-web.conf"
    look = {**Host("omero-web").look(1), "matched": [conf]}
    with pytest.raises(back.Refusal, match=planning.re.escape(f"installed in another way ({conf});")):
        planned(look)
    assert planned(look, nginx_files={})["steps"]
    # Of a template of the site's own, nothing is known.
    assert planned(converged(matched=[conf]))["steps"] == []


FORMER = {"unit": "omero-web.service", "address": "127.0.0.1:4070", "site": "/etc/nginx/conf.d/omeroweb.conf"}

UNIT_OF_FORMER = "/etc/systemd/system/omero-web.service"


def with_former(*paths, enabled="disabled", **differences):
    """A look at a host on which nothing is due but what is left of the OMERO.web from before the role."""
    look = converged(**differences)
    unit = {"active": "active", "enabled": enabled, "listen": ""}
    units = {**look["units"], FORMER["unit"]: unit}
    return {**look, "units": units, "paths": {**look["paths"], **dict.fromkeys(paths, {})}}


@pytest.mark.parametrize(
    "look",
    [
        with_former(UNIT_OF_FORMER, FORMER["site"]),
        with_former(UNIT_OF_FORMER, enabled="enabled"),
        # Its site has the name of the role's already.
        with_former(UNIT_OF_FORMER, **dict.fromkeys(("matched", "astray"), ["/etc/nginx/conf.d/omero-web.conf"])),
    ],
)
def test_a_former_omero_web_is_taken_over_from(look):
    found = planned(look, former=FORMER)
    assert found["says"] == ["put generation 2 live", "take over from omero-web.service"]
    assert found["change"]["former"] == FORMER
    assert not found["change"]["to_former"]


def test_a_former_omero_web_that_is_retired_is_let_be():
    assert planned(with_former(UNIT_OF_FORMER), former=FORMER)["steps"] == []
    assert planned(with_former(UNIT_OF_FORMER), former=FORMER)["change"]["former"] is None
    # Of a template of the site's own, nothing is known.
    look = with_former(UNIT_OF_FORMER, matched=["/etc/nginx/conf.d/omero-web.conf"])
    assert planned(look, former=FORMER)["steps"] == []


def test_the_address_of_a_former_omero_web_is_refused():
    former = {**FORMER, "address": "0.0.0.0:4080"}
    sentence = "omero_web_former has the address 0.0.0.0:4080, at whose port the role's OMERO.web is to listen as well;"
    with pytest.raises(back.Refusal, match=planning.re.escape(sentence)):
        planned(with_former(UNIT_OF_FORMER, FORMER["site"]), former=former)
    assert planned(with_former(UNIT_OF_FORMER), former=former)["steps"] == []


def test_another_omero_web_than_the_former_one_is_refused():
    with pytest.raises(back.Refusal, match=r"another way \(/etc/systemd/system/omero-web.service\);"):
        planned(with_former(UNIT_OF_FORMER), former={**FORMER, "unit": "web.service"})


def first_generation(**differences):
    site = Site()
    site.run()
    return {**site.machine.look(1), "former": {**FORMER, "seconds": 600, "link": "", "mode": 420}, **differences}


def test_the_first_generation_goes_back_to_the_former_omero_web():
    found = back.plan_rollback(first_generation(), wanted())
    assert found["says"] == ["go back from generation 1 to omero-web.service"]
    assert (found["generation"], found["change"]["to_former"]) == (0, True)
    assert found["change"]["former"] == {**FORMER, "seconds": 600}
    assert (found["change"]["target"]["number"], found["change"]["make"]) == (1, None)


def test_a_later_generation_goes_back_to_the_former_omero_web_where_it_is_asked_to():
    look = converged(former={**FORMER, "unit": ""})
    assert back.plan_rollback(look, wanted())["generation"] == 1
    found = back.plan_rollback(look, wanted(to_former=True))
    assert found["says"] == ["go back from generation 2 to the OMERO.web at 127.0.0.1:4070"]


@pytest.mark.parametrize("differences", [{"former": {}}, {"current": 0}])
def test_no_former_omero_web_is_gone_back_to_where_there_is_none(differences):
    with pytest.raises(back.Refusal, match="web-1 has no OMERO.web from before the role's to go back to."):
        back.plan_rollback(first_generation(**differences), wanted(to_former=True))


PUBLIC = {"basedir": "/srv/public", "user": "public", "group": "public"}
NEIGHBOUR = {"name": "omero-web-public", **PUBLIC, "address": "127.0.0.1:4081", "sites": [], "ports": []}


def in_nginx(*names, ports=(80,)):
    return {"sites": [{"ports": [443], "server_names": ["web-1"]}, {"ports": [*ports], "server_names": [*names]}]}


@pytest.mark.parametrize(
    "neighbour, differences, sentence",
    [
        (
            {"basedir": BASEDIR, "user": "omero-web", "group": "omero-web"},
            {},
            "omero_web_basedir is /opt/omero/web, omero_web_user is omero-web, omero_web_group is omero-web, and the "
            "instance public on web-1 has /opt/omero/web, omero-web, omero-web; set others for the unnamed instance.",
        ),
        ({"basedir": f"{BASEDIR}/2"}, {}, "and the instance public on web-1 has /opt/omero/web/2; set others"),
        ({"basedir": "/opt/omero"}, {}, "omero_web_basedir is /opt/omero/web, and the instance public on web-1 has"),
        (
            {"name": "omero-web", "group": "omero-web"},
            {"name": "omero-web-public"},
            "omero_web_group is omero-web, and the unnamed instance on web-1 has omero-web; set others for the "
            "instance public. Nothing has changed.",
        ),
        (
            {"address": "0.0.0.0:4080"},
            {},
            "omero.web.application_server.port is 4080, where the instance public on web-1 listens; set another in "
            "omero_web_config for the unnamed instance. Nothing has changed.",
        ),
        (
            in_nginx("_"),
            {"server_names": ["_"]},
            "omero_web_server_names has _, under which nginx has the instance public on web-1 at port 80; give the "
            "unnamed instance names of its own, or another port. Nothing has changed.",
        ),
        (in_nginx("example.org", "WEB-1"), {"server_names": ["$hostname"]}, "omero_web_server_names has web-1, under"),
        (in_nginx("$hostname", ports=[81, 80]), {}, "omero_web_server_names has web-1, under which nginx has"),
    ],
)
def test_what_another_instance_has_is_refused(neighbour, differences, sentence):
    with pytest.raises(back.Refusal, match=planning.re.escape(sentence)):
        planned(converged(neighbours=[{**NEIGHBOUR, **neighbour}]), **differences)


@pytest.mark.parametrize(
    "neighbour",
    [{}, in_nginx("example.org"), in_nginx("web-1", ports=[8080]), {"basedir": f"{BASEDIR}-public"}, {"address": ""}],
)
def test_what_instances_share(neighbour):
    assert planned(converged(neighbours=[{**NEIGHBOUR, **neighbour}]))["steps"] == []


def test_instances_that_are_made_at_once():
    defaults = yaml.safe_load((PLUGIN.parents[1] / "defaults/main.yml").read_text())
    public = {
        **defaults,
        **{f"omero_web_{key}": value for key, value in PUBLIC.items()},
        "omero_web_instance": "public",
    }
    public.update(omero_web_http_port="8080", omero_web_tls_certificate="self-signed")
    public.update(omero_web_config={"omero.web.application_server.port": 4081})
    neighbour = planning.neighbour_of(public)
    assert neighbour == {
        "name": "omero-web-public", **PUBLIC, "address": ":4081",
        "sites": [{"ports": [8080, 443], "server_names": ["$hostname"]}], "ports": [8080, 443],
    }  # fmt: skip
    assert planned(converged(neighbours=[neighbour]))["steps"] == []
    assert planning.neighbour_of({**public, "omero_web_nginx": "no"})["sites"] == []
    assert planning.neighbour_of(defaults)["sites"][0]["ports"] == [80]
    with pytest.raises(
        back.Refusal, match="the unnamed instance on web-1 has /opt/omero/web, omero-web, omero-web"
    ):
        planned(converged(neighbours=[planning.neighbour_of(defaults)]), name="omero-web-public")


def test_who_has_something_to_do_heeds_instances_that_no_look_sees_yet():
    seen, unseen = {**NEIGHBOUR, "address": "seen"}, {**NEIGHBOUR, "name": "omero-web-new"}

    def decide(look):
        return {"steps": ["change"], "neighbours": look["neighbours"]}

    decided = planning.decided(decide, {"neighbours": [seen]}, lambda: [NEIGHBOUR, unseen])
    assert decided["neighbours"] == [seen, unseen]
    assert planning.decided(decide, {"neighbours": [seen]}, list)["neighbours"] == [seen]
    # Who has nothing to do does not even ask for them.
    assert planning.decided(lambda look: {"steps": []}, {"neighbours": []}, None) == {"steps": []}


def test_a_rollback_has_no_business_with_another_instance():
    look = converged(neighbours=[{**NEIGHBOUR, "basedir": BASEDIR}])
    with pytest.raises(back.Refusal, match="omero_web_basedir is /opt/omero/web, and the instance public on web-1"):
        back.plan_rollback(look, wanted())


def test_a_full_disk_does_not_matter_where_nothing_is_due():
    assert planned(converged(free_bytes=0, read_only=True))["steps"] == []


def listening(*sockets):
    return {unit: {"active": active, "enabled": "static", "listen": address} for unit, active, address in sockets}


@pytest.mark.parametrize(
    "address, sockets, socket",
    [
        ("127.0.0.1:4080", (), "omero-web.socket"),
        ("127.0.0.1:4090", (), "omero-web-127.0.0.1:4090.socket"),
        ("[::1]:4080", (), "omero-web-::1:4080.socket"),
        # As an older version of the role left it: that one is open already.
        ("127.0.0.1:4090", [("omero-web.socket", "active", "127.0.0.1:4090")], "omero-web.socket"),
        ("127.0.0.1:4090", [("omero-web.socket", "inactive", "127.0.0.1:4090")], "omero-web-127.0.0.1:4090.socket"),
        ("127.0.0.1:4080", [("omero-web-public.socket", "active", "127.0.0.1:4080")], "omero-web.socket"),
        ("127.0.0.1:4090", [("other.socket", "active", "127.0.0.1:4090")], "omero-web-127.0.0.1:4090.socket"),
    ],
)
def test_socket_of_an_address(address, sockets, socket):
    look = {"current": 0, "generations": [], "unfinished": {"generations": []}, "units": listening(*sockets)}
    assert planning.socket_of("omero-web", look, address) == socket


@pytest.mark.parametrize(
    "on_host, variable, sentence",
    [
        ("", "course until Friday", "web-1 is on hold: course until Friday .omero_web_hold.; --check shows"),
        ("a talk", "", "web-1 is on hold: a talk ./opt/omero/web/hold there.; .* Nothing has changed"),
    ],
)
def test_a_site_that_is_on_hold_stays_as_it_is(on_host, variable, sentence):
    look = converged(hold=on_host)
    assert planned(look, hold=variable)["steps"] == []
    due = {**look, "configuration_is_wanted": False}
    with pytest.raises(back.Refusal, match=sentence):
        planned(due, hold=variable)
    assert planned(due, hold=variable, despite_hold=True)["steps"] == ["change"]
    assert back.plan_rollback(look, wanted(hold=variable))["steps"] == ["change"]


@pytest.mark.parametrize(
    "differences, sentence",
    [
        ({"generation": 9}, "runs generation 2 and cannot go back to generation 9; what it can go back to: 1."),
        ({"generation": 2}, "cannot go back to generation 2; what it can go back to: 1."),
    ],
)
def test_rollback_that_is_refused(differences, sentence):
    with pytest.raises(back.Refusal, match=planning.re.escape(sentence)):
        back.plan_rollback(converged(), wanted(**differences))


def test_rollback_to_what_failed_or_lost_its_release_is_refused():
    look = converged()
    look["generations"][0]["failed"] = True
    with pytest.raises(back.Refusal, match="generation 1, which failed .omero_web_rollback_to_failed would try"):
        back.plan_rollback(look, wanted())
    assert back.plan_rollback(look, wanted(to_failed=True))["generation"] == 1
    look["releases"] = {}
    with pytest.raises(back.Refusal, match="generation 1, whose release 5.33.2-1 is gone; .* nothing, for there is no"):
        back.plan_rollback(look, wanted(to_failed=True))


def test_rollback_says_who_serves_where_that_is_not_the_live_generation():
    """As it is after a handover that was killed."""
    assert back.plan_rollback(converged(), wanted())["says"] == ["go back from generation 2 to generation 1"]
    look = with_unit("omero-web@3.service", active="active")
    answer = {"status": 200, "message": ""}
    for answered, words in (
        (2, " (generation 3 runs, too, and ends)"),
        (3, " (generation 3, which answers now, runs, too, and ends)"),
        (1, ", which answers already (generation 3 runs, too, and ends)"),
    ):
        says = back.plan_rollback({**look, "answer": {**answer, "generation": answered}}, wanted())["says"]
        assert says == [f"go back from generation 2 to generation 1{words}"]


def test_rollback_to_one_that_finishes_requests_makes_it_anew():
    look = with_unit("omero-web@1.service", active="deactivating")
    look["generations"][0]["manifest"] |= {"made": "2026-11-26", "made_by": "somebody"}
    planned = back.plan_rollback(look, wanted())
    assert planned["says"] == [
        "go back from generation 2 to generation 1, made anew as generation 3 while that finishes requests"
    ]
    change, manifest = planned["change"], planned["change"]["make"]["manifest"]
    assert planned["generation"] == change["target"]["number"] == manifest["generation"] == 3
    assert change["make"]["copy_of"] == 1
    assert change["target"]["installed"]["omero-web.service"] == "/etc/systemd/system/omero-web@3.service"
    assert manifest["installed"] == change["target"]["installed"]
    assert manifest["previous"] == 2
    assert not {"made", "made_by", "failed"} & set(manifest)
    assert change["trial"]
    # One whose files the service may have changed is never read by root: it is waited for.
    look["generations"][0]["manifest"]["schema"] = 1
    assert back.plan_rollback(look, wanted())["change"]["make"] is None


def test_rollback_runs_a_generation_as_its_manifest_says():
    site = Site()
    site.run()
    site.port = 4090
    site.run()
    change = back.plan_rollback(site.machine.look(1), wanted())["change"]
    assert change["target"]["address"] == "127.0.0.1:4080"
    assert change["target"]["socket"] == "omero-web.socket"
    assert change["fallback"]["installed"]["omero-web.socket"].endswith("/omero-web-127.0.0.1:4090.socket")


def test_what_a_user_is_to_find_is_of_the_apps_of_a_generation():
    site = Site()
    site.run()
    change = planned(converged(configuration_is_wanted=False), pages={"apps": []})["change"]
    assert change["pages"] == change["make"]["manifest"]["pages"] == {"apps": []}
    site.port = 4090
    site.run()
    look = site.machine.look(1)
    assert back.plan_rollback(look, wanted(pages={"apps": []}))["change"]["pages"]["apps"] == ["/figure/"]
    # Older versions of the role did not say.
    for one in look["generations"]:
        del one["manifest"]["pages"]
    assert back.plan_rollback(look, wanted())["change"]["pages"] == {}


def test_trial_as_a_user_is_told():
    who = {"tried_as": "the user researcher"}
    look = converged()
    assert planned(look, **who)["says"] == []
    says = planned({**look, "configuration_is_wanted": False}, **who)["says"]
    assert says[:3] == ["make generation 3", "try generation 3 as the user researcher", "put generation 3 live"]
    says = back.plan_rollback(look, wanted(**who))["says"]
    assert says == ["try generation 1 as the user researcher", "go back from generation 2 to generation 1"]
    assert len(back.plan_rollback(look, wanted(start=False, **who))["says"]) == 1


def test_rollback_to_a_generation_of_the_first_versions_of_the_role():
    """Their manifests said neither where they are installed nor, the very first ones, where they answer."""
    look = converged()
    look["generations"][0] |= {
        "manifest": {"prefix": "/omero"}, "address": "127.0.0.1:4070", "files": ["nginx.conf", "omero-web.service"]
    }  # fmt: skip
    target = back.plan_rollback(look, wanted())["change"]["target"]
    assert (target["address"], target["socket"], target["prefix"]) == ("127.0.0.1:4070", "omero-web.socket", "/omero")
    assert target["url"] == "http://127.0.0.1:80/omero"
    assert target["installed"] == {
        "omero-web.service": "/etc/systemd/system/omero-web@1.service",
        "omero-web.socket": "/etc/systemd/system/omero-web.socket",
        "nginx.conf": "/etc/nginx/conf.d/omero-web.conf",
    }


def test_what_runs_is_gone_back_to_where_somebody_removed_the_link():
    change = planned(converged(current=0))["change"]
    assert change["fallback"]["number"] == 2
    assert change["target"]["number"] == 3


# --- when a host behind a balancer changes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "is_balanced, live, hands_over, release, turn",
    [
        (True, 7, True, "new", "rolling"),
        # The hosts with one Django and with the other would not know each other's sessions.
        (True, 7, True, "newest", "together"),
        (False, 7, True, "new", ""),
        # Nobody uses a host that is new, and nobody notices that something is removed.
        (True, 0, True, "new", ""),
        (True, 7, False, "new", ""),
        (True, 7, True, None, ""),
    ],
)
def test_turn(is_balanced, live, hands_over, release, turn):
    seven = {"number": 7, "release": "old", "address": "", "failed": False, "activated": True, "manifest": {}}
    look = {
        "generations": [seven],
        "unfinished": {"generations": []},
        "releases": {"old": {"django": "5.2"}, "new": {"django": "5.2"}, "newest": {"django": "6.0"}},
    }
    change = {"release": release, "hand_over": hands_over} if release else {}
    assert planning.turn_of(look, is_balanced, {"live": live, "change": change}) == turn

"""Which hosts a balancer sends users to, when hosts leave and come back, and what nginx refuses."""

import copy
import io
import json
import runpy
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from ansible.module_utils import basic
from ansible.module_utils import omero_web_balancer as balancer
from ansible.module_utils.omero_web_host import Problem
from hypothesis import given
from hypothesis import strategies as st

FULL = balancer.FULL_WEIGHT
UPSTREAMS = [
    {"name": "omeroweb", "servers": [{"name": f"web-{n}", "address": f"192.0.2.{n}:80"} for n in (1, 2, 3)]},
    {"name": "omeroweb_1", "servers": [{"name": "public-1", "address": "[2001:db8::1]:80"}]},
]
ALL = ["web-1", "web-2", "web-3", "public-1"]
IN = dict.fromkeys(ALL, FULL)


def decided(before, leave=(), enter=(), ill=()):
    return balancer.decide(UPSTREAMS, before, list(leave), list(enter), lambda name: name not in ill)


def primaries(weights, upstream=0):
    text = balancer.text_of(UPSTREAMS, weights).split("upstream ")[1 + upstream]
    return [name for _, _, backup, name in balancer.SERVER.findall(text) if not backup]


def test_a_new_balancer_has_all_that_answer():
    assert decided({}, enter=ALL, ill=["web-2"]) == ({**IN, "web-2": 0}, ["web-2"])


def test_a_host_leaves_and_comes_back():
    weights, ill = decided(IN, leave=["web-1"])
    assert (weights, ill) == ({**IN, "web-1": 0}, [])
    assert primaries(weights) == ["web-2", "web-3"]
    assert decided(weights, enter=["web-1"]) == (IN, [])


def test_a_host_that_does_not_answer_does_not_come_back():
    assert decided({**IN, "web-1": 0}, enter=["web-1"], ill=["web-1"]) == ({**IN, "web-1": 0}, ["web-1"])


def test_the_last_host_of_a_set_stays():
    assert decided(IN, leave=["public-1"]) == (IN, [])
    assert decided(IN, leave=["web-1", "web-2", "web-3"]) == (IN, [])


def test_a_host_that_another_run_has_left_out_takes_over_before_the_last_one_leaves():
    before = {**IN, "web-2": 0, "web-3": 0}
    assert decided(before, leave=["web-1"]) == ({**IN, "web-1": 0}, [])
    assert decided(before, leave=["web-1"], ill=["web-2", "web-3"]) == (before, [])


def test_all_others_stay_as_they_are():
    before = {**IN, "web-3": 0}
    assert decided(before, leave=["web-1"]) == ({**before, "web-1": 0}, [])


def test_a_host_that_is_no_longer_in_the_inventory_is_forgotten():
    assert "web-9" not in decided({**IN, "web-9": FULL})[0]


def test_what_was_broken_off_while_a_host_had_few_users_is_finished():
    assert decided({**IN, "web-1": 1}, enter=["web-1"]) == (IN, [])


def test_hosts_come_back_slowly_beside_others_alone():
    assert balancer.begin_slowly(UPSTREAMS, {**IN, "web-1": 0}, IN) == {**IN, "web-1": 1}
    assert balancer.begin_slowly(UPSTREAMS, {}, IN) == IN
    assert balancer.begin_slowly(UPSTREAMS, {**IN, "public-1": 0}, IN) == IN


@given(st.dictionaries(st.sampled_from(ALL), st.sampled_from([0, 1, FULL])), st.sets(st.sampled_from(ALL)),
       st.sets(st.sampled_from(ALL)), st.sets(st.sampled_from(ALL)))  # fmt: skip
def test_users_always_have_a_host_and_the_file_says_who_is_out(before, leave, enter, ill):
    weights, _ = decided(before, leave, enter, ill)
    text = balancer.text_of(UPSTREAMS, weights)
    for number, upstream in enumerate(UPSTREAMS):
        names = [server["name"] for server in upstream["servers"]]
        assert primaries(weights, number)
        had = [name for name in names if before.get(name)]
        assert not had or any(weights[name] for name in names), "the last one with users has lost them"
    known = balancer.known_of(text)
    assert known.keys() == weights.keys()
    # Where nobody has users, nginx has them all try.
    assert all(known[name] == weights[name] for name in ALL if weights[name])


# --- with the nginx of a host that is not there -----------------------------------------------------------------------

Done = namedtuple("Done", "code output errors")


class Commands:
    """Commands of a balancer; nginx refuses what has a word in it."""

    def __init__(self, root):
        self.root, self.calls, self.refuses = root, [], ""

    def run(self, *command, **_):
        self.calls.append(" ".join(command))
        if command[0] == "unshare" and command[-1] == "true":
            return Done(1, "", "")
        if command[:2] == ("nginx", "-t"):
            text = "".join(path.read_text() for path in self.root.rglob("*.conf"))
            is_bad = bool(self.refuses) and self.refuses in text
            return Done(int(is_bad), "", f"nginx: [emerg] {self.refuses} is wrong" if is_bad else "")
        if command[:2] == ("systemctl", "show"):
            return Done(0, "Id=nginx.service\nActiveState=active\nMainPID=1\n", "")
        return Done(0, "", "")

    def must(self, *command, **options):
        return self.run(*command, **options).output


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setattr(balancer, "write", lambda path, content, mode: tmp_path.joinpath(path).write_bytes(content))
    (tmp_path / "conf.d").mkdir()
    return Commands(tmp_path)


def changed(host, **params):
    files = {str(host.root / "conf.d/site.conf"): {"content": "", "mode": "0644"}}
    given = {
        "path": str(host.root / "conf.d/hosts.conf"), "upstreams": copy.deepcopy(UPSTREAMS), "leave": [], "enter": [],
        "health_path": "/healthz", "host": "site", "patience": 0, "drain": 0, "slow_start": 0, "files": files,
        "default_site": None, "check": False, **params,
    }  # fmt: skip
    one = balancer.Balancer(given, host)
    one.is_well = lambda name: True
    return one.change()


def reloads(host):
    return sum(call == "systemctl reload nginx.service" for call in host.calls)


def test_nothing_to_change_is_no_reload(host):
    assert changed(host, enter=ALL)["changed"]
    before = reloads(host)
    assert not changed(host, enter=ALL)["changed"]
    assert reloads(host) == before == 1


def test_a_balancer_that_is_not_installed_yet_has_nobody_to_let_go(host):
    found = changed(host, leave=["web-1"], files={}, upstreams=None)
    assert not found["changed"] and found["stayed"] == ["web-1"]
    assert list(host.root.rglob("*.conf")) == [] and reloads(host) == 0
    changed(host, enter=ALL)
    assert changed(host, leave=["web-1"], files={}, upstreams=None)["changed"]


def test_a_host_leaves_the_sets_that_nginx_has_whatever_sets_there_are_to_be(host):
    changed(host, enter=ALL)
    found = changed(host, leave=["web-1", "web-9"], files={}, upstreams=None)
    assert found["weights"] == {**IN, "web-1": 0}
    assert balancer.upstreams_in((host.root / "conf.d/hosts.conf").read_text()) == UPSTREAMS


def test_check_mode_tells_and_changes_nothing(host):
    assert changed(host, enter=ALL, check=True)["changed"]
    assert list(host.root.rglob("*.conf")) == [] and reloads(host) == 0


def test_what_nginx_refuses_is_taken_back(host):
    site = host.root / "conf.d/site.conf"
    changed(host, enter=ALL, files={str(site): {"content": "good", "mode": "0644"}})
    host.refuses = "nonsense"
    with pytest.raises(Problem, match="nonsense is wrong"):
        changed(host, leave=["web-1"], files={str(site): {"content": "nonsense", "mode": "0644"}})
    assert site.read_text() == "good"
    assert balancer.known_of((host.root / "conf.d/hosts.conf").read_text()) == IN


def test_a_host_with_requests_in_hand_is_told(host):
    changed(host, enter=ALL)
    host.run = lambda *command, plain=host.run: Done(0, "ESTAB", "") if command[0] == "ss" else plain(*command)
    found = changed(host, leave=["web-1", "public-1"])
    assert found["busy"] == ["web-1"] and found["stayed"] == ["public-1"]


# --- the module -------------------------------------------------------------------------------------------------------


def test_neither_log_nor_output_has_the_key_of_a_certificate(monkeypatch, capsys):
    module = runpy.run_path(str(Path(__file__).parents[2] / "library/omero_web_balancer.py"))
    key = "-----BEGIN PRIVATE KEY-----"
    files = {"/etc/nginx/omero-web.pem": {"content": key, "mode": "0600"}}
    arguments = {"by": "me", "path": "/hosts.conf", "upstreams": UPSTREAMS, "files": files}
    logged, given = [], []
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    monkeypatch.setattr(basic.AnsibleModule, "log", lambda self, *words, **more: logged.append(f"{words} {more}"))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setitem(module["main"].__globals__, "change_balancer", lambda params: given.append(params) or {})
    with pytest.raises(SystemExit):
        module["main"]()
    assert given[0]["files"] == files, "nginx gets it"
    assert logged and key not in "".join(logged)
    assert key not in capsys.readouterr().out

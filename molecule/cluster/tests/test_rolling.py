"""Changes of a farm: one host after another, under users that go from one to another with each request."""

import json

import pytest
from conftest import exhaustive, hosts_of, reach_of

TURN = "PLAY [OMERO.web, one host after another]"
PING = "omero.web.ping_interval"


def assert_nobody_noticed(users):
    assert users.failures == []
    assert users.download.is_complete, users.download.error


def ping_intervals(webs):
    return {name: web.run(f"omero config get {PING}").stdout.strip() for name, web in webs.items()}


def test_a_session_is_good_on_every_host(log_in, addresses, ask, who_is):
    session = log_in()
    for address in addresses.values():
        page = ask(f"http://{address}/webclient/", Cookie=f"sessionid={session}", Host="omero-web.example.org")
        assert page.status == 200
    assert {who_is(session) for _ in range(8)} == {2}


def test_hosts_have_the_same_key_and_see_where_users_come_from(webs, addresses, guest, host):
    guest.get("/webclient/login/")
    keys = {web.check_output("omero config get omero.web.secret_key") for web in webs.values()}
    assert len(keys) == 1 and keys != {""}
    own = host.ansible.get_variables()["ansible_host"]
    asked = "grep webclient/login /var/log/nginx/omero-web.access.log | tail -n 1"
    logs = [web.check_output(asked) for web in webs.values()]
    clients = {line.split()[0] for line in logs if line}
    assert clients and own not in clients


def test_nothing_to_change(play, load):
    with load("a run that changes nothing, on two hosts behind a balancer") as users:
        code, output = play()
    assert code == 0, output
    assert output.count("changed=0") == 5, output
    assert_nobody_noticed(users)


def test_a_changed_setting_rolls_and_the_way_back(play, load, webs, generations_live, out):
    before = generations_live()
    with load("a changed setting, host after host") as users:
        code, output = play(omero_web_config={PING: 61234})
    assert code == 0, output
    assert_nobody_noticed(users)
    assert ping_intervals(webs) == dict.fromkeys(webs, "61234")
    assert all(number > before[name] for name, number in generations_live().items())
    assert output.count(TURN) == len(webs), "one at a time"
    assert out() == []
    with load("a rollback, host after host") as users:
        code, output = play("playbooks/rollback.yml")
    assert code == 0, output
    assert_nobody_noticed(users)
    assert ping_intervals(webs) == dict.fromkeys(webs, "")
    assert output.count(TURN) == len(webs)
    assert out() == []


def test_one_that_fails_stops_the_others(play, load, webs, generations_live, out):
    before = generations_live()
    with load("a change that fails on the first host") as users:
        code, output = play(omero_web_config_append={"omero.web.middleware": [{"index": 1, "class": "no.such"}]})
    assert code != 0
    assert_nobody_noticed(users)
    assert "does not work and was not put live" in " ".join(output.split())
    assert generations_live() == before
    second = list(webs)[1]
    failed = webs[second].run("ls /opt/omero/web/generations/*/failed")
    assert failed.rc != 0, "the second host was not tried"
    assert out() == []


def test_the_next_run_goes_on(play, webs):
    code, output = play()
    assert code == 0, output
    assert ping_intervals(webs) == dict.fromkeys(webs, "")


def test_a_canary_with_errors_goes_back(play, users, webs, generations_live, out):
    before = generations_live()
    first, second = webs
    # Most of what users ask for all day, so that some of it is asked in these seconds.
    broken = "location = /webclient/api/containers/ { return 500; } location ^~ /webgateway/ { return 500; }"
    with users():
        code, output = play(omero_web_canary_seconds=8, omero_web_canary_errors=0, omero_web_nginx_server=broken)
    words = " ".join(output.split())
    assert code != 0
    assert f"requests failed on {first}" in words and "the other hosts have not changed" in words
    assert generations_live()[second] == before[second]
    assert "^~ /webgateway/ { return 500; }" not in webs[first].check_output("nginx -T -q")
    assert out() == []


@exhaustive
@pytest.mark.parametrize("is_drained", [True, False])
def test_a_host_is_retired_and_comes_back(play, load, webs, out, tmp_path, is_drained):
    second = list(webs)[1]
    inventory = tmp_path / "drained.yml"
    inventory.write_text(f"omero_web: {{hosts: {{{second}: {{omero_web_drained: {str(is_drained).lower()}}}}}}}\n")
    with load(f"a host {'leaves' if is_drained else 'comes'}") as users:
        code, output = play("playbooks/site.yml", "-i", inventory)
    assert code == 0, output
    assert_nobody_noticed(users)
    assert out() == ([second] if is_drained else [])


@exhaustive
def test_a_host_is_added_and_taken_away(play, load, addresses, hosts_behind, ask, log_in, tmp_path):
    (name,) = hosts_of("omero_server")
    address = reach_of("omero_server")[name]["ansible_host"]
    inventory = tmp_path / "added.json"
    inventory.write_text(json.dumps({"omero_web": {"hosts": {name: {}}}}))
    with load("a host is added") as users:
        code, output = play("playbooks/site.yml", "-i", inventory)
    assert code == 0, output
    assert_nobody_noticed(users)
    assert set(hosts_behind()) == {*addresses, name}
    page = ask(f"http://{address}/webclient/", Cookie=f"sessionid={log_in()}", Host="omero-web.example.org")
    assert page.status == 200, "who is logged in is known there, too"
    with load("a host is taken out of the inventory") as users:
        code, output = play()
    assert code == 0, output
    assert_nobody_noticed(users)
    assert set(hosts_behind()) == set(addresses)


def test_all_hosts_are_closed_and_opened_together(play, ask, addresses):
    sites = ["/webclient/login/", *(f"http://{address}/webclient/login/" for address in addresses.values())]
    found = {}
    for maintenance in "on", "off":
        code, output = play("playbooks/maintenance.yml", omero_web_maintenance=maintenance)
        assert code == 0, output
        found[maintenance] = {ask(site).status for site in sites}
    assert found == {"on": {503}, "off": {200}}

"""The role takes over from an OMERO.web that another role has installed, and gives back to it; users notice neither."""

import json

import yaml
from ansible.parsing.dataloader import DataLoader
from conftest import INVENTORY, exhaustive, wait_until

UNIT, SITE = "omero-web.service", "/etc/nginx/conf.d/omeroweb.conf"
OLD = "runuser -u omero-web -- env OMERODIR=/opt/omero/web/OMERO.web /opt/omero/web/venv3/bin/omero"
SECRET = "correct-{{ 7 * 6 }}-battery-staple"
# The inventory has it from there.
VARIABLES = INVENTORY.parent / "host_vars"


def state_of(host):
    """Return whether the former OMERO.web starts with the host, whether it runs, and whether nginx has its site."""
    unit = host.service(UNIT)
    return unit.is_enabled, unit.is_running, host.file(SITE).exists


def properties_of(output):
    """Return what `omero config get` says, lists and dictionaries as such."""
    found = dict(line.split("=", 1) for line in output.splitlines())
    return {key: json.loads(value) if value[:1] in ("[", "{") else value for key, value in found.items()}


def test_it_is_refused_until_it_is_described(refused, host):
    unit = f"/etc/systemd/system/{UNIT}"
    sentence = f"has an OMERO.web that was installed in another way ({unit}, {SITE}); let playbooks/adopt.yml write"
    assert "changed=0" in refused(sentence)
    assert state_of(host) == (True, True, True)


def test_the_inventory_that_makes_the_same_site(host, play, refused):
    places = "/etc/nginx", "/etc/systemd", "/opt/omero"
    before = host.check_output("find %s %s %s -type f -printf '%%p %%T@ %%m %%u\n' | sort", *places)
    code, output = play("playbooks/adopt.yml", omero_web_adopt_directory=str(VARIABLES))
    assert code == 0, output
    assert host.check_output("find %s %s %s -type f -printf '%%p %%T@ %%m %%u\n' | sort", *places) == before
    (directory,) = VARIABLES.iterdir()
    plain, secret = (directory / name for name in ("omero-web.yml", "omero-web-secrets.yml"))
    assert {file.stat().st_mode & 0o777 for file in (plain, secret)} == {0o600}
    assert SECRET not in output + plain.read_text()
    secrets = DataLoader().load_from_file(str(secret))["omero_web_secrets"]
    assert secrets["omero.web.public.password"] == SECRET
    assert secrets["omero.web.secret_key"] == host.file("/opt/omero/web/OMERO.web/var/django_secret_key").content_string
    known = yaml.safe_load(plain.read_text())
    assert known["omero_web_release"] == "5.33.2"
    assert [app["name"] for app in known["omero_web_apps"]] == ["omero_figure"]
    assert known["omero_web_workers"] == 3
    assert "add_header X-Of-The-Site here;" in plain.read_text()
    refused("is there already; move it away", "playbooks/adopt.yml", omero_web_adopt_directory=str(VARIABLES))


def test_users_do_not_notice_that_it_is_taken_over(host, play, load, log_in, who_is, live):
    before = host.file(SITE).content
    session = log_in()
    with load("take over from the public role") as users:
        code, output = play()
        assert code == 0, output
    assert users.failures == []
    assert users.download.is_complete
    assert live() == 1
    assert who_is(session)
    assert host.file("/opt/omero/web/former/nginx.conf").content == before
    assert state_of(host) == (False, True, False)
    wait_until(lambda: state_of(host) == (False, False, False))


def test_it_is_the_same_site(host, ask):
    old, new = (properties_of(host.check_output(f"{omero} config get --show-password")) for omero in (OLD, "omero"))
    its_own = {
        "omero.web.application_server", "omero.web.application_server.port", "omero.web.nginx_server_extra_config",
        "omero.web.static_root",
    }  # fmt: skip
    assert {key: new.get(key) for key in set(old) - its_own} == {key: old[key] for key in set(old) - its_own}
    assert new["omero.web.public.password"] == SECRET
    assert ask("/about").body == b"here"


def test_nothing_is_left_to_do(play, live):
    code, output = play()
    assert code == 0, output
    assert "changed=0" in output
    assert live() == 1


def test_users_do_not_notice_the_way_back(host, play, load, log_in, who_is):
    session = log_in()
    with load("give back to the public role") as users:
        code, output = play("playbooks/rollback.yml")
        assert code == 0, output
    assert users.failures == []
    assert users.download.is_complete
    assert who_is(session)
    assert state_of(host) == (True, True, True)
    assert not host.file("/opt/omero/web/current").exists
    assert not host.service("omero-web.target").is_enabled


def test_what_fails_leaves_it_as_it_is(host, play, login):
    """A site that nginx refuses, which is found out when the generation has been tried."""
    before = host.file(SITE).content
    code, output = play(omero_web_nginx_server="no_such_directive here;")
    assert code != 0
    assert 'unknown directive "no_such_directive"' in output
    assert state_of(host) == (True, True, True)
    assert host.file(SITE).content == before
    assert login().status == 200


@exhaustive
def test_it_is_taken_over_once_more_and_stays_so(host, play, login, live):
    code, output = play()
    assert code == 0, output
    assert live() > 1
    code, output = play("molecule/resources/reboot.yml")
    assert code == 0, output
    wait_until(lambda: login().status == 200)
    assert state_of(host) == (False, False, False)

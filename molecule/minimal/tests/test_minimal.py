"""A host with OMERO.web alone, of which nothing was started: what is there before its first boot, and after."""

import re

import pytest
from conftest import wait_until

UNITS = ["omero-web.target", "omero-web.socket", "omero-web@{generation}.service"]
ASK = "import sys, urllib.request; print(urllib.request.urlopen('http://127.0.0.1:4080' + sys.argv[1]).read().decode())"


@pytest.fixture
def ask(host):
    """Ask OMERO.web itself for a path, on the host; None where there is no page."""

    def ask(path="/webclient/login/"):
        asked = host.run("python3 -c %s %s", ASK, path)
        return asked.stdout if asked.succeeded else None

    return ask


@pytest.fixture
def running(host):
    """Tell which generations run, now."""

    def running():
        units = host.check_output("systemctl list-units --plain --no-legend --state=active 'omero-web@*'")
        return [int(number) for number in re.findall(r"omero-web@(\d+)", units)]

    return running


def test_there_is_no_nginx(host):
    assert not host.package("nginx").is_installed
    assert not host.file("/etc/nginx").exists


def test_nothing_runs_and_nothing_listens(host, basedir):
    assert basedir not in host.check_output("ps -e -o args=")
    listening = host.check_output("ss --listening --tcp --numeric --no-header")
    assert re.findall(r":(\d+) ", listening.replace("*", "")) == ["22"] * len(listening.splitlines())


@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_not_active(host, generation, unit):
    assert not host.service(unit.format(generation=generation)).is_running


@pytest.mark.parametrize("unit", ["omero-web.target", "omero-web-boot.service"])
def test_unit_is_enabled(host, unit):
    assert host.service(unit).is_enabled


def test_first_boot(play, ask, running, live):
    code, output = play("molecule/resources/reboot.yml")
    assert code == 0, output
    # Its first worker answers before the last one is ready.
    wait_until(lambda: running() == [live()])
    assert "OMERO.web" in ask()
    static_file = re.search(r'src="(/static/[^"]+\.js)"', ask())[1]
    assert ask(static_file)


def test_what_changes_waits_and_what_runs_goes_on(play, ask, running, live):
    before = live()
    code, output = play(omero_web_config={"omero.web.ping_interval": 61234})
    assert code == 0, output
    assert live() == before + 1
    assert running() == [before]
    assert ask()


def test_a_run_that_may_start_does_the_rest(play, host, ask, running, live):
    changed = {"omero_web_start": True, "omero_web_config": {"omero.web.ping_interval": 61234}}
    code, output = play(**changed)
    assert code == 0, output
    wait_until(lambda: running() == [live()])
    assert ask()
    assert "changed=0" in play(**changed)[1]
    host.check_output("systemctl stop omero-web.target")
    code, output = play(**changed)
    assert code == 0, output
    assert ask()

"""A host with OMERO.web alone, of which nothing was started: what is there before its first boot, and after."""

import re
import socket
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from conftest import wait_until

UNITS = ["omero-web.target", "omero-web.socket", "omero-web@{generation}.service"]
ASK = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"


@pytest.fixture
def ask(host):
    """Ask OMERO.web itself for a path, on the host; None where there is no page."""

    def ask(path="/webclient/login/", address="127.0.0.1:4080"):
        asked = host.run("python3 -c %s %s", ASK, f"http://{address}{path}")
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


@pytest.fixture
def here(variables):
    """The address of this machine, as the host sees it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as towards_host:
        towards_host.connect((variables["ansible_host"], 9))
        return towards_host.getsockname()[0]


def log_in_through_a_proxy(address):
    """Post the form of the login page as a proxy on this machine does for users who come by TLS; the status."""
    site = {"Host": "omero.example.org", "X-Forwarded-Proto": "https"}
    origin = "https://omero.example.org"
    with urlopen(Request(f"http://{address}/webclient/login/", headers=site)) as page:
        cookies = "; ".join(cookie.partition(";")[0] for cookie in page.headers.get_all("Set-Cookie"))
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.read().decode())[1]
    form = {"csrfmiddlewaretoken": token, "server": "1", "username": "somebody", "password": "wrong"}
    headers = {**site, "Cookie": cookies, "Origin": origin, "Referer": f"{origin}/"}
    try:
        request = Request(f"http://{address}/webclient/login/", data=urlencode(form).encode(), headers=headers)
        return urlopen(request).status
    except HTTPError as error:
        return error.code


def test_users_of_a_proxy_on_another_host_log_in(play, variables, here):
    """Django refuses the form of a page that came by TLS where gunicorn does not believe that it did."""
    for proxies, status in ([], 403), ([here], 200):
        code, output = play(
            omero_web_start=True,
            omero_web_trusted_proxies=proxies,
            omero_web_config={"omero.web.application_server.host": "0.0.0.0"},
        )
        assert code == 0, output
        assert log_in_through_a_proxy(f"{variables['ansible_host']}:4080") == status


def test_omero_web_listens_on_an_address_of_ipv6(play, host, ask):
    changed = {"omero_web_start": True, "omero_web_config": {"omero.web.application_server.host": "::1"}}
    code, output = play(**changed)
    assert code == 0, output
    assert ask(address="[::1]:4080")
    assert not ask()
    assert "changed=0" in play(**changed)[1]


def test_another_service_user(refused, play, host, ask, live):
    """It takes what the refusal says."""
    wanted = {"omero_web_start": True, "omero_web_user": "another"}
    output = refused("omero_web_user is another, and minimal-bookworm has an OMERO.web with omero-web", **wanted)
    assert "changed=0" in output
    remedy = re.search(r"take away what is there \((.+?)\)\.", re.sub(r"\s+", " ", output))[1]
    host.check_output(remedy)
    taken = "omero_web_uid is 1, and on minimal-bookworm that is the user daemon; set another one."
    assert "changed=0" in refused(taken, omero_web_uid=1, **wanted)
    assert not host.user("another").exists
    code, output = play(**wanted)
    assert code == 0, output
    assert ask()
    assert "another" in host.check_output("ps -o user= -C gunicorn").split()

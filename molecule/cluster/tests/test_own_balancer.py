"""Hosts behind a balancer of somebody else's, which asks them how they are."""

import json
import re
from threading import Event, Thread
from urllib.parse import urlsplit

import pytest
from clients import LOGIN, User
from conftest import INVENTORY, PROJECT, exhaustive, hosts_of, wait_until


@pytest.fixture
def without_ours():
    """The inventory of a site that has a balancer of its own."""
    inventory = json.loads(INVENTORY.read_text())
    del inventory["omero_web_lb"]
    # Group variables are beside it.
    path = INVENTORY.with_name("own-balancer.yml")
    path.write_text(json.dumps(inventory))
    yield path
    path.unlink()


class Asker(Thread):
    """Asks a host, again and again, how it is, and for its login page."""

    def __init__(self, ask, address):
        super().__init__()
        self.ask, self.address, self.is_over = ask, address, Event()
        self.health, self.pages = [], set()

    def run(self):
        while not self.is_over.wait(0.2):
            self.health.append(self.ask(f"http://{self.address}/healthz").status)
            self.pages.add(self.ask(f"http://{self.address}/webclient/login/").status)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.join()


@exhaustive
def test_a_host_that_changes_asks_for_no_users_and_serves(start_play, without_ours, webs, addresses, ask):
    first = list(addresses)[0]
    with Asker(ask, addresses[first]) as asker:
        # The scenario's own inventory would bring our balancers back.
        play = start_play("playbooks/site.yml", inventory=without_ours, omero_web_balanced=True)
        output, _ = play.communicate()
    assert play.returncode == 0, output
    assert "Leave the balancers of the role" in output
    assert {200, 503} == set(asker.health) and asker.health[-1] == 200
    assert asker.pages == {200}
    for web in webs.values():
        assert web.run("systemctl is-active omero-web-enter.timer").stdout.strip() == "inactive"
        assert not web.file("/opt/omero/web/maintenance/server-drained.conf").exists


FRONTEND = """
frontend users
    mode http
    timeout client 60s
    bind :8443 ssl crt /etc/haproxy/site.pem
    default_backend omero_web
"""
TIMEOUTS = "    mode http\n    timeout connect 2s\n    timeout server 60s\n"


@pytest.fixture
def haproxy(addresses, issue):
    """Run HAProxy on a host, as docs/cluster.md sets it up; the URL of the site there."""
    name, host = list(hosts_of("omero_web_lb").items())[1]
    (backend,) = re.findall(r"(?ms)^backend omero_web\n.*?(?=^```)", (PROJECT / "docs/cluster.md").read_text())
    for number, address in enumerate(addresses.values(), 1):
        backend, count = re.subn(rf"(server web-{number}) \S+:80$", rf"\1 {address}:80", backend, flags=re.MULTILINE)
        assert count == 1
    host.check_output("DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends haproxy")
    texts = {"site.pem": "".join(issue("omero-web.example.org")), "haproxy.cfg": FRONTEND + backend + TIMEOUTS}
    for file, text in texts.items():
        host.check_output(f"echo '{text}' > /etc/haproxy/{file}")
    host.check_output("haproxy -c -f /etc/haproxy/haproxy.cfg && systemctl restart haproxy")
    yield f"https://{host.ansible.get_variables()['ansible_host']}:8443"
    host.check_output("apt-get purge --yes haproxy")


@exhaustive
def test_users_behind_haproxy_notice_no_change(play, load, without_ours, haproxy):
    wanted = {"omero_web_balanced": True, "omero_web_trusted_proxies": [urlsplit(haproxy).hostname]}
    code, output = play(inventory=without_ours, **wanted)
    assert code == 0, output
    # Until HAProxy has found the hosts healthy.
    wait_until(lambda: User(haproxy).get(LOGIN).status_code == 200)
    with load("a changed setting behind HAProxy", at=haproxy) as users:
        code, output = play(inventory=without_ours, **wanted, omero_web_config={"omero.web.ping_interval": 61234})
    assert code == 0, output
    assert users.failures == []
    assert users.download.is_complete, users.download.error


@exhaustive
def test_the_balancers_of_the_role_come_back(play, out):
    code, output = play()
    assert code == 0, output
    assert out() == []

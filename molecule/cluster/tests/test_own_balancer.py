"""Hosts behind a balancer of somebody else's, which asks them how they are."""

import json
from threading import Event, Thread

import pytest
from conftest import INVENTORY, exhaustive


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


@exhaustive
def test_the_balancers_of_the_role_come_back(play, out):
    code, output = play()
    assert code == 0, output
    assert out() == []

"""Two balancers, which hand on the address that users reach."""

import subprocess
import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from conftest import INVENTORY, hosts_of, wait_until

sys.path.insert(0, str(Path(__file__).parents[2] / "resources"))
from testhosts import Group  # noqa: E402

INTERFACE = "vip0"
HERE, ADDRESS = "198.19.255.1/24", "198.19.255.9/24"


def ip(*words):
    subprocess.run(["ip", *words], check=True)


@pytest.fixture(scope="module")
def machines():
    machines = {machine.name: machine for machine in Group(INVENTORY.parent.name).hosts()}
    return {name: machines[name] for name in hosts_of("omero_web_lb")}


@pytest.fixture(scope="module")
def segment(machines):
    """A network that both balancers and their users are in, as an address that moves needs it."""
    bridge = f"{next(iter(machines.values())).link}v"
    ip("link", "add", bridge, "type", "bridge")
    ip("address", "add", HERE, "dev", bridge)
    ip("link", "set", bridge, "up")
    ends = {f"{bridge}{number}": machine for number, machine in enumerate(machines.values())}
    for end, machine in ends.items():
        ip("link", "add", end, "type", "veth", "peer", "name", INTERFACE, "netns", machine.link)
        ip("link", "set", end, "master", bridge, "up")
        ip("-netns", machine.link, "link", "set", INTERFACE, "up")
    yield
    for name in [*ends, bridge]:
        ip("link", "delete", name)


@pytest.fixture(scope="module")
def shared(segment, play):
    wanted = {"omero_web_virtual_address": ADDRESS, "omero_web_virtual_interface": INTERFACE}
    code, output = play(**wanted)
    assert code == 0, output
    yield lambda: play(**wanted)
    for balancer in hosts_of("omero_web_lb").values():
        balancer.check_output("systemctl disable --now keepalived")


def holders():
    shown = f"ip -brief address show {INTERFACE}"
    return [name for name, one in hosts_of("omero_web_lb").items() if ADDRESS in one.run(shown).stdout]


def answers():
    try:
        with urlopen(f"http://{ADDRESS.partition('/')[0]}/webclient/login/", timeout=1) as page:
            return page.status == 200
    except (URLError, OSError):
        return False


def test_one_balancer_has_the_address(shared):
    wait_until(answers)
    assert len(holders()) == 1
    code, output = shared()
    assert output.count("changed=0") == 5, output


def test_another_takes_it_without_nginx_and_keeps_it(shared):
    (before,) = holders()
    nginx = hosts_of("omero_web_lb")[before]
    nginx.check_output("systemctl stop nginx")
    wait_until(lambda: holders() not in ([], [before]) and answers())
    nginx.check_output("systemctl start nginx")
    (after,) = holders()
    assert after != before


def test_another_takes_it_where_a_balancer_is_killed(shared, machines):
    (before,) = holders()
    machines[before].kill()
    print("seconds until the address answers again:", wait_until(answers))
    machines[before].boot()
    machines[before].wait()
    (after,) = holders()
    assert after != before

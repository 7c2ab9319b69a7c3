"""What the tests of a farm share: `host` is the balancer, and the site is what users find there."""

import json

import pytest
import testinfra
from conftest import INVENTORY

HOSTS = "/etc/nginx/conf.d/omero-web-hosts.conf"


def hosts_of(group):
    names = json.loads(INVENTORY.read_text())[group]["hosts"]
    return {
        name: testinfra.get_host(f"ansible://{name}", ansible_inventory=str(INVENTORY), sudo=True) for name in names
    }


@pytest.fixture(scope="session")
def webs():
    """The hosts of OMERO.web by their names."""
    return hosts_of("omero_web")


@pytest.fixture(scope="session")
def addresses():
    return {name: one["ansible_host"] for name, one in json.loads(INVENTORY.read_text())["omero_web"]["hosts"].items()}


@pytest.fixture(scope="session")
def redis():
    (one,) = hosts_of("omero_web_redis").values()
    return one


@pytest.fixture
def generations_live(webs):
    """Tell the number of the live generation of each host, now."""

    def generations_live():
        return {
            name: int(web.check_output("readlink /opt/omero/web/current").rpartition("/")[2])
            for name, web in webs.items()
        }

    return generations_live


@pytest.fixture
def out(host):
    """Tell which hosts have no users, now."""

    def out():
        lines = [line for line in host.check_output(f"cat {HOSTS}").splitlines() if " server " in line]
        return [line.split("# ")[1] for line in lines if "backup" in line]

    return out

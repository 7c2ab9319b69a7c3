"""The inventory of the demo, and what is said of it."""

import runpy
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
demo = runpy.run_path(str(ROOT / "tests/demo.py"))
BOOTED = {"omero_web": {"hosts": {"demo-1": {"ansible_host": "198.18.0.2"}, "demo-2": {"ansible_host": "198.18.0.6"}}}}


def test_first_host_has_the_stand_in_and_its_user():
    inventory = demo["inventory_of"](BOOTED, "images-1")
    assert inventory["omero_web"] == BOOTED["omero_web"]
    assert [*inventory["omero_server"]["hosts"]] == ["demo-1"]
    assert inventory["all"]["vars"] == {"omero_demo_user": "researcher", "omero_demo_password": "images-1"}


def test_users_of_a_cluster_come_to_its_balancer():
    balancer = {"omero_web_lb": {"hosts": {"demo-balancer": {"ansible_host": "198.18.0.10"}}}}
    inventory = demo["inventory_of"]({**BOOTED, **balancer}, "images-1")
    assert demo["description_of"](inventory).splitlines()[:3] == [
        "OMERO.web is at:",
        "  http://198.18.0.10/",
        "Log in as researcher with the password images-1.",
    ]
    assert inventory["all"]["vars"]["omero_web_redis_password"]
    assert inventory["all"]["vars"]["omero_web_secrets"]["omero.web.secret_key"]


def test_stand_in_knows_the_user():
    from stand_in.world import World

    assert World().user_called(demo["USER"])


def test_address_user_and_password_are_said():
    words = demo["description_of"](demo["inventory_of"](BOOTED, "images-1"))
    assert words.splitlines()[:4] == [
        "OMERO.web is at:",
        "  http://198.18.0.2/",
        "  http://198.18.0.6/",
        "Log in as researcher with the password images-1.",
    ]
    assert "stand-in for OMERO.server" in words


def test_stand_in_of_the_demo_runs_with_the_release_of_omero_web():
    variables = yaml.safe_load((ROOT / "inventory/demo/group_vars/omero_server.yml").read_text())
    defaults = yaml.safe_load((ROOT / "roles/omero-web/defaults/main.yml").read_text())
    assert variables["omero_server_python"].startswith(defaults["omero_web_basedir"] + "/current/")

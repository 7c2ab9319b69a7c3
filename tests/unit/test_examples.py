"""The example inventories, copied as the documentation tells."""

import json
import subprocess
from pathlib import Path

import pytest
from test_omero_web_arguments import SPEC, arguments

ROOT = Path(__file__).parents[2]
GROUPS = {
    "one-host": {"omero_web": 1},
    "cluster": {"omero_web": 2, "omero_web_lb": 1, "omero_web_redis": 1},
    "site-repository/inventory": {"omero_web": 1},
}


@pytest.mark.parametrize("name", GROUPS)
def test_an_example_is_an_inventory(tmp_path, name):
    copy = tmp_path / "production"
    subprocess.run(["cp", "-r", ROOT / "inventory/example" / name, copy], check=True)
    command = ["ansible-inventory", "-i", copy, "--list"]
    listed = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    hosts = {group: len(listed[group]["hosts"]) for group in listed["all"]["children"] if group != "ungrouped"}
    assert hosts == GROUPS[name]
    # Secrets come from a vault that each site makes.
    variables = {
        key: value
        for one in listed["_meta"]["hostvars"].values()
        for key, value in one.items()
        if key.startswith("omero_web") and "{{" not in str(value)
    }
    assert variables
    assert list(arguments.problems_of_names(variables, SPEC)) == []
    assert [p for key, value in variables.items() for p in arguments.problems_of_value(key, value, SPEC[key])] == []


@pytest.mark.parametrize("name", ["one-host", "cluster"])
def test_an_example_is_one_for_the_playbook(name):
    command = ["ansible-playbook", "-i", f"inventory/example/{name}", "playbooks/site.yml", "--list-hosts"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "example.org" in done.stdout

"""The collection that is made of this tree, installed where this tree is not."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
NAME = "openmicroscopy_community.omero_web"
TARBALL = f"{NAME.replace('.', '-')}-{yaml.safe_load((ROOT / 'collection/galaxy.yml').read_text())['version']}.tar.gz"
PLAYBOOKS = [path.stem.replace("-", "_") for path in sorted((ROOT / "playbooks").glob("*.yml"))]
MODULES = [path.stem for path in sorted((ROOT / "library").glob("*.py"))]


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """The directory of a site that has installed it, and how commands run there."""
    site = tmp_path_factory.mktemp("site")

    def run(*command):
        known = {"PATH": os.environ["PATH"], "HOME": str(site), "ANSIBLE_COLLECTIONS_PATH": str(site)}
        done = subprocess.run(command, cwd=site, env=known, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout + done.stderr

    for command in (
        ("python", f"{ROOT}/collection/make.py", "source"),
        ("ansible-galaxy", "collection", "build", "source"),
        ("ansible-galaxy", "collection", "install", "--offline", TARBALL, "-p", "."),
    ):
        code, output = run(*command)
        assert code == 0, output
    (site / "hosts.json").write_text(json.dumps({"omero_web": {"hosts": {"web": {"ansible_connection": "local"}}}}))
    run.source = site / "source"
    run.directory = site / "ansible_collections" / NAME.replace(".", "/")
    return run


def test_nothing_of_it_is_looked_for_in_this_tree(collection):
    of_this_tree = re.compile(r"run_path|(import|from) ansible\.module_utils(\.omero| import omero)")
    plugins = (collection.directory / "plugins").rglob("*.py")
    assert [path.name for path in plugins if of_this_tree.search(path.read_text())] == []


def test_quick_tests_of_sanity():
    """make sanity runs all."""
    done = subprocess.run([sys.executable, "tests/sanity.py", "quick"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'Running sanity test "compile"' in done.stdout + done.stderr


def test_what_sanity_is_not_to_complain_of_is_there(collection):
    """And each line says why."""
    for entry in yaml.safe_load((ROOT / "collection/sanity.yml").read_text()):
        assert entry["because"] and entry["test"] and entry.get("with", "oldest") in ("oldest", "newest")
        unknown = [path for path in [*entry["files"], *entry.get("but", [])] if not any(collection.source.glob(path))]
        assert unknown == []
    names = sorted(path.name for path in (collection.source / "tests/sanity").iterdir())
    assert names == ["ignore-2.16.txt", "ignore-2.21.txt"]


def test_the_command_of_a_host_is_the_same(collection):
    """It has the code of module_utils, under Ansible's own names."""
    shared = f"ansible_collections.{NAME}.plugins.module_utils.omero_"
    for path in (ROOT / "module_utils").glob("*.py"):
        text = (collection.directory / "plugins/module_utils" / path.name).read_text()
        assert text.replace(shared, "ansible.module_utils.omero_") == path.read_text()


def test_each_module_has_its_documentation(collection):
    code, output = collection("ansible-doc", *(f"{NAME}.{module}" for module in MODULES))
    assert code == 0, output
    assert output.count(f"> {NAME.upper()}.") == len(MODULES)


def test_the_role_has_its_documentation(collection):
    code, output = collection("ansible-doc", "--type=role", f"{NAME}.omero_web")
    assert code == 0, output
    assert "- omero_web_release" in output


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_each_playbook_has_its_name(collection, playbook):
    code, output = collection("ansible-playbook", "-i", "hosts.json", "--syntax-check", f"{NAME}.{playbook}")
    assert code == 0, output


def test_a_wrong_variable_is_told_in_a_sentence(collection):
    wrong = '{"omero_web_http_port": 0, "omero_web_worker": 9}'
    code, output = collection("ansible-playbook", "-i", "hosts.json", f"{NAME}.site", "-e", wrong)
    assert code == 2
    assert "omero_web_http_port is 0; it must be a whole number from 1 to 65535." in output
    assert "did you mean omero_web_workers?" in output

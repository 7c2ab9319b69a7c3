"""The collection on a controller that has a repository of its own: what it made is what the project's tree makes."""

import json
import re
import shlex

import pytest
from conftest import PROJECT

SITE = "/opt/site"
COLLECTION = "openmicroscopy_community.omero_web"


@pytest.fixture
def play(host):
    """Run a playbook of the collection; its exit code and everything it printed."""

    def play(playbook="site", **variables):
        command = [
            "/opt/omero-web/.venv/bin/ansible-playbook",
            "--vault-password-file=/opt/omero-web/vault.key",
            f"--extra-vars={json.dumps(variables)}",
            f"{COLLECTION}.{playbook}",
        ]
        done = host.run("runuser --login admin --command %s", f"cd {SITE} && {shlex.join(command)}")
        return done.rc, done.stdout + done.stderr

    return play


def test_a_run_after_another_changes_nothing(play):
    # The tests of the project's own tree went back, and forward again.
    code, output = play()
    assert code == 0, output
    assert "put right" not in output
    code, output = play()
    assert code == 0, output
    assert "changed=0" in output
    assert "WARNING" not in output


def test_this_tree_in_a_repository(host):
    """By the settings that the documentation shows; it finds nothing to change of what the collection made."""
    settings = re.search(r"(?ms)^```ini\n(.*?)^```$", (PROJECT / "docs/own-repository.md").read_text())[1]
    host.check_output("mkdir -p /opt/own/vendor/omero-web && cp -r %s /opt/own", f"{SITE}/inventory")
    parts = "library module_utils playbooks roles"
    host.check_output(f"cd /opt/omero-web && cp -r {parts} /opt/own/vendor/omero-web")
    host.check_output("printf %s %s > /opt/own/ansible.cfg", "%s", settings)
    command = "/opt/omero-web/.venv/bin/ansible-playbook --vault-password-file=/opt/omero-web/vault.key"
    command = f"cd /opt/own && {command} vendor/omero-web/playbooks/site.yml"
    done = host.run("runuser --login admin --command %s", command)
    assert done.rc == 0, done.stdout + done.stderr
    assert "changed=0" in done.stdout
    assert "WARNING" not in done.stdout + done.stderr


def test_a_changed_setting_and_the_way_back(play, live, login):
    before = live()
    code, output = play(omero_web_config={"omero.web.ping_interval": 67000})
    assert code == 0, output
    assert live() != before
    code, output = play("rollback")
    assert code == 0, output
    assert "WARNING" not in output
    assert live() == before
    assert login().status == 200


def test_the_state_of_the_site(play):
    code, output = play("status")
    assert code == 2
    words = " ".join(output.split())
    assert "OMERO.web on controllers-trixie: down" in words
    assert "OMERO.server Our OMERO at omero.example.org, port 4064, cannot be reached" in words


def test_an_inventory_without_a_host(host):
    command = f"/opt/omero-web/.venv/bin/ansible-playbook --inventory=localhost, {COLLECTION}.site"
    done = host.run("runuser --login admin --command %s", f"cd {SITE} && {command}")
    assert done.rc == 1
    assert "The group omero_web has no host in the inventory localhost,;" in done.stdout + done.stderr

"""What the playbooks say of an inventory without a host for them."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("inventory", ["omero_web:\n", "omeroweb: {hosts: {example.org: }}\n"])
@pytest.mark.parametrize(
    "playbook", ["site", "rollback", "maintenance", "status", "benchmark", "bundle", "adopt", "purge-image-cache"]
)
def test_inventory_without_a_host(tmp_path, inventory, playbook):
    hosts = tmp_path / "hosts.yml"
    hosts.write_text(inventory)
    command = ["ansible-playbook", "-i", hosts, f"playbooks/{playbook}.yml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout
    assert f"The group omero_web has no host in the inventory {hosts};" in done.stderr
    limited = subprocess.run([*command, "--limit", "all"], cwd=ROOT, capture_output=True, text=True)
    assert limited.returncode in (0, 1) and "Traceback" not in limited.stderr

#!/usr/bin/env python3
"""The hosts of `make demo`, and who logs in there.

    tests/demo.py up NUMBER SUITE [cluster]   boot so many hosts and write inventory/demo/hosts.yml; those of a cluster
                                              are behind a balancer, and keep their sessions in one Redis
    tests/demo.py show                        say where OMERO.web is, and who may log in
"""

import json
import secrets
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INVENTORY = ROOT / "inventory/demo/hosts.yml"
TESTHOSTS = ROOT / "molecule/resources/testhosts.py"
USER = "researcher"
AROUND = {"demo-balancer": "omero_web_lb", "demo-redis": "omero_web_redis"}


def inventory_of(booted, password):
    """The inventory of hosts that have booted, the first of which has the stand-in for OMERO.server, too."""
    first = next(iter(booted["omero_web"]["hosts"]))
    variables = {"omero_demo_user": USER, "omero_demo_password": password}
    if "omero_web_lb" in booted:
        # What hosts share that serve the same users.
        variables["omero_web_redis_password"] = secrets.token_hex(16)
        variables["omero_web_secrets"] = {"omero.web.secret_key": secrets.token_hex(32)}
    return {**booted, "omero_server": {"hosts": {first: {}}}, "all": {"vars": variables}}


def description_of(inventory):
    """What somebody who has run `make demo` wants to know."""
    entrance = "omero_web_lb" if "omero_web_lb" in inventory else "omero_web"
    addresses = [host["ansible_host"] for host in inventory[entrance]["hosts"].values()]
    variables = inventory["all"]["vars"]
    return "\n".join([
        "OMERO.web is at:",
        *(f"  http://{address}/" for address in addresses),
        f"Log in as {variables['omero_demo_user']} with the password {variables['omero_demo_password']}.",
        "Its images come from a stand-in for OMERO.server, which keeps nothing that you change.",
    ])  # fmt: skip


def up(number, suite, is_cluster):
    hosts = [f"demo-{count}={suite}" for count in range(1, int(number) + 1)]
    hosts += [f"{name}={suite}@{group}" for name, group in AROUND.items() if is_cluster]
    booted = subprocess.run([sys.executable, TESTHOSTS, "up", "demo", *hosts], stdout=subprocess.PIPE, text=True)
    if booted.returncode:
        sys.exit(booted.returncode)
    inventory = inventory_of(json.loads(booted.stdout), f"images-{secrets.token_hex(3)}")
    INVENTORY.touch(mode=0o600)
    INVENTORY.write_text(json.dumps(inventory, indent=2) + "\n")


def main():
    if sys.argv[1:2] == ["up"] and len(sys.argv) == 4 + ("cluster" in sys.argv[4:]):
        up(*sys.argv[2:4], is_cluster=len(sys.argv) == 5)
    elif sys.argv[1:] == ["show"]:
        print(description_of(json.loads(INVENTORY.read_text())))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()

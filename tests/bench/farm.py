#!/usr/bin/env python3
"""What a farm takes, by the number of its hosts: to install, to change while users are there, and to look at.

    farm.py SUITE [HOSTS...]

Each farm is new: so many hosts of OMERO.web, a balancer, a Redis, and the stand-in for OMERO.server on a host of its
own. All of them, and the controller, share the cores of this machine. An upgrade is to the next patch of OMERO.web,
host after host, with users logged in through the balancer.

The rate of requests is that of the login page, which OMERO.web computes without OMERO.server, asked for by wrk on the
host of the stand-in. Hosts that share cores serve no more than one that has them all, so each host of OMERO.web has a
fifth of a core then, and nobody else is limited. "directly" is one such host without a balancer.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

from scale import ROOT, adopting, measured

sys.path[:0] = [str(ROOT / "molecule"), str(ROOT / "molecule/resources"), str(ROOT / "tests/omero-server")]
import testhosts  # noqa: E402
from clients import DOWNLOAD, LOGIN, User  # noqa: E402
from stand_in import files  # noqa: E402
from stand_in.world import World  # noqa: E402
from traffic import Download, Users  # noqa: E402

GROUP = "bench-farm"
AROUND = ("balancer", "omero_web_lb"), ("redis", "omero_web_redis"), ("images", "omero_server")
INVENTORY = ROOT / ".molecule" / f"{GROUP}.json"
# As the stand-in knows them.
USER, NAME, PASSWORD = 2, "researcher", "researcher-hunter2"
BEFORE, AFTER = "5.33.1", "5.33.2"
CORES = 0.2
PERIOD = 20000
COLUMNS = "install", "upgrade", "requests", "failed", "slowest", "look", "CPU/host", "directly", "balanced"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("suite")
    parser.add_argument("hosts", nargs="*", type=int, default=[1, 2, 4, 8])
    given = parser.parse_args()
    print("Seconds, of the slowest answer too; requests in a second, with a fifth of a core for each host.")
    print(f"{'hosts':>5}" + "".join(f"{name:>10}" for name in COLUMNS), flush=True)
    for count in given.hosts:
        figures = figures_of(count, given.suite)
        print(f"{count:5}" + "".join(f"{figures[name]:10.4g}" for name in COLUMNS), flush=True)


def figures_of(count, suite):
    hosts = [f"farm-{number}={suite}" for number in range(1, count + 1)]
    hosts += [f"farm-{name}={suite}@{role}" for name, role in AROUND]
    try:
        inventory = json.loads(testhosts_do("up", *hosts))
        INVENTORY.parent.mkdir(exist_ok=True)
        INVENTORY.write_text(json.dumps({**inventory, "all": {"vars": variables(inventory)}}))
        with adopting():
            return measure(count, inventory)
    finally:
        testhosts_do("down")


def testhosts_do(action, *hosts):
    """In a process of its own, as hosts must not be children of this one, which ends them after each run."""
    command = [sys.executable, testhosts.__file__, action, GROUP, *hosts]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def variables(inventory):
    (server,) = inventory["omero_server"]["hosts"].values()
    return {
        "omero_server_passwords": {NAME: PASSWORD},
        "omero_web_release": BEFORE,
        "omero_web_redis_password": "not-one-that-any-other-site-has",
        "omero_web_secrets": {"omero.web.secret_key": "not-one-that-any-other-site-has"},
        "omero_web_servers": [{"name": "Stand-in", "host": server["ansible_host"]}],
        # All users log in from one address, and one of them downloads all the time.
        "omero_web_logins_per_minute": 0,
        "omero_web_drain_seconds": 1,
        "omero_web_slow_start_seconds": 1,
        "omero_web_timeout": 600,
    }


def measure(count, inventory):
    hosts = ["--inventory", str(INVENTORY)]
    # The stand-in is a host that nothing is done to.
    everybody = count + 2
    figures = {}
    figures["install"], _ = measured("playbooks/site.yml", everybody, *hosts, changes="[1-9].*")
    measured("molecule/resources/omero-server.yml", 1, *hosts, changes="[1-9].*")
    looks = [measured("playbooks/site.yml", everybody, *hosts) for _ in range(3)]
    figures["look"], cpu = sorted(looks)[1]
    figures["CPU/host"] = cpu / everybody

    (balancer,), first = inventory["omero_web_lb"]["hosts"].values(), inventory["omero_web"]["hosts"]["farm-1"]
    with users(f"http://{balancer['ansible_host']}") as there:
        upgrade = ["--extra-vars", f"omero_web_release={AFTER}"]
        figures["upgrade"], _ = measured("playbooks/site.yml", everybody, *hosts, *upgrade, changes=".*")
    figures["requests"], figures["failed"] = there.figures["requests"], there.figures["failed"]
    figures["slowest"] = there.figures["slowest"] / 1000

    slow_down([host for host in testhosts.Group(GROUP).hosts() if host.name in inventory["omero_web"]["hosts"]])
    ansible(hosts, "ansible.builtin.apt", "name=wrk")
    figures["directly"] = rate(hosts, first["ansible_host"], 1)
    figures["balanced"] = rate(hosts, balancer["ansible_host"], count)
    return figures


def users(site):
    user = User(site)
    assert user.log_in(NAME, PASSWORD).status_code == 302, "nobody is let in"
    session = user.session.cookies["sessionid"]
    large = next(image for image in World().images.values() if image.file_size)
    blocks = (files.block(large, number) for number in range(large.file_size // files.BLOCK))
    download = Download(f"{site}{DOWNLOAD}{large.id}/", lambda: blocks, session)
    return Users(INVENTORY.parent, site, download, session=session, user=USER, password=PASSWORD)


def slow_down(hosts):
    """Leave each host a part of a core, by control groups of this machine."""
    for host in hosts:
        own = Path("/sys/fs/cgroup", host.link)
        if (own / "cpu.max").exists():
            (own / "cpu.max").write_text(f"{int(CORES * PERIOD)} {PERIOD}")
            continue
        group = testhosts.CORES / host.link
        group.mkdir(exist_ok=True)
        (group / "cpu.cfs_period_us").write_text(str(PERIOD))
        (group / "cpu.cfs_quota_us").write_text(str(int(CORES * PERIOD)))
        for pid in host.members():
            (group / "cgroup.procs").write_text(str(pid))


def ansible(hosts, module, arguments):
    command = ["ansible", *hosts, "omero_server", "--become", "--module-name", module, "--args", arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout if done.returncode == 0 else sys.exit(done.stdout)


def rate(hosts, address, count):
    """How often in a second the login page is answered: the best of three times."""
    load = f"wrk --threads=1 --connections={8 * count} --duration=8s http://{address}:80{LOGIN}"
    rates = []
    for _ in range(3):
        said = ansible(hosts, "ansible.builtin.command", load)
        assert "Non-2xx" not in said, said
        rates.append(float(re.search(r"Requests/sec: +([\d.]+)", said)[1]))
        # Connections of the run before are closed by then.
        time.sleep(1)
    return max(rates)


if __name__ == "__main__":
    main()

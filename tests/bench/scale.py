#!/usr/bin/env python3
"""What a run with nothing to change costs the controller, by the number of hosts.

    scale.py INVENTORY [HOSTS...]

INVENTORY has one host, where nothing is to change. Each host of a run is a light target: a name of its own and a
connection of its own to that one host, where a script stands for Python. It drops the module that it is sent, and
tells what the module once told. So a light target costs next to nothing but sshd and sudo, and the controller does all
that it does for a real host. Beside it stands a play with one task, `ping`, for the same targets: what Ansible takes.

CPU seconds are those of Ansible's processes and of ssh. Whatever else the machine does disturbs them little, unlike the
seconds of the clock.
"""

import argparse
import ctypes
import hashlib
import io
import json
import os
import re
import resource
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
zip_application = runpy.run_path(str(ROOT / "roles/omero-web/action_plugins/omero_web_wanted.py"))["zip_application"]

DIRECTORY = "/var/tmp/omero-web-scale"
RECORD = f"""#!/bin/sh
python3 | tee {DIRECTORY}/said
"""
# The command on a host has the host's name in it, and the look its digest. Without pipelining, the module is a file.
REPLAY = f"""#!/bin/sh
[ -n "$3" ] || cat > /dev/null
sed "s/$1/$2/" {DIRECTORY}/said
"""
COMMAND = "/usr/local/bin/omero-web"
# sshd refuses some of so many connections that have not logged in yet.
SSHD = "MaxStartups 1000\n"
PING = "- {hosts: omero_web, become: true, gather_facts: false, tasks: [{ping: }]}\n"
PR_SET_CHILD_SUBREAPER = 36


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("inventory")
    parser.add_argument("hosts", nargs="*", type=int, default=[1, 4, 10, 50, 200])
    given = parser.parse_args()
    print(f"{'hosts':>6} {'seconds':>9} {'CPU s':>9} {'CPU s/host':>11} {'of a ping':>10} {'ratio':>7}")
    with tempfile.TemporaryDirectory() as directory, adopting():
        targets, ping = Path(directory, "targets.json"), Path(directory, "ping.yml")
        ping.write_text(PING)
        light = record(given.inventory, Path(directory))
        for count in given.hosts:
            hosts = dict(light(number) for number in range(count))
            targets.write_text(json.dumps({"omero_web": {"hosts": hosts}}))
            inventories = ["--inventory", given.inventory, "--inventory", targets, "--limit", "light-*"]
            seconds, cpu = measured("playbooks/site.yml", count, *inventories)
            _, of_ping = measured(ping, count, *inventories)
            figures = f"{count:6} {seconds:9.1f} {cpu:9.1f} {cpu / count:11.2f} {of_ping / count:10.2f}"
            print(f"{figures} {cpu / of_ping:6.1f}x", flush=True)


def record(inventory, directory):
    """Keep what the host tells; return a function that makes a light target of a number."""

    def ansible(module, **arguments):
        command = ["ansible", "--inventory", inventory, "omero_web", "--become", "--module-name", module]
        subprocess.run([*command, "--args", json.dumps(arguments)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    ansible("file", path=DIRECTORY, state="directory", mode="0755")
    ansible("copy", dest=f"{DIRECTORY}/record", content=RECORD, mode="0755")
    ansible("copy", dest=f"{DIRECTORY}/replay", content=REPLAY, mode="0755")
    ansible("copy", dest="/etc/ssh/sshd_config.d/scale.conf", content=SSHD, mode="0644")
    ansible("systemd_service", name="ssh.service", state="restarted")
    ansible("fetch", src=COMMAND, dest=f"{directory}/command", flat=True)
    recording = ["--check", "-e", f"ansible_python_interpreter={DIRECTORY}/record"]
    measured("playbooks/site.yml", 1, "--inventory", inventory, *recording)
    listed = subprocess.run(["ansible-inventory", "--inventory", inventory, "--list"], cwd=ROOT, check=True,
                            stdout=subprocess.PIPE)  # fmt: skip
    (variables,) = json.loads(listed.stdout)["_meta"]["hostvars"].values()
    command = (directory / "command").read_bytes()
    with zipfile.ZipFile(io.BytesIO(command)) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/__init__.py")}
    settings = json.loads(files["settings.json"])

    def light(number):
        name = f"light-{number}"
        settings["rollback"]["host"] = name
        own = {**files, "settings.json": json.dumps(settings, indent=4, sort_keys=True).encode()}
        digests = [hashlib.sha256(content).hexdigest() for content in (command, zip_application(own))]
        return name, {
            **variables,
            "ansible_python_interpreter": " ".join([f"{DIRECTORY}/replay", *digests]),
            "ansible_control_path": f"%(directory)s/{name}",
        }

    return light


def measured(playbook, count, *options, changes="0"):
    """Run a playbook that changes as much on so many hosts (a pattern); return its seconds, and those of the CPU."""
    before, others, began = cpu_seconds(), children(), time.monotonic()
    command = ["ansible-playbook", *options, playbook]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds = time.monotonic() - began
    reap(children() - others)
    recaps = re.findall(rf"(?m) ok=[1-9].* changed={changes} .*unreachable=0 .*failed=0 ", done.stdout)
    if len(recaps) != count:
        sys.exit(f"{len(recaps)} of {count} hosts changed {changes}:\n{done.stdout}")
    return seconds, cpu_seconds() - before


@contextmanager
def adopting():
    """Make what outlives a run a child of this process, which counts its CPU seconds then."""
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def children():
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def reap(pids):
    """End what a run has left, the connections that ssh keeps."""
    for pid in map(int, pids):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main()

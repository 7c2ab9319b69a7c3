#!/usr/bin/env python3
"""Throwaway systemd hosts on this machine, reached over SSH like any server.

A host is an overlay on a cached debootstrap tree, booted by systemd-nspawn in a network namespace
of its own. Hosts come in groups (a demo, a Molecule scenario), and a group belongs to a checkout,
so that several runs on one machine keep out of each other's way.

    testhosts.py up GROUP NAME=SUITE...    boot them and print their Ansible inventory
    testhosts.py down GROUP                remove every trace of the group; cached trees stay
"""

import argparse
import contextlib
import fcntl
import hashlib
import ipaddress
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

USER = "admin"
PACKAGES = "systemd,systemd-sysv,dbus,python3,openssh-server,iproute2,ca-certificates,sudo"
# Set aside for tests of network devices (RFC 2544), so no site's own network is hidden by it.
NETWORK = ipaddress.ip_network("198.18.0.0/15")
LINK = "omeroweb"
BOOT_SECONDS = 60

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "omero-web" / "hosts"
STATE = Path("/run/omero-web-testhosts")
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
FORWARD_BEFORE = STATE / "ip_forward.before"
SYSTEMD_RUNS_HERE = Path("/run/systemd/system").is_dir()


class HostError(Exception):
    """What went wrong with a host, in one sentence for the person who asked for it."""


def run(*command):
    """Run a command to its end and return its output; what it complains of becomes a HostError."""
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True)
    if done.returncode != 0:
        raise HostError(f"{' '.join(map(str, command))}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


@contextlib.contextmanager
def locked(name):
    """Hold a lock of this name on the machine: trees and addresses are shared by all checkouts."""
    STATE.mkdir(exist_ok=True)
    with open(STATE / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def base_tree(suite):
    """The cached tree of a Debian suite, made on first use."""
    recipe = hashlib.sha256(f"{PACKAGES} {USER}".encode()).hexdigest()[:8]
    tree = CACHE / "base" / f"{suite}-{recipe}"
    with locked(f"base-{suite}"):
        if not tree.is_dir():
            unfinished = tree.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            bootstrap(suite, unfinished)
            unfinished.rename(tree)
    return tree


def bootstrap(suite, tree):
    """Install the suite from the mirror that this machine's own apt uses."""
    mirrors = run("apt-get", "indextargets", "--format", "$(REPO_URI)",
                  "Identifier: Packages", "Component: main", "Label: Debian").split()  # fmt: skip
    run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, tree, *mirrors[:1])
    run("chroot", tree, "useradd", "--create-home", "--shell", "/bin/bash", USER)
    sudoers = tree / "etc/sudoers.d" / USER
    sudoers.write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
    sudoers.chmod(0o440)
    # What a host must not share with its siblings, it makes anew: its keys here, its machine id at boot.
    (tree / "etc/machine-id").write_text("")
    for key in (tree / "etc/ssh").glob("ssh_host_*"):
        key.unlink()


class Host:
    """One machine of a group: its files, its network, its processes."""

    def __init__(self, group, name):
        self.group, self.name = group, name
        self.directory = group.directory / name
        self.root = self.directory / "root"
        self.record = self.directory / "host.json"
        self.state = json.loads(self.record.read_text()) if self.record.exists() else {}

    # The host side of the network has the first address of four, the host the second.
    @property
    def gateway(self):
        return NETWORK[4 * self.state["index"] + 1]

    @property
    def address(self):
        return NETWORK[4 * self.state["index"] + 2]

    @property
    def link(self):
        """The name of its network namespace, its nft table and this machine's end of its cable."""
        return f"{LINK}{self.state['index']}"

    def remember(self, **state):
        self.state.update(state)
        self.record.write_text(json.dumps(self.state))

    def create(self, suite):
        """Lay the files of the host over the suite's tree and give it an address."""
        tree = base_tree(suite)
        for part in ("root", "upper", "work"):
            (self.directory / part).mkdir(parents=True)
        run("mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir={tree},upperdir={self.directory}/upper,workdir={self.directory}/work", self.root)  # fmt: skip
        self.provision()
        with locked("addresses"):
            self.remember(index=next(number for number in itertools.count(1) if number not in taken_indexes()))
            run("ip", "netns", "add", self.link)
            if not FORWARD_BEFORE.exists():
                FORWARD_BEFORE.write_text(FORWARD.read_text())
            FORWARD.write_text("1")
        self.connect()

    def provision(self):
        """Give the host what it shares with this machine: name service, trusted certificates, our key."""
        resolv_conf = Path("/run/systemd/resolve/resolv.conf")
        if not resolv_conf.exists():
            resolv_conf = Path("/etc/resolv.conf")
        shutil.copyfile(resolv_conf, self.root / "etc/resolv.conf")
        shutil.copyfile(CA_BUNDLE, self.root / CA_BUNDLE.relative_to("/"))
        (self.root / "etc/pip.conf").write_text(f"[global]\ncert = {CA_BUNDLE}\n")
        (self.root / "etc/hostname").write_text(f"{self.name}\n")
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        host_key = self.root / "etc/ssh/ssh_host_ed25519_key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host_key)
        authorized_keys = self.root / "home" / USER / ".ssh/authorized_keys"
        authorized_keys.parent.mkdir(mode=0o700)
        authorized_keys.write_text(self.group.key.with_suffix(".pub").read_text())
        run("chroot", self.root, "chown", "-R", f"{USER}:", f"/home/{USER}/.ssh")

    def connect(self):
        """Plug the host's network namespace in: a cable to this machine, which forwards for it."""
        link, inside = self.link, ("ip", "-netns", self.link)
        uplink = run("ip", "-o", "route", "show", "default").split()
        mtu = Path(f"/sys/class/net/{uplink[uplink.index('dev') + 1]}/mtu").read_text().strip() if uplink else "1500"
        run("ip", "link", "add", link, "mtu", mtu, "type", "veth", "peer", "name", "host0", "mtu", mtu, "netns", link)
        run("ip", "address", "add", f"{self.gateway}/30", "dev", link)
        run("ip", "link", "set", link, "up")
        run(*inside, "address", "add", f"{self.address}/30", "dev", "host0")
        for device in ("lo", "host0"):
            run(*inside, "link", "set", device, "up")
        run(*inside, "route", "add", "default", "via", self.gateway)
        run("nft", f"add table ip {link}; "
                   f"add chain ip {link} nat {{ type nat hook postrouting priority srcnat; }}; "
                   f"add rule ip {link} nat ip saddr {self.address} ip daddr != {NETWORK} masquerade")  # fmt: skip

    def boot(self):
        """Start the machine; the loop around nspawn is what lets it reboot (exit code 133)."""
        nspawn = [
            "systemd-nspawn", "--quiet", "--boot", f"--directory={self.root}", f"--machine={self.link}",
            f"--hostname={self.name}", f"--network-namespace-path=/run/netns/{self.link}",
            "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--register=no", "--console=pipe",
        ]  # fmt: skip
        loop = 'while "$@"; [ $? -eq 133 ]; do :; done'
        if not SYSTEMD_RUNS_HERE:
            nspawn.append("--keep-unit")
            for cgroup in self.cgroups():
                cgroup.mkdir()
                loop = f"echo $$ > {cgroup}/cgroup.procs; {loop}"
        with open(self.directory / "console.log", "ab") as console:
            subprocess.Popen(
                ["sh", "-c", loop, "sh", *nspawn],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True, cwd="/",
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )  # fmt: skip

    def cgroups(self):
        """The host's own control groups, where no systemd of this machine hands them out (else hosts would share)."""
        hierarchies = (Path("/sys/fs/cgroup") / part for part in ("systemd", "unified", ""))
        return [path / self.link for path in hierarchies if (path / "cgroup.procs").exists()]

    def wait(self):
        """Return when the host has booted, or say why it has not."""
        deadline = time.monotonic() + BOOT_SECONDS
        while True:
            done = subprocess.run([*self.ssh_command(), "systemctl", "is-system-running", "--wait"],
                                  text=True, capture_output=True)  # fmt: skip
            if done.stdout.strip() in ("running", "degraded"):
                return
            if time.monotonic() > deadline:
                raise HostError(f"{self.name} did not boot in {BOOT_SECONDS} s ({done.stderr.strip()}); "
                                f"its console is {self.directory}/console.log")  # fmt: skip
            time.sleep(0.2)

    def ssh_command(self):
        reach = self.reach()
        return ["ssh", "-i", reach["ansible_ssh_private_key_file"], *reach["ansible_ssh_common_args"].split(),
                "-o", "ConnectTimeout=2", "-o", "BatchMode=yes", f"{USER}@{self.address}"]  # fmt: skip

    def reach(self):
        """The connection variables by which Ansible reaches the host."""
        return {
            "ansible_host": str(self.address),
            "ansible_user": USER,
            "ansible_ssh_private_key_file": str(self.group.key),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.group.known_hosts} -o IdentitiesOnly=yes",
        }

    def known_host(self):
        return f"{self.address} {(self.root / 'etc/ssh/ssh_host_ed25519_key.pub').read_text()}"

    def processes(self):
        """The loop and the nspawn that run the host, the loop first, as (pid, program, pids of children)."""
        found = []
        for directory in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                arguments = (directory / "cmdline").read_text().split("\0")
                if f"--directory={self.root}" in arguments:
                    children = (directory / "task" / directory.name / "children").read_text().split()
                    found.append((int(directory.name), arguments[0], [int(child) for child in children]))
        return sorted(found, key=lambda process: process[1] != "sh")

    def kill(self):
        """End the host at once: the loop, which would boot it again, then the init that takes all others with it."""
        while processes := self.processes():
            for pid, program, children in processes:
                for victim in [pid] if program == "sh" else children:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
            time.sleep(0.05)

    def destroy(self):
        """Remove the host; whatever part of it exists."""
        self.kill()
        if "index" in self.state:
            for command in (["nft", "delete", "table", "ip", self.link], ["ip", "netns", "delete", self.link],
                            ["ip", "link", "delete", self.link]):  # fmt: skip
                subprocess.run(command, capture_output=True)
            for cgroup in self.cgroups():
                for part in [*sorted(cgroup.glob("**/"), reverse=True)]:
                    part.rmdir()
        if self.root.is_mount():
            run("umount", self.root)
        shutil.rmtree(self.directory, ignore_errors=True)


class Group:
    """The hosts of one demo or scenario of this checkout, and the key that opens them."""

    def __init__(self, name):
        checkout = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]
        self.directory = CACHE / "groups" / f"{checkout}-{name}"
        self.key = self.directory / "key"
        self.known_hosts = self.directory / "known_hosts"

    def hosts(self):
        return [Host(self, entry.name) for entry in sorted(self.directory.glob("*")) if entry.is_dir()]

    def up(self, suites):
        """Boot a host of each {name: suite}, afresh; return their inventory."""
        self.down()
        self.directory.mkdir(parents=True, mode=0o700)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "omero-web test hosts", "-f", self.key)
        hosts = [Host(self, name) for name in suites]
        for host in hosts:
            host.create(suites[host.name])
            host.boot()
        self.known_hosts.write_text("".join(host.known_host() for host in hosts))
        for host in hosts:
            host.wait()
        return {"omero_web": {"hosts": {host.name: host.reach() for host in hosts}}}

    def down(self):
        for host in self.hosts():
            host.destroy()
        shutil.rmtree(self.directory, ignore_errors=True)
        with locked("addresses"):
            if FORWARD_BEFORE.exists() and not taken_indexes():
                FORWARD.write_text(FORWARD_BEFORE.read_text())
                shutil.rmtree(STATE)


def taken_indexes():
    """The numbers of all hosts on this machine, whoever booted them."""
    return {int(namespace.name[len(LINK) :]) for namespace in Path("/run/netns").glob(f"{LINK}*")}


def suite_of_host(text):
    name, equals, suite = text.partition("=")
    if not (name and equals and suite):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=SUITE, as in demo-1=bookworm")
    return name, suite


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up")
    up.add_argument("group")
    up.add_argument("hosts", nargs="+", type=suite_of_host, metavar="NAME=SUITE")
    down = commands.add_parser("down")
    down.add_argument("group")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("testhosts.py: must run as root, for it mounts trees and makes network namespaces")
    try:
        if arguments.command == "up":
            print(json.dumps(Group(arguments.group).up(dict(arguments.hosts)), indent=2))
        else:
            Group(arguments.group).down()
    except HostError as error:
        sys.exit(f"testhosts.py: {error}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Throwaway systemd hosts on this machine, reached over SSH like any server.

A host is an overlay on a cached tree of Debian, booted by systemd-nspawn in a network namespace
of its own. Hosts come in groups (a demo, a Molecule scenario), and a group belongs to a checkout,
so that several runs on one machine keep out of each other's way.

A scenario may keep the files of its converged hosts, for a host of another scenario to start from.
What is kept serves as long as what it was made from (the role, the scenario, the tree) is the same.

    testhosts.py tree SUITE...             make the trees that hosts are laid over
    testhosts.py offered SUITE...          fail, in a sentence, if the mirror lacks one of them
    testhosts.py up GROUP NAME=SUITE[:SCENARIO][@ROLE]...
                                           boot them and print their Ansible inventory; a host starts
                                           from what SCENARIO kept, or from a bare tree if there is
                                           nothing that serves, and is in Ansible's group ROLE, which
                                           is omero_web if there is none
    testhosts.py keep GROUP                keep the files of its hosts as they are now
    testhosts.py kept SCENARIO             what of it serves, one line for each suite
    testhosts.py down GROUP                remove every trace of the group; what is cached stays
"""

import argparse
import contextlib
import errno
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
import urllib.request
from pathlib import Path

USER = "admin"
# As Debian's installer lays its systems out since Debian 10.
MERGED_USR = '/usr/share/mmdebstrap/hooks/merged-usr/setup00.sh "$1"'
# A distribution that moves is signed for a week, and a mirror may stand still for longer.
MOVING = ("forky",)
PACKAGES = "systemd,systemd-sysv,dbus,python3,openssh-server,iproute2,ca-certificates,sudo"
# Set aside for tests of network devices (RFC 2544), so no site's own network is hidden by it.
NETWORK = ipaddress.ip_network("198.18.0.0/15")
LINK = "omeroweb"
BOOT_SECONDS = 60

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "omero-web" / "hosts"
# Debian packages, a directory per suite, and what pip downloads: whatever one host has fetched, the others have.
PACKAGE_CACHE = CACHE / "packages"
PIP_CACHE = CACHE / "pip"
ARCHIVES = "var/cache/apt/archives"
# What a converged host is made from, beside the files of its own scenario.
INGREDIENTS = ("roles", "library", "module_utils", "playbooks", "ansible.cfg", "requirements.txt", "tests/apps",
               "tests/download_server.py", "tests/omero-server", "molecule/resources",
               ".config/molecule/config.yml")  # fmt: skip
# Of these, what only looks at the host.
TESTS = ("tests", "verify")
KEPT_VERSIONS = 3
STATE = Path("/run/omero-web-testhosts")
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
FORWARD_BEFORE = STATE / "ip_forward.before"
# Where a test leaves a host a part of a core, if that has a hierarchy of its own.
CORES = Path("/sys/fs/cgroup/cpu")
SYSTEMD_RUNS_HERE = Path("/run/systemd/system").is_dir()


class HostError(Exception):
    """What went wrong with a host, in one sentence for the person who asked for it."""


def run(*command):
    """Run a command to its end and return its output; what it complains of becomes a HostError."""
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True)
    if done.returncode != 0:
        raise HostError(f"{' '.join(map(str, command))}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def remove_cgroup(path, seconds=10):
    """Remove a control group, whose last process may be gone from sight and not have ended yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return path.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


@contextlib.contextmanager
def locked(name, directory=STATE):
    """Hold a lock of this name: addresses are shared by all checkouts on the machine, caches by all of a user."""
    path = directory / f"{name}.lock"
    while True:
        directory.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError), open(path, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Whoever held it may have removed the file: the next one would lock another.
            if os.fstat(lock.fileno()).st_ino == path.stat().st_ino:
                yield
                return


def base_tree(suite):
    """The cached tree of a Debian suite, made on first use."""
    recipe = hashlib.sha256(f"{PACKAGES} {USER} mmdebstrap {MERGED_USR}".encode()).hexdigest()[:8]
    tree = CACHE / "base" / f"{suite}-{recipe}"
    with locked(f"base-{suite}", CACHE):
        if not tree.is_dir():
            unfinished = tree.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            bootstrap(suite, unfinished)
            unfinished.rename(tree)
    return tree


def digest_of(*paths):
    """A digest of these files, and of all below these directories, but for tests."""
    digest = hashlib.sha256()
    for path in paths:
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        for file in files:
            parts = file.relative_to(CHECKOUT).parts
            if file.is_file() and file.suffix != ".pyc" and not (parts[0] == "molecule" and parts[2] in TESTS):
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                digest.update(f"{'/'.join(parts)} {file.stat().st_mode & 0o777:o} {content}\n".encode())
    return digest.hexdigest()


def kept_tree(scenario, suite):
    """Where the files of a scenario's converged host are kept, or would be; base_tree() is what they were laid over."""
    made_from = digest_of(*(CHECKOUT / name for name in (*INGREDIENTS, f"molecule/{scenario}")))
    made_from = hashlib.sha256(f"{made_from} {base_tree(suite)}".encode()).hexdigest()[:12]
    return CACHE / "kept" / f"{scenario}-{suite}-{made_from}"


def remove_outdated(kept):
    """Remove what was kept of a scenario and suite for other versions of the role, but for the last few used."""
    mounted = Path("/proc/self/mounts").read_text()
    versions = [path for path in kept.parent.glob(f"{kept.name.rpartition('-')[0]}-*") if path.suffix != ".unfinished"]
    for path in sorted(versions, key=lambda path: path.stat().st_mtime)[:-KEPT_VERSIONS]:
        if str(path) not in mounted:
            shutil.rmtree(path)


def share_packages(suite, *archives):
    """Cache the packages that hosts have downloaded, for the next one, whose apt compares their checksums."""
    cache = PACKAGE_CACHE / suite
    cache.mkdir(parents=True, exist_ok=True)
    for package in (package for directory in archives for package in directory.glob("*.deb")):
        # Another host may have fetched the same, or removed its own meanwhile.
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.link(package, cache / package.name)


def mirrors():
    """Those of Debian that this machine's own apt uses."""
    return run("apt-get", "indextargets", "--format", "$(REPO_URI)",
               "Identifier: Packages", "Component: main", "Label: Debian").split()  # fmt: skip


def be_offered(suite):
    """See that the mirror has the suite."""
    if not (found := mirrors()):
        raise HostError(f"this machine's apt has no mirror of Debian, which could offer {suite}")
    try:
        urllib.request.urlopen(f"{found[0]}dists/{suite}/Release", timeout=30).close()
    except OSError as error:
        raise HostError(f"the mirror {found[0]} does not offer {suite} ({error})") from error


def bootstrap(suite, tree):
    """Install the suite from the mirror; where apt has none, from that of mmdebstrap."""
    cache = PACKAGE_CACHE / suite
    cache.mkdir(parents=True, exist_ok=True)
    # The indexes stay: a host that asks for them is told that nothing is new. And no test host has to survive a power
    # cut in the middle of dpkg.
    run("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={PACKAGES}",
        "--dpkgopt=force-unsafe-io", f"--setup-hook={MERGED_USR}", "--skip=download/empty,essential/unlink,cleanup/apt",
        f"--setup-hook=mkdir --parents \"$1/{ARCHIVES}\"; cp --target-directory=\"$1/{ARCHIVES}\" {cache}/*.deb || :",
        *(["--aptopt=Acquire::Check-Valid-Until false"] if suite in MOVING else []),
        suite, tree, *mirrors()[:1])  # fmt: skip
    share_packages(suite, tree / ARCHIVES)
    run("chroot", tree, "apt-get", "clean")
    run("chroot", tree, "useradd", "--create-home", "--shell", "/bin/bash", USER)
    sudoers = tree / "etc/sudoers.d" / USER
    sudoers.write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
    sudoers.chmod(0o440)
    forget_identity(tree)


def forget_identity(tree):
    """Remove what a host must not share with others, and makes anew: its keys at once, its machine id at boot."""
    (tree / "etc/machine-id").write_text("")
    for key in (tree / "etc/ssh").glob("ssh_host_*"):
        key.unlink()


def give_network(tree):
    """Let those in a tree use the name service that this machine uses, and trust whom it trusts."""
    resolv_conf = Path("/run/systemd/resolve/resolv.conf")
    if not resolv_conf.exists():
        resolv_conf = Path("/etc/resolv.conf")
    shutil.copyfile(resolv_conf, tree / "etc/resolv.conf")
    shutil.copyfile(CA_BUNDLE, tree / CA_BUNDLE.relative_to("/"))


class Host:
    """One machine of a group: its files, its network, its processes."""

    def __init__(self, group, name):
        self.group, self.name = group, name
        self.directory = group.directory / name
        self.root = self.directory / "root"
        self.upper = self.directory / "upper"
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

    def create(self, suite, scenario=None):
        """Lay the files of the host over the suite's tree, and what a scenario kept, and give it an address."""
        trees = [base_tree(suite)]
        for part in ("root", "upper", "work"):
            (self.directory / part).mkdir(parents=True)
        share_packages(suite, *CACHE.glob(f"groups/*/*/upper/{ARCHIVES}"))
        with locked("kept", CACHE):
            if scenario and (kept := kept_tree(scenario, suite)).is_dir():
                trees.insert(0, kept)
                os.utime(kept)
            self.remember(suite=suite, starts_from=trees[0].name, keep_as=kept_tree(self.group.name, suite).name)
            archives = self.upper / ARCHIVES
            archives.mkdir(parents=True)
            for package in (PACKAGE_CACHE / suite).glob("*.deb"):
                os.link(package, archives / package.name)
            layers = f"lowerdir={':'.join(map(str, trees))},upperdir={self.upper},workdir={self.directory}/work"
            # As on a disk, directories can be renamed, those of the trees, too.
            run("mount", "-t", "overlay", "overlay", "-o", f"{layers},redirect_dir=on", self.root)
        self.provision()
        with locked("addresses"):
            self.remember(index=next(number for number in itertools.count(1) if number not in taken_indexes()))
            run("ip", "netns", "add", self.link)
            if not FORWARD_BEFORE.exists():
                FORWARD_BEFORE.write_text(FORWARD.read_text())
            FORWARD.write_text("1")
        self.connect()

    def provision(self):
        """Give the host what it shares with this machine (name service, trusted certificates, our key), and a name.

        One that starts from another's files must not be taken for it: its keys and its machine id are its own, too.
        """
        give_network(self.root)
        forget_identity(self.root)
        (self.root / "etc/pip.conf").write_text(f"[global]\ncert = {CA_BUNDLE}\n")
        (self.root / "etc/hostname").write_text(f"{self.name}\n")
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        host_key = self.root / "etc/ssh/ssh_host_ed25519_key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host_key)
        authorized_keys = self.root / "home" / USER / ".ssh/authorized_keys"
        authorized_keys.parent.mkdir(mode=0o700, exist_ok=True)
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
            # Its network is its own: it may have a firewall there.
            "--capability=CAP_NET_ADMIN",
            "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--register=no", "--console=pipe",
            f"--bind={PIP_CACHE}:/root/.cache/pip",
        ]  # fmt: skip
        PIP_CACHE.mkdir(parents=True, exist_ok=True)
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
            # Before it listens, there is nothing to wait at.
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

    def members(self):
        """The ids of all processes on the host, its init first; as this machine knows them."""
        children = [child for _, program, children in self.processes() if program != "sh" for child in children]
        if not children:
            raise HostError(f"{self.name} does not run")
        namespace = os.readlink(f"/proc/{children[0]}/ns/pid")
        found = []
        for directory in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(directory / "ns/pid") == namespace:
                    found.append(int(directory.name))
        return sorted(found, key=lambda pid: pid != children[0])

    @contextlib.contextmanager
    def paused(self):
        """Let no process on the host do anything for a while."""
        stopped = []
        try:
            # Until there is none that another one started in the meantime.
            while others := [pid for pid in self.members() if pid not in stopped]:
                for pid in others:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGSTOP)
                    stopped.append(pid)
            yield
        finally:
            for pid in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def keep(self):
        """Keep what was written to the host's disk until now, as a power cut would; the host goes on.

        Packages are left out, for all of them are cached.
        """
        kept = kept_tree(self.group.name, self.state["suite"])
        if kept.name != self.state["keep_as"]:
            return f"{self.name} is not kept: what it was made from has changed since"
        unfinished = kept.with_suffix(".unfinished")
        share_packages(self.state["suite"], self.upper / ARCHIVES)
        with locked("kept", CACHE):
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.parent.mkdir(parents=True, exist_ok=True)
            if not kept.is_dir():
                with self.paused():
                    run("cp", "--archive", self.upper, unfinished)
                for package in (unfinished / ARCHIVES).glob("*.deb"):
                    package.unlink()
                unfinished.rename(kept)
            os.utime(kept)
            remove_outdated(kept)
        return f"{self.name} is kept as {kept.name}"

    def kill(self):
        """End the host at once: the loop, which would boot it again, then the init that takes all others with it."""
        while processes := self.processes():
            for pid, program, children in processes:
                for victim in [pid] if program == "sh" else children:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
            # They go one after the other; none of them is a child of this process, which could be waited for.
            time.sleep(0.05)
        for cgroup in (*self.cgroups(), CORES / self.link) if "index" in self.state else ():
            for part in [*sorted(cgroup.glob("**/"), reverse=True)]:
                remove_cgroup(part)

    def destroy(self):
        """Remove the host; whatever part of it exists."""
        self.kill()
        if "index" in self.state:
            for command in (["nft", "delete", "table", "ip", self.link], ["ip", "netns", "delete", self.link],
                            ["ip", "link", "delete", self.link]):  # fmt: skip
                subprocess.run(command, capture_output=True)
        if "suite" in self.state:
            share_packages(self.state["suite"], self.upper / ARCHIVES)
        # A test may have put disks into it; what is mounted last goes first.
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if Path(mount).is_relative_to(self.directory)]):
            run("umount", mount)
        # A test may have left directories deeper than Python can go.
        run("rm", "--recursive", "--force", self.directory)


class Group:
    """The hosts of one demo or scenario of this checkout, and the key that opens them."""

    def __init__(self, name):
        self.name = name
        checkout = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]
        self.directory = CACHE / "groups" / f"{checkout}-{name}"
        self.key = self.directory / "key"
        self.known_hosts = self.directory / "known_hosts"

    def hosts(self):
        return [Host(self, entry.name) for entry in sorted(self.directory.glob("*")) if entry.is_dir()]

    def up(self, origins):
        """Boot a host of each {name: (suite, scenario to start from, role)}, afresh; return their inventory."""
        self.down()
        self.directory.mkdir(parents=True, mode=0o700)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "omero-web test hosts", "-f", self.key)
        hosts = [Host(self, name) for name in origins]
        for host in hosts:
            host.create(*origins[host.name][:2])
            host.boot()
        self.known_hosts.write_text("".join(host.known_host() for host in hosts))
        for host in hosts:
            host.wait()
        inventory = {}
        for host in hosts:
            members = inventory.setdefault(origins[host.name][2], {"hosts": {}})["hosts"]
            members[host.name] = {**host.reach(), "starts_from": host.state["starts_from"]}
        return inventory

    def keep(self):
        return "\n".join(host.keep() for host in self.hosts())

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


def origin_of_host(text):
    name, equals, rest = text.partition("=")
    origin, at, role = rest.partition("@")
    suite, _, scenario = origin.partition(":")
    if not (name and equals and suite) or (at and not role):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=SUITE[:SCENARIO][@ROLE], as in demo-1=bookworm")
    return name, (suite, scenario, role or "omero_web")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up")
    up.add_argument("group")
    up.add_argument("hosts", nargs="+", type=origin_of_host, metavar="NAME=SUITE[:SCENARIO][@ROLE]")
    for command in ("keep", "down"):
        commands.add_parser(command).add_argument("group")
    for command in ("tree", "offered"):
        commands.add_parser(command).add_argument("suites", nargs="+", metavar="SUITE")
    kept = commands.add_parser("kept")
    kept.add_argument("scenario")
    kept.add_argument("suites", nargs="+", metavar="SUITE")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("testhosts.py: must run as root, for it mounts trees and makes network namespaces")
    if arguments.command == "up" and not os.access(FORWARD, os.W_OK):
        why = "cannot be written, as in a container; a machine of its own can boot test hosts."
        sys.exit(f"testhosts.py: {FORWARD} {why}")
    try:
        if arguments.command == "up":
            print(json.dumps(Group(arguments.group).up(dict(arguments.hosts)), indent=2))
        elif arguments.command == "keep":
            print(Group(arguments.group).keep())
        elif arguments.command == "down":
            Group(arguments.group).down()
        elif arguments.command == "tree":
            for suite in arguments.suites:
                print(base_tree(suite))
        elif arguments.command == "offered":
            for suite in arguments.suites:
                be_offered(suite)
        else:
            for suite in arguments.suites:
                if (kept := kept_tree(arguments.scenario, suite)).is_dir():
                    print(kept)
    except HostError as error:
        sys.exit(f"testhosts.py: {error}")


if __name__ == "__main__":
    main()

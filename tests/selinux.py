#!/usr/bin/env python3
"""Install OMERO.web on an emulated machine whose kernel enforces SELinux, and list whatever that denied.

The machine is a Debian 12 with Debian's policy. Nothing on this machine is enforced, and no KVM is needed, so that it
takes its time: half an hour and more. What is made is in .molecule/selinux, and stays there to look at.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "molecule/resources"))

import testhosts  # noqa: E402

SUITE = "bookworm"
DIRECTORY = ROOT / ".molecule/selinux"
TREE, IMAGE, KEY, CONSOLE, INVENTORY = (
    DIRECTORY / name for name in ("tree", "disk.img", "key", "console.log", "hosts.json")
)
SSH_PORT = 2290
# What ssh ends with where it is not the command that does.
SSH_FAILED = 255
BOOT_SECONDS = 600
PACKAGES = (
    "linux-image-cloud-amd64 initramfs-tools netbase auditd selinux-basics selinux-policy-default "
    "policycoreutils-python-utils"
)
NETWORK = "[Match]\nName=en*\n[Network]\nDHCP=yes\n"
CONTEXTS = "/etc/selinux/default/contexts/files/file_contexts"
# What a site may have that SELinux has something to say about; no Redis, which Debian's policy keeps from its socket.
VARIABLES = {
    "omero_web_tls_certificate": "self-signed",
    "omero_web_image_cache": True,
    "omero_web_config": {"omero.web.public.enabled": True},
    "omero_web_workers": 1,
    "omero_web_start_timeout": 900,
}
DOMAINS = "ps -o label= -o args= -C nginx,gunicorn"
LOGS = "sudo logrotate --force /etc/logrotate.d/omero-web-logs"
DENIALS = "sudo grep --no-filename --extended-regexp 'avc: +denied|SELINUX_ERR' /var/log/audit/audit.log"
run = testhosts.run


def make_tree():
    """A Debian with a kernel of its own, its policy, and us as its administrator."""
    shutil.rmtree(TREE, ignore_errors=True)
    TREE.parent.mkdir(parents=True, exist_ok=True)
    run("cp", "--archive", testhosts.base_tree(SUITE), TREE)
    testhosts.give_network(TREE)
    for package in (testhosts.PACKAGE_CACHE / SUITE).glob("*.deb"):
        shutil.copy(package, TREE / testhosts.ARCHIVES)
    apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes", "--no-install-recommends"]
    run("chroot", TREE, *apt, "install", *PACKAGES.split())
    testhosts.share_packages(SUITE, TREE / testhosts.ARCHIVES)
    run("chroot", TREE, "apt-get", "clean")
    files = {
        "etc/hostname": "selinux\n",
        "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 selinux\n",
        "etc/fstab": "/dev/vda / ext4 defaults 0 1\n",
        "etc/pip.conf": f"[global]\ncert = {testhosts.CA_BUNDLE}\n",
        "etc/systemd/network/10-all.network": NETWORK,
        "etc/selinux/config": "SELINUX=enforcing\nSELINUXTYPE=default\n",
    }
    for name, text in files.items():
        (TREE / name).write_text(text)
    KEY.unlink(missing_ok=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", KEY)
    home = TREE / "home" / testhosts.USER / ".ssh"
    home.mkdir(mode=0o700)
    (home / "authorized_keys").write_text(KEY.with_suffix(".pub").read_text())
    run("chroot", TREE, "chown", "-R", f"{testhosts.USER}:", home.relative_to(TREE).parent)
    run("chroot", TREE, "ssh-keygen", "-A")
    run("chroot", TREE, "systemctl", "--quiet", "enable", "systemd-networkd", "ssh")


def make_image():
    """A disk of it, whose files have their labels before the first boot."""
    run("mount", "--bind", "/proc", TREE / "proc")
    try:
        run("chroot", TREE, "sh", "-c", f"setfiles -F {CONTEXTS} / || :")
    finally:
        run("umount", TREE / "proc")
    IMAGE.unlink(missing_ok=True)
    with IMAGE.open("wb") as image:
        image.truncate(8 * 2**30)
    run("mkfs.ext4", "-q", "-d", TREE, IMAGE)


def boot():
    """Start the machine, which ends with this program."""
    kernel, initrd = (next((TREE / "boot").glob(f"{name}-*")) for name in ("vmlinuz", "initrd.img"))
    accelerator = os.environ.get("ACCEL") or "tcg"
    return subprocess.Popen(
        ["qemu-system-x86_64", "-display", "none", "-serial", f"file:{CONSOLE}", "-m", "3072", "-smp", "2",
         "-accel", accelerator, "-cpu", "max", "-kernel", kernel, "-initrd", initrd,
         "-append", "root=/dev/vda rw console=ttyS0 security=selinux selinux=1 quiet",
         "-drive", f"file={IMAGE},if=virtio,format=raw,cache=unsafe", "-device", "virtio-rng-pci",
         "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{SSH_PORT}-:22", "-device", "virtio-net-pci,netdev=net"],
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def write_inventory():
    options = f"-o UserKnownHostsFile={DIRECTORY}/known_hosts -o StrictHostKeyChecking=accept-new -o IdentitiesOnly=yes"
    (DIRECTORY / "known_hosts").unlink(missing_ok=True)
    reach = {
        "ansible_host": "127.0.0.1",
        "ansible_port": SSH_PORT,
        "ansible_user": testhosts.USER,
        "ansible_ssh_private_key_file": str(KEY),
        "ansible_ssh_common_args": options,
    }
    INVENTORY.write_text(json.dumps({"omero_web": {"hosts": {"selinux": {**reach, **VARIABLES}}}}, indent=2))
    return ["ssh", "-i", KEY, *options.split(), "-o", "ConnectTimeout=5", "-p", str(SSH_PORT),
            f"{testhosts.USER}@127.0.0.1"]  # fmt: skip


def wait(machine, ssh):
    deadline = time.monotonic() + BOOT_SECONDS
    while subprocess.run([*ssh, "true"], capture_output=True).returncode != 0:
        if machine.poll() is not None or time.monotonic() > deadline:
            raise testhosts.HostError(f"the machine does not boot; its console is {CONSOLE}")
        # Before it listens, there is nothing to wait at.
        time.sleep(2)


def ask(ssh, command):
    done = subprocess.run([*ssh, command], text=True, capture_output=True)
    if done.returncode == SSH_FAILED:
        raise testhosts.HostError(f"the machine is gone; its console is {CONSOLE}")
    return done.stdout


def tell(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def main():
    tell("making the machine")
    make_tree()
    make_image()
    tell("booting it")
    machine = boot()
    try:
        ssh = write_inventory()
        wait(machine, ssh)
        tell(f"SELinux is {ask(ssh, 'sudo getenforce').strip()}")
        before = ask(ssh, DENIALS).splitlines()
        for turn in ("installing OMERO.web", "running again, with nothing to change"):
            tell(turn)
            played = subprocess.run(["ansible-playbook", "-i", INVENTORY, "playbooks/site.yml"], cwd=ROOT)
            if played.returncode:
                tell("the playbook failed")
                break
        ask(ssh, LOGS)
        tell("domains")
        print(ask(ssh, DOMAINS))
        denials = ask(ssh, DENIALS).splitlines()[len(before) :]
        tell(f"{len(denials)} denials, beside {len(before)} while it booted")
        print("\n".join(denials))
        return 1 if denials or played.returncode else 0
    finally:
        machine.kill()
        machine.wait()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except testhosts.HostError as error:
        sys.exit(f"selinux.py: {error}")

"""What is backed up by the commands of docs/backup.md, and a host that is made again with it."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import testinfra
from clients import who_sees
from conftest import INVENTORY, PROJECT, USER, commands_in, exhaustive

sys.path.insert(0, str(Path(__file__).parents[2] / "resources"))
from testhosts import Group  # noqa: E402

BACK_UP, RESTORE = (commands_in("docs/backup.md", first) for first in ("umask", "mkdir --parents /opt/omero/web"))
RESTORE_SESSIONS = commands_in("docs/backup.md", "runuser -u omero-web -- tar --extract")
SESSIONS = "/opt/omero/web/current/var/tmp/"
ARCHIVES = "omero-web.tar.gz", "omero-web-sessions.tar.gz"


@pytest.fixture
def backed_up(host):
    """Back up as the page tells, with a certificate as well where that is wanted."""

    def backed_up(more=""):
        host.check_output("cd /root; " + BACK_UP.replace("django_secret_key", f"django_secret_key {more}"))
        for archive in ARCHIVES:
            assert host.file(f"/root/{archive}").mode == 0o600

    yield backed_up
    host.check_output("cd /root; rm -f " + " ".join(ARCHIVES))


def test_the_page_has_all_that_a_host_has(host, basedir):
    page = (PROJECT / "docs/backup.md").read_text()
    rows = re.findall(r"(?m)^\| (`.+?`) \| (?:yes|no|if)", page)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    there = {*host.check_output("ls -A %s", basedir).split(), *host.check_output(f"cd {basedir}; ls -dA var/*").split()}
    assert "generations" in there
    assert there - {"var"} <= named


def test_sessions_that_are_lost_come_back(host, user, backed_up, log_in, who_is):
    session = log_in()
    # What is not the service's to read.
    host.check_output(f"cd {SESSIONS}; runuser -u {user} -- ln -s /root /etc/shadow .")
    try:
        backed_up()
        host.check_output(f"find {SESSIONS} -name 'sessionid*' -delete")
        assert who_is(session) is None
        host.check_output("cd /root; " + RESTORE_SESSIONS)
        assert who_is(session) == USER
        listed = host.check_output("tar -tvzf /root/omero-web-sessions.tar.gz")
        assert "./root -> /root" in listed and "./shadow -> /etc/shadow" in listed
        assert not re.search(r"root/\w", listed.replace("-> /root", ""))
    finally:
        host.check_output(f"cd {SESSIONS}; rm -f root shadow")


def test_what_is_put_back_is_written_by_the_service_alone(host, user, basedir, backed_up):
    """The archive is what the service wanted it to be."""
    host.check_output(f"runuser -u {user} -- ln -s {basedir}/pages {SESSIONS}")
    try:
        backed_up()
        host.check_output(
            f"mkdir -p /root/evil/pages; cd /root/evil; echo evil > pages/maintenance.html; "
            f"tar -czf ../{ARCHIVES[1]} pages/maintenance.html"
        )
        assert host.run("cd /root; " + RESTORE_SESSIONS).failed
        assert "evil" not in host.file(f"{basedir}/pages/maintenance.html").content_string
    finally:
        host.check_output(f"rm -rf {SESSIONS}pages /root/evil")


def test_a_key_that_root_has_put_back_is_kept(host, basedir, play):
    """Where there is no group of this name yet, tar has it with another one."""
    key = f"{basedir}/var/django_secret_key"
    before = host.file(key).content
    host.check_output("chown root:daemon %s; chmod 600 %s", key, key)
    code, output = play()
    assert code == 0, output
    assert host.file(key).content == before
    assert (host.file(key).group, host.file(key).mode) == ("omero-web", 0o640)


@pytest.fixture
def empty_host(tmp_path):
    """A host with nothing but what every test host has, its inventory, and the machine that it is."""
    group = Group(f"{INVENTORY.parent.name}-restored")
    reach = group.up({"restored-bookworm": ("bookworm", None, "omero_web")})
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(json.dumps({**json.loads(INVENTORY.read_text()), **reach}))
    (tmp_path / "group_vars").symlink_to(INVENTORY.parent / "group_vars")
    yield testinfra.get_host("ansible://restored-bookworm", ansible_inventory=str(inventory), sudo=True), inventory
    group.down()


@exhaustive
def test_a_host_that_is_made_again(host, basedir, backed_up, log_in, issue, empty_host, play, ask):
    """Users do not notice which of the two they have, but by its address."""
    session, (new, inventory) = log_in(), empty_host
    certificate = "".join(issue("omero.example.org"))
    host.check_output(f"umask 077; echo '{certificate}' > {basedir}/self-signed.pem")
    try:
        backed_up("self-signed.pem")
    finally:
        host.check_output(f"rm {basedir}/self-signed.pem")
    old, (machine,) = (Group(f"{INVENTORY.parent.name}{ending}").hosts() for ending in ("", "-restored"))
    old_root = next(one.root for one in old if one.name == host.check_output("hostname"))
    for archive in ARCHIVES:
        shutil.copy(old_root / "root" / archive, machine.root / "root")
    kept = ("var/django_secret_key", "history", "self-signed.pem")
    was = {name: host.check_output(f"tar -xOzf /root/{ARCHIVES[0]} {name}") for name in kept}

    new.check_output("cd /root; " + RESTORE)
    code, output = play("molecule/resources/offer-test-app.yml", inventory=inventory)
    assert code == 0, output
    code, output = play(inventory=inventory, omero_web_tls_certificate="self-signed")
    assert code == 0, output
    new.check_output("cd /root; " + RESTORE_SESSIONS)

    assert new.file(f"{basedir}/var/django_secret_key").content_string.strip() == was["var/django_secret_key"]
    assert new.file(f"{basedir}/var/django_secret_key").group == "omero-web"
    assert new.file(f"{basedir}/history").content_string.startswith(was["history"])
    assert new.file(f"{basedir}/self-signed.pem").content_string.strip() == was["self-signed.pem"]
    page = ask(f"https://{machine.address}/webclient/", Cookie=f"sessionid={session}")
    assert who_sees(page.body.decode()) == USER
    code, output = play(inventory=inventory, omero_web_tls_certificate="self-signed")
    assert code == 0 and "changed=0" in output, output

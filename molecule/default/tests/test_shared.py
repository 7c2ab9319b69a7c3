"""What generations share is written by the service: it leads nobody, and least of all root, to anything else."""

import re

import pytest
from conftest import USER, exhaustively, wait_until

KEY = "var/django_secret_key"


@pytest.fixture
def decoy(host):
    """A directory that is nobody's business; tell all about it."""
    path = "/var/tmp/decoy"
    host.check_output(f"mkdir --parents {path}/django-1.8/sub && echo content > {path}/django-1.8/sub/file")
    host.check_output(f"chmod 0711 {path} {path}/django-1.8/sub && chmod 0604 {path}/django-1.8/sub/file")

    def state():
        return host.check_output(f"cd {path} && find . -printf '%p %U:%G %m %s\n' | sort && cat django-1.8/sub/file")

    yield state
    host.check_output("rm -r %s", path)


@pytest.fixture
def in_its_place(host, basedir):
    """Have something else where the role has one of its own, for as long as a test runs."""
    paths = []

    def in_its_place(path, command):
        host.run("mv %s %s", f"{basedir}/{path}", f"{basedir}/moved")
        host.check_output(command, f"{basedir}/{path}")
        paths.append(f"{basedir}/{path}")

    yield in_its_place
    for path in paths:
        host.check_output("rm -r %s", path)
        host.run("mv %s %s", f"{basedir}/moved", path)


@pytest.mark.parametrize("path", ["var/log", "var/sessions", "var/sessions/django-5.2", KEY])
def test_the_service_cannot_replace_what_root_looks_at(host, user, basedir, path):
    path = f"{basedir}/{path}"
    assert host.run("runuser -u %s -- mv %s %s.moved", user, path, path).failed
    assert host.run("runuser -u %s -- rm -f %s", user, f"{basedir}/{KEY}").failed
    assert host.run("runuser -u %s -- mkdir %s", user, f"{basedir}/var/sessions/django-1.8").failed
    assert host.run("runuser -u %s -- touch %s", user, f"{basedir}/var/anything").failed


@pytest.mark.parametrize(
    "path, command, what",
    [
        ("var/sessions/django-5.2", "ln --symbolic /var/tmp/decoy %s", "a link"),
        (KEY, "mkfifo %s", "neither a file nor a directory"),
        *exhaustively(
            ("var/log", "ln --symbolic /var/tmp/decoy %s", "a link"),
            ("var/sessions", "ln --symbolic /var/tmp/decoy %s", "a link"),
            ("var/sessions", "echo nothing > %s", "a file"),
        ),
    ],
)
def test_what_leads_elsewhere_is_refused(decoy, in_its_place, refused, basedir, login, path, command, what):
    before = decoy()
    in_its_place(path, command)
    sentence = f"{basedir}/{path} on default-bookworm is {what}, where the role has"
    for options in ("--check",), ():
        assert "changed=0" in refused(sentence, "playbooks/site.yml", *options)
    assert decoy() == before
    assert login().status == 200


def test_sessions_that_nobody_reads_are_removed_and_nothing_that_they_lead_to(host, play, user, basedir, decoy):
    before, gone = decoy(), f"{basedir}/var/sessions/django-1.8"
    host.check_output("install --directory --owner=%s %s", user, gone)
    host.check_output(
        f"runuser -u {user} -- sh -c 'cd {gone} && mkdir -p a/b && touch a/file a/b/.hidden && mkfifo a/pipe"
        " && ln -s /var/tmp/decoy a/b/link && ln -s /var/tmp/decoy/django-1.8 link'"
    )
    code, output = play()
    assert code == 0, output
    assert not host.file(gone).exists
    assert decoy() == before


def test_a_host_where_all_that_was_the_services(host, play, refused, user, basedir, decoy, log_in, who_is, live):
    """As the role left it before: the service could put there what it wanted."""
    before, generation, session = decoy(), live(), log_in()
    key = host.file(f"{basedir}/{KEY}").content_string
    host.check_output(f"cd {basedir} && chown {user}: var var/sessions {KEY} && chmod 0750 var && chmod 0600 {KEY}")
    host.check_output(f"runuser -u {user} -- mv {basedir}/var/sessions {basedir}/var/moved")
    host.check_output(f"runuser -u {user} -- ln --symbolic /var/tmp/decoy {basedir}/var/sessions")
    refused("var/sessions on default-bookworm is a link, where the role has a directory")
    assert decoy() == before
    host.check_output(f"cd {basedir}/var && rm sessions && mv moved sessions")
    code, output = play()
    assert code == 0, output
    owners = host.check_output(f"cd {basedir} && stat --format='%U %a' var var/log var/sessions {KEY}")
    assert owners.splitlines() == ["root 755", f"{user} 750", "root 755", "root 640"]
    assert host.file(f"{basedir}/{KEY}").content_string == key
    assert (live(), who_is(session)) == (generation, USER)
    code, output = play()
    assert "changed=0" in output


def test_a_secret_key_that_is_lost_is_made_anew(host, play, basedir, login):
    before = host.file(f"{basedir}/{KEY}").content_string
    host.check_output("rm %s", f"{basedir}/{KEY}")
    code, output = play()
    assert code == 0, output
    after = host.file(f"{basedir}/{KEY}").content_string
    assert re.fullmatch(r"[\da-f-]{73}\n", after) and after != before
    host.check_output("systemctl restart omero-web.target")
    wait_until(lambda: login().status == 200)

"""The service user attacks: it leaves what it can where root comes by. Nothing else changes, and no run hangs."""

import re

import pytest
from conftest import wait_until

SENTRY = "/var/tmp/sentry"
# Of what is in it, some is for everybody to read and some is not, and nothing is the service's.
MAKE_SENTRY = f"""
set -eu
mkdir -p {SENTRY}/sub {SENTRY}/django-1.8
for name in open closed nobody OMEROweb.log sub/file django-1.8/file; do echo $name > {SENTRY}/$name; done
chmod 0711 {SENTRY} {SENTRY}/sub
chmod 0600 {SENTRY}/closed {SENTRY}/nobody
chown nobody {SENTRY}/nobody
"""
# What there is of it, and of all that the role has made, but for what is the service's.
CENSUS = (
    f"find {SENTRY} /etc /usr/local /opt/omero/web"
    r" \( -path '*/var/log' -o -path '*/var/sessions/django-*' -o -name '*.pyc' \) -prune -o"
    r" -printf '%p %y %U:%G %m %l\n' | sort;"
    f" find {SENTRY} /etc /usr/local /opt/omero/web/generations -type f -exec sha256sum {{}} + | sort"
)
ENTRIES = 100_000

# Run as the service user, with a number of files and a directory of its own.
ATTACK = r"""
import os, socket, sys

ENTRIES, SENTRY = int(sys.argv[1]), sys.argv[2].encode()
ODD = [b"-rf", b"--help", b"a\nb", b"\xff\xfe", b"*", b" ", b"$(id)", b"`id`", b"'", b"x" * 240]


def leave(directory, ending):
    # What is there is replaced by links to what only root could write.
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if os.path.islink(path):
            continue
        os.rename(path, os.path.join(directory, b"moved-" + name))
        os.symlink(os.path.join(SENTRY, name if os.path.exists(os.path.join(SENTRY, name)) else b"closed"), path)
    for name in b"open", b"closed", b"nobody", b"sub", b"":
        os.symlink(os.path.join(SENTRY, name), os.path.join(directory, b"link-" + name + ending))
    os.symlink(b"loop" + ending, os.path.join(directory, b"loop" + ending))
    os.mkfifo(os.path.join(directory, b"pipe" + ending))
    listening = socket.socket(socket.AF_UNIX)
    os.chdir(directory)
    listening.bind(b"socket" + ending)
    for name in ODD:
        with open(os.path.join(directory, name + ending), "wb") as file:
            file.write(b"content\n" * 100)
        os.symlink(SENTRY, os.path.join(directory, name + b".link" + ending))
        os.mkdir(os.path.join(directory, name + b".directory" + ending))
    huge = os.path.join(directory, b"huge" + ending)
    os.mkdir(huge)
    for number in range(ENTRIES):
        if number % 1000 == 0:
            os.mkdir(os.path.join(huge, b"%d" % number))
            os.chdir(os.path.join(huge, b"%d" % number))
        os.close(os.open(b"%d" % number, os.O_CREAT | os.O_WRONLY))
    # Deeper than any path can be.
    os.chdir(directory)
    for _ in range(1500):
        os.mkdir(b"deep")
        os.chdir(b"deep")


leave(sys.argv[3].encode(), b".log" if sys.argv[3].endswith("/log") else b"")
"""

# Waits for the trial, takes its place, and answers a little now and then.
TAKE_THE_PLACE_OF_THE_TRIAL = r"""
import glob, os, socket, time

while not (found := glob.glob("/run/omero-web-probe-*/probe.sock")):
    time.sleep(0.01)
os.unlink(found[0])
listening = socket.socket(socket.AF_UNIX)
listening.bind(found[0])
listening.listen()
held = []
listening.setblocking(False)
while True:
    try:
        connection = listening.accept()[0]
        connection.sendall(b"HTTP/1.0 200 OK\r\n")
        held.append(connection)
    except BlockingIOError:
        time.sleep(0.2)
    for connection in held:
        try:
            connection.sendall(b"x: 1\r\n")
        except OSError:
            pass
"""


@pytest.fixture
def as_service(host, user):
    """Run a Python program as the service user."""

    def as_service(program, *arguments):
        words = " ".join(f"'{argument}'" for argument in arguments)
        host.check_output(f"cd / && runuser -u {user} -- python3 - {words} <<'PROGRAM'\n{program}\nPROGRAM")

    return as_service


@pytest.fixture
def census(host):
    """Tell all that the service user has no business with."""
    host.check_output("sh -c %s", MAKE_SENTRY)
    yield lambda: host.check_output(CENSUS).splitlines()
    host.check_output("rm -r %s", SENTRY)


@pytest.fixture
def own_directories(host, user, basedir, live):
    """The topmost directories that are the service user's own."""
    runtime = f"/run/omero-web-{live()}"
    # That of a generation before goes with the last request that it finishes.
    wait_until(lambda: host.check_output(f"find /run -maxdepth 1 -user {user}").split() == [runtime], seconds=120)
    return [*host.check_output(f"find {basedir}/var -user {user} -type d -prune").split(), runtime]


@pytest.fixture
def attacked(host, basedir, user, as_service, own_directories):
    """Have all of them full of what leads elsewhere, what never answers, and what is too much."""
    stale = f"{basedir}/var/sessions/django-1.8"
    host.check_output("install --directory --owner=%s %s", user, stale)
    try:
        as_service(ATTACK, ENTRIES, SENTRY, stale)
        for directory in own_directories:
            as_service(ATTACK, ENTRIES // 10, SENTRY, directory)
        yield
    finally:
        for directory in own_directories:
            host.run("find %s -mindepth 1 ! -name 'OMERO*' -delete", directory)


def test_nothing_else_changes_and_no_run_waits(host, basedir, census, own_directories, attacked, play, login, live):
    assert f"{basedir}/var/log" in own_directories and f"/run/omero-web-{live()}" in own_directories
    before = census()
    code, output = play()
    assert code == 0, output
    assert not host.file(f"{basedir}/var/sessions/django-1.8").exists
    sessions = host.check_output("systemctl show --property=TimeoutStartUSec --value omero-web-clearsessions.service")
    assert sessions == "1h"
    for _ in range(3):
        assert host.run("timeout 60 logrotate --force /etc/logrotate.d/omero-web-logs").rc != 124
    assert int(host.check_output("find %s/var/log -maxdepth 1 -name '*.1' -printf x | wc -c", basedir)) > 0
    assert set(census()) ^ set(before) == set()

    # It cannot write there, and would not start.
    host.check_output("find %s/var/log -maxdepth 1 -type l -name 'OMERO*' -delete", basedir)
    of_sentry = [line for line in before if SENTRY in line]
    older = live()
    for arguments, wanted in ((["playbooks/site.yml"], {"omero_web_threads": 2}), (["playbooks/rollback.yml"], {})):
        code, output = play(*arguments, **wanted)
        assert code == 0, output
        assert login().status == 200
    assert live() == older
    code, output = play()
    assert code == 0, output
    assert [line for line in census() if SENTRY in line] == of_sentry


def test_the_service_user_holds_no_lock_of_root(host, user):
    locks = host.check_output("find /run -maxdepth 1 -name 'omero-web*.lock'").split()
    assert locks
    for lock in locks:
        assert host.run("runuser -u %s -- flock --nonblock --shared %s true", user, lock).failed
        assert host.run("runuser -u %s -- mv %s %s.moved", user, lock, lock).failed
    assert host.run("runuser -u %s -- ln -s %s /run/omero-web-99", user, SENTRY).failed


def test_a_log_that_nobody_reads(host, user, basedir, refused, live, login):
    """Whoever opens such a pipe waits until somebody reads there."""
    log, before = f"{basedir}/var/log/OMEROweb.log", live()
    host.check_output(f"runuser -u {user} -- sh -c 'touch {log} && mv {log} {log}.moved && mkfifo {log}'")
    try:
        refused("It did not start.", omero_web_threads=2, omero_web_start_timeout=15)
        assert login().status == 200
    finally:
        host.check_output(f"runuser -u {user} -- sh -c 'rm {log}; mv {log}.moved {log}'")
    assert live() == before


def test_a_trial_whose_place_the_service_takes(host, user, refused, live, play):
    before = live()
    host.check_output(
        f"systemd-run --quiet --unit=impostor --property=User={user} python3 -c %s", TAKE_THE_PLACE_OF_THE_TRIAL
    )
    try:
        output = refused("Its login page answered nothing", omero_web_threads=2, omero_web_start_timeout=15)
        assert re.search(r"timed\s+out", output)
    finally:
        host.check_output("systemctl stop impostor")
    assert live() == before
    wait_until(lambda: host.run("systemctl is-active 'omero-web-probe@*'").stdout.strip() != "active")
    code, output = play()
    assert code == 0, output

"""Faults, each injected for real: the site serves what it served, the run names the cause, the next one succeeds."""

import fcntl
import json
import os
import random
import runpy
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from fnmatch import fnmatch
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from clients import DOWNLOAD, LOGIN
from conftest import INVENTORY, NAME, PROJECT, USER, exhaustive, fault, wait_until

testhosts = SimpleNamespace(**runpy.run_path(str(PROJECT / "molecule/resources/testhosts.py")))

# Something to do for a run that is to meet with a fault.
CHANGE = {"omero_web_threads": 2}
ANOTHER_SITE = {"omero_web_server_names": ["faults.example.org"]}

NOTHING = "nothing"
BRIEFLY = "the maintenance page or a broken download for what was in hand; the rest waits until it has started"
IN_HAND = "at most, a broken answer to the request in hand"
AWAY = "no answer, or the maintenance page, until the requests in hand have ended and the next generation has started"
MAINTENANCE = 502, "OMERO.web is being maintained"
# Sessions are files, on the disk of OMERO.web; a session that is there already is read.
NO_LOGIN = "nobody can log in; whoever is logged in goes on"
BRIEFLY_AND_NO_LOGIN = f"{BRIEFLY}; nobody can log in"
NO_NEW_PAGE = "nobody can log in or open the web client; in one that is open, the tree and images go on"


@pytest.fixture(autouse=True)
def visited(request, users, play, login):
    """Users are there all the time, and in the end, whatever happened, a plain run succeeds."""
    with users() as those:
        yield those
        code, output = play()
    assert code == 0, output
    assert login().status == 200
    users_see = request.node.get_closest_marker("fault").args[1]
    if users_see == NOTHING:
        assert those.failures == []
        assert those.download.is_complete, those.download.error
    if users_see == IN_HAND:
        # The worker may have had the download.
        assert len(those.failures) + (not those.download.is_complete) <= 1
    if users_see in (BRIEFLY, BRIEFLY_AND_NO_LOGIN, AWAY):
        others = failures_but_of(those, f"{DOWNLOAD}*", *([LOGIN] if users_see == BRIEFLY_AND_NO_LOGIN else []))
        expected = {MAINTENANCE, *([(0, "")] if users_see == AWAY else [])}
        assert {(failure.status, failure.title) for failure in others} <= expected, others
    if users_see == AWAY:
        assert those.failures
        assert those.download.is_complete, those.download.error
    if users_see in (NO_LOGIN, NO_NEW_PAGE):
        assert failures_but_of(those, LOGIN, *(["/webclient/"] if users_see == NO_NEW_PAGE else [])) == []
        assert those.download.is_complete, those.download.error


def failures_but_of(users, *paths):
    """Those of other requests than for these."""

    def is_one(failure):
        return any(fnmatch(urlsplit(failure.path).path, path) for path in paths)

    return [failure for failure in users.failures if not is_one(failure)]


@pytest.fixture(scope="module")
def packages(variables):
    """More packages than the scenario has."""
    return lambda *others: {"omero_web_packages": [*variables["omero_web_packages"], *others]}


@pytest.fixture(scope="module")
def apps(variables):
    """More apps than the scenario has."""
    own = variables["omero_web_config_append"].get("omero.web.apps", [])
    return lambda *others: {"omero_web_config_append": {"omero.web.apps": [*own, *others]}}


@pytest.fixture
def fails(refused, live, variables):
    """Run the playbook with a fault in its way: it says so, tells no secret, and what was live is live."""

    def fails(sentence, **wanted):
        before = live()
        output = refused(sentence, **wanted)
        assert live() == before
        for secret in variables["omero_web_secrets"].values():
            assert secret not in output
        return output

    return fails


@pytest.fixture
def planted(host):
    """Have a file on the host while a block runs."""

    @contextmanager
    def planted(path, content):
        host.check_output("install -D /dev/stdin %s <<'CONTENT'\n" + content + "\nCONTENT", path)
        try:
            yield
        finally:
            host.check_output("rm %s", path)

    return planted


@pytest.fixture
def next_one_broken(generations, planted):
    """A unit of the next generation that does not start, though the generation has been tried with success."""

    def next_one_broken():
        unit = f"omero-web@{generations()[-1] + 1}.service"
        # What it says is no text, but for a part.
        says = "/bin/sh -c 'printf \"\\\\377\\\\033[2Jno luck\\\\n\"; exit 1'"
        return planted(f"/etc/systemd/system/{unit}.d/broken.conf", f"[Service]\nExecStartPre={says}")

    return next_one_broken


@pytest.fixture
def installed(host):
    """Tell what is installed of OMERO.web's units and its nginx site, and where it listens."""

    def installed():
        files = host.check_output("cd /etc && sha256sum nginx/conf.d/omero-web.conf systemd/system/omero-web*.socket")
        listening = host.check_output("systemctl show --property=Id,ActiveState,Listen 'omero-web*.socket'")
        return files, listening, host.check_output("nginx -T -q | sha256sum")

    return installed


@pytest.fixture
def all_but(host, basedir):
    """Leave no more than some MiB of the disk while a block runs."""

    @contextmanager
    def all_but(mebibytes):
        ballast = f"{basedir}/ballast"
        free = int(host.check_output("df --block-size=1M --output=avail %s | tail -1", basedir))
        try:
            # It takes what there is and fails where the very last blocks are asked for.
            host.run("fallocate --length=%sM %s", str(free - mebibytes), ballast)
            yield
        finally:
            host.check_output("rm %s", ballast)

    return all_but


@pytest.fixture
def killed(host, main_pid):
    """Kill the gunicorn that runs, and wait for the next."""

    def killed():
        before = main_pid()
        host.check_output("kill -KILL %s", before)
        wait_until(lambda: main_pid() not in ("0", before))

    return killed


@fault("a worker of gunicorn is killed", IN_HAND, "gunicorn starts another")
def test_a_worker_is_killed(host, main_pid):
    def workers():
        return host.check_output("pgrep --parent %s", main_pid()).split()

    master, before = main_pid(), workers()
    host.check_output("kill -KILL %s", before[0])
    wait_until(lambda: before[0] not in workers() and len(workers()) == len(before))
    assert main_pid() == master


@fault("gunicorn is killed, however often", BRIEFLY, "systemd starts it again")
def test_gunicorn_is_killed(killed, login):
    # Systemd gives up a unit, unless told otherwise, at its sixth start in ten seconds.
    for _ in range(6):
        killed()
    wait_until(lambda: login().status == 200)


@fault("a crash leaves a pid file that names another process", BRIEFLY, "systemd starts gunicorn again")
def test_stale_pid_file(killed, login, host, main_pid, basedir):
    host.check_output("echo 1 > %s/current/var/django.pid", basedir)
    killed()
    wait_until(lambda: login().status == 200)
    assert f"[RUNNING] (PID {main_pid()})" in host.check_output("omero web status")


@fault(
    "a unit that does not start",
    NOTHING,
    "the reason and the end of the log; the previous generation, its nginx site and its socket are back",
)
def test_unit_that_does_not_start(fails, next_one_broken, installed, generations, refused, play, live):
    before = installed()
    with next_one_broken():
        output = fails("could not be put live: systemctl start omero-web@", **CHANGE, **ANOTHER_SITE)
    assert "no luck" in output
    assert installed() == before
    back_to_it = {"playbook": "playbooks/rollback.yml", "omero_web_generation": generations()[-1]}
    refused("which failed (omero_web_rollback_to_failed would try it again)", **back_to_it)
    code, output = play(omero_web_rollback_to_failed=True, **back_to_it)
    assert code == 0, output
    assert live() == generations()[-1]


@exhaustive
@fault("a unit that does not start with another port for OMERO.web", BRIEFLY, "the same; the old port is back, too")
def test_unit_that_does_not_start_on_another_port(fails, next_one_broken, installed, killed, login):
    before = installed()
    with next_one_broken():
        fails("could not be put live: ", omero_web_config={"omero.web.application_server.port": 4090}, **ANOTHER_SITE)
    assert installed() == before
    wait_until(lambda: login().status == 200)
    killed()
    wait_until(lambda: login().status == 200)


@exhaustive
@fault("no link to the live generation, and a unit that does not start", NOTHING, "the same; what runs goes on")
def test_unit_that_does_not_start_where_the_link_is_gone(host, basedir, refused, next_one_broken):
    host.check_output("rm %s/current", basedir)
    with next_one_broken():
        refused("goes on serving.", **CHANGE)


@fault("a port that another program has", NOTHING, "the variable, the port and the program")
@pytest.mark.parametrize(
    "wanted, sentence",
    [
        ({"omero_web_http_port": 22}, "omero_web_http_port is 22, where sshd listens on faults-bookworm;"),
        pytest.param(
            {"omero_web_config": {"omero.web.application_server.port": 22}},
            "omero.web.application_server.host and .port are 127.0.0.1:22, where sshd listens on faults-bookworm;",
            marks=exhaustive,
        ),
    ],
)
def test_port_that_is_taken(fails, wanted, sentence):
    fails(sentence, **wanted)


@exhaustive
@fault("OMERO.web moves to an address that has the old one in it, from 127.0.0.1:4080 to 0.0.0.0:4080", AWAY, NOTHING)
def test_address_that_has_the_old_one_in_it(visited, start_play, host, live, login):
    before = f"omero-web@{live()}.service"
    process = start_play(omero_web_config={"omero.web.application_server.host": "0.0.0.0"})
    # A worker that still has a request keeps the port, where nginx waits.
    wait_until(lambda: visited.failed() > 0, seconds=300)
    assert visited.download.is_alive()
    assert host.run("systemctl is-active %s", before).stdout.strip() == "deactivating"
    visited.download.finish()
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert host.socket("tcp://0.0.0.0:4080").is_listening
    assert login().status == 200


CANNOT_START = "a setting that OMERO.web cannot start with", NOTHING, "the property at fault and the end of the log"


@fault(*CANNOT_START)
def test_setting_that_omero_web_cannot_start_with(fails):
    middleware = {"omero.web.middleware": [{"index": 1, "class": "no_such.Middleware"}]}
    fails("It did not start. Look at omero.web.middleware.", omero_web_config=middleware)


@fault(*CANNOT_START)
def test_secret_that_omero_web_cannot_start_with(fails, variables, tmp_path):
    (secret,) = variables["omero_web_secrets"].values()
    fails(
        "Could not find backend '********'",
        omero_web_config={"omero.web.session_engine": "django.contrib.sessions.backends.cache"},
        omero_web_secrets={"omero.web.caches": {"default": {"BACKEND": secret}}},
        omero_web_notify_command=["tee", str(tmp_path / "told")],
    )
    told = (tmp_path / "told").read_text()
    assert json.loads(told)["outcome"] == "failed"
    assert "Could not find backend '********'" in told
    assert secret not in told


@fault("nobody can be told of a change", NOTHING, "a warning that names whom, and why; the run goes on")
def test_notice_that_nobody_gets(play):
    whom = {"omero_web_notify_url": "http://127.0.0.1:9/a-token", "omero_web_notify_command": ["false"]}
    code, output = play(omero_web_config={"omero.web.ping_interval": 61234}, **whom)
    assert code == 0, output
    words = " ".join(output.split())
    assert "the change is done, and the webhook at 127.0.0.1 (omero_web_notify_url) could not be told" in words
    assert "the command false (omero_web_notify_command) ended with code 1" in words
    assert "a-token" not in output


@fault("a login page that fails", NOTHING, "its status, and which log has the reason")
def test_login_page_that_fails(fails, host):
    # It insists on another one before it, but not until the first request.
    class_name = "django.contrib.auth.middleware.RemoteUserMiddleware"
    middleware = {"omero.web.middleware": [{"index": 0.5, "class": class_name}]}
    fails("Its login page answered 500. The reason is in /opt/omero/web/var/log/", omero_web_config=middleware)
    assert host.file("/opt/omero/web/var/log/OMEROweb.log").contains("RemoteUserMiddleware")


BROKEN_APP = "a web app that cannot be imported", NOTHING, "its name and the reason, or the end of the log"


@exhaustive
@fault(*BROKEN_APP)
def test_app_that_is_not_installed(fails, apps):
    fails("omero.web.apps has no_such_app, which no package has", **apps("no_such_app"))


@fault(*BROKEN_APP)
def test_app_that_fails_to_import(fails, apps):
    # It wants a library that the host does not have.
    fails("cannot be collected with omero.web.apps django.contrib.gis.", **apps("django.contrib.gis"))


@fault("a package that does not install", NOTHING, "pip's own reason")
def test_package_that_does_not_install(fails, packages):
    package = "omero-web-no-such-package"
    fails(f"No matching distribution found for {package}", **packages(package))


@exhaustive
@fault("a package index that the host cannot reach", NOTHING, "pip's own reason")
def test_package_index_out_of_reach(host, fails, packages):
    host.check_output("mv /etc/resolv.conf /etc/resolv.conf.before && echo nameserver 127.0.0.1 > /etc/resolv.conf")
    try:
        # In words that no run had before: packages that have to be chosen.
        words = f"sqlparse>0.0.{time.time_ns()}"
        fails("pip says: No connection to the package index: ", **packages(words))
    finally:
        host.check_output("mv /etc/resolv.conf.before /etc/resolv.conf")


REJECTED = "an nginx that rejects its configuration, yours or another", NOTHING, "nginx's own words, with file and line"


@fault(*REJECTED)
def test_broken_nginx_configuration(fails, planted):
    with planted("/etc/nginx/conf.d/other.conf", "no_such_directive on;"):
        fails('unknown directive "no_such_directive" in /etc/nginx/conf.d/other.conf:1', **CHANGE)


@fault(*REJECTED)
@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param({"omero_web_server_names": ["a;b"]}, marks=exhaustive),
        pytest.param({"omero_web_nginx_http": "no_such_directive on;"}, marks=exhaustive),
        pytest.param({"omero_web_nginx_upstream": "keepalive often;"}, marks=exhaustive),
        {"omero_web_nginx_server": "location /publication/ {"},
    ],
)
def test_site_that_nginx_rejects(fails, wanted):
    fails("in /etc/nginx/conf.d/omero-web.conf:", **wanted)


TOO_FULL = "a disk that is too full", NOTHING, "how much is free and how much it takes; nothing has changed"


@exhaustive
@fault(*TOO_FULL)
def test_disk_that_is_too_full_for_a_release(fails, all_but, packages):
    with all_but(100):
        fails("and a release needs 1500", **packages("django-redis"))


@exhaustive
@fault("a disk that becomes full while a release is built", NOTHING, "the reason, from pip or whom it stopped")
def test_disk_full_during_a_build(fails, all_but, packages):
    with all_but(100):
        fails("No space left on device", **packages("django-redis"), omero_web_minimum_free_mb=0)


@fault(*TOO_FULL)
def test_disk_that_is_too_full_for_a_generation(fails, all_but):
    with all_but(1):
        fails("MiB free, and a generation needs 16", **CHANGE)


@fault("no space left for OMERO.web's log and sessions", NO_LOGIN, "the run that has nothing to change succeeds")
def test_full_disk(play, all_but, log_in, who_is):
    with all_but(0):
        assert who_is(log_in()) is None
        code, output = play()
    assert code == 0, output


@fault("a full disk, and gunicorn is killed", BRIEFLY_AND_NO_LOGIN, "systemd starts it again; nobody is logged out")
def test_gunicorn_is_killed_on_a_full_disk(all_but, killed, login, log_in, who_is):
    session = log_in()
    with all_but(0):
        killed()
        wait_until(lambda: login().status == 200)
        assert who_is(session) == USER


@fault("a file system that is read-only", NO_NEW_PAGE, "which it is; nothing has changed")
def test_read_only_file_system(host, basedir, fails, main_pid, guest, passwords):
    sessions = f"{basedir}/var/sessions"
    # The service has mounts of its own, and its log is open; so it is for the sessions alone that it gets another one.
    service = f"nsenter --target {main_pid()} --mount --"
    host.check_output("mount -o remount,bind,ro %s", basedir)
    host.check_output(f"{service} mount --bind {sessions} {sessions}")
    host.check_output(f"{service} mount -o remount,bind,ro {sessions}")
    try:
        assert guest.log_in(NAME, passwords[NAME]).status_code == 500
        fails("is on a file system that is read-only", **CHANGE)
    finally:
        host.check_output("mount -o remount,bind,rw %s", basedir)
        host.check_output(f"{service} umount --lazy {sessions}")


# Moments of a change, and what the host shows of each; {next} is the generation that is made.
TRIAL = "systemctl list-units --plain --no-legend --state=activating,active 'omero-web-probe@*' | grep ."
START = "systemctl list-units --plain --no-legend --state=activating,active omero-web@{next}.service | grep ."
FLIP = "test $(readlink /opt/omero/web/current) = generations/{next}"
CONTROLLER, PROCESS = "the controller is gone", "the process on the host is killed"


@pytest.fixture
def cut_off(start_play, host, generations):
    """Start a run and end it, at a moment, on the controller or on the host."""

    def at_once(command):
        """Wait on the host itself, for such a moment is short; tell which process changes the host then."""
        wait = f"until {{ {command}; }} >/dev/null 2>&1; do sleep 0.01; done; cat /run/omero-web.lock"
        return json.loads(host.check_output("timeout 300 sh -c %s", wait))["pid"]

    def cut_off(moment, victim, **wanted):
        number = generations()[-1] + 1
        process = start_play(**wanted)
        pid = at_once(moment.format(next=number))
        if victim == CONTROLLER:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            # It goes on by itself, and nobody waits for it.
            wait_until(lambda: host.run("test -e /proc/%s", str(pid)).failed, seconds=120)
            assert host.check_output("readlink /opt/omero/web/current") == f"generations/{number}"
        else:
            host.run("kill -KILL %s", str(pid))
            process.communicate()
            assert process.returncode != 0

    return cut_off


INTERRUPTED = "the run is interrupted anywhere", NOTHING, "the next run finishes the job"


@fault(*INTERRUPTED)
@pytest.mark.parametrize(
    "moment, victim",
    [
        (TRIAL, CONTROLLER),
        pytest.param(START, CONTROLLER, marks=exhaustive),
        pytest.param(TRIAL, PROCESS, marks=exhaustive),
        (START, PROCESS),
        pytest.param(FLIP, PROCESS, marks=exhaustive),
    ],
)
def test_interrupted_change(cut_off, moment, victim, login):
    cut_off(moment, victim, **CHANGE)
    assert login().status == 200


@pytest.fixture
def inside():
    """The files of the host, as its own processes see them, whatever becomes of the connection."""
    (machine,) = testhosts.Group(INVENTORY.parent.name).hosts()
    return Path(f"/proc/{machine.members()[0]}/root")


@pytest.fixture
def is_changing(inside):
    """Tell whether a process changes the host."""

    def is_changing():
        try:
            # A reboot takes the file away.
            with (inside / "run/omero-web.lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (BlockingIOError, FileNotFoundError) as error:
            return isinstance(error, BlockingIOError)
        return False

    return is_changing


@contextmanager
def packets_are_dropped(address):
    """Let no packet of a connection with the host through, so that neither end hears that it is over."""
    table = f"omeroweb-faults-{address}"
    rules = f"""
    add table ip {table}
    add chain ip {table} to {{ type filter hook output priority 0; }}
    add chain ip {table} from {{ type filter hook input priority 0; }}
    add rule ip {table} to ip daddr {address} tcp dport 22 drop
    add rule ip {table} from ip saddr {address} tcp sport 22 drop
    """
    subprocess.run(["nft", "--file", "-"], input=rules, text=True, check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", "delete", "table", "ip", table], check=True)


# What a controller may be in the middle of: a playbook, and the variables that it is given.
UNDER_WAY = {
    "upgrade": ("site", CHANGE),
    "rollback": ("rollback", {}),
    "port": ("site", {"omero_web_config": {"omero.web.application_server.port": 4090}}),
    "prefix": ("site", {"omero_web_prefix": "/omero"}),
    "TLS": ("site", {"omero_web_tls_certificate": "self-signed"}),
}
# How it goes: it is killed, somebody presses Ctrl-C, or its packets get lost.
GONE = [signal.SIGKILL, signal.SIGINT, None]
VANISHED = "the controller or its connection is gone, in an upgrade, a rollback or a change of port, prefix or TLS"
# What is left to chance; the same again with the seed that a test prints.
SEED = os.environ.get("OMERO_WEB_SEED") or str(time.time_ns())
ALWAYS = "port", None
OTHERS = [one for one in product(UNDER_WAY, GONE) if one != ALWAYS]
SAMPLE = [ALWAYS, random.Random(SEED).choice(OTHERS)]


@fault(VANISHED, NOTHING, "the host finishes or undoes the change by itself; the next run finishes the job")
@pytest.mark.parametrize(
    "change, how",
    [pytest.param(*one, marks=() if one in SAMPLE else exhaustive) for one in [ALWAYS, *OTHERS]],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_controller_that_is_gone(
    visited, start_play, play, packages, variables, live, host, inside, is_changing, change, how
):
    def is_building():
        # One that has ended is kept for the run that wants to know how, should it come back.
        return any(not (one / "code").exists() for one in (inside / "run").glob("omero-web-build-*"))

    playbook, wanted = UNDER_WAY[change]
    playbook, begins, chance = f"playbooks/{playbook}.yml", is_changing, random.Random(f"{SEED} {change} {how}")
    if change == "upgrade":
        # In words that no run had before: a release that has to be built.
        wanted = {**wanted, **packages(f"sqlparse>0.0.{time.time_ns()}")}
        begins = chance.choice([is_building, is_changing])
    if change == "rollback":
        wanted = {"omero_web_generation": live()}
        code, output = play(**CHANGE)
        assert code == 0, output
    process = start_play(playbook, **wanted)
    # A release may have to be built before.
    wait_until(begins, seconds=1200)
    seconds = chance.uniform(0, 5)
    print(f"gone {seconds:.3f} s after {begins.__name__}, with OMERO_WEB_SEED={SEED}")
    time.sleep(seconds)
    with packets_are_dropped(variables["ansible_host"]) if how is None else nullcontext():
        if how is not None:
            os.killpg(process.pid, how)
        wait_until(lambda: not (is_building() or is_changing()), seconds=1200)
        # Even then, nobody on the host hears of the end of a connection that was lost.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    number = int(os.readlink(inside / "opt/omero/web/current").rpartition("/")[2])
    assert host.check_output("systemctl is-active omero-web@%s.service", str(number)) == "active"
    # Until it has all of it, a worker of the class sync keeps the port to which a run may go back.
    visited.download.finish()
    if live() != wanted.get("omero_web_generation"):
        code, output = play(playbook, **wanted)
        assert code == 0, output
    if change == "TLS":
        # The plain run that follows closes the port to which those without TLS have just been led.
        visited.leave()


@fault(
    "a trial that an interrupted run left",
    NOTHING,
    "the next run ends it first: nothing of it is taken for what is wanted now",
)
def test_trial_that_an_interrupted_run_left(play, cut_off, fails, host):
    def trials():
        return host.check_output("systemctl list-units --plain --no-legend --all 'omero-web-probe@*'").split()[:1]

    cut_off(TRIAL, PROCESS, **CHANGE)
    assert trials()
    middleware = {"omero.web.middleware": [{"index": 1, "class": "no_such.Middleware"}]}
    fails("It did not start. Look at omero.web.middleware.", omero_web_config=middleware, **CHANGE)
    wait_until(lambda: not trials())
    cut_off(TRIAL, PROCESS, **CHANGE)
    code, output = play()
    assert code == 0, output
    assert not trials()


# Of tasks that change something an upgrade has four: wheels, which the controller keeps, the release, and what must
# happen as a whole, which is one process on the host.
CHANGES_OF_AN_UPGRADE = 4


@exhaustive
@fault(*INTERRUPTED)
def test_upgrade_that_is_interrupted_after_every_change(play, host, login, packages):
    for changes in range(1, CHANGES_OF_AN_UPGRADE + 2):
        # The same packages in words that no run had before: a release that has to be built, and its wheels.
        upgrade = {**packages(f"sqlparse>0.0.{time.time_ns()}"), "omero_web_threads": 1 + changes % 2}
        code, output = play(interrupt_after=changes, **upgrade)
        assert login().status == 200, changes
        assert code == (-signal.SIGKILL if changes <= CHANGES_OF_AN_UPGRADE else 0), output
        code, output = play(**upgrade)
        assert code == 0, output
        assert host.check_output("omero config get omero.web.wsgi_threads") == str(1 + changes % 2)


@fault("two runs at once on a host", NOTHING, "the second waits, or says whose run changes the host, and since when")
def test_two_runs_at_once(play, refused, host):
    def holder():
        """Which process changes the host, if one does."""
        is_held = host.run("flock --nonblock /run/omero-web.lock true").failed
        return str(json.loads(host.check_output("cat /run/omero-web.lock"))["pid"]) if is_held else ""

    with ThreadPoolExecutor() as others:
        first = others.submit(play, omero_web_threads=2)
        wait_until(holder, seconds=120)
        pid = holder()
        host.check_output("kill -STOP %s", pid)
        try:
            sentence = "Another run is changing faults-bookworm: that of ansible-playbook, by"
            refused(sentence, omero_web_lock_timeout=0, omero_web_threads=3)
        finally:
            host.check_output("kill -CONT %s", pid)
        code, output = play(omero_web_threads=3)
    assert first.result()[0] == 0, first.result()[1]
    assert code == 0, output
    assert host.check_output("omero config get omero.web.wsgi_threads") == "3"


BUILDS = "systemctl list-units --plain --no-legend --state=active 'omero-web-build-%s' | cut --delimiter=' ' --fields=1"


@fault("the run is cut off while a release is built", NOTHING, "the build goes on, and the next run waits for it")
@pytest.mark.parametrize("what", ["[0-9]*", pytest.param("wheels-*", marks=exhaustive)], ids=["release", "wheels"])
def test_build_that_is_cut_off(start_play, play, packages, host, basedir, what):
    before = host.check_output("readlink --canonicalize %s/current/release", basedir)
    # In words that no run had before: packages that have to be chosen.
    upgrade = packages(f"sqlparse>0.0.{time.time_ns()}")
    process = start_play(**upgrade)
    wait_until(lambda: host.check_output(BUILDS % what), seconds=120)
    unit = host.check_output(BUILDS % what)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    code, output = play(**upgrade)
    assert code == 0, output
    assert host.check_output("readlink --canonicalize %s/current/release", basedir) != before
    assert host.check_output("journalctl --output=cat --unit=%s | grep --count '^Started '", unit) == "1"
    assert host.run("ls -d /run/%s.*", unit).failed


@fault(
    "the run is cut off while a release is built, and none comes back",
    NOTHING,
    "the build goes on, and what it leaves is removed some minutes after its end",
)
def test_build_to_which_no_run_comes_back(host):
    unit, made = "omero-web-build-for-nobody.service", "/run/made-for-nobody"
    build = {"unit": unit, "script": f"sleep 3; touch {made}", "creates": made, "seconds": 1}
    command = ["ansible", "-i", INVENTORY, "omero_web", "--become", "-m", "omero_web_build", "-a", json.dumps(build)]
    subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
    wait_until(lambda: host.run("test -e %s && ! systemctl is-active --quiet %s", made, unit).succeeded)
    assert host.check_output("cat /run/%s.*/code", unit) == "0"
    remover = "sh -c sleep [0-9]*; rm -rf /run/%s"
    # As if the minutes were over.
    host.check_output(f"pkill -x -P $(pgrep -f '^/[^ ]*{remover}') sleep && rm %s", unit, made)
    wait_until(lambda: host.run("ls -d /run/%s.*", unit).failed)
    assert host.run(f"pgrep -f '^/[^ ]*{remover}'", unit).failed


@fault("the host reboots during a run", "the site is back with the host", "the next run finishes the job")
def test_reboot_during_a_run(play, cut_off, login):
    cut_off(START, PROCESS, **CHANGE)
    code, output = play("molecule/resources/reboot.yml")
    assert code == 0, output
    assert login().status == 200


# So many that each worker has some.
MORE_PAGES_THAN_WORKERS = 20


@fault(
    "somebody deletes the live release",
    "pages that are loaded already",
    "the next run builds it again and replaces what runs; then everybody can log in",
)
def test_deleted_release(host, basedir, play, live, login, log_in, who_is):
    before = live()
    host.check_output("rm -r $(readlink --canonicalize %s/current/release)", basedir)
    assert login().status == 200
    code, output = play()
    assert code == 0, output
    # What they failed to load meanwhile, workers do not load again; those of the next generation do.
    assert f"replace generation {before}, whose release was deleted while it runs" in output
    assert live() > before
    session = log_in()
    for _ in range(MORE_PAGES_THAN_WORKERS):
        assert who_is(session) == USER
    code, output = play()
    assert code == 0, output
    assert "changed=0" in output


@fault("somebody edits config.xml", NOTHING, "the next run makes a generation of what your variables want")
def test_edited_configuration(host, basedir, play, live):
    before, workers = live(), host.check_output("omero config get omero.web.wsgi_workers")
    edit = 's/(name="omero.web.wsgi_workers" value)="[0-9]*"/\\1="7"/g'
    host.check_output("sed -i -E %s %s/current/etc/grid/config.xml", edit, basedir)
    assert host.check_output("omero config get omero.web.wsgi_workers") == "7"
    code, output = play()
    assert code == 0, output
    assert live() > before
    assert host.check_output("omero config get omero.web.wsgi_workers") == workers


@fault(
    "somebody stops OMERO.web",
    "the maintenance page; where workers are of the class sync, once their requests in hand are finished",
    "the next run starts it",
)
def test_stopped_service(visited, host, live, play, login):
    # Such a worker does not let go of the port, at which nginx would wait.
    visited.download.finish()
    host.check_output("systemctl stop omero-web.target")
    wait_until(lambda: login().status != 200)
    before = live()
    code, output = play()
    assert code == 0, output
    assert live() == before
    assert login().status == 200


@fault("somebody removes the link to the live generation, or changes it", NOTHING, "the next run sets it again")
@pytest.mark.parametrize("target", ["generations/{earlier}", pytest.param("nowhere", marks=exhaustive)])
def test_changed_link(host, basedir, live, generations, play, target):
    target = target.format(earlier=generations()[0])
    host.check_output("ln --symbolic --force --no-dereference %s %s/current", target, basedir)
    code, output = play()
    assert code == 0, output
    running = host.check_output("systemctl list-units --plain --no-legend --state=active 'omero-web@*'")
    assert [line.split()[0] for line in running.splitlines()] == [f"omero-web@{live()}.service"]


@fault(*INTERRUPTED)
def test_after_all_that_a_run_changes_nothing(play):
    code, output = play()
    assert "changed=0" in output

"""Sessions in Redis: the role's own and another, who reaches them, what they outlive, and what happens without."""

import json
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from conftest import USER, commands_in, fault, wait_until

REDIS = "omero-web-redis.service"
SOCKET = "/run/omero-web-redis/redis.sock"
PORT = 6390
# With what a URL has a meaning for.
PASSWORD = "hunter2+@:/%"


@pytest.fixture
def another_redis(host):
    """A Redis that the role knows nothing of, with a password, while a block runs; what the role is to know."""

    @contextmanager
    def another_redis():
        host.check_output(
            "systemd-run --unit=another-redis redis-server --port %s --requirepass %s", str(PORT), PASSWORD
        )
        try:
            url = f"redis://:{quote(PASSWORD, safe='+')}@127.0.0.1:{PORT}/1"
            yield {"omero_web_redis": False, "omero_web_redis_url": url}
        finally:
            host.run("systemctl stop another-redis")

    return another_redis


def test_redis_is_for_omero_web_alone(host, user):
    assert host.check_output("runuser -u %s -- redis-cli -s %s ping", user, SOCKET) == "PONG"
    for other in ("nobody", "www-data"):
        assert host.run("runuser -u %s -- redis-cli -s %s ping", other, SOCKET).failed
    assert "redis" not in host.check_output("ss --listening --tcp --processes --no-header")
    assert not host.service("redis-server").is_running


def test_redis_reads_no_secret_of_omero_web(host, basedir):
    pid = host.check_output("systemctl show --property=MainPID --value %s", REDIS)
    config = f"{basedir}/current/etc/grid/config.xml"
    assert "omero-web" in host.check_output("ps -o group= -p %s", pid)
    assert host.run("nsenter --target %s --mount -- test -e %s", pid, config).failed


def test_sessions_are_those_of_one_django(host, log_in, properties):
    session = log_in()
    prefix = json.loads(properties["omero.web.caches"])["default"]["KEY_PREFIX"]
    django = host.check_output("/opt/omero/web/current/release/venv/bin/python -m django --version")
    assert prefix == "omero-web:django-" + ".".join(django.split(".")[:2])
    keys = host.check_output("redis-cli -s %s keys '*'", SOCKET)
    assert [key for key in keys.splitlines() if key.startswith(prefix) and key.endswith(session)]


@pytest.mark.parametrize("unit", [REDIS, "omero-web.target"])
def test_sessions_outlive_a_restart(host, log_in, who_is, login, unit):
    session = log_in()
    host.check_output("systemctl restart %s", unit)
    wait_until(lambda: login().status == 200)
    assert who_is(session) == USER


def test_sessions_that_are_lost_come_back(host, log_in, who_is):
    """By the commands of docs/backup.md."""
    session = log_in()
    host.check_output("cd /root; umask 077; " + commands_in("docs/backup.md", "redis-cli"))
    host.check_output("redis-cli -s %s flushall", SOCKET)
    assert who_is(session) is None
    host.check_output("cd /root; " + commands_in("docs/backup.md", "systemctl stop omero-web-redis"))
    assert who_is(session) == USER


def test_sessions_of_a_django_that_is_gone_for_good_are_removed(host, basedir, play):
    gone = f"{basedir}/var/sessions/django-1.8"
    host.check_output("mkdir %s", gone)
    code, output = play()
    assert code == 0, output
    assert not host.file(gone).exists
    assert host.file(f"{basedir}/current/var/tmp/").is_directory


@fault(
    "somebody stops the Redis that the role installed",
    "everybody is logged out, and nobody can log in",
    "the next run starts it",
)
def test_redis_is_stopped(host, log_in, who_is, play):
    session = log_in()
    host.check_output("systemctl stop %s", REDIS)
    assert who_is(session) is None
    code, output = play()
    assert code == 0, output
    assert who_is(session) == USER


@fault(
    "a Redis that cannot be reached, or that wants another password",
    "nothing",
    "the reason, in the words of Redis or of the operating system",
)
def test_redis_that_cannot_be_used(refused, another_redis, live, login):
    before = live()
    with another_redis() as there:
        wrong = {**there, "omero_web_redis_url": f"redis://:swordfish@127.0.0.1:{PORT}/1"}
        output = refused("It did not start.", **wrong)
        assert "redis.exceptions.AuthenticationError: invalid username-password pair" in output
        assert "swordfish" not in output
    assert "Connection refused" in refused(f"connecting to 127.0.0.1:{PORT}", **there)
    assert live() == before
    assert login().status == 200


@fault(
    "the Redis of the site goes away",
    "everybody is logged out, and nobody can log in",
    "one sentence that says so, and the reason",
)
def test_redis_that_goes_away(host, basedir, another_redis, play, refused, log_in, who_is, live):
    own = live()
    with another_redis() as there:
        code, output = play("playbooks/site.yml", "--diff", "-vvv", **there)
        assert code == 0, output
        assert PASSWORD not in output and quote(PASSWORD, safe="+") not in output
        wait_until(lambda: not host.service(REDIS).is_running)
        assert host.run("grep --quiet 'hunter2' %s", f"{basedir}/current/etc/grid/config.xml").succeeded
        for source in ("--unit='omero-web*'", "--identifier=ansible-omero_web_build"):
            journal = host.check_output(f"journalctl --quiet {source}")
            assert journal and "hunter2" not in journal
        session = log_in()
        assert who_is(session) == USER
    refused("OMERO.web cannot reach its sessions in Redis (omero_web_redis_url).", **there)
    assert who_is(session) is None
    code, output = play("playbooks/rollback.yml", omero_web_generation=own, **there)
    assert code == 0, output
    assert host.service(REDIS).is_running

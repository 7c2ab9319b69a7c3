"""What users of a farm notice when a part of it is lost."""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import INVENTORY, exhaustive, fault, wait_until

sys.path.insert(0, str(Path(__file__).parents[2] / "resources"))
from testhosts import Group  # noqa: E402

# What is in hand where a host dies: as many as its workers have, and nginx asks no other host for a POST.
IN_HAND = "what was in hand on that host, once; no more than its workers had"


@pytest.fixture(scope="session")
def machines():
    """The hosts of the scenario as machines, which can be killed and booted."""
    return {machine.name: machine for machine in Group(INVENTORY.parent.name).hosts()}


@pytest.fixture(scope="session")
def second(addresses):
    return list(addresses)[1]


@pytest.fixture
def workers(webs, second):
    return int(webs[second].check_output("omero config get omero.web.wsgi_workers"))


@contextmanager
def unplugged(machine):
    """A host that the network does not reach: nobody is told, not even that it is gone."""
    subprocess.run(["ip", "link", "set", machine.link, "down"], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "link", "set", machine.link, "up"], check=True)


def after(users, number):
    """Wait for so many more answers."""
    answered = users.answers()
    wait_until(lambda: users.answers() >= answered + number)


@fault("a web host behind a balancer is killed", IN_HAND, "the other hosts have its users; it comes back by itself")
def test_a_host_is_killed(load, machines, second, workers):
    machine = machines[second]
    with load("a web host is killed and boots") as users:
        after(users, 20)
        machine.kill()
        after(users, 100)
        machine.boot()
        machine.wait()
        after(users, 100)
    assert len(users.failures) <= workers, users.failures


@exhaustive
@fault("a web host behind a balancer is rebooted", "nothing", "the other hosts have its users meanwhile")
def test_a_host_is_rebooted(load, webs, second, workers, machines):
    with load("a web host is rebooted") as users:
        after(users, 20)
        webs[second].run("systemctl reboot")
        after(users, 100)
        machines[second].wait()
        after(users, 50)
    assert len(users.failures) <= workers, users.failures


@fault("a web host is cut off from the network", IN_HAND, "the balancer asks another host after 2 s")
def test_a_host_is_cut_off(load, machines, second, workers):
    with load("a web host is cut off from the network") as users:
        after(users, 20)
        with unplugged(machines[second]):
            after(users, 150)
        after(users, 50)
    assert len(users.failures) <= workers, users.failures


@fault("the Redis of several hosts is restarted", "nothing, or an error at what was asked in that moment", "nothing")
def test_redis_is_restarted(load, redis, log_in, who_is):
    session = log_in()
    with load("the Redis of all hosts is restarted") as users:
        after(users, 20)
        redis.check_output("systemctl restart omero-web-shared-redis")
        after(users, 100)
    assert who_is(session) == 2, "nobody is logged out"
    assert len(users.failures) <= 5, users.failures


@exhaustive
def test_the_balancer_is_reloaded(load, host):
    with load("the balancer is reloaded, five times") as users:
        for _ in range(5):
            after(users, 10)
            host.check_output("systemctl reload nginx")
    assert users.failures == []
    assert users.download.is_complete, users.download.error


def test_a_run_that_was_broken_off_leaves_a_host_without_users_until_the_next(host, play, out, second):
    """As the power cut between leaving the balancer and coming back leaves it."""
    path = "/etc/nginx/conf.d/omero-web-hosts.conf"
    host.check_output(f"sed -i '/# {second}$/s/ weight=10/ weight=10 backup/' {path} && systemctl reload nginx")
    assert out() == [second]
    code, output = play()
    assert code == 0, output
    assert out() == []


def test_the_password_of_redis_is_shown_nowhere(host, webs, redis, play, variables):
    password = variables["omero_web_redis_password"]
    _, output = play("playbooks/site.yml", "-v", "--diff", omero_web_redis_password=password)
    words = [password, json.dumps(password)[1:-1]]
    assert not any(word in output for word in words)
    for one in [host, redis, *webs.values()]:
        for word in words:
            found = one.run("runuser -u nobody -- grep -rlsF -e '%s' /etc /opt/omero /run /var/log" % word)  # noqa: UP031
            assert found.stdout == "", found.stdout
        assert password not in one.check_output("ps axww -o args")
    assert redis.run("redis-cli ping").stdout.startswith("NOAUTH")

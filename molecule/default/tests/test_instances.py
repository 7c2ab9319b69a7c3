"""A second OMERO.web on the host, beside the first: to Ansible, these are two hosts with one address."""

import json
from pathlib import Path

import pytest
from conftest import INVENTORY, commands_in, exhaustive, exhaustively, wait_until

NAME = "public.example.org"
LOGO = "https://public.example.org/logo.png"
FIRST, PUBLIC, THIRD, FOURTH = "default-bookworm", "default-public", "default-third", "default-fourth"
BOTH = f"{FIRST},{PUBLIC}"
FILES = "/etc/systemd/system/{name}[.@]* /etc/systemd/system/{name}-boot.service /etc/nginx/conf.d/{site}.conf"


def instance(name, port):
    """The variables of an instance that shares nothing."""
    return {
        "omero_web_instance": name,
        "omero_web_basedir": f"/opt/omero/{name}",
        "omero_web_user": f"omero-{name}",
        "omero_web_group": f"omero-{name}",
        "omero_web_server_names": [f"{name}.example.org"],
        "omero_web_config": {"omero.web.application_server.port": port, "omero.web.login_logo": LOGO},
    }


@pytest.fixture(scope="module")
def run(play, tmp_path_factory):
    """Run a playbook against instances of the host; its exit code and everything it printed."""
    inventory = tmp_path_factory.mktemp("instances") / "hosts.yml"
    (reach,) = json.loads(INVENTORY.read_text())["omero_web"]["hosts"].values()
    hosts = {PUBLIC: instance("public", 4081), THIRD: instance("third", 4082), FOURTH: instance("fourth", 4083)}
    hosts[FOURTH]["omero_web_group"] = "omero-third"
    hosts = {name: {**reach, **variables} for name, variables in hosts.items()}
    inventory.write_text(json.dumps({"omero_web": {"hosts": hosts}}))

    def run(limit, playbook="site", *options, **variables):
        return play(f"playbooks/{playbook}.yml", "-i", inventory, "--limit", limit, *options, **variables)

    return run


@pytest.fixture(scope="module")
def change(run):
    """Run a playbook that has to succeed; how much it has changed, in the order of the instances."""

    def change(*arguments, **variables):
        code, output = run(*arguments, **variables)
        assert code == 0, output
        recap = sorted(line for line in output.splitlines() if "unreachable=" in line)
        return [int(line.partition("changed=")[2].split()[0]) for line in recap]

    return change


@pytest.fixture(scope="module")
def complaint(run):
    """Run a playbook that has to fail before it changes anything; all that it says, in one line."""

    def complaint(*arguments, **variables):
        code, output = run(*arguments, **variables)
        assert code != 0
        assert "changed=0" in output
        return " ".join(output.split())

    return complaint


@pytest.fixture(scope="module")
def state_of(host):
    """Tell what an instance runs, and whether anybody has touched its files."""

    def state_of(name, site, basedir):
        link = host.check_output("readlink %s/current", basedir)
        pid = host.check_output("systemctl show --property=MainPID --value %s@%s.service", name, Path(link).name)
        files = host.check_output("stat --format '%n %i %Z' " + FILES.format(name=name, site=site))
        return link, pid, files

    return state_of


@pytest.fixture
def first(state_of, basedir):
    return lambda: state_of("omero-web", "omero-web", basedir)


@pytest.fixture
def second(state_of):
    return lambda: state_of("omero-web-public", "omero-web_public", "/opt/omero/public")


@pytest.fixture
def has_logo(ask):
    """Ask for the login page of a name, or by address; whether it is that of the second instance."""

    def has_logo(**name):
        answer = ask("/webclient/login/", **name)
        assert answer.status == 200
        return LOGO.encode() in answer.body

    return has_logo


def test_a_second_instance_beside_the_first(change, first, has_logo, load):
    before = first()
    with load("an instance that is made beside it") as users:
        change(PUBLIC)
    assert users.failures == []
    assert first() == before
    assert has_logo(Host=NAME)
    # Whoever has no name for it has the first one, as before.
    assert not has_logo()


def test_each_is_known_by_its_own_name(host):
    for name in "omero", "omero-public":
        port = host.run(f"{name} config get omero.web.application_server.port").stdout.strip()
        assert port == {"omero": "", "omero-public": "4081"}[name]
    assert NAME in host.check_output("nginx -T -q")
    assert "/webclient/login/" in host.check_output("cat /var/log/nginx/omero-web-public.access.log")
    assert host.user("omero-public").group == "omero-public"
    assert host.run("runuser -u omero-web -- cat /opt/omero/public/current/etc/grid/config.xml").failed
    host.check_output("systemctl start omero-web-public-clearsessions.service")
    host.check_output("logrotate --force /etc/logrotate.d/omero-web-public-logs")


def test_runs_with_nothing_to_change(change, first, second):
    before = first(), second()
    assert change(BOTH) == [0, 0]
    assert change(FIRST) == [0]
    assert (first(), second()) == before


@exhaustive
def test_a_change_of_one_and_the_way_back(change, first, second, load):
    before, of_second = first(), second()
    with load("a change of the instance beside it") as users:
        change(PUBLIC, omero_web_threads=2)
    changed = second()
    assert changed[0] != of_second[0]
    change(PUBLIC, "rollback")
    assert second()[0] == of_second[0]
    assert users.failures == []
    assert first() == before


def test_a_change_of_both_at_once(change, first, second, has_logo):
    before = first(), second()
    change(BOTH, omero_web_threads=2)
    after = first(), second()
    assert [link for link, _, _ in after] != [link for link, _, _ in before]
    assert has_logo(Host=NAME)
    assert not has_logo()
    change(FIRST, "rollback")
    assert first()[0] == before[0][0]
    assert second() == after[1]


def test_one_that_is_stopped_and_started(host, first, has_logo, ask):
    before = first()
    host.check_output("systemctl stop omero-web-public.target")
    # systemd ends the service after the target.
    wait_until(lambda: ask("/webclient/login/", Host=NAME).status == 502)
    assert not has_logo()
    # As with the host: the target alone is enabled, with what starts the live generation.
    host.check_output("systemctl start omero-web-public.target omero-web-public-boot.service")
    assert has_logo(Host=NAME)
    assert first() == before


@pytest.mark.parametrize("playbook", ["site", *exhaustively(["rollback"])])
def test_what_is_the_first_ones_is_refused(complaint, first, second, playbook):
    before = first(), second()
    taken = {"omero_web_basedir": "/opt/omero/web", "omero_web_user": "omero-web", "omero_web_group": "omero-web"}
    says = ", ".join(f"{name} is {value}" for name, value in taken.items())
    says += f", and the unnamed instance on {PUBLIC} has {', '.join(taken.values())}; set others for the"
    assert says in complaint(PUBLIC, playbook, **taken)
    assert (first(), second()) == before


@pytest.mark.parametrize(
    "wanted, sentence",
    [
        ({"omero_web_config": {}}, f"port is 4080, where the unnamed instance on {PUBLIC} listens; set another in"),
        (
            {"omero_web_server_names": ["$hostname"]},
            f"{FIRST}, under which nginx has the unnamed instance on {PUBLIC} at port 80; give the instance public",
        ),
    ],
)
def test_where_the_first_one_answers_is_refused(complaint, second, wanted, sentence):
    before = second()
    assert sentence in complaint(PUBLIC, **wanted)
    assert second() == before


def test_two_that_are_to_be_made_at_once(complaint, host):
    """Neither is there to be seen when the other looks at the host."""
    output = complaint(f"{THIRD},{FOURTH}")
    for name, other in (THIRD, "fourth"), (FOURTH, "third"):
        sentence = f"omero_web_group is omero-third, and the instance {other} on {name} has omero-third; set others"
        assert sentence in output
    assert not host.group("omero-third").exists


def test_one_that_is_taken_away(change, host, ask, has_logo):
    """By the commands of docs/production.md."""
    host.check_output(commands_in("docs/production.md", "systemctl disable omero-web-public"))
    assert host.check_output("systemctl list-units --all --plain --no-legend 'omero-web-public*'") == ""
    # A process of nginx that has not read of it yet still looks for the other one.
    wait_until(lambda: ask("/webclient/login/", Host=NAME).status == 200)
    assert not has_logo(Host=NAME)
    assert change(FIRST) == [0]

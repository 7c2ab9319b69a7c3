"""What the tests of a converged host share. They run as root on each host of the inventory that they are given."""

import json
import os
import re
import subprocess
import sys
import time
from collections import namedtuple
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from textwrap import dedent
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

import pytest
import testinfra
import yaml
from browser import Visitor, browser_of
from clients import DOWNLOAD, UNIT, User, leads_to, who_sees
from record import Record
from traffic import BLOCKS, UNVERIFIED, Download, Users

PROJECT = Path(__file__).resolve().parents[1]
DEFAULTS = PROJECT / "roles/omero-web/defaults/main.yml"
INVENTORY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "hosts.yml"
LOAD_REPORT = INVENTORY.with_name("load.jsonl")
# Who is logged in, as the stand-in for OMERO.server has it, which tests may know.
USER, NAME = 2, "researcher"
sys.path.insert(0, str(PROJECT / "tests/omero-server"))

Answer = namedtuple("Answer", "status headers body")


COMPLAINTS = (
    "journalctl --output=cat --since=-5min --unit='omero-web*' | "
    "grep --extended-regexp 'WARNING|ERROR|CRITICAL|status=|result' | tail --lines=8"
)


class ShowRedirects(HTTPRedirectHandler):
    """In place of following them."""

    def redirect_request(self, *_):
        return None


EVERY_FAULT = os.environ.get("OMERO_WEB_FAULTS") == "all"
# Two cores have three scenarios to run, and a machine that others use has its pauses: what users find too slow once is
# tried once more, and the summary of the run names it.
on_a_busy_machine = pytest.mark.flaky(reruns=1)
exhaustive = pytest.mark.skipif(not EVERY_FAULT, reason="a part of `make faults`")


def exhaustively(*cases):
    """Cases that `make test` leaves out: another one shows the way of a refusal, unit tests what is decided there."""
    return [pytest.param(*case, marks=exhaustive) for case in cases]


def fault(what, users_see, you_see):
    """What a test injects, in the words of docs/reliability.md, whose table is made of these (tests/tables.py)."""
    return pytest.mark.fault(what, users_see, you_see)


def pytest_configure(config):
    config.addinivalue_line("markers", "fault(what, users_see, you_see): a row of the table of faults in the README")
    if EVERY_FAULT:
        config.pluginmanager.register(Record(INVENTORY.parent.name))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Add to a failure what OMERO.web's units complained of meanwhile."""
    report = yield
    if report.failed and "host" in item.funcargs and hasattr(report.longrepr, "addsection"):
        said = item.funcargs["host"].run(COMPLAINTS)
        report.longrepr.addsection("what OMERO.web's units complained of", said.stdout)
    return report


def pytest_sessionstart():
    LOAD_REPORT.unlink(missing_ok=True)


def pytest_terminal_summary(terminalreporter):
    """Print the report of what users met with, in milliseconds and, for the change itself, seconds."""
    if LOAD_REPORT.exists():
        terminalreporter.section("users during changes")
        terminalreporter.write(LOAD_REPORT.read_text())


def wait_until(condition, seconds=60):
    """Wait for what must become true; how long that took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() < start + seconds, f"not within {seconds} seconds"
        # What is waited for is on another host, which does not call.
        time.sleep(0.2)
    return time.monotonic() - start


def commands_in(page, first):
    """The block of commands on a page of the documentation whose first one begins so, for a shell."""
    (block,) = re.findall(rf"(?m)^    {re.escape(first)}.*\n(?:    .*\n)*", (PROJECT / page).read_text())
    return "set -e\n" + dedent(block)


@pytest.fixture(scope="module")
def variables(host):
    """The role's variables, as the inventory has them."""
    return {**yaml.safe_load(DEFAULTS.read_text()), **host.ansible.get_variables()}


@pytest.fixture(scope="module")
def basedir(variables):
    return variables["omero_web_basedir"]


@pytest.fixture(scope="module")
def user(variables):
    return variables["omero_web_user"]


@pytest.fixture(scope="module")
def generation(host, basedir):
    """The number of the live generation."""
    return Path(host.file(f"{basedir}/current").linked_to).name


@pytest.fixture(scope="module")
def version(host, basedir):
    """The version of OMERO.web that is live."""
    return json.loads(host.file(f"{basedir}/current/manifest").content)["omero_web"]


@pytest.fixture(scope="module")
def has_brotli(host):
    """Whether the operating system has Brotli for its nginx."""
    # What comes next has no number yet.
    release = int((host.system_info.release or "99").split(".")[0])
    return host.system_info.distribution == "debian" and release >= 12


@pytest.fixture
def main_pid(host, live):
    """Tell the process id of the gunicorn master that runs now, 0 if there is none."""
    return lambda: host.check_output("systemctl show --property=MainPID --value omero-web@%s.service", str(live()))


@pytest.fixture(scope="module")
def linux(host):
    """What documents say of the Enterprise Linux that the host has the shape of."""
    version = host.system_info.release.split(".")[0]
    return yaml.safe_load((PROJECT / f"tests/enterprise-linux-{version}.yml").read_text())


@pytest.fixture(scope="module")
def rpms(host):
    """Tell the installed rpms with their versions and the repositories that they came from, now."""

    def rpms():
        form = "%{name}|%{evr}|%{from_repo}"
        lines = host.check_output(f"dnf --quiet repoquery --installed --queryformat '{form}'").splitlines()
        return {name: (version, repository) for name, version, repository in (line.split("|") for line in lines)}

    return rpms


@pytest.fixture(scope="module")
def properties(host):
    """What `omero config get` shows."""
    return dict(line.split("=", 1) for line in host.check_output("omero config get").splitlines())


@pytest.fixture(scope="module")
def site(variables):
    """The URL of the host's nginx, as a browser elsewhere has it."""
    scheme = "https" if variables["omero_web_tls_certificate"] else "http"
    port = variables[f"omero_web_{scheme}_port"]
    return f"{scheme}://{variables['ansible_host']}" + ("" if port in (80, 443) else f":{port}")


@pytest.fixture(scope="module")
def ask(site):
    """Ask the site for a path, or anybody for a URL; POST if there is something to post."""
    opener = build_opener(HTTPSHandler(context=UNVERIFIED), ShowRedirects)

    def ask(path, post=None, **headers):
        try:
            response = opener.open(Request(urljoin(site, path), data=post, headers=headers), timeout=30)
        except HTTPError as error:
            response = error
        with response:
            return Answer(response.status, response.headers, response.read())

    return ask


@pytest.fixture
def issue(tmp_path):
    """Make a certificate; its text and that of its key."""

    def issue(name):
        certificate, key = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        return certificate.read_text(), key.read_text()

    return issue


@pytest.fixture(scope="module")
def announce(site, variables):
    """Announce to the site what is going to be uploaded, and tell what it says to that."""

    def announce(path, size):
        parts = urlsplit(site)
        if parts.scheme == "https":
            connection = HTTPSConnection(parts.netloc, timeout=30, context=UNVERIFIED)
        else:
            connection = HTTPConnection(parts.netloc, timeout=30)
        connection.putrequest("POST", variables["omero_web_prefix"] + path)
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        with connection.getresponse() as response:
            return response.status

    return announce


@pytest.fixture(scope="module")
def login(ask, variables):
    """Ask for the login page, or post its form."""
    return lambda **options: ask(f"{variables['omero_web_prefix']}/webclient/login/", **options)


@pytest.fixture(scope="module")
def python(host, basedir, user):
    """Run OMERO.web's Python with these arguments as the service runs it now; what it prints."""

    def python(arguments):
        generation = host.check_output("readlink --canonicalize %s/current", basedir)
        unit = f"omero-web@{Path(generation).name}.service"
        environment = host.check_output("systemctl show --property=Environment --value %s", unit)
        command = f"env {environment} DJANGO_SETTINGS_MODULE=omeroweb.settings python {arguments}"
        return host.check_output(f"cd {generation} && runuser -u {user} -- {command}")

    return python


@pytest.fixture(scope="module")
def passwords(variables):
    """Those of the stand-in's users."""
    return variables["omero_server_passwords"]


@pytest.fixture(scope="module")
def log_in(site, variables, passwords):
    """Log in by the form; the key of the session."""

    def log_in(prefix=variables["omero_web_prefix"], at=site):
        user = User(at + prefix)
        answer = user.log_in(NAME, passwords[NAME])
        assert answer.status_code == 302, answer.text
        return user.session.cookies["sessionid"]

    return log_in


@pytest.fixture(scope="module")
def who_is(ask, variables):
    """Ask OMERO.web who is logged in with a session; None if nobody is."""

    def who_is(session):
        page = ask(f"{variables['omero_web_prefix']}/webclient/", Cookie=f"sessionid={session}")
        assert page.status in (200, 302), page.body
        return who_sees(page.body.decode())

    return who_is


@pytest.fixture(scope="module")
def users(site, variables, passwords, log_in, world):
    """Make users of the site, some of them logged in unless they are to be guests."""
    from stand_in import files

    large = next(image for image in world.images.values() if image.file_size)

    def blocks():
        return (files.block(large, number) for number in range(large.file_size // files.BLOCK))

    def users(guests=False, prefix=variables["omero_web_prefix"], at=site):
        address = at + prefix
        if guests:
            return Users(INVENTORY.parent, address, Download(f"{address}/omero_test_app/download/?blocks={BLOCKS}"))
        session = log_in(prefix, at)
        download = Download(f"{address}{DOWNLOAD}{large.id}/", blocks, session)
        return Users(INVENTORY.parent, address, download, session=session, user=USER, password=passwords[NAME])

    return users


@pytest.fixture(scope="module")
def slowest_without_change(users):
    """The slowest of as many answers as users get during one of the shorter changes."""
    with users() as quiet:
        wait_until(lambda: quiet.answers() >= 100)
    return quiet.figures["slowest"]


@pytest.fixture
def load(users, slowest_without_change):
    """Users of the site while a block changes it; what they meet with goes into the report, too."""

    @contextmanager
    def load(change, **options):
        with users(**options) as those:
            yield those
        figures = {"change": change, **those.figures, "slowest_without_change": slowest_without_change}
        with LOAD_REPORT.open("a") as report:
            report.write(json.dumps(figures) + "\n")

    return load


@pytest.fixture(scope="session")
def start_play(tmp_path_factory):
    """Start a playbook against the scenario's hosts, as a process group of its own; the process."""

    def start_play(playbook="playbooks/site.yml", *options, interrupt_after=None, inventory=INVENTORY, **variables):
        variables_file = tmp_path_factory.mktemp("play") / "variables.json"
        variables_file.write_text(json.dumps(variables))
        interrupt = {
            "ANSIBLE_CALLBACK_PLUGINS": str(PROJECT / "molecule/resources/callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "interrupt",
            "OMERO_WEB_INTERRUPT_AFTER": str(interrupt_after),
        }
        return subprocess.Popen(
            ["ansible-playbook", "-i", inventory, playbook, "-e", f"@{variables_file}", *options],
            cwd=PROJECT,
            env={**os.environ, "ANSIBLE_FORCE_COLOR": "0", **(interrupt if interrupt_after else {})},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    return start_play


@pytest.fixture(scope="session")
def play(start_play):
    """Run a playbook against the scenario's hosts; its exit code and everything it printed."""

    def play(*arguments, **variables):
        process = start_play(*arguments, **variables)
        output, _ = process.communicate()
        return process.returncode, output

    return play


@pytest.fixture
def refused(play):
    """Run a playbook that must fail, and say why in this sentence; everything it printed."""

    def refused(sentence, *arguments, **variables):
        code, output = play(*arguments, **variables)
        assert code != 0
        assert sentence in re.sub(r"\s+", " ", output)
        assert "Traceback" not in output
        return output

    return refused


@pytest.fixture(scope="module")
def live(host, basedir):
    """Tell the number of the live generation, now."""
    return lambda: int(Path(host.check_output("readlink %s/current", basedir)).name)


@pytest.fixture
def generations(host, basedir):
    """Tell the numbers of the generations on disk, now."""
    return lambda: sorted(int(name) for name in host.check_output("ls %s/generations", basedir).split())


@pytest.fixture(scope="session")
def stand_in():
    """The host of the stand-in for OMERO.server: one of its own, or OMERO.web's."""
    group = "omero_server" if "omero_server" in json.loads(INVENTORY.read_text()) else "omero_web"
    return testinfra.get_hosts([f"ansible://{group}"], ansible_inventory=str(INVENTORY), sudo=True)[0]


@pytest.fixture(scope="session")
def world():
    """What the stand-in has."""
    from stand_in.world import World

    return World()


@pytest.fixture
def guest(site):
    return User(site)


@pytest.fixture
def researcher(site, passwords):
    user = User(site)
    assert leads_to(user.log_in("researcher", passwords["researcher"])) == "/webclient/"
    return user


@pytest.fixture
def switch(stand_in):
    """Set the switches of the stand-in, which are taken back in the end."""

    def switch(*words):
        stand_in.check_output("omero-server-stand-in switch " + " ".join(words))

    yield switch
    switch()


@pytest.fixture
def stopped_server(stand_in):
    """No OMERO.server, for the time of the test."""
    stand_in.check_output(f"systemctl stop {UNIT}")
    yield
    stand_in.check_output(f"systemctl start {UNIT}")
    wait_until(lambda: stand_in.socket("tcp://0.0.0.0:4064").is_listening)


@pytest.fixture(scope="module")
def browser(site):
    with browser_of(site) as browser:
        yield browser


@pytest.fixture
def visitor(browser, site, variables):
    visitor = Visitor(browser, site, variables["omero_web_prefix"])
    yield visitor
    visitor.close()


# --- a farm: `host` is its balancer, and the site is what users find there --------------------------------------------

HOSTS = "/etc/nginx/conf.d/omero-web-hosts.conf"


def reach_of(group):
    """How Ansible reaches the hosts of a group."""
    return json.loads(INVENTORY.read_text())[group]["hosts"]


def hosts_of(group):
    return {
        name: testinfra.get_host(f"ansible://{name}", ansible_inventory=str(INVENTORY), sudo=True)
        for name in reach_of(group)
    }


@pytest.fixture(scope="session")
def webs():
    """The hosts of OMERO.web by their names."""
    return hosts_of("omero_web")


@pytest.fixture(scope="session")
def addresses():
    return {name: one["ansible_host"] for name, one in reach_of("omero_web").items()}


@pytest.fixture(scope="session")
def redis():
    (one,) = hosts_of("omero_web_redis").values()
    return one


@pytest.fixture
def generations_live(webs):
    """Tell the number of the live generation of each host, now."""

    def generations_live():
        return {
            name: int(web.check_output("readlink /opt/omero/web/current").rpartition("/")[2])
            for name, web in webs.items()
        }

    return generations_live


@pytest.fixture
def hosts_behind(host):
    """Tell how the balancer knows each host, now."""

    def hosts_behind():
        lines = [line for line in host.check_output(f"cat {HOSTS}").splitlines() if " server " in line]
        return {line.split("# ")[1]: line for line in lines}

    return hosts_behind


@pytest.fixture
def out(hosts_behind):
    """Tell which hosts have no users, now."""
    return lambda: [name for name, line in hosts_behind().items() if "backup" in line]

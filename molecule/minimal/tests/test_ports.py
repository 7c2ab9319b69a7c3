"""The ports of nginx in a real firewalld and a real ufw: which are open for users, and who had opened them."""

import errno
import json
import socket

import pytest
from conftest import exhaustive

# As the tests before have left the host, but with nginx.
SITE = {
    "omero_web_user": "another",
    "omero_web_start": True,
    "omero_web_nginx": True,
    "omero_web_workers": 1,
    "omero_web_keep_generations": 2,
}
# What the site moves to in the end.
MOVED = {"omero_web_http_port": 8081, "omero_web_config": {"omero.web.ping_interval": 61000}}
MOVED_ON = {**MOVED, "omero_web_http_port": 8090}
OPEN, REFUSED, CLOSED = "open", "nobody listens", "closed by the firewall"


@pytest.fixture
def port(variables):
    """Tell what a user meets with at a port of the host."""

    def port(number):
        try:
            socket.create_connection((variables["ansible_host"], number), timeout=60).close()
            return OPEN
        except OSError as error:
            return {errno.ECONNREFUSED: REFUSED, errno.EHOSTUNREACH: CLOSED}.get(error.errno, error)

    return port


@pytest.fixture(scope="module")
def run(play):
    """Run site.yml, which must succeed; what it says it does to the firewall, and what came of it."""

    def run(*options, **variables):
        code, output = play("playbooks/site.yml", *options, **{**SITE, **variables})
        assert code == 0, output
        said = (line.strip(" -") for line in output.splitlines())
        return [line for line in said if line.startswith(("open port", "close port"))], output

    return run


@pytest.fixture
def opened(host, basedir):
    """Tell what the role has opened and not closed again, by its own record."""
    return lambda: [(one["zone"], one["port"]) for one in json.loads(host.file(f"{basedir}/firewall").content)]


@pytest.fixture
def ports_in(host):
    """Tell the ports that are open in a zone of firewalld, which are the same now and after it starts again."""

    def ports_in(zone):
        now, later = (
            host.check_output(f"firewall-cmd {how} --zone={zone} --list-ports") for how in ("", "--permanent")
        )
        assert now == later
        return now.split()

    return ports_in


@pytest.fixture(scope="module")
def firewalld(host):
    # As on any host that was not made for tests, there are names of protocols (netbase).
    host.check_output("apt-get install --yes --no-install-recommends firewalld netbase")
    host.check_output("systemctl start firewalld")


@pytest.mark.usefixtures("firewalld")
class TestFirewalld:
    def test_nobody_gets_through_before(self, port):
        assert (port(22), port(80)) == (OPEN, CLOSED)

    def test_a_run_says_what_it_would_open(self, run, port):
        assert run("--check")[0] == ["open port 80 in firewalld, zone public"]
        assert port(80) == CLOSED

    def test_users_get_to_nginx_and_to_nothing_else(self, host, run, port, ports_in, opened, basedir):
        assert run()[0] == ["open port 80 in firewalld, zone public"]
        assert (port(80), port(4080)) == (OPEN, CLOSED)
        assert ports_in("public") == ["80/tcp"]
        assert opened() == [("public", 80)]
        record = host.file(f"{basedir}/firewall")
        assert (record.user, record.mode) == ("root", 0o600)
        assert "changed=0" in run()[1]

    def test_users_come_through_the_zone_of_the_interface(self, host, play, run, port, ports_in, opened):
        for how in ("", "--permanent"):
            host.check_output(f"firewall-cmd {how} --zone=internal --add-interface=host0")
        assert (port(22), port(80)) == (OPEN, CLOSED)
        assert "open port 80 in firewalld, zone internal" in play("playbooks/status.yml", **SITE)[1]
        assert run()[0] == ["open port 80 in firewalld, zone internal", "close port 80 in firewalld, zone public"]
        assert port(80) == OPEN
        assert (ports_in("internal"), ports_in("public")) == (["80/tcp"], [])
        assert opened() == [("internal", 80)]

    def test_what_is_open_already_is_not_the_roles(self, host, run, port, opened):
        for how in ("", "--permanent"):
            host.check_output(f"firewall-cmd {how} --zone=internal --add-port=8000-8080/tcp")
        assert run(omero_web_http_port=8080)[0] == []
        assert (port(8080), port(80)) == (OPEN, REFUSED)
        assert opened() == [("internal", 80)]

    @exhaustive
    def test_users_come_through_the_zones_that_a_site_names(self, run):
        zones = {"omero_web_firewall_zones": ["public", "work"]}
        changes = [f"open port 8080 in firewalld, zone {zone}" for zone in ("public", "work")]
        changes += ["close port 80 in firewalld, zone internal"]
        assert run("--check", omero_web_http_port=8080, **zones)[0] == changes
        assert run("--check", omero_web_http_port=8080, omero_web_open_firewall=False, **zones)[0] == []

    def test_a_generation_to_go_back_to_finds_its_port_open(self, play, port):
        code, output = play("playbooks/rollback.yml", **SITE, omero_web_http_port=8080)
        assert code == 0, output
        assert (port(80), port(8080)) == (OPEN, REFUSED)

    def test_what_the_role_opened_is_closed_with_the_last_generation_that_had_it(self, run, port, ports_in, opened):
        assert run(omero_web_http_port=8081)[0] == ["open port 8081 in firewalld, zone internal"]
        assert (port(8081), port(80)) == (OPEN, REFUSED)
        assert run(**MOVED)[0] == ["close port 80 in firewalld, zone internal"]
        assert (port(8081), port(80)) == (OPEN, CLOSED)
        assert sorted(ports_in("internal")) == ["8000-8080/tcp", "8081/tcp"]
        assert opened() == [("internal", 8081)]

    def test_a_firewalld_that_starts_with_the_next_boot(self, host, run, port):
        host.check_output("systemctl stop firewalld")
        host.check_output("firewall-offline-cmd --zone=internal --remove-port=8081/tcp")
        assert run(**MOVED)[0] == ["open port 8081 in firewalld, zone internal"]
        host.check_output("systemctl start firewalld")
        assert port(8081) == OPEN

    def test_a_firewalld_that_is_never_to_start(self, host, run, opened):
        host.check_output("systemctl stop firewalld")
        host.check_output("firewall-offline-cmd --zone=internal --remove-port=8081/tcp")
        host.check_output("systemctl mask firewalld")
        assert "changed=0" in run(**MOVED)[1]
        assert opened() == [("internal", 8081)]


@pytest.fixture(scope="module")
def ufw(host):
    host.check_output("systemctl mask --now firewalld")
    host.check_output("apt-get install --yes --no-install-recommends nftables ufw")
    # What firewalld has left in the kernel would have its say, too.
    host.check_output("nft flush ruleset")
    # A user who is refused need not wait.
    host.check_output("ufw default reject incoming && ufw allow OpenSSH && ufw --force enable")


@exhaustive
@pytest.mark.usefixtures("ufw")
class TestUfw:
    def test_users_get_to_nginx_and_to_nothing_else(self, run, port, opened):
        assert port(8081) != OPEN
        assert run(**MOVED)[0] == ["open port 8081 in ufw"]
        assert port(8081) == OPEN
        assert port(4080) != OPEN
        assert ("", 8081) in opened()
        assert "changed=0" in run(**MOVED)[1]

    def test_what_is_open_already_is_not_the_roles(self, host, run, port, opened):
        host.check_output("ufw allow 8090:8099/tcp")
        assert run(**MOVED_ON)[0] == []
        assert (port(8090), port(8081)) == (OPEN, REFUSED)
        assert ("", 8081) in opened()

    def test_what_the_role_opened_is_closed_with_the_last_generation_that_had_it(self, host, run, port, opened):
        settings = {**MOVED_ON["omero_web_config"], "omero.web.ping_interval": 62000}
        assert run(**{**MOVED_ON, "omero_web_config": settings})[0] == ["close port 8081 in ufw"]
        assert port(8090) == OPEN
        rules = host.check_output("ufw status")
        assert "8090:8099/tcp" in rules
        assert "8081/tcp" not in rules
        assert ("", 8081) not in opened()

"""What is particular to CentOS 7: repositories, what SELinux and firewalld are asked for, and what the host has."""

import json
import re
from pathlib import Path

import pytest

PAYLOAD = Path(__file__).parents[1] / "payload"
REPOSITORIES = {
    "CentOS-Base.repo": (PAYLOAD / "centos-release", "https://vault.centos.org/7.9.2009/"),
    "epel.repo": (PAYLOAD / "epel-release", "https://archives.fedoraproject.org/pub/archive/epel/7/"),
}


@pytest.fixture(scope="module")
def requests(host):
    """Every request that a stand-in got, in their order."""
    return [json.loads(line) for line in host.file("/var/lib/el7-shaped/requests").content_string.splitlines()]


def of_module(requests, module):
    wanted = (request for request in requests if request.get("module") == module)
    return [{name: value for name, value in request.items() if name != "module"} for request in wanted]


@pytest.mark.parametrize("name", REPOSITORIES)
def test_repositories_are_those_of_the_archives(host, name):
    lines = host.file(f"/etc/yum.repos.d/{name}").content_string.splitlines()
    sections = [line for line in lines if line.startswith("[")]
    sources = [line for line in lines if re.match("(baseurl|mirrorlist|metalink)=", line)]
    assert len(sources) == len(sections)
    assert all(source.startswith(f"baseurl={REPOSITORIES[name][1]}") for source in sources)


@pytest.mark.parametrize("name", REPOSITORIES)
def test_repositories_as_they_were_are_kept(host, name):
    original = REPOSITORIES[name][0] / "etc/yum.repos.d" / name
    assert host.file(f"/etc/yum.repos.d/{name}.before-omero-web").content_string == original.read_text()


def test_selinux_is_told_of_ports_files_and_booleans(requests, basedir):
    assert of_module(requests, "community.general.seport") == [
        {"ports": ["80", "4080"], "proto": "tcp", "setype": "http_port_t", "state": "present"}
    ]
    contexts = of_module(requests, "community.general.sefcontext")
    assert {request["target"]: request["setype"] for request in contexts} == {
        f"{basedir}/releases/[^/]+/static(/.*)?": "httpd_sys_content_t",
        f"{basedir}/(acme|pages)(/.*)?": "httpd_sys_content_t",
        f"{basedir}/var/log(/.*)?": "var_log_t",
    }
    booleans = of_module(requests, "ansible.posix.seboolean")
    assert all(request["state"] is True and request["persistent"] is True for request in booleans)
    assert [request["name"] for request in booleans] == [
        "httpd_can_network_relay",
        "httpd_enable_homedirs",
        "httpd_read_user_content",
    ]


def test_files_are_labelled_when_selinux_knows_them(host, requests, basedir):
    """First all that is there, then each release when it is built."""
    release = host.file(f"{basedir}/current/release").linked_to
    labelled = [request.get("command") for request in requests]
    contexts = [place for place, request in enumerate(requests) if request.get("setype")]
    everything = labelled.index(f"restorecon -v -R -e {basedir}/var {basedir}")
    assert everything > contexts[-1]
    assert labelled[everything + 1] == f"restorecon -v {basedir}/var {basedir}/var/log {basedir}/var/sessions"
    assert labelled.index(f"restorecon -R {release}") > everything


def test_firewalld_opens_the_port_of_nginx(requests):
    assert of_module(requests, "ansible.posix.firewalld") == [
        {"zone": "public", "port": "80/tcp", "permanent": True, "immediate": True, "offline": True, "state": "enabled"}
    ]


@pytest.mark.parametrize(
    "unit", ["omero-web@{generation}.service", "omero-web-boot.service", "omero-web.socket", "omero-web.target"]
)
def test_unit_is_sound(host, generation, unit):
    path = f"/etc/systemd/system/{unit.format(generation=generation)}"
    assert host.run("systemd-analyze verify %s", path).stderr == ""


def test_service_can_write_nothing_but_what_is_its_own(host, main_pid, basedir):
    def touch(path):
        return host.run(f"nsenter --mount --target {main_pid()} sh -c 'touch {path}/written && rm {path}/written'")

    assert touch(f"{basedir}/var").succeeded
    for path in (basedir, f"{basedir}/releases", "/etc", "/usr", "/var/lib", "/home", "/root"):
        assert touch(path).failed, path


@pytest.fixture
def repository(host):
    """The repository file of CentOS, which in the end is as it was."""
    path = "/etc/yum.repos.d/CentOS-Base.repo"
    host.check_output(f"cp {path} /root/repository")
    yield path
    host.check_output(f"cp /root/repository {path}")


def test_repositories_are_seen_to_where_a_site_wants_that(play, refused, host, rpms, repository):
    archived, before = host.file(repository).content_string, rpms()
    host.check_output(f"cp {repository}.before-omero-web {repository}")
    host.check_output("rpm --erase --justdb --nodeps logrotate")
    sentence = (
        "el7-shaped cannot install logrotate: Failed to download metadata for repo ''base'': Cannot prepare internal "
        "mirrorlist: "
    )
    assert "changed=0" in refused(sentence, omero_web_archived_repositories=False)
    assert "logrotate" not in rpms()
    code, output = play()
    assert code == 0, output
    assert host.file(repository).content_string == archived
    assert rpms() == before


def test_a_site_of_its_own_mirrors_keeps_them(play, host, repository):
    own_mirror = "s,^baseurl=.*/7.9.2009/,baseurl=https://mirror.example.org/centos/7/,"
    host.check_output(f"sed --in-place '{own_mirror}' {repository}")
    code, output = play()
    assert code == 0, output
    assert "changed=0" in output

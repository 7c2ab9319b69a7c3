"""What is particular to Enterprise Linux 9: what its own dnf installs, from where, and what it refuses."""

import pytest

REPOSITORIES = "/etc/yum.repos.d/rocky.repo"
# What the troubles are about: packages that are taken for not installed, while all that they brought stays.
FORGOTTEN = ["logrotate", "nginx"]
BASEOS = r"/^\[baseos\]/,/^$/"
# What somebody does to the host, and what the run says then.
REFUSED = "el9-shaped cannot install logrotate, nginx: "
TROUBLES = {
    "no repository has a package": (
        f"sed --in-place '{BASEOS}s/enabled=1/enabled=0/' {REPOSITORIES}",
        "No package logrotate available (no repository that is enabled there has it: `dnf repolist --all` or "
        "`apt-cache policy` shows which there are).",
    ),
    "a mirror is dead": (
        f"sed --in-place '{BASEOS}s,^baseurl=.*,baseurl=http://127.0.0.1:9/baseos/,' {REPOSITORIES}",
        "Failed to download metadata for repo 'baseos': Cannot download repomd.xml: Cannot download "
        "repodata/repomd.xml: All mirrors were tried (a repository does not answer: give it another "
        "address, or disable it).",
    ),
    "a package is not signed": (
        f"sed --in-place '{BASEOS}s,/repositories/baseos/,/repositories/unsigned/,' {REPOSITORIES}",
        "Failed to validate GPG signature for logrotate-3.18.0-8.el9.x86_64: Package "
        "logrotate-3.18.0-8.el9.x86_64.rpm is not signed (a package is installed only if the key of its repository has "
        "signed it).",
    ),
    "the key of a repository cannot be had": (
        f"rpm --erase gpg-pubkey; sed --in-place 's,^gpgkey=.*,gpgkey=file:///none,' {REPOSITORIES}",
        "Curl error (37): Couldn't read a file:// file for file:///none [Couldn't open file /none] (the key of a "
        "repository cannot be had: look for gpgkey in /etc/yum.repos.d).",
    ),
    "a stream of nginx is enabled that there is no more": (
        "dnf --quiet --assumeyes module enable nginx:1.24",
        "All matches were filtered out by modular filtering for argument: nginx (the stream of its module that is "
        "enabled there has none: `dnf module list` shows the streams, and `dnf module reset` takes the choice back).",
    ),
}


@pytest.fixture(scope="module")
def forgotten(host, play):
    """A host that lacks packages, from which nothing else is gone; in the end, it gets them."""
    host.check_output(f"rpm --erase --justdb --nodeps {' '.join(FORGOTTEN)}")
    yield
    code, output = play()
    assert code == 0, output
    assert "install logrotate, nginx" in output
    code, output = play()
    assert code == 0, output
    assert "changed=0" in output


@pytest.fixture
def mended(host):
    """Whatever is done to the repositories is taken back."""
    state = "etc/yum.repos.d etc/dnf/modules.d"
    host.check_output(f"tar --create --file=/root/dnf.tar --directory=/ {state}")
    yield
    host.check_output(f"cd / && rm --recursive {state} && tar --extract --file=/root/dnf.tar && dnf --quiet clean all")


def test_repositories_are_as_they_were(host, linux):
    enabled = [name for name, repository in linux["repositories"].items() if repository["enabled"]]
    lines = host.check_output("dnf --quiet repolist --enabled").splitlines()
    assert sorted(line.split()[0] for line in lines[1:]) == sorted(enabled)
    assert host.check_output("rpm --verify rocky-repos") == ""


def test_service_runs_with_the_python_and_the_redis_of_the_packages(host, basedir):
    for path in ("/usr/lib/python3.11/ensurepip/__init__.py", "/usr/bin/redis-server"):
        assert host.run(f"rpm --query --file {path}").succeeded, path
    assert host.file(f"{basedir}/current/release/venv/bin/python").linked_to.startswith("/usr/bin/python3.11")
    assert host.service("omero-web-redis").is_running
    assert not host.service("redis").is_running


@pytest.mark.usefixtures("forgotten", "mended")
@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_ends_in_one_sentence_and_nothing_changes(host, refused, rpms, live, login, trouble):
    command, sentence = TROUBLES[trouble]
    before = rpms(), live()
    host.check_output(command)
    # As YAML writes what has a colon in it.
    output = refused((REFUSED + sentence).replace("'", "''"))
    assert "changed=0" in output
    assert (rpms(), live()) == before
    assert login().status == 200

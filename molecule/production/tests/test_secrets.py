"""The secrets of the scenario are looked for wherever somebody could: nobody finds any."""

import base64
import re
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import pytest

SELF_SIGNED = "{omero_web_basedir}/self-signed.pem"
REDIS_PASSWORD = "correct-horse-battery-staple-redis"
REDIS_PORT = 6391
PLACES = "/etc /home /opt /root /run /tmp /usr/local /var"


class CommandLines(Thread):
    """Those of every process on this machine while a block runs, and so of those on its test hosts."""

    def __init__(self):
        super().__init__()
        self.done, self.seen = Event(), set()

    def __enter__(self):
        self.start()
        return self.seen

    def __exit__(self, *_):
        self.done.set()
        self.join()

    def run(self):
        while not self.done.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    self.seen.add(path.read_text(errors="replace"))


def traces(secret):
    """A secret, and what is the same in its base64 wherever it stands in what is encoded."""
    yield secret
    for shift in range(3):
        yield base64.b64encode(shift * b"." + secret.encode())[4:-4].decode()


@pytest.fixture(scope="module")
def certificate(host, variables):
    """The texts of a certificate and of its key."""
    text = host.check_output("cat %s", SELF_SIGNED.format(**variables))
    return {part[1]: part[0] for part in re.finditer(r"-----BEGIN (.*)-----\n[^-]+-----END \1-----", text)}


@pytest.fixture(scope="module")
def planted(variables, certificate):
    """What must not be found."""
    secrets = [*variables["omero_web_secrets"].values(), REDIS_PASSWORD]
    key = certificate["PRIVATE KEY"].splitlines()[2]
    return [key, *(trace for secret in secrets for trace in traces(secret))]


@pytest.fixture(scope="module")
def redis(host):
    """The URL of a Redis that takes any password."""
    host.check_output("systemd-run --unit=redis-of-secrets redis-server --port %s", str(REDIS_PORT))
    yield f"redis://default:{REDIS_PASSWORD}@127.0.0.1:{REDIS_PORT}/0"
    host.check_output("systemctl stop redis-of-secrets.service")


@pytest.fixture(scope="module")
def whole_run(play, variables, certificate, redis):
    """The output of a run that builds a release and hands over to it, and the command lines meanwhile."""
    wanted = {
        "omero_web_packages": [*variables["omero_web_packages"], "sqlparse>0.0.1"],
        "omero_web_redis": False,
        "omero_web_redis_url": redis,
        "omero_web_tls_certificate": certificate["CERTIFICATE"],
        "omero_web_tls_key": certificate["PRIVATE KEY"],
    }
    with CommandLines() as seen:
        code, output = play("playbooks/site.yml", "--diff", "-vvvv", **wanted)
    assert code == 0, output
    yield output, "\n".join(seen)
    code, output = play()
    assert code == 0, output


def found(planted, text):
    return [trace for trace in planted if trace in text]


@pytest.fixture
def search(host, planted):
    """Search the host's files as some user; the paths of those that have a secret."""
    # Not to the letter, for sudo logs this command.
    patterns = " ".join(f"-e '[{trace[0]}]{re.escape(trace[1:])}'" for trace in planted)
    return lambda user: host.run(f"cd / && runuser -u {user} -- grep -rlsE {patterns} {PLACES}").stdout.split()


def test_the_output_shows_none(whole_run, planted):
    output, _ = whole_run
    assert re.search(r"configuration\.json\W*\*{8}", output)
    assert found(planted, output) == []


def test_no_command_line_shows_one(whole_run, planted):
    _, command_lines = whole_run
    assert "collectstatic" in command_lines
    assert found(planted, command_lines) == []


def test_the_journal_shows_none(whole_run, host, planted):
    journal = host.check_output("journalctl --no-pager")
    assert re.search(r"configuration\.json\W*\*{8}", journal)
    assert found(planted, journal) == []


def test_nobody_reads_a_file_that_has_one(whole_run, search):
    assert search("nobody") == []


def test_only_files_that_must_have_one_do(whole_run, search, host, user):
    files = search("root")
    assert {Path(path).name for path in files} == {"config.xml", "tls.pem", "omero-web.pem", "self-signed.pem"}
    for path in files:
        file = host.file(path)
        owner = ("root", user, 0o640) if path.endswith("/config.xml") else ("root", "root", 0o600)
        assert (file.user, file.group, file.mode) == owner, path


def test_a_changed_secret_is_said_to_be_changed_and_not_shown(play, variables, planted):
    secrets = {**variables["omero_web_secrets"], "omero.web.public.password": "a-secret-to-come"}
    code, output = play("playbooks/site.yml", "--check", "--diff", omero_web_secrets=secrets)
    assert code == 0, output
    assert "+omero.web.public.password=********" in output
    assert found([*planted, "a-secret-to-come"], output) == []

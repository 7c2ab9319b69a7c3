"""The state of a site on its host: what is broken for real is named as the cause, and mended it is in order again."""

import json
import re

import pytest
from conftest import wait_until

STATE = (
    "systemctl list-units --all --plain --no-legend 'omero-web*' nginx.service; "
    "ls -lR --full-time /opt/omero/web/generations /etc/nginx"
)
STAND_IN = "omero-server-stand-in.service"


@pytest.fixture
def status(host):
    """What the command says: its exit code, its verdict and the causes that it finds."""

    def status():
        done = host.run("omero-web status --json")
        found = json.loads(done.stdout)
        return done.rc, found["verdict"], [one["what"] for one in found["findings"]]

    return status


@pytest.fixture(autouse=True)
def in_order(status, host, play):
    code, output = play()
    assert code == 0, output
    # The journal has what other tests did to the site.
    host.check_output("journalctl --rotate --vacuum-time=1s; : > /opt/omero/web/var/log/OMEROweb.log")
    host.check_output(": > /var/log/nginx/omero-web.error.log; systemctl restart $(systemctl list-units --plain "
                      "--no-legend --state=running 'omero-web@*' | cut --delimiter=' ' --fields=1)")  # fmt: skip
    assert status() == (0, "ok", [])


@pytest.mark.parametrize(
    "breaks, mends, cause",
    [
        ("systemctl stop nginx", "systemctl start nginx", "nginx is inactive"),
        (
            "systemctl stop omero-web.socket omero-web@{number}.service",
            "systemctl start omero-web.target",
            "omero-web.socket is inactive: nobody listens at 127.0.0.1:4080",
        ),
        (
            "systemctl stop omero-web@{number}.service",
            "systemctl start omero-web.target omero-web@{number}.service",
            "omero-web@{number}.service is inactive, until somebody asks for a page",
        ),
        (
            # It keeps files open.
            "mv {release}/static/3rdparty {release}/static/away; systemctl restart nginx",
            "mv {release}/static/away {release}/static/3rdparty; systemctl restart nginx",
            "nginx answers 404 for the static file /static/3rdparty/",
        ),
        (
            f"systemctl stop {STAND_IN}",
            f"systemctl start {STAND_IN}",
            "OMERO.server Stand-in at tcp://localhost, port 4063, cannot be reached (Connection refused): nobody can",
        ),
    ],
)
def test_cause_of_a_site_that_is_down(status, host, live, basedir, breaks, mends, cause):
    release = host.check_output("readlink --canonicalize %s/current/release", basedir)
    names = {"number": live(), "release": release}
    host.check_output(breaks.format(**names))
    try:
        before = host.check_output(STATE)
        code, verdict, causes = status()
        assert host.check_output(STATE) == before
    finally:
        host.check_output(mends.format(**names))
    assert (code, verdict) == (2, "down")
    assert causes[0].startswith(cause.format(**names))
    assert len(causes) == 1
    wait_until(lambda: status() == (0, "ok", []))


def test_cause_for_attention(status, host):
    host.check_output("echo nonsense > /etc/nginx/conf.d/nonsense.conf; systemctl disable omero-web.target")
    try:
        code, verdict, causes = status()
    finally:
        host.check_output("rm /etc/nginx/conf.d/nonsense.conf; systemctl enable omero-web.target")
    assert (code, verdict) == (1, "attention")
    assert sorted(cause.partition(":")[0] for cause in causes) == [
        "nginx would not start again",
        "the site does not start at boot",
    ]


def test_status_changes_nothing_and_shows_no_secret(host, variables):
    before = host.check_output(STATE)
    shown = host.check_output("omero-web status; omero-web status --json")
    assert host.check_output(STATE) == before
    assert shown.startswith("OMERO.web on default-bookworm: ok\n")
    for secret in variables["omero_web_secrets"].values():
        assert str(secret) not in shown


def test_status_of_all_hosts(play, host, live):
    code, output = play("playbooks/status.yml", omero_web_config={"omero.web.ping_interval": 67654})
    assert code == 0, output
    words = " ".join(output.split())
    assert "OMERO.web on default-bookworm: ok" in words
    assert re.search(r"make generation (\d+); put generation \1 live", words)
    assert "changed=0" in output
    unit = f"omero-web@{live()}.service"
    host.check_output(f"systemctl stop {unit}")
    try:
        code, output = play("playbooks/status.yml")
        assert not host.service(unit).is_running, "nobody asked for a page"
    finally:
        host.check_output(f"systemctl start {unit}")
    assert code == 2
    assert f"{unit} is inactive, until somebody asks for a page" in " ".join(output.split())

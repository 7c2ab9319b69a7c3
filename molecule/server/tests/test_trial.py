"""The role tries a generation as a user: what fails one, and whose fault it is, is said, and what was live is live."""

import re
import time
from collections import Counter

import pytest
from conftest import fault

NOTHING = "nothing"
PAGE = "/omero_test_app/page/"


@pytest.fixture
def as_researcher(passwords):
    return {
        "omero_web_trial": True,
        "omero_web_trial_user": "researcher",
        "omero_web_trial_password": passwords["researcher"],
        # Something to do.
        "omero_web_max_requests": int(time.time()),
    }


@pytest.fixture
def as_public(as_researcher):
    return {**as_researcher, "omero_web_trial_user": "", "omero_web_trial_password": ""}


@pytest.fixture
def log_of(stand_in, host):
    """Tell what a host has logged since the test began; the test before it may have ended in the same second."""

    def cursor_of(on):
        last = on.check_output("journalctl --no-pager --lines=1 --output=cat --show-cursor")
        return last.rpartition("-- cursor: ")[2]

    start = {on: cursor_of(on) for on in (stand_in, host)}
    return lambda on: on.check_output("journalctl --no-pager --output=cat --after-cursor=%s", start[on])


@pytest.fixture
def sessions(log_of, stand_in):
    """Tell how many sessions have begun, and how many have ended, by user."""
    return lambda: [Counter(re.findall(rf"a session of (\w+) {word}", log_of(stand_in))) for word in ("begins", "ends")]


@pytest.fixture
def asked_for(host):
    """Tell the paths that the host itself has asked its nginx for since the test began."""
    log = "/var/log/nginx/omero-web.access.log"
    before = int(host.check_output(f"wc --lines < {log}"))

    def asked_for():
        lines = host.check_output(f"tail --lines=+{before + 1} {log}").splitlines()
        return {line.split()[6] for line in lines if line.startswith("127.0.0.1")}

    return asked_for


@pytest.fixture
def stays(refused, live, passwords):
    """Run the playbook, whose trial fails for this reason; it tells no secret, and what was live is live."""

    def stays(sentence, **wanted):
        before = live()
        output = refused(sentence, **wanted)
        assert live() == before
        assert passwords["researcher"] not in output
        return output

    return stays


def test_users_find_everything(play, as_researcher, as_public, sessions, asked_for, log_of, host, live):
    before = live()
    more = {"path": PAGE, "text": "Good day, researcher"}
    code, output = play("playbooks/site.yml", "-vvv", **as_researcher, omero_web_trial_pages=[more])
    assert code == 0, output
    assert live() > before
    begun, ended = sessions()
    assert begun["researcher"] >= 2, "once by itself, once through nginx"
    assert begun == ended, "no session is left behind"
    assert {"/webclient/", PAGE, "/iviewer/"} < asked_for()
    assert any(path.startswith("/webclient/render_thumbnail/") for path in asked_for())
    logs = host.check_output("find /var/log /opt/omero/web/var/log -name '*.log' -exec cat {} +")
    assert as_researcher["omero_web_trial_password"] not in output + logs + log_of(host)

    # A generation that is gone back to is tried, too.
    code, output = play("playbooks/rollback.yml", **as_public)
    assert code == 0, output
    assert live() == before
    assert sessions()[0]["public"] >= 1
    assert any(path.startswith("/webgateway/render_thumbnail/") for path in asked_for())


@fault("a page of an app that fails behind the login, with a trial", NOTHING, "the page, its status and the reason")
def test_page_that_breaks(stays, as_researcher, variables, sessions):
    breaks = {"omero.web.django_additional_settings": [["OMERO_TEST_APP_BREAKS", "out of order"]]}
    stays(
        f"Tried as the user researcher: {PAGE} answers 500 (RuntimeError: out of order). OMERO.web's own log is",
        **as_researcher, omero_web_config={**variables["omero_web_config"], **breaks},
    )
    begun, ended = sessions()
    assert begun and begun == ended


@fault("a thumbnail that OMERO.server refuses, with a trial", NOTHING, "which it is")
def test_thumbnail_that_is_a_placeholder(stays, as_researcher, switch):
    switch("refuse=getThumbnail*")
    output = stays("has a placeholder in place of what is image/jpeg", **as_researcher)
    assert re.search(r"researcher: /webclient/render_thumbnail/\d+/ has a placeholder", output)


@fault("a password that OMERO.server refuses, with a trial", NOTHING, "what the login page says")
def test_wrong_password(stays, as_researcher):
    wrong = {"omero_web_trial_password": "wrong-hunter2"}
    output = stays('the login page refuses the user: "Error: Connection not available', **{**as_researcher, **wrong})
    assert "wrong-hunter2" not in output


@fault("an OMERO.server that is down, with a trial", NOTHING, "that it is OMERO.server that does not answer")
def test_no_server(stays, play, as_researcher, as_public, stopped_server, live):
    stays("Tried as the user researcher: OMERO.server does not answer", **as_researcher)
    before = live()
    code, output = play(**as_public, omero_web_trial_required=False)
    assert code == 0
    assert live() > before
    assert "could not be tried as the public user: OMERO.server does not answer" in re.sub(r"\s+", " ", output)


@fault("an OMERO.server that is too slow for a login, with a trial", NOTHING, "the same")
def test_slow_server(stays, as_researcher, switch):
    switch("latency=3")
    as_researcher["omero_web_timeout"] = 4
    stays("Tried as the user researcher: OMERO.server does not answer in time", **as_researcher)

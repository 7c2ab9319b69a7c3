"""What a run of the playbook does to a host that runs OMERO.web already, and what it refuses to do."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import exhaustively, fault

# What other hosts say of themselves.
FEDORA = {
    "service_mgr": "systemd",
    "distribution": "Fedora",
    "distribution_version": "41",
    "distribution_major_version": "41",
}
SYSVINIT = {
    "service_mgr": "sysvinit",
    "distribution": "Debian",
    "distribution_version": "12",
    "distribution_major_version": "12",
}
SERVER_NAME = "omero-web.example.org"
# With the Django of the newest, so its users stay logged in.
OLDER_RELEASE = "5.31.1"


def assert_nobody_noticed(users):
    assert users.failures == []
    assert users.download.is_complete, users.download.error


def test_a_changed_setting_makes_exactly_one_new_generation(play, host, live, generations, login, load):
    before, serving = generations(), live()
    with load("a changed setting") as users:
        code, output = play(omero_web_config={"omero.web.ping_interval": 61234})
        retired = host.run("systemctl is-active omero-web@%s.service", str(serving)).stdout.strip()
    assert code == 0, output
    assert_nobody_noticed(users)
    assert retired == "deactivating", "the download was under way all the time"
    assert set(generations()) - set(before) == {before[-1] + 1}
    assert live() == before[-1] + 1
    assert host.check_output("omero config get omero.web.ping_interval") == "61234"
    assert login().status == 200


def test_a_changed_nginx_site(play, host, load):
    with load("a changed nginx site") as users:
        code, output = play(omero_web_server_names=[SERVER_NAME])
    assert code == 0, output
    assert_nobody_noticed(users)
    assert f"server_name {SERVER_NAME};" in host.check_output("nginx -T -q")


def test_what_is_taken_back_is_removed(play, host, load):
    code, output = play()
    assert code == 0, output
    assert "ping_interval" not in host.check_output("omero config get")
    assert SERVER_NAME not in host.check_output("nginx -T -q")
    with load("nothing to change") as users:
        code, output = play()
    assert "changed=0" in output
    assert_nobody_noticed(users)


def test_a_downgrade_and_an_upgrade(play, host, basedir, load):
    def version():
        return json.loads(host.check_output("cat %s/current/manifest", basedir))["omero_web"]

    newest = version()
    for change, wanted in (("a downgrade, built meanwhile", OLDER_RELEASE), ("an upgrade", newest)):
        with load(change) as users:
            code, output = play(omero_web_release=wanted)
        assert code == 0, output
        assert_nobody_noticed(users)
        assert version() == wanted


def test_check_mode_says_what_would_change_and_changes_nothing(play, live, generations):
    before = generations(), live()
    code, output = play("playbooks/site.yml", "--check", "--diff", omero_web_config={"omero.web.page_size": 123})
    assert code == 0, output
    assert "+omero.web.page_size=123" in output
    assert f"put generation {before[0][-1] + 1} live" in output
    code, output = play("playbooks/site.yml", "--check")
    assert "changed=0" in output
    assert (generations(), live()) == before


def test_going_back_and_forward(play, refused, live, login, load):
    before = live()
    with load("going back") as users:
        code, output = play("playbooks/rollback.yml")
    assert code == 0, output
    assert_nobody_noticed(users)
    assert live() == before - 1
    assert login().status == 200
    code, output = play()
    assert code == 0, output
    assert f"roll forward again from generation {before - 1}, to which this host went back" in output
    assert live() == before + 1
    refused("cannot go back to generation 99", "playbooks/rollback.yml", omero_web_generation=99)
    assert live() == before + 1


def test_going_back_does_not_wait_for_downloads(play, live, login, load):
    before = live()
    with load("going back at once") as users:
        code, output = play(omero_web_config={"omero.web.ping_interval": 62345})
        assert code == 0, output
        code, output = play("playbooks/rollback.yml")
    assert code == 0, output
    assert_nobody_noticed(users)
    words = f"generation {before}, made anew as generation {before + 2} while that finishes requests"
    assert f"go back from generation {before + 1} to {words}" in " ".join(output.split())
    assert live() == before + 2
    assert login().status == 200
    code, output = play()
    assert code == 0, output
    assert live() == before + 2, "it is what the variables want, as the one that it was made like"


@pytest.fixture
def on_hold(host):
    assert host.check_output("omero-web hold course until Friday") == "On hold: course until Friday"
    yield
    assert host.check_output("omero-web hold --end") == "Not on hold."


def test_a_site_that_is_on_hold_stays_as_it_is(play, refused, live, on_hold):
    before = live()
    code, output = play()
    assert code == 0, output
    due = {"omero_web_config": {"omero.web.ping_interval": int(time.time())}}
    refused("default-bookworm is on hold: course until Friday (/opt/omero/web/hold there)", **due)
    refused("default-bookworm is on hold: a talk (omero_web_hold)", omero_web_hold="a talk", **due)
    assert live() == before
    code, output = play("playbooks/site.yml", "--check", **due)
    assert code == 0, output
    assert f"make generation {before + 1}" in output
    code, output = play(omero_web_despite_hold=True, **due)
    assert code == 0, output
    assert live() == before + 1


@pytest.mark.parametrize("prefix, former", [("/omero", ""), ("", "/omero")])
def test_a_prefix_moves_the_site(play, ask, load, prefix, former):
    with load(f"the prefix '{prefix}' in place of '{former}'", prefix=former) as users:
        code, output = play(omero_web_prefix=prefix)
    assert code == 0, output
    assert_nobody_noticed(users)
    assert ask(f"{prefix}/webclient/login/").status == 200
    answer = ask(f"{former}/webclient/?show=image-1")
    assert (answer.status, answer.headers["Location"]) == (307, f"{prefix}/webclient/?show=image-1")


def test_tls_is_given_up_after_the_cookies_that_need_it(play, login):
    """A browser does not send them without, so whoever came in between could not log in."""
    code, output = play(omero_web_tls_certificate="self-signed")
    assert code == 0, output
    answers = []
    with ThreadPoolExecutor() as others:
        back = others.submit(play)
        while not back.done():
            answers.append(login())
            time.sleep(0.05)
    code, output = back.result()
    assert code == 0, output
    assert {answer.status for answer in answers} == {301, 200}
    cookies = [answer.headers.get_all("Set-Cookie", []) for answer in answers if answer.status == 200]
    assert all(cookies)
    assert "secure" not in str(cookies).lower()


def test_going_back_on_the_host_alone(play, host, live, login, load):
    code, output = play(omero_web_config={"omero.web.ping_interval": 63456})
    assert code == 0, output
    before = live()
    says = f"go back from generation {before} to generation {before - 1}"
    assert host.check_output("omero-web rollback --check") == says
    assert live() == before
    with load("going back on the host alone") as users:
        output = host.check_output("omero-web rollback")
    assert_nobody_noticed(users)
    assert output.startswith(f"{says}\nThis host went back from generation {before} to {before - 1}.")
    assert live() == before - 1
    assert login().status == 200
    change = json.loads(host.check_output("omero-web history -n 1 --json"))[0]
    assert (change["from"], change["to"], change["outcome"]) == (before, before - 1, "done")
    assert change["by"] == "omero-web, by admin on default-bookworm"
    refusal = host.run("omero-web rollback 99")
    assert (refusal.rc, live()) == (1, before - 1)
    assert f"runs generation {before - 1} and cannot go back to generation 99" in refusal.stderr
    code, output = play()
    assert code == 0, output
    assert live() == before - 1, "it is what the variables want"


@fault(
    "a misspelt variable, a value of the wrong type, a bad property name",
    "nothing",
    "one sentence for each, with the nearest name that exists; nothing has changed",
)
@fault(
    "a release that does not exist or that the host's Python cannot run",
    "nothing",
    "one sentence with the remedy; nothing has changed",
)
@pytest.mark.parametrize(
    "wanted, sentence",
    [
        ({"omero_web_release": "5.99.0"}, "omero_web_release is 5.99.0, which the package index does not have"),
        ({"omero_web_wokers": 3}, "did you mean omero_web_workers?"),
        ({"omero_web_python": "/usr/bin/python9"}, "which does not run on"),
        ({"ansible_facts": FEDORA}, "is Fedora 41 with systemd as its service manager; the role needs Debian 11"),
        *exhaustively(
            ({"omero_web_release": "5.4.10"}, "which needs Python 2.7, and Debian 12"),
            ({"omero_web_config": "debug"}, "omero_web_config is text; it must be a dictionary"),
            ({"omero_web_config": {"debug": True}}, 'omero_web_config has the key "debug", which is no OMERO property'),
            ({"omero_web_worker_class": "bogus"}, "it must be one of sync, gevent"),
            (
                {"omero_web_release": "5.33.1", "omero_web_minimum_free_mb": 10**9},
                "and a release needs 1000000000",
            ),
            (
                {"omero_web_tls_certificate": "/etc/ssl/absent.pem", "omero_web_tls_key": "/etc/ssl/absent.key"},
                "omero_web_tls_certificate is /etc/ssl/absent.pem, which is not on default-bookworm",
            ),
            (
                {"ansible_facts": SYSVINIT},
                "is Debian 12 with sysvinit as its service manager; the role needs Debian 11",
            ),
        ),
    ],
)
def test_bad_input_is_refused_before_anything_changes(refused, wanted, sentence, live, generations):
    before = generations(), live()
    assert "changed=0" in refused(sentence, **wanted)
    assert (generations(), live()) == before


@fault(
    "a property that OMERO.web does not know, or a value that it cannot parse",
    "nothing",
    "one sentence for each; nothing is left of the half-made generation",
)
@pytest.mark.parametrize(
    "wanted, sentence",
    [
        ({"omero.web.ping_interval": "soon"}, "omero.web.ping_interval"),
        *exhaustively(({"omero.web.wsgi_workes": 1}, "did you mean omero.web.wsgi_workers?")),
    ],
)
def test_bad_properties_never_go_live(refused, wanted, sentence, live, generations, login):
    before = generations(), live()
    refused(sentence, omero_web_config=wanted)
    assert (generations(), live()) == before
    assert login().status == 200


def test_after_all_that_the_next_run_changes_nothing_that_serves(play, live):
    before = live()
    code, output = play()
    assert code == 0, output
    assert live() == before
    code, output = play()
    assert "changed=0" in output


@fault("the host reboots", "the site is back with the host", "nothing")
def test_the_site_is_back_after_a_reboot(play, host, login, live):
    before = live(), host.check_output("cat /proc/sys/kernel/random/boot_id")
    code, output = play("molecule/resources/reboot.yml")
    assert code == 0, output
    assert live() == before[0]
    assert host.check_output("cat /proc/sys/kernel/random/boot_id") != before[1]
    assert login().status == 200
    code, output = play()
    assert "changed=0" in output, output

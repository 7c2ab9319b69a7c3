"""OMERO.web from OMERO.py archives, from one to the next, on to today's OMERO.web, and back."""

import json
import re
from pathlib import Path

import pytest
from conftest import USER, exhaustive, exhaustively, fault, wait_until

SETTING = {"omero_web_config": {"omero.web.ping_interval": 61234}}


@pytest.fixture
def manifest(host, basedir):
    """What the live generation says that it runs."""
    return lambda: json.loads(host.file(f"{basedir}/current/manifest").content_string)


@pytest.fixture
def secret_key(host, basedir):
    return lambda: host.file(f"{basedir}/var/django_secret_key").content_string


@pytest.fixture(scope="module")
def session(log_in):
    """A session of the release that the scenario begins with."""
    return log_in()


@pytest.fixture
def assert_users_find_everything(users, switch):
    """Let users log in, look at images and download files, at an OMERO.server that has been upgraded as well."""

    def assert_users_find_everything():
        switch("version=5.6.15")
        with users() as those:
            wait_until(lambda: those.answers() >= 60)
        assert those.failures == []
        assert those.download.is_complete, those.download.error
        switch()

    return assert_users_find_everything


@pytest.fixture(scope="module")
def cache(variables):
    """The controller's directory of archives."""
    return Path(variables["omero_web_archive_cache"])


def test_the_release_is_what_the_archive_has(host, basedir, properties):
    assert host.check_output("omero version") == "5.4.9"
    assert properties["omero.web.static_root"].startswith(f"{basedir}/releases/5.4.9-")
    assert "Python 2.7" in host.check_output("%s/current/release/venv/bin/python --version 2>&1", basedir)


def test_a_release_without_all_its_numbers_is_found_once_and_shown(play, live):
    before = live()
    check = ("playbooks/site.yml", "--check")
    for release in ("5.4", "latest"):
        code, output = play(*check, omero_web_release=release, omero_web_install_method="archive")
        assert code == 0, output
        assert f"omero_web_release is {release}: OMERO.py-5.4.10-ice36-b105.zip" in output
        assert "build release 5.4.10-" in output
    assert live() == before


# Today's OMERO.web has another version of Django, which has sessions of its own.
@pytest.mark.parametrize(
    "playbook, release, version, has_session",
    [
        ("playbooks/site.yml", "5.4.10", "5.4.10", True),
        ("playbooks/site.yml", "", "5.29.3", False),
        ("playbooks/rollback.yml", "", "5.4.10", True),
    ],
)
def test_the_way_from_archive_to_archive_to_today_and_back(
    play, host, manifest, secret_key, load, login, ask, who_is, session, assert_users_find_everything,
    playbook, release, version, has_session,
):  # fmt: skip
    key = secret_key()
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', login().body.decode())
    keeps_session = manifest()["omero_web"].startswith("5.4") and version.startswith("5.4")
    with load(f"from {manifest()['omero_web']} to {version}", guests=not keeps_session) as users:
        code, output = play(playbook, omero_web_release=release, **SETTING)
    assert code == 0, output
    assert users.failures == []
    assert users.download.is_complete, users.download.error
    assert {ask(path).status for path in files} == {200}, "the page was loaded before"
    assert who_is(session) == (USER if has_session else None)
    if version == "5.29.3":
        assert_users_find_everything()
    assert manifest()["omero_web"] == version
    assert host.check_output("omero config get omero.web.ping_interval") == "61234"
    assert secret_key() == key


def test_the_command_of_a_host_that_has_python_2_alone(host, manifest, live, login):
    command = "python2.7 /usr/local/bin/omero-web"
    before = live()
    for number, version in (before + 1, "5.29.3"), (before, "5.4.10"):
        assert "This host went back from generation " in host.check_output(f"{command} rollback {number}")
        assert (manifest()["omero_web"], login().status) == (version, 200)
    assert "OMERO.web 5.29.3" in host.check_output(f"{command} diff")
    assert "go back from generation " in host.check_output(f"{command} history -n 1")
    assert "The site is closed until später" in host.check_output(f"{command} maintenance on --until später")
    assert login().status == 503
    assert host.check_output(f"{command} maintenance off") == "The site is open."
    status = host.run(f"{command} status")
    assert status.stdout.startswith("OMERO.web on archive-bullseye: ")
    assert status.rc in (0, 1)
    assert "nginx access" in host.check_output(f"{command} logs")


@fault(
    "an archive that the download server does not have, that is damaged or another than its checksum says, "
    "a download that hangs or breaks off",
    "nothing",
    "one sentence that names it; nothing has changed, and nothing is left of the download",
)
@pytest.mark.parametrize(
    "wanted, sentence",
    [
        ({"omero_web_release": "5.4.99"}, "has no release 5.4.99"),
        ({"omero_web_release": "5.4.1"}, "OMERO.py-5.4.1-ice36-b105.zip is damaged"),
        ({"omero_web_release": "5.4.3"}, "release 5.4.3 was not downloaded from"),
        ({"omero_web_release": "5.4.6"}, "has a member outside its folder"),
        (
            {"omero_web_release": "5.4.8", "omero_web_archive_checksum": "sha256:" + 64 * "0"},
            f"and sha256:{64 * '0'} is expected; see also omero_web_download_url and omero_web_archive_checksum",
        ),
        *exhaustively(
            ({"omero_web_release": "5.4.2"}, "OMERO.py-5.4.2-ice36-b105.zip is damaged"),
            ({"omero_web_release": "5.4.4"}, "release 5.4.4 was not downloaded from"),
            ({"omero_web_release": "5.4.5"}, "has release 5.4.5, but not for Ice 3.6"),
            ({"omero_web_release": "5.4.8"}, "has a member outside its folder"),
            ({"omero_web_download_url": "http://127.0.0.1:9", "omero_web_release": "5.4.99"}, "cannot be reached"),
            (
                {"omero_web_python": "/usr/bin/python3"},
                "which needs Python 2.7; /usr/bin/python3 on archive-bullseye is",
            ),
            ({"omero_web_python": "/usr/bin/python2.6", "omero_web_release": "5.4.10"}, "which does not run on"),
            ({"omero_web_release": "5.29"}, "releases from the package index are named in full"),
        ),
    ],
)
def test_an_archive_that_cannot_be_had_changes_nothing(refused, wanted, sentence, live, login, cache):
    before = live(), sorted(cache.iterdir())
    assert "changed=0" in refused(sentence, omero_web_download_timeout=3, **wanted)
    assert (live(), sorted(cache.iterdir())) == before
    assert login().status == 200


@fault("a login page that fails", "nothing", "its status, and which log has the reason")
@exhaustive
def test_an_archive_whose_pages_fail_never_goes_live(refused, live, login):
    before = live()
    refused("Its login page answered 500.", omero_web_release="5.4.0")
    assert live() == before
    assert login().status == 200


@exhaustive
def test_modes_that_an_archive_brings_count_for_nothing(play, host, basedir, manifest, login, variables):
    packages = [*variables["omero_web_packages"], "django-redis", "futures"]
    extras = {"omero_web_worker_class": "gevent", "omero_web_packages": packages}
    code, output = play(omero_web_release="5.4.7", **extras)
    assert code == 0, output
    assert manifest()["omero_web"] == "5.4.7"
    assert host.check_output("find %s/current/release/ -perm /6000 -o -perm /022 ! -type l", basedir) == ""
    installed = host.check_output("%s/current/release/venv/bin/pip freeze", basedir).split()
    assert {"gevent==1.2.2", "futures==3.4.0", "django-redis==4.8.0", "redis==3.5.3"} <= set(installed)
    assert login().status == 200


def test_after_all_that_the_first_release_comes_back(play, live):
    code, output = play()
    assert code == 0, output
    code, output = play()
    assert "changed=0" in output

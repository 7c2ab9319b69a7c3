"""An app of a site's own, by which users of an identity provider log in (docs/single-sign-on.md)."""

import json
import subprocess
import sys
from base64 import b64encode

import pytest
import yaml
from browser import node
from clients import UNIT
from conftest import NAME, PROJECT, exhaustive, wait_until

pytestmark = exhaustive
APP = PROJECT / "tests/apps/omero-oidc"
SITE = PROJECT / "molecule/production/single-sign-on.yml"
PORT = 9400
DIRECTORY = "/opt/oidc-provider"
SECRET = "oidc-hunter2"


@pytest.fixture(scope="module")
def provider(host, variables):
    """An identity provider on the host, for whom three people are not the same as in OMERO; its URL."""
    people = {"rita": NAME, "boss": "root", "stranger": "stranger"}
    claims = " ".join(
        f"--user-claims '{json.dumps({'sub': sub, 'preferred_username': name})}'" for sub, name in people.items()
    )
    host.check_output(f"python3 -m venv {DIRECTORY}")
    host.check_output(f"{DIRECTORY}/bin/pip install --quiet --disable-pip-version-check oidc-provider-mock==0.3.4")
    command = f"{DIRECTORY}/bin/oidc-provider-mock --host 0.0.0.0 --port {PORT} {claims}"
    host.check_output(f"systemd-run --collect --unit=oidc-provider {command}")
    wait_until(lambda: host.socket(f"tcp://0.0.0.0:{PORT}").is_listening)
    yield f"http://{variables['ansible_host']}:{PORT}"
    host.run("systemctl stop oidc-provider")


@pytest.fixture(scope="module", autouse=True)
def signed_on(host, tmp_path_factory, play, variables, passwords, provider):
    """The site with the app, for this provider."""
    directory = tmp_path_factory.mktemp("wheels")
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={directory}", APP]
    subprocess.run(wheel, check=True)
    shown = yaml.safe_load(SITE.read_text())["omero_web_apps"]
    (built,), (app,) = directory.iterdir(), shown
    content = b64encode(built.read_bytes()).decode()
    host.check_output(f"echo {content} | base64 -d | install -D -m 644 /dev/stdin {app['package']}")
    config = {"omero.web.oidc.issuer": provider, "omero.web.oidc.admin.user": "root"}
    secrets = {"omero.web.oidc.client_secret": SECRET, "omero.web.oidc.admin.password": passwords["root"]}
    code, output = play(
        omero_web_apps=[*variables["omero_web_apps"], *shown],
        omero_web_config={**variables["omero_web_config"], **config},
        omero_web_secrets={**variables["omero_web_secrets"], **secrets},
    )
    assert code == 0, output
    yield
    code, output = play()
    assert code == 0, output


@pytest.fixture
def sign_on(visitor):
    """Ask for a page, and say to the provider who one is, or that one is not; the page to which that leads."""

    def sign_on(who, path="/webclient/"):
        page = visitor.open(path)
        assert page.title() != "OMERO.web - Login", "the provider's page"
        with page.expect_navigation():
            page.click(f"button[value={who}]")
        return page

    return sign_on


def test_user_of_the_provider_is_one_of_omero(stand_in, visitor, sign_on, world):
    def session():
        return [cookie["value"] for cookie in visitor.context.cookies() if cookie["name"] == "sessionid"]

    visitor.open("/webclient/")
    before = session()
    page = sign_on("rita", "/webclient/?show=project-1")
    assert page.url == f"{visitor.home}/webclient/?show=project-1"
    node(page, world.projects[1].name).wait_for()
    assert page.inner_text("#show_user_dropdown").strip().startswith("Rita")
    assert visitor.complaints == []
    assert before and session() != before, "who knew the visitor's does not have that of the user"
    journal = stand_in.check_output(f"journalctl --quiet --output=cat --unit={UNIT}")
    assert journal.count("a session of root ends") == journal.count("a session of root begins") > 0


@pytest.mark.parametrize(
    "who, reason",
    [
        ("stranger", "OMERO has no user stranger; ask for an account."),
        ("boss", "Administrators of OMERO log in by their password."),
        ("deny", "The identity provider has not let you in."),
    ],
)
def test_who_is_not_let_in_is_told_why(visitor, sign_on, who, reason):
    page = sign_on(who)
    assert page.inner_text(".error") == f"Error: {reason}"
    assert visitor.open("/webclient/").url.startswith(f"http://{visitor.site.removeprefix('https://')}:{PORT}/")


def test_login_by_password_is_still_there(visitor, passwords):
    assert visitor.log_in(NAME, passwords[NAME]).url == f"{visitor.home}/webclient/"


def test_answer_that_nobody_asked_for(ask):
    answer = ask("/omero/omero_oidc/callback/?code=x&state=x")
    assert b"The identity provider has not let you in." in answer.body


def test_headers_of_a_proxy_log_nobody_in(ask):
    names = ("Remote-User", "X-Remote-User", "X-Forwarded-User", "X-Auth-Request-User")
    answer = ask("/omero/webclient/", **dict.fromkeys(names, NAME))
    assert answer.status == 302 and "/omero_oidc/login/" in answer.headers["Location"]


def test_provider_that_does_not_answer(host, visitor):
    host.check_output("systemctl stop oidc-provider")
    # Each worker may know the provider already, and finds out about it by the user whom it sends there.
    host.check_output("systemctl restart omero-web.target")
    wait_until(lambda: host.socket("tcp://127.0.0.1:4080").is_listening)
    page = visitor.open("/webclient/")
    assert page.inner_text(".error") == "Error: The identity provider does not answer."
    assert page.url.startswith(f"{visitor.home}/omero_oidc/login/")

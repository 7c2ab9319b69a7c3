"""A site is closed and opened by files that nginx reads, whatever it thinks of them and wherever the machine stops."""

import os

import pytest
from ansible.module_utils import omero_web_maintenance
from ansible.module_utils.omero_web_host import Problem
from ansible.module_utils.omero_web_maintenance import Maintenance, page_of
from ansible.module_utils.omero_web_systemd import Commands, Done, Systemd
from ansible.module_utils.omero_web_transaction import Host

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to root")

BRANDING = {"name": "OMERO.web", "text": "Your data is safe.", "logo": ""}
WORDS = {"branding": BRANDING, "text": "", "until": "", "addresses": [], "fails_health": False, "by": "ann on here"}


class Nginx(Commands):
    """Nginx and its systemd; it refuses what has a word in it, and wants the variables that a server names."""

    def __init__(self, directory):
        self.directory, self.reloads = directory, 0

    def run(self, *command, **options):
        if command[:2] == ("nginx", "-t"):
            text = "".join(path.read_text() for path in self.directory.glob("*.conf"))
            is_whole = "map " in text or "if " not in text
            return Done(int("refused" in text or not is_whole), "", "nginx: [emerg] invalid\n")
        self.reloads += "reload" in command
        return Done(0, "Id=nginx.service\nActiveState=active\n" if "show" in command else "", "")


@pytest.fixture
def nginx(tmp_path):
    return Nginx(tmp_path / "maintenance")


@pytest.fixture
def site(tmp_path):
    """The live generation's site of nginx."""
    directory = tmp_path / "current"
    directory.mkdir()
    path = directory / "nginx.conf"
    path.write_text("server {\n    include /opt/omero/web/maintenance/server*.conf;\n}\n")
    return path


@pytest.fixture
def maintenance(tmp_path, nginx, site):
    return Maintenance(Host(str(tmp_path)), "/", Systemd(nginx), "omeroweb", "/healthz")


def files(nginx):
    return {path.name: path.read_text() for path in nginx.directory.glob("*")}


def test_who_was_let_in_stays_so_until_the_site_is_open(maintenance, nginx):
    assert maintenance.state() == {}
    first = maintenance.close(**WORDS)
    second = maintenance.close(**{**WORDS, "addresses": ["192.0.2.0/24", "::1"], "fails_health": True})
    assert (first["token"], first["since"]) == (second["token"], second["since"])
    assert maintenance.state() == second
    found = files(nginx)
    assert "    192.0.2.0/24 named;\n    ::1 named;\n" in found["http.conf"]
    assert "/healthz" not in found["http.conf"]
    assert {path.stat().st_mode & 0o777 for path in nginx.directory.iterdir()} == {0o600}
    maintenance.open()
    assert (files(nginx), maintenance.state(), nginx.reloads) == ({}, {}, 3)
    third = maintenance.close(**WORDS)
    assert third["token"] != first["token"]
    assert '    "/healthz" 1;\n' in files(nginx)["http.conf"]


def test_what_nginx_refuses_is_taken_back(maintenance, nginx):
    for before in {}, {"text": "closed"}:
        if before:
            maintenance.close(**{**WORDS, **before})
        known, reloads = files(nginx), nginx.reloads
        with pytest.raises(Problem, match="nginx refuses it, and all is as it was: invalid"):
            maintenance.close(**{**WORDS, "text": "refused"})
        with pytest.raises(Problem, match="refused is no address or network"):
            maintenance.close(**{**WORDS, "addresses": ["::1", "refused"]})
        assert (files(nginx), nginx.reloads) == (known, reloads)


@pytest.mark.parametrize("content", ["server {\n}\n", None])
def test_a_site_that_includes_no_such_files_cannot_be_closed(maintenance, nginx, site, content):
    site.write_text(content) if content else site.unlink()
    with pytest.raises(Problem, match="made by a version of the role that cannot close a site; run site.yml"):
        maintenance.close(**WORDS)
    assert files(nginx) == {}


@pytest.mark.parametrize("is_closed", [False, True])
@pytest.mark.parametrize("cut", range(3))
def test_wherever_the_machine_stops_nginx_can_read_what_there_is(maintenance, nginx, monkeypatch, is_closed, cut):
    if is_closed:
        maintenance.close(**WORDS)
    steps = []

    def counted(action):
        def step(*arguments):
            if len(steps) == cut:
                raise KeyboardInterrupt
            steps.append(action)
            return action(*arguments)

        return step

    for name in "write", "remove_file":
        monkeypatch.setattr(omero_web_maintenance, name, counted(getattr(omero_web_maintenance, name)))
    with pytest.raises(KeyboardInterrupt):
        maintenance.open() if is_closed else maintenance.close(**WORDS)
    assert nginx.run("nginx", "-t").code == 0
    # Whoever asks then is told that the site is closed, and opens it.
    assert bool(maintenance.state()) is (is_closed or cut > 0)
    monkeypatch.undo()
    maintenance.open()
    assert files(nginx) == {}


def test_a_closed_site_has_its_name_and_a_logo_that_everybody_gets(maintenance, nginx):
    branding = {"name": "Ours", "text": "Tea is ready.", "logo": "/static/branding/logo-0a.png"}
    maintenance.close(**{**WORDS, "branding": branding})
    found = files(nginx)
    assert "<h1>Ours is closed for maintenance</h1>" in found["server.conf"]
    assert "<p>Tea is ready.</p>" in found["server.conf"]
    assert "<img src='/static/branding/logo-0a.png'" in found["server.conf"]
    assert '    "/static/branding/logo-0a.png" 1;\n' in found["http.conf"]
    maintenance.close(**{**WORDS, "branding": {**branding, "logo": "https://cdn.example.org/logo.png"}})
    assert "<img src='https://cdn.example.org/logo.png'" in files(nginx)["server.conf"]
    assert "cdn" not in files(nginx)["http.conf"]


def test_nothing_of_a_text_is_taken_for_anything_else():
    page = page_of(BRANDING, "\"$host\" \\ {x} ; <b>'\n", "Füße > 18:00 & $x")
    assert not set('$"{};') & set(page.replace(";}", "").partition("<h1>")[2].replace("&#", "").replace(";", ""))
    assert "&#34;&#36;host&#34; &#92; &#123;x&#125; ; &#60;b&#62;&#39;&#10;" in page
    assert " until Füße &#62; 18:00 &#38; &#36;x</h1>" in page
    assert "\n" not in page

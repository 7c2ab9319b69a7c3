"""What goes into a bundle has no secret in it, by whichever form it got there."""

import os
import tarfile

import pytest
from ansible.module_utils.omero_secrets import public_text
from ansible.module_utils.omero_web_bundle import all_secrets, answers, nginx_configuration, pack
from ansible.module_utils.omero_web_host import Problem
from ansible.module_utils.omero_web_systemd import Commands

UUID = "0a1b2c3d-1111-2222-3333-444455556666"
CONFIG = """<icegrid><properties id="__ACTIVE__"><property name="omero.config.profile" value="default"/></properties>
<properties id="default"><property name="omero.web.public.password" value="of-the-configuration"/></properties>
</icegrid>
"""


@pytest.mark.parametrize("text, shown", [
    ("hunter2-and-more, then hunter2", "********, then ********"),
    ("pip from https://ann:pass@example.org/simple", "pip from https://********@example.org/simple"),
    ("joined session " + UUID, "joined session ********"),
    ("sessionid=abcdef; csrftoken=ghi", "sessionid=********; csrftoken=********"),
    ('{"csrfmiddlewaretoken": "a b", "n": 1}', '{"csrfmiddlewaretoken": ********, "n": 1}'),
    ("GET /?session_key=abc&n=1", "GET /?session_key=********&n=1"),
    ('    proxy_set_header Authorization "Basic abc";', "    proxy_set_header Authorization ********;"),
    ("open() failed, client: 192.0.2.7, server: x", "open() failed, client: ********, server: x"),
    ("wrong password for ann", "wrong password for ann"),
    ("Grüße aus Dundee", "Grüße aus Dundee"),
])
def test_secrets_are_masked(text, shown):
    assert public_text(text, ["hunter2", "hunter2-and-more", None, ""]) == shown


@pytest.mark.parametrize("text", ["a-" * 500000, "token " * 200000, "://" * 300000, "\n" * 900000])
def test_nothing_that_a_log_may_have_takes_for_ever(text):
    public_text(text, [])


def test_whose_secrets_are_known(tmp_path):
    (tmp_path / "generations/3/etc/grid").mkdir(parents=True)
    (tmp_path / "generations/3/etc/grid/config.xml").write_text(CONFIG)
    (tmp_path / "maintenance").mkdir()
    (tmp_path / "maintenance/state.json").write_text('{"token": "of-the-way-in"}')
    (tmp_path / "var").mkdir()
    key = tmp_path / "var/django_secret_key"
    key.write_text("of-django\n")
    assert all_secrets(str(tmp_path)) == ["of-the-configuration", "of-the-way-in", "of-django"]
    key.unlink()
    os.mkfifo(str(key))
    assert all_secrets(str(tmp_path))[-1] == ""
    key.unlink()
    (tmp_path / "elsewhere").write_text("of another")
    key.symlink_to(tmp_path / "elsewhere")
    assert all_secrets(str(tmp_path))[-1] == ""


def test_of_other_sites_of_nginx_there_is_only_where_they_listen():
    ours = """$ nginx -T
# configuration file /etc/nginx/nginx.conf:
http {
}
# configuration file /etc/nginx/conf.d/omero-web.conf:
server { # ours
}
# configuration file /etc/nginx/conf.d/wiki.conf:
"""
    theirs = "server {\n  listen 80;\n  server_name wiki;\n  # hidden\n}\n"
    assert nginx_configuration(ours + theirs, ["/etc/nginx/conf.d/omero-web.conf"]) == (
        f"{ours}listen 80;\nserver_name wiki;\n"
    )


def test_what_is_not_there_is_told():
    text = answers(Commands(), [["echo", "here"], ["no-such-command", "-v"]])
    assert text.startswith("$ echo here\nhere\n\n$ no-such-command -v\n")
    assert "o such file" in text


def test_an_archive_is_new_and_roots_alone(tmp_path):
    path = str(tmp_path / "bundle.tar.gz")
    pack(path, "omero-web-host", {"status.txt": "größer hunter2"}, ["hunter2"])
    assert os.stat(path).st_mode & 0o777 == 0o600
    with tarfile.open(path) as archive:
        assert archive.getnames() == ["omero-web-host/status.txt"]
        assert archive.extractfile("omero-web-host/status.txt").read() == "größer ********".encode()
    with pytest.raises(Problem, match="is there already; name another file"):
        pack(path, "omero-web-host", {}, [])
    os.symlink(str(tmp_path / "target"), str(tmp_path / "link"))
    with pytest.raises(Problem):
        pack(str(tmp_path / "link"), "omero-web-host", {}, [])


def test_nothing_is_left_of_an_archive_that_has_no_room(tmp_path, monkeypatch):
    def full(*dummy, **others):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(IOError):
        pack(str(tmp_path / "bundle.tar.gz"), "omero-web-host", {"status.txt": "x"}, [])
    assert list(tmp_path.iterdir()) == []

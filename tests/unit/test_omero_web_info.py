"""What omero_web_info reads off a disk, whatever state some broken-off run has left there."""

import hashlib
import json
import mmap
import os
import runpy
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from ansible.module_utils import omero_web_look as looks
from ansible.module_utils.omero_web_host import generations, linked_generation
from ansible.module_utils.omero_web_systemd import Commands, Done, Systemd
from ansible.module_utils.omero_web_units import is_socket_of

info = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "library/omero_web_info.py")))


def plant(top, tree):
    """Make files of {path: content}; content that is no text is written as JSON."""
    for name, content in tree.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))


def described(path, **differences):
    """How omero_web_info describes a path that is as it is."""
    found = path.lstat()
    names = {"owner": info.user_name(found.st_uid), "group": info.group_name(found.st_gid)}
    kind = "directory" if path.is_dir() else "file"
    content = {} if path.is_dir() else {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return {"kind": kind, "mode": f"{found.st_mode & 0o7777:04o}", **names, **content, **differences}


def test_generations(tmp_path):
    plant(
        tmp_path / "generations",
        {
            "2/manifest": {"previous": 1},
            "2/activated": "",
            "2/omero-web.socket": "[Socket]\nListenStream=127.0.0.1:4080\nBacklog=2048\n",
            "10/manifest": {"previous": 2},
            "3/failed": "",
            "4/manifest": {"previous": 2},
            "4/failed": "",
            "5/gunicorn.conf.py": "",
            "6/manifest": '{"previous": 2',
            "7/manifest": "",
            "notes/manifest": {},
            "007/manifest": {},
            "²/manifest": {},
        },
    )
    (tmp_path / "generations/2/release").symlink_to("../../releases/5.33.2-aa")
    # A power cut empties a file; the link tells what still runs.
    (tmp_path / "generations/7/release").symlink_to("../../releases/5.33.2-bb")
    finished, unfinished = generations(str(tmp_path))
    assert [(one["number"], one["failed"], one["activated"], one["manifest"]) for one in finished] == [
        (2, False, True, {"previous": 1}),
        (3, True, False, {}),
        (4, True, False, {"previous": 2}),
        (10, False, False, {"previous": 2}),
    ]
    assert (finished[0]["release"], finished[0]["address"]) == ("5.33.2-aa", "127.0.0.1:4080")
    assert finished[0]["files"] == ["activated", "manifest", "omero-web.socket", "release"]
    assert [(one["number"], one["release"]) for one in unfinished] == [(5, ""), (6, ""), (7, "5.33.2-bb")]


def test_releases(tmp_path):
    plant(
        tmp_path / "releases",
        {
            "5.33.2-aa/manifest": {"django": "5.2"},
            "5.33.2-bb/venv/x": "",
            "5.33.2-cc/manifest": "",
            ".removing-dd/manifest": {},
        },
    )
    complete, unfinished = looks.releases(str(tmp_path))
    assert complete == {"5.33.2-aa": {"django": "5.2"}}
    assert unfinished == ["5.33.2-bb", "5.33.2-cc"]


def test_host_that_has_nothing_yet(tmp_path):
    basedir = str(tmp_path / "opt/omero/web")
    assert generations(basedir) == ([], [])
    assert looks.releases(basedir) == ({}, [])
    assert linked_generation(basedir, "current") == 0


@pytest.mark.parametrize(
    "target, number",
    [
        ("generations/7", 7),
        ("generations/7/", 7),
        ("{top}/generations/7", 7),
        ("generations/notes", 0),
        ("generations", 0),
        ("releases/7", 0),
        ("/", 0),
    ],
)
def test_current_link(tmp_path, target, number):
    (tmp_path / "current").symlink_to(target.format(top=tmp_path))
    assert linked_generation(str(tmp_path), "current") == number


def test_current_that_is_no_link(tmp_path):
    (tmp_path / "current").mkdir()
    assert linked_generation(str(tmp_path), "current") == 0


def test_basedir_behind_a_link(tmp_path):
    plant(tmp_path / "disk", {"generations/7/manifest": {}})
    (tmp_path / "disk/current").symlink_to("generations/7")
    (tmp_path / "web").symlink_to("disk")
    assert linked_generation(str(tmp_path / "web"), "current") == 7


def test_sessions(tmp_path):
    plant(tmp_path / "var/sessions", {"django-1.8/a": "", "django-5.2/b": "", "notes/c": "", "django-5/d": ""})
    (tmp_path / "var/django_secret_key").write_text("key")
    assert looks.shared(str(tmp_path)) == (["django-1.8", "django-5.2"], {})
    assert looks.shared(str(tmp_path / "nothing")) == ([], {})


@pytest.mark.parametrize("path", ["var", "var/log", "var/sessions", "var/sessions/django-5.2", "var/django_secret_key"])
@pytest.mark.parametrize(
    "make, what",
    [
        (lambda path, decoy: path.symlink_to(decoy), "a link"),
        (lambda path, decoy: path.symlink_to("nowhere"), "a link"),
        (lambda path, decoy: os.mkfifo(path), "neither a file nor a directory"),
        (lambda path, decoy: path.mkdir() if path.name == "django_secret_key" else path.write_text(""), None),
    ],
)
def test_what_somebody_put_in_place_of_what_generations_share(tmp_path, path, make, what):
    """Nothing is read that is not where it should be, and nothing waits for whoever would write into a pipe."""
    plant(tmp_path / "decoy", {"sessions/django-1.8/a": "", "django-1.8/b": "", "etc/c": ""})
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    make(tmp_path / path, tmp_path / "decoy")
    expected = what or ("a directory" if path == "var/django_secret_key" else "a file")
    assert looks.shared(str(tmp_path)) == ([], {str(tmp_path / path): expected})


UNIT = "[Service]\nUser={0}\nGroup={0}s\nWorkingDirectory=/opt/{0}/generations/%i\nEnvironment=HOME=/generations/%i\n"


def test_services(tmp_path):
    units = {f"omero-web@{number}.service": UNIT.format(f"web{number}") for number in (2, 10)}
    plant(tmp_path, {**units, "omero-web@.service": UNIT.format("x"), "omero-web@11.service.d/more.conf": "User=y"})
    plant(tmp_path, {"omero-web-public@3.service": UNIT.format("web3"), "my-omero-web@4.service": UNIT.format("z")})
    plant(tmp_path, {"omero-web-empty@5.service": ""})
    assert looks.services(str(tmp_path)) == {
        "omero-web": {"basedir": "/opt/web10", "user": "web10", "group": "web10s"},
        "omero-web-public": {"basedir": "/opt/web3", "user": "web3", "group": "web3s"},
    }


def test_no_services(tmp_path):
    assert looks.services(str(tmp_path)) == {}
    plant(tmp_path, {"omero-web.service": UNIT.format("public")})
    assert looks.services(str(tmp_path)) == {}


NGINX = """\
upstream omeroweb_public {
    server 127.0.0.1:4081 fail_timeout=0;
}
server {
    listen 80;
    listen [::]:80;
    server_name public.example.org _;
    location / {
        proxy_pass http://omeroweb_public;
    }
}

server {
    listen 192.0.2.1:443 ssl;
    listen unix:/run/8.sock;
    server_name
        public.example.org;
    # server_name other.example.org;
}
"""


def test_neighbour(tmp_path):
    socket = "[Socket]\nListenStream=127.0.0.1:4081\n"
    plant(tmp_path / "generations/7", {"omero-web.socket": socket, "nginx.conf": NGINX})
    (tmp_path / "current").symlink_to("generations/7")
    service = {"basedir": str(tmp_path), "user": "public"}
    assert looks.neighbour("omero-web-public", service) == {
        "name": "omero-web-public",
        **service,
        "address": "127.0.0.1:4081",
        "sites": [
            {"ports": [80], "server_names": ["public.example.org", "_"]},
            {"ports": [443], "server_names": ["public.example.org"]},
        ],
        "ports": [80, 443],
    }
    (tmp_path / "current").unlink()
    gone = looks.neighbour("omero-web-public", service)
    assert (gone["address"], gone["sites"]) == ("", [])


def test_ports_of_generations(tmp_path):
    server = "server {{\n    listen {0};\n    listen [::]:{0};\n}}\n"
    made = {"7": server.format(80) + server.format(443), "8": "", "x": server.format(81)}
    plant(tmp_path / "generations", {f"{name}/nginx.conf": text for name, text in made.items()})
    plant(tmp_path / "generations/9", {"manifest": {}})
    assert looks.all_ports(str(tmp_path)) == {7: [80, 443], 8: [], 9: []}
    assert looks.all_ports(str(tmp_path / "nowhere")) == {}


def test_description(tmp_path):
    plant(tmp_path, {"file": "content"})
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert info.description(str(tmp_path / "file")) == described(tmp_path / "file", mode="0640")
    assert info.description(str(tmp_path)) == described(tmp_path)
    assert info.description(str(tmp_path / "missing")) is None
    assert info.description(str(tmp_path / "link"))["kind"] == "link"
    assert info.description(str(tmp_path / "dangling"))["kind"] == "link"
    assert info.description(str(tmp_path / "pipe"))["kind"] == "other"


@pytest.mark.parametrize("content, matches", [("a\nb\n", True), ("a\n#b\n", False), ("\xe9\xff", False), (None, False)])
def test_part_of_a_file(tmp_path, content, matches):
    if content is not None:
        (tmp_path / "file").write_bytes(content.encode("latin-1"))
    assert info.has_part(str(tmp_path / "file"), "(?m)^b$") == matches


def test_owners_without_a_name(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(tmp_path, 4_000_000, 4_000_000)
    assert info.description(str(tmp_path))["owner"] is None


def test_astray(tmp_path):
    plant(tmp_path / "7", {"same.conf": "a", "changed.conf": "a", "missing.conf": "a"})
    plant(tmp_path / "etc", {"same.conf": "a", "changed.conf": "b", "extra.conf": "a"})
    names = ("same", "changed", "missing", "extra", "none")
    installed = {f"{name}.conf": str(tmp_path / f"etc/{name}.conf") for name in names}
    assert looks.astray(str(tmp_path / "7"), installed) == [
        str(tmp_path / f"etc/{name}.conf") for name in ("changed", "extra", "missing")
    ]


@pytest.mark.parametrize(
    "wanted, content, is_configured",
    [("aa", "<a/>", True), ("bb", "<a/>", False), ("aa", "<b/>", False), ("", "<a/>", False)],
)
def test_configuration_is_that_which_was_wanted_and_nobody_edited_it(tmp_path, wanted, content, is_configured):
    digest = {"wanted": "aa", "file": hashlib.sha256(b"<a/>").hexdigest()}
    plant(tmp_path, {"config.digest": digest, "etc/grid/config.xml": content})
    assert info.is_configured(str(tmp_path), wanted) == is_configured


def test_generation_without_a_digest_is_not_configured(tmp_path):
    assert not info.is_configured(str(tmp_path), "aa")
    assert not info.is_configured(str(tmp_path), "")


@pytest.fixture
def mapped(tmp_path):
    """Have this process map a file, which is deleted then."""
    maps = []

    def mapped(name, is_deleted=True):
        plant(tmp_path, {name: "content"})
        with (tmp_path / name).open("rb") as content:
            maps.append(mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ))
        if is_deleted:
            (tmp_path / name).unlink()

    yield mapped
    for one in maps:
        one.close()


GROUP = "/system.slice/system-omero\\x2dweb.slice/omero-web@7.service"


@pytest.mark.parametrize("hierarchy", ["", "systemd", "unified"])
def test_deleted_files_that_run(tmp_path, mapped, hierarchy):
    ended = subprocess.Popen(["true"])
    ended.wait()
    plant(tmp_path / "cgroup" / hierarchy, {GROUP[1:] + "/cgroup.procs": f"{ended.pid}\n{os.getpid()}\n"})
    # That of all processes which are in no other group.
    plant(tmp_path / "cgroup", {"cgroup.procs": f"{os.getpid()}\n"})
    hierarchies = [path.replace("/sys/fs", str(tmp_path)) for path in looks.HIERARCHIES]

    def runs_deleted_files(group=GROUP, basedir="web"):
        return looks.runs_deleted_files(group, str(tmp_path / basedir), hierarchies)

    mapped("web/releases/5.33.2-aa/venv/lib.so", is_deleted=False)
    mapped("web/generations/7/lib.so")
    mapped("web/releases2/5.33.2-aa/lib.so")
    # The service may call its own files what it likes.
    mapped(f"web/var/tmp/a {tmp_path}/web/releases/lib.so")
    assert not runs_deleted_files()
    mapped("web/releases/5.33.2-aa/venv/the lib.so")
    assert runs_deleted_files()
    assert not runs_deleted_files(basedir="web2")
    assert not runs_deleted_files(group=GROUP.replace("7", "8"))
    assert not runs_deleted_files(group="")
    (tmp_path / "link").symlink_to("web")
    assert runs_deleted_files(basedir="link")


class Site(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if (self.path, self.headers["Host"]) == ("/omero/webclient/login/", "web") else 404)
        self.send_header("Omero-Web-Generation", self.server.generation)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = HTTPServer(("127.0.0.1", 0), Site)
    Thread(target=server.serve_forever).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("said, generation", [("7", 7), ("", 0), ("seven", 0)])
def test_answer_tells_which_generation_gave_it(server, monkeypatch, said, generation):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server.generation = said
    url = f"http://127.0.0.1:{server.server_port}/omero"
    assert looks.answer_of(url, "web", 5) == {"status": 200, "generation": generation, "message": "OK"}
    assert looks.answer_of(url, "other", 5)["status"] == 404


def test_nothing_answers():
    assert looks.answer_of("http://127.0.0.1:1", "web", 5) == {
        "status": 0,
        "generation": 0,
        "message": "[Errno 111] Connection refused",
    }


@pytest.mark.parametrize("flags, read_only", [(4096, False), (4097, True)])
def test_file_system_of_what_does_not_exist(tmp_path, monkeypatch, flags, read_only):
    found = SimpleNamespace(f_bavail=7, f_frsize=4096, f_flag=flags)
    monkeypatch.setattr(os, "statvfs", lambda path: found if path == str(tmp_path) else None)
    monkeypatch.chdir(tmp_path)
    expected = 7 * 4096, read_only
    assert looks.file_system(str(tmp_path)) == expected
    assert looks.file_system(str(tmp_path / "not/there")) == expected
    assert looks.file_system("not/there") == expected
    assert looks.file_system("") == expected


class Answers(Commands):
    """A host that has every command; they all say the same."""

    def __init__(self, code, output, errors=""):
        self.answer = Done(code, output, errors)

    def run(self, *command, **options):
        return self.answer


@pytest.mark.parametrize(
    "code, output, expected",
    [
        (0, "3.11.2 cp311\n", {"python3": {"version": "3.11.2", "tag": "cp311"}}),
        (1, "3.11.2 cp311\n", {}),
        (0, "", {}),
        (0, "this is no Python\n", {}),
    ],
)
def test_pythons(code, output, expected):
    assert info.Tools(Answers(code, output)).pythons(["python3"]) == expected


@pytest.mark.parametrize(
    "is_debian, output",
    [(True, "nginx installed\nvim config-files\nlibc6 installed\nlibc6 installed\n"), (False, "nginx\nlibc6\n")],
)
def test_packages(monkeypatch, is_debian, output):
    monkeypatch.setattr(os.path, "exists", lambda path: path == "/etc/debian_version" and is_debian)
    assert info.Tools(Answers(0, output)).packages() == ["libc6", "nginx"]


def test_units():
    output = (
        "Id=omero-web.socket\nActiveState=active\nUnitFileState=enabled\nListen=127.0.0.1:4080 (Stream)\n\n"
        "Id=omero-web@7.service\nActiveState=active\nUnitFileState=disabled\n"
        f"ControlGroup={GROUP}\n\n"
        "Id=omero-web@6.service\nActiveState=inactive\nUnitFileState=disabled\nControlGroup=\n"
    )
    socket = {"active": "active", "enabled": "enabled", "listen": "127.0.0.1:4080", "control_group": ""}
    assert looks.units(Systemd(Answers(0, output)), "omero-web*") == {
        "omero-web.socket": socket,
        "omero-web@7.service": {"active": "active", "enabled": "disabled", "listen": "", "control_group": GROUP},
        "omero-web@6.service": {"active": "inactive", "enabled": "disabled", "listen": "", "control_group": ""},
    }
    assert looks.units(Systemd(Answers(0, "")), "omero-web*") == {}
    assert looks.units(Systemd(Answers(1, "Failed to connect to bus\n")), "omero-web*") == {}


SOCKETS = ("omero-web.socket", "omero-web-127.0.0.1:4090.socket", "omero-web-::1:4080.socket", "omero-web-:4080.socket")


@pytest.mark.parametrize("socket", SOCKETS)
def test_sockets_of_instances(socket):
    public = socket.replace("omero-web", "omero-web-public")
    assert [is_socket_of("omero-web", unit) for unit in (socket, public)] == [True, False]
    assert [is_socket_of("omero-web-public", unit) for unit in (socket, public)] == [False, True]


def test_socket_of_an_old_systemd():
    output = "Id=omero-web.socket\nActiveState=active\nUnitFileState=enabled\nListenStream=127.0.0.1:4080\n"
    units = looks.units(Systemd(Answers(0, output)), "omero-web*")
    assert units["omero-web.socket"]["listen"] == "127.0.0.1:4080"


def test_control_group_of_an_old_systemd():
    escaped = GROUP.replace("\\", "\\x5c")
    output = f"Id=omero-web@7.service\nActiveState=active\nUnitFileState=disabled\nControlGroup={escaped}\n"
    units = looks.units(Systemd(Answers(0, output)), "omero-web*")
    assert units["omero-web@7.service"]["control_group"] == GROUP


@pytest.mark.parametrize(
    "output, version", [("systemd 219\n+PAM\n", 219), ("systemd 252 (252.38-1~deb12u1)\n+PAM\n", 252)]
)
def test_systemd(output, version):
    assert info.Tools(Answers(0, output)).systemd() == version


class SELinux(Answers):
    def __init__(self, mode, getsebool=""):
        self.outputs = {"getenforce": mode + "\n", "getsebool": getsebool}

    def run(self, *command, **options):
        return Done(0, self.outputs[command[0]], "")


def test_selinux():
    commands = info.Tools(SELinux("Enforcing", "httpd_can_network_relay --> off\nhttpd_enable_homedirs --> on\n"))
    assert commands.selinux() == "enforcing"
    assert commands.booleans_off(["httpd_can_network_relay", "httpd_enable_homedirs"]) == ["httpd_can_network_relay"]
    commands = info.Tools(SELinux("Disabled"))
    assert commands.selinux() == "disabled"
    assert commands.booleans_off(["httpd_can_network_relay"]) == []


def test_host_without_selinux_and_nginx():
    commands = info.Tools(Answers(127, ""))
    assert commands.nginx() == "0"
    assert commands.selinux() == "disabled"
    assert commands.booleans_off(["httpd_can_network_relay"]) == []


def test_why_a_host_is_on_hold_is_one_line(tmp_path):
    assert looks.hold(str(tmp_path)) == ""
    plant(tmp_path, {"hold": "\n course until Friday\nask Ann\n"})
    assert looks.hold(str(tmp_path)) == "course until Friday"
    plant(tmp_path, {"hold": "x" * 1000})
    assert len(looks.hold(str(tmp_path))) == 200


def test_what_builds_leave_is_listed_with_the_newest_first(tmp_path):
    names = ["a.whl", "b.zip", "c.tar", "d.tar.unfinished", "e.txt"]
    plant(tmp_path, {f"wheels/{name}": "" for name in names})
    for age, name in enumerate(names):
        os.utime(str(tmp_path / "wheels" / name), (1e9 - age, 1e9 - age))
    assert info.wheels(str(tmp_path)) == ["a.whl", "b.zip", "c.tar"]

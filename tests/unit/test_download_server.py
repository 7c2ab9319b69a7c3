"""The archives of tests/download_server.py, and what the real omego makes of each."""

import functools
import os
import re
import runpy
import select
import shutil
import socket
import stat
import struct
import subprocess
import sys
import venv
import zipfile
from http.client import parse_headers
from http.server import HTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.request import urlopen

import pytest

PROGRAM = Path(__file__).parents[1] / "download_server.py"
programs = SimpleNamespace(**runpy.run_path(str(PROGRAM)))
releases = {release.version: release for release in programs.RELEASES}
OMEGO = "omego==0.8.0"


def run_server(command, directory):
    done = subprocess.run([sys.executable, PROGRAM, command, directory], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(name="directory", scope="module")
def directory_of_server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("server")
    run_server("up", directory)
    yield directory
    run_server("down", directory)


@pytest.fixture(name="omego", scope="module")
def omego_command(tmp_path_factory):
    if command := shutil.which("omego"):
        return command
    top = tmp_path_factory.mktemp("omego")
    venv.create(top, with_pip=True)
    subprocess.run([top / "bin/pip", "install", "--quiet", "--disable-pip-version-check", OMEGO], check=True)
    return top / "bin/omego"


@pytest.fixture(name="download")
def download_with_omego(omego, directory, tmp_path):
    """Let omego download a release into an empty directory."""

    def download(release):
        url = (directory / "url").read_text().strip()
        arguments = ["--ice", "3.6", "--release", release, "--downloadurl", url, "py"]
        done = subprocess.run([omego, "download", *arguments], cwd=tmp_path, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    return download


@pytest.fixture(name="connection")
def connection_to_server(directory):
    host, port = re.findall(r"//(.*):(\d+)", (directory / "url").read_text())[0]
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        yield connection


def ask(connection, version):
    """Ask for the archive of a release; return how many bytes are promised, and what brings them."""
    connection.sendall(f"GET {releases[version].path} HTTP/1.0\r\n\r\n".encode())
    stream = connection.makefile("rb")
    assert b" 200 " in stream.readline()
    return int(parse_headers(stream)["Content-Length"]), stream


def archive_of(directory, version):
    return directory / "site" / releases[version].path.lstrip("/")


def modes_in(archive):
    with zipfile.ZipFile(archive) as members:
        return [stat.S_IMODE(member.external_attr >> 16) for member in members.infolist()]


@pytest.mark.parametrize(
    "release, version",
    [("5.4.9", "5.4.9"), ("5.4.10", "5.4.10"), ("latest", "5.4.10"), ("5", "5.4.10"), ("5.4", "5.4.10")],
)
def test_sound_release(download, tmp_path, release, version):
    code, output = download(release)
    assert code == 0, output
    top = tmp_path / f"OMERO.py-{version}-ice36-b105"
    assert os.access(top / "bin/omero", os.X_OK)
    assert f'omero_version = "{version}"' in (top / "lib/python/omero_version.py").read_text()
    assert f'omeroweb_version = "{version}"' in (top / "lib/python/omeroweb/version.py").read_text()
    for path in "omero/cli.py", "omero/plugins/web.py", "omero_ext/portalocker.py", "omeroweb/wsgi.py", "path.py":
        assert (top / "lib/python" / path).is_file()
    assert (top / "etc/templates/web/nginx.conf.template").is_file()
    assert "Pillow<3.4" in (top / "share/web/requirements-py27-all.txt").read_text()


@pytest.mark.parametrize(
    "release, code, message",
    [
        ("5.4.1", 20, "File is not a zip file"),
        ("5.4.2", 20, "Bad CRC-32 for file"),
        ("5.4.5", 1, "No artifacts found for ice version: ice36"),
        ("5.4.6", 20, "Insecure path in zipfile"),
        ("5.4.8", 20, "Path in zipfile is not in required subdir"),
        ("5.4.11", 20, "Downloads page failed, is the version correct?"),
        ("6", 20, "Invalid latest URL, is the version correct?"),
    ],
)
def test_release_that_omego_refuses(download, release, code, message):
    found, output = download(release)
    assert found == code, output
    assert message in output


def test_versions_agree_with_the_login_page(directory):
    with zipfile.ZipFile(archive_of(directory, "5.4.10")) as archive:
        views = archive.read(f"{releases['5.4.10'].name}/lib/python/omeroweb/webclient/views.py").decode()
    pattern = "".join(re.findall(r"'(.*)'", re.search(r"ver = re.match\(\((.*?)\),", views, re.DOTALL)[1]))
    assert re.match(pattern, "5.4.10")


def test_connection_that_breaks_off(connection):
    promised, stream = ask(connection, "5.4.3")
    assert 0 < len(stream.read()) < promised


def test_connection_that_stalls(connection):
    promised, stream = ask(connection, "5.4.4")
    stream.read(promised // 2)
    assert select.select([connection], [], [], 0.2)[0] == []
    connection.shutdown(socket.SHUT_WR)
    assert stream.read() == b""


def test_modes(directory):
    assert not [mode for mode in modes_in(archive_of(directory, "5.4.10")) if mode not in (0o644, 0o755)]
    loose = modes_in(archive_of(directory, "5.4.7"))
    assert [mode for mode in loose if mode & stat.S_ISUID]
    assert [mode for mode in loose if mode & stat.S_IWGRP and not mode & stat.S_IWOTH]
    assert [mode for mode in loose if mode & stat.S_IWOTH]


def test_same_archive_at_every_build(directory):
    files = programs.common_files((directory / "sdists").glob("*.tar.gz"))
    archive = programs.make_archive(releases["5.4.10"], files)
    assert archive == archive_of(directory, "5.4.10").read_bytes()


def test_only_what_is_outdated_is_made_again(directory):
    outdated, current = archive_of(directory, "5.4.9"), archive_of(directory, "5.4.10")
    before = outdated.read_bytes(), current.stat().st_ino
    outdated.write_bytes(b"")
    os.utime(outdated, (0, 0))
    programs.make_site(directory)
    assert (outdated.read_bytes(), current.stat().st_ino) == before


def test_client_that_leaves(directory, capsys):
    handler = functools.partial(programs.Handler, directory=directory / "site")
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        with socket.create_connection(server.server_address) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", True, 0))
        server.handle_request()
    assert capsys.readouterr() == ("", "")


def test_up_where_it_runs(directory):
    before = (directory / "pid").read_text(), (directory / "url").read_text()
    url = run_server("up", directory)
    assert ((directory / "pid").read_text(), f"{url}\n") == before


def test_down(directory, tmp_path, request):
    (tmp_path / "site").symlink_to(directory / "site")
    request.addfinalizer(functools.partial(run_server, "down", tmp_path))
    url = run_server("up", tmp_path)
    assert urlopen(f"{url}/omero/5.4.10/artifacts/").status == 200
    run_server("down", tmp_path)
    with pytest.raises(OSError, match="refused"):
        urlopen(url)
    run_server("down", tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["log", "site"]


def test_down_spares_a_process_of_somebody_else(tmp_path):
    with subprocess.Popen(["sleep", "infinity"]) as process:
        (tmp_path / "pid").write_text(f"{process.pid}\n")
        run_server("down", tmp_path)
        assert process.poll() is None
        process.kill()

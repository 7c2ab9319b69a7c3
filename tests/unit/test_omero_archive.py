"""omero_archive with the real omego, on archives that are sound and on archives that are not."""

import hashlib
import os
import re
import runpy
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

PROJECT = Path(__file__).parents[2]
SERVER = PROJECT / "tests/download_server.py"
OMEGO = Path(sys.executable).with_name("omego")

module = SimpleNamespace(**runpy.run_path(str(PROJECT / "library/omero_archive.py")))


@pytest.fixture(name="url", scope="module")
def url_of_download_server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("downloads")
    command = [sys.executable, SERVER, "up", directory]
    yield subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    subprocess.run([sys.executable, SERVER, "down", directory], check=True)


@pytest.fixture(name="params")
def params_of_module(url, tmp_path):
    return {
        "release": "5.4.10",
        "ice": "3.6",
        "download_url": url,
        "checksum": "",
        "directory": str(tmp_path / "archives"),
        "omego": str(OMEGO),
        "timeout": 60,
    }


@pytest.fixture(name="kept")
def archives_that_are_kept(params):
    """Tell what is in the directory of archives."""
    return lambda: sorted(path.name for path in Path(params["directory"]).glob("*"))


def checksum_of(path):
    return "sha256:" + hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.mark.parametrize("release", ["5.4.10", "5.4", "5", "latest"])
def test_a_sound_archive_is_kept(params, kept, release):
    params["release"] = release
    result = module.provide(params, check_mode=False)
    assert result["changed"]
    assert result["version"] == "5.4.10"
    assert kept() == [Path(result["path"]).name] == ["OMERO.py-5.4.10-ice36-b105.zip"]
    assert not module.provide(params, check_mode=False)["changed"]


def test_check_mode_tells_the_same_and_downloads_nothing(params, kept):
    expected = module.provide(params, check_mode=True)
    assert not kept()
    assert module.provide(params, check_mode=False) == expected


def test_an_archive_that_is_kept_needs_no_server(params):
    path = module.provide(params, check_mode=False)["path"]
    params["download_url"] = "http://127.0.0.1:9"
    assert module.provide(params, check_mode=False)["path"] == path


@pytest.mark.parametrize("release", ["5.4.10", "5.4"])
@pytest.mark.parametrize("size", [0, 1000])
def test_an_archive_that_is_kept_and_has_come_to_harm_is_downloaded_again(params, kept, release, size):
    params["release"] = release
    path = module.provide(params, check_mode=False)["path"]
    whole = checksum_of(path)
    os.truncate(path, size)
    assert module.provide(params, check_mode=True)["changed"]
    assert module.provide(params, check_mode=False)["changed"]
    assert checksum_of(path) == whole
    assert kept() == [Path(path).name]


def test_an_archive_with_an_encrypted_member(tmp_path):
    path = tmp_path / "OMERO.py-5.4.10-ice36-b105.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("OMERO.py-5.4.10-ice36-b105/a", "a")
    # The first of the flags that each member has, in its own header and in the table.
    content = path.read_bytes().replace(b"PK\3\4\x14\0\0", b"PK\3\4\x14\0\1").replace(
        b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1")  # fmt: skip
    path.write_bytes(content)
    with pytest.raises(module.ArchiveError, match="b105.zip has a member that cannot be read: .*encrypted"):
        module.check_members(path)


def test_the_checksum_is_compared_each_time(params, kept):
    params["checksum"] = checksum_of(module.provide(params, check_mode=False)["path"])
    assert not module.provide(params, check_mode=False)["changed"]
    params["checksum"] = "sha256:" + 64 * "0"
    with pytest.raises(module.ArchiveError, match="and sha256:0{64} is expected"):
        module.provide(params, check_mode=False)
    Path(params["directory"], kept()[0]).unlink()
    with pytest.raises(module.ArchiveError, match="and sha256:0{64} is expected"):
        module.provide(params, check_mode=False)
    assert not kept()


@pytest.mark.parametrize(
    "release, sentence",
    [
        ("5.4.1", "OMERO.py-5.4.1-ice36-b105.zip is damaged: "),
        ("5.4.2", "OMERO.py-5.4.2-ice36-b105.zip is damaged: "),
        ("5.4.3", "release 5.4.3 was not downloaded from http://127.0.0.1:[0-9]+ within 2 seconds"),
        ("5.4.4", "release 5.4.4 was not downloaded from http://127.0.0.1:[0-9]+ within 2 seconds"),
        ("5.4.5", "the download server http://127.0.0.1:[0-9]+ has release 5.4.5, but not for Ice 3.6"),
        ("5.4.6", "OMERO.py-5.4.6-ice36-b105.zip has a member outside its folder .*evil"),
        ("5.4.8", "OMERO.py-5.4.8-ice36-b105.zip has a member outside its folder OMERO.py-5.4.8-ice36-b105/: "),
        ("5.4.99", "the download server http://127.0.0.1:[0-9]+ has no release 5.4.99"),
        ("4", "the download server http://127.0.0.1:[0-9]+ has no release 4"),
    ],
)
def test_anything_else_is_told_in_one_sentence_and_leaves_nothing(params, kept, release, sentence):
    params.update(release=release, timeout=2)
    with pytest.raises(module.ArchiveError) as told:
        module.provide(params, check_mode=False)
    assert re.match(sentence, str(told.value))
    assert "\n" not in str(told.value)
    assert not kept()


def test_a_download_that_hangs_ends_with_all_its_processes(params):
    params.update(release="5.4.4", timeout=2)
    with pytest.raises(module.ArchiveError):
        module.provide(params, check_mode=False)
    # A process that was killed is in the list until its parent, init, has taken note of it.
    time.sleep(0.1)
    commands = subprocess.run(["ps", "-e", "-o", "args="], capture_output=True, text=True, check=True).stdout
    assert params["download_url"] not in commands


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://user:pa55@127.0.0.1:9"])
def test_a_server_that_is_not_there(params, url):
    params["download_url"] = url
    with pytest.raises(module.ArchiveError, match="the download server http://127.0.0.1:9 cannot be reached: [A-Z]"):
        module.provide(params, check_mode=False)

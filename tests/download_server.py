#!/usr/bin/env python3
"""A download server with the OMERO.py archives of releases before 5.6, laid out as omego wants it.

The archives are real: the last OMERO for Python 2.7 on the package index, arranged as the zips were, each saying a
version of its own. Most are broken, each in one way, so that a test just asks for that release: RELEASES has them all.

    download_server.py up DIRECTORY      make what is missing below the directory, serve it and print the base URL
    download_server.py down DIRECTORY    stop serving; the archives stay
    download_server.py serve DIRECTORY   what up leaves running, in the foreground
"""

import argparse
import contextlib
import functools
import io
import os
import re
import select
import signal
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROGRAM = Path(__file__).resolve()
DATA = PROGRAM.parent / "archives"
LATEST = "5.4.10"

# Where the files of the sdists go in an archive; what is not named here stays out.
PLACES = {
    "bin/": "bin/",
    "target/": "lib/python/",
    "omero/": "lib/python/omero/",
    "omeroweb/": "lib/python/omeroweb/",
    "omeroweb/templates/": "etc/templates/web/",
}
LOGIN_PAGE = "lib/python/omeroweb/webclient/templates/webclient/login.html"


def truncate(archive):
    return archive[: len(archive) // 2]


def break_checksum(archive):
    """Falsify the checksum of the last file, which is in its own header and in the directory at the end of the zip."""
    broken = bytearray(archive)
    for header, offset in (b"PK\x03\x04", 14), (b"PK\x01\x02", 16):
        broken[broken.rindex(header) + offset] ^= 1
    return broken


@dataclass(frozen=True)
class Release:
    """A sound release, but for what is said here."""

    version: str
    ice: str = "ice36"
    folder: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    damage: Callable[[bytes], bytes] = bytes
    breaks_off: bool = False
    stalls: bool = False

    @property
    def name(self):
        return f"OMERO.py-{self.version}-{self.ice}-b105"

    @property
    def path(self):
        return f"/omero/{self.version}/artifacts/{self.name}.zip"


RELEASES = [
    Release("5.4.0", files={LOGIN_PAGE: b"{% no_such_tag %}\n"}),
    Release("5.4.1", damage=truncate),
    Release("5.4.2", damage=break_checksum),
    Release("5.4.3", breaks_off=True),
    Release("5.4.4", stalls=True),
    Release("5.4.5", ice="ice35"),
    Release("5.4.6", files={"../../evil": b"Out of the directory that the archive was unpacked in.\n"}),
    Release("5.4.7", modes={"bin/omero": 0o4755, "etc/templates/web/nginx.conf.template": 0o664,
                            "lib/python/": 0o777, "lib/python/omero_version.py": 0o666}),
    Release("5.4.8", folder="OMERO.py-5.4.10-ice36-b105"),
    Release("5.4.9"),
    Release("5.4.10"),
]  # fmt: skip


def download_sdists(directory):
    """Let pip fetch the sdists, with a stand-in for setuptools: pip would run their setup.py, which is for Python 2."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--no-binary=:all:", "--no-build-isolation", "--use-pep517", "--require-hashes",
         "--requirement", DATA / "omero.txt", "--dest", directory],
        check=True, stdout=sys.stderr, env={**os.environ, "PYTHONPATH": str(DATA / "pip")},
    )  # fmt: skip
    return sorted(directory.glob("*.tar.gz"))


def common_files(sdists):
    """The content of what is in all archives, by path."""
    files = {}
    for sdist in sdists:
        with tarfile.open(sdist) as archive:
            for member in filter(tarfile.TarInfo.isfile, archive):
                path = member.name.partition("/")[2]
                if prefix := max(filter(path.startswith, PLACES), key=len, default=""):
                    files[PLACES[prefix] + path.removeprefix(prefix)] = archive.extractfile(member).read()
    for path in filter(Path.is_file, (DATA / "OMERO.py").rglob("*")):
        files[path.relative_to(DATA / "OMERO.py").as_posix()] = path.read_bytes()
    return files


def say_version(files, version):
    """Replace the versions of the sdists; the login page of theirs takes none but a development version."""
    for path in "lib/python/omero_version.py", "lib/python/omeroweb/version.py":
        files[path] = re.sub(rb'(omero(?:web)?_version) = ".*"', rb'\1 = "%s"' % version.encode(), files[path])
    views = "lib/python/omeroweb/webclient/views.py"
    files[views] = files[views].replace(rb"(?P<patch>(dev|a|b|rc)\d+)", rb"(?P<patch>\d+)")


def make_archive(release, files):
    """The zip, which is the same to the last byte whenever it is made."""
    files = dict(files)
    say_version(files, release.version)
    files.update(release.files)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted({*files, *release.modes}):
            kind = stat.S_IFDIR if path.endswith("/") else stat.S_IFREG
            mode = release.modes.get(path, 0o755 if path.startswith("bin/") else 0o644)
            member = zipfile.ZipInfo(f"{release.folder or release.name}/{path}")
            member.external_attr = (kind | mode) << 16
            archive.writestr(member, files.get(path, b""), zipfile.ZIP_DEFLATED, compresslevel=1)
    return release.damage(content.getvalue())


def make_site(directory):
    """Make the archives that are missing, or older than what they are made of; return the top of what is served."""
    site = directory / "site"
    changed = max(path.stat().st_mtime for path in [PROGRAM, *DATA.rglob("*")])
    archives = {site / release.path.lstrip("/"): release for release in RELEASES}
    missing = [path for path in archives if not (path.exists() and path.stat().st_mtime > changed)]
    files = common_files(download_sdists(directory / "sdists")) if missing else {}
    for path in missing:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_bytes(make_archive(archives[path], files))
        unfinished.rename(path)
    return site


class Handler(SimpleHTTPRequestHandler):
    releases = {release.path: release for release in RELEASES}

    def send_head(self):
        if not re.fullmatch(r"/latest/omero(5|5\.4)?", self.path):
            return super().send_head()
        self.send_response(302)
        self.send_header("Location", f"/omero/{LATEST}/")
        self.end_headers()

    def copyfile(self, source, outputfile):
        release = self.releases.get(self.path)
        if not release or not (release.breaks_off or release.stalls):
            return super().copyfile(source, outputfile)
        outputfile.write(truncate(source.read()))
        if release.stalls:
            self.rfile.read()  # Comes to its end when the client leaves.

    def handle(self):
        with contextlib.suppress(ConnectionError):  # A client may leave whenever it likes.
            super().handle()

    def log_message(self, *arguments):
        """Say nothing of requests."""


def serve(directory):
    handler = functools.partial(Handler, directory=make_site(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        url = "http://{}:{}".format(*server.server_address)
        (directory / "url").write_text(f"{url}\n")
        (directory / "pid").write_text(f"{os.getpid()}\n")
        print(url, flush=True)
        server.serve_forever()


def server_command(directory):
    return [sys.executable, str(PROGRAM), "serve", str(directory)]


def running_server(directory):
    """The pid of the server of this directory, if it runs; the number on file may be another's by now."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((directory / "pid").read_text())
        if Path(f"/proc/{pid}/cmdline").read_text().split("\0")[1:-1] == server_command(directory)[1:]:
            return pid


def up(directory):
    """Print the base URL of the server of this directory; start it unless it runs."""
    if running_server(directory):
        print((directory / "url").read_text(), end="")
        return
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "log", "w") as log:
        server = subprocess.Popen(server_command(directory), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=log, text=True, start_new_session=True, cwd="/")  # fmt: skip
    url = server.stdout.readline()
    if not url:
        sys.exit(f"download_server.py: the server did not start:\n{(directory / 'log').read_text()}")
    print(url, end="")


def down(directory):
    """Stop the server of this directory if it runs, and wait for its end."""
    if pid := running_server(directory):
        with open(os.pidfd_open(pid), "rb") as process:
            signal.pidfd_send_signal(process.fileno(), signal.SIGTERM)
            select.select([process], [], [])
    for name in "pid", "url":
        (directory / name).unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["up", "down", "serve"])
    parser.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    {"up": up, "down": down, "serve": serve}[arguments.command](arguments.directory.resolve())


if __name__ == "__main__":
    main()

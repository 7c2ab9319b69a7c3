#!/usr/bin/python
# -*- coding: utf-8 -*-
"""Ansible module: an OMERO.py archive from a download server, fetched by omego and checked before it is used."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: omero_archive
short_description: Downloads an OMERO.py archive with omego, and checks it
version_added: 1.0.0
description:
  - Releases of OMERO before 5.6 are zip archives on a download server. This module lets C(omego) find and fetch one,
    and keeps it only if it is whole - no download that was cut short, no damaged member, no member outside the
    archive's own folder, and the expected checksum where one is given.
  - An archive that is kept already and is whole is checked for O(checksum); the server is not asked for it again.
  - What goes wrong is said in one sentence, and leaves nothing behind.
options:
  release:
    description: Version to download, such as V(5.4.10); or V(latest), V(5) or V(5.4), which the server resolves.
    type: str
    required: true
  ice:
    description: Version of Ice that the archive is for.
    type: str
    default: "3.6"
  download_url:
    description: Base URL of the download server, as C(omego download --downloadurl) takes it.
    type: str
    required: true
  checksum:
    description: SHA-256 of the archive as V(sha256:digits). Empty means it is not compared.
    type: str
    default: ""
  directory:
    description: Directory that keeps the archives; made if it does not exist.
    type: path
    required: true
  omego:
    description: The C(omego) executable, 0.7.0 or newer on Python 3, which verify the server's certificate.
    type: path
    default: omego
  timeout:
    description: Seconds that a download may take. C(omego) itself waits for ever on a connection that was cut.
    type: int
    default: 600
attributes:
  check_mode:
    support: full
    description: The server is asked for the release, which is not downloaded.
author: The omero-web maintainers (@openmicroscopy-community)
"""

EXAMPLES = r"""
- name: Fetch OMERO.py
  omero_archive:
    release: "5.4"
    download_url: https://downloads.openmicroscopy.org
    directory: ~/.cache/omero-web/archives
  delegate_to: localhost
  register: archive
"""

RETURN = r"""
version:
  description: The version that O(release) stands for.
  type: str
  returned: success
  sample: 5.4.10
path:
  description: The archive, checked (in check mode, where it would be).
  type: str
  returned: success
  sample: /home/admin/.cache/omero-web/archives/OMERO.py-5.4.10-ice36-b105.zip
"""

import errno
import glob
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import zipfile
import zlib

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.converters import to_native

ARCHIVE = re.compile(r"OMERO\.py-([\w.]+)-ice\d+[\w.-]*\.zip")
CHOSEN = re.compile(r"Checking \S+/(OMERO\.py-\S+\.zip)")
# What omego prints when something is wrong, much of it the last line of a traceback, and what that means.
MEANINGS = (
    (r"no answer in time", "release {release} was not downloaded from {url} within {timeout} seconds"),
    (r"No artifacts found for ice version", "the download server {url} has release {release}, but not for Ice {ice}"),
    (r"is the version correct\?|HTTP Error 404", "the download server {url} has no release {release}"),
    (r"No match for component", "the download server {url} has no OMERO.py in release {release}"),
    (r"HTTP Error (\d+[^\n]*)", "the download server {url} answers {found}"),
    (r"URLError[^\n]*\] ?([^\n>]+)>", "the download server {url} cannot be reached: {found}"),
)


class ArchiveError(Exception):
    """What is wrong, in one sentence."""


class Omego(object):
    """C(omego download) of one release from one server."""

    def __init__(self, params):
        self.params = params

    def find(self):
        """Return the file name of the archive that the server has for the release."""
        found = CHOSEN.search(self._run(["download", "--dry-run"], os.sep))
        if not found or not ARCHIVE.match(found.group(1)):
            raise ArchiveError(self._explain("No match for component"))
        return found.group(1)

    def fetch(self, directory):
        """Download the archive into a directory."""
        self._run(["download", "--skipunzip"], directory)

    def _run(self, command, directory):
        command = [self.params["omego"]] + command + ["--ice", self.params["ice"]]
        command += ["--downloadurl", self.params["download_url"], "--release", self.params["release"], "py"]
        with tempfile.TemporaryFile() as output:
            # In a process group of its own, which can be ended as a whole.
            process = subprocess.Popen(
                command, cwd=directory, stdout=output, stderr=subprocess.STDOUT, preexec_fn=os.setsid
            )
            deadline = time.time() + self.params["timeout"]
            while process.poll() is None and time.time() < deadline:
                time.sleep(0.1)  # Python 2.7 has no wait with an end.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise ArchiveError(self._explain("no answer in time"))
            output.seek(0)
            text = to_native(output.read())
        if process.returncode != 0:
            raise ArchiveError(self._explain(text))
        return text

    def _explain(self, output):
        last_line = (output.strip().splitlines() or ["nothing"])[-1]
        url = re.sub(r"//[^/@]*@", "//", self.params["download_url"])
        for pattern, meaning in MEANINGS:
            found = re.search(pattern, output)
            if found:
                return meaning.format(**dict(self.params, url=url, found=found.group(found.re.groups)))
        return "omego cannot download release {0} from {1}; it says {2}".format(self.params["release"], url, last_line)


def check_sum(path, checksum):
    """Refuse an archive whose content is not the expected one."""
    digest = hashlib.sha256()
    with open(path, "rb") as content:
        for block in iter(lambda: content.read(1 << 20), b""):
            digest.update(block)
    found = "sha256:" + digest.hexdigest()
    if checksum and checksum.lower() != found:
        raise ArchiveError("%s has the checksum %s, and %s is expected" % (os.path.basename(path), found, checksum))


def check_members(path):
    """Refuse an archive that is not whole, or that has members outside the folder of its own name."""
    name = os.path.basename(path)
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            members = archive.namelist()
    except (zipfile.BadZipfile, zlib.error, EOFError) as error:
        raise ArchiveError("%s is damaged: %s" % (name, to_native(error)))
    except RuntimeError as error:
        raise ArchiveError("%s has a member that cannot be read: %s" % (name, to_native(error)))
    if damaged:
        raise ArchiveError("%s is damaged: its member %s cannot be read" % (name, damaged))
    top = name[: -len(".zip")] + "/"
    astray = [member for member in members if not member.startswith(top) or ".." in member.split("/")]
    if astray:
        raise ArchiveError("%s has a member outside its folder %s: %s" % (name, top, astray[0]))


def make_directory(path):
    try:
        os.makedirs(path)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise


def is_kept(path):
    """Tell whether an archive is there, and still as whole as when it was downloaded."""
    try:
        check_members(path)
    except (ArchiveError, IOError):
        return False
    return True


def kept_archive(params):
    """Return the path of the archive of just this version that is kept already, None if there is none."""
    ice = params["ice"].replace(".", "")
    name = "OMERO.py-%s-ice%s-*.zip" % (params["release"], ice)
    return next((path for path in sorted(glob.glob(os.path.join(params["directory"], name))) if is_kept(path)), None)


def download(omego, path, checksum):
    """Put an archive in its place, once it is known to be sound."""
    directory, name = os.path.split(path)
    make_directory(directory)
    staging = tempfile.mkdtemp(prefix=".download.", dir=directory)
    try:
        staged = os.path.join(staging, name)
        omego.fetch(staging)
        check_sum(staged, checksum)
        check_members(staged)
        os.rename(staged, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def provide(params, check_mode):
    """Return what is known of the archive, and whether it was (or would be) downloaded."""
    omego = Omego(params)
    kept = kept_archive(params)
    path = kept or os.path.join(params["directory"], omego.find())
    is_missing = not (kept or is_kept(path))
    if not is_missing:
        check_sum(path, params["checksum"])
    elif not check_mode:
        download(omego, path, params["checksum"])
    return {"changed": is_missing, "path": path, "version": ARCHIVE.match(os.path.basename(path)).group(1)}


def main():
    module = AnsibleModule(
        argument_spec={
            "release": {"type": "str", "required": True},
            "ice": {"type": "str", "default": "3.6"},
            "download_url": {"type": "str", "required": True},
            "checksum": {"type": "str", "default": ""},
            "directory": {"type": "path", "required": True},
            "omego": {"type": "path", "default": "omego"},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    try:
        result = provide(module.params, module.check_mode)
    except ArchiveError as error:
        module.fail_json(msg=to_native(error))
    except (IOError, OSError) as error:
        module.fail_json(msg="release %s cannot be downloaded: %s" % (module.params["release"], to_native(error)))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

"""Run by the Python of a release while its wheels are built: what a directory has, and what an archive needs."""

from __future__ import print_function

import hashlib
import os
import re
import sys
import zipfile


def line_of(name, digest):
    """Return how pip knows a file of this name: name==version --hash=sha256:digits."""
    if name.endswith(".whl"):
        package, version = name.split("-")[:2]
    else:
        package, version = re.sub(r"\.(zip|tar\.\w+|tgz)$", "", name).rsplit("-", 1)
    return "%s==%s --hash=sha256:%s" % (re.sub(r"[-_.]+", "-", package).lower(), version, digest)


def digest_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as content:
        for block in iter(lambda: content.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def lines_of(directory, left_out=""):
    """Return the lines of all files in a directory, without one package."""
    lines = sorted(line_of(name, digest_of(os.path.join(directory, name))) for name in os.listdir(directory))
    return [line for line in lines if not left_out or not line.startswith(left_out + "==")]


def unpack_requirements(archive, directory):
    """Write what OMERO.web of an archive says that it needs, which may be in several files."""
    with zipfile.ZipFile(archive) as members:
        for name in members.namelist():
            if re.search(r"/share/web/requirements[\w.-]*\.txt$", name):
                with open(os.path.join(directory, os.path.basename(name)), "wb") as target:
                    target.write(members.read(name))


if __name__ == "__main__":
    if sys.argv[1] == "list":
        print("\n".join(lines_of(*sys.argv[2:])))
    else:
        unpack_requirements(*sys.argv[2:])

#!/usr/bin/env python3
"""Run the sanity tests of ansible-test on the collection that this tree makes.

    tests/sanity.py          all of them: with the Ansible of .venv, and, where there is a Python for it, the newest
    tests/sanity.py quick    with that of .venv, those that need nothing but Pythons

What they need goes into .molecule/sanity, virtualenvs included, and is kept there.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / ".molecule/sanity"
PYTHONS = PLACE / "pythons"
FOR_NEWEST = ("python3.12", "python3.13", "python3.14")
# Each of these installs what it runs by.
SLOW = ("ansible-doc", "import", "pep8", "pylint", "runtime-metadata", "validate-modules", "yamllint")
# It asks for PowerShell.
NOT_OURS = ("pslint",)
# ansible-test would download its own way to install pip into a virtualenv without one. pip can do that.
GET_PIP = """import subprocess, sys
own = ("--no-setuptools", "--no-wheel")
wanted = [one for one in sys.argv[1:] if one not in own]
sys.exit(subprocess.call([{python!r}, "-m", "pip", "--python", sys.executable, "install", "--quiet"] + wanted))
"""


def run(*command, **options):
    subprocess.run([str(word) for word in command], check=True, **options)


def find_pythons():
    """Put all Pythons that run here into one directory: of one that does not, ansible-test makes a failure."""
    shutil.rmtree(PYTHONS, ignore_errors=True)
    PYTHONS.mkdir(parents=True)
    for version in ("2.7", *(f"3.{minor}" for minor in range(6, 15))):
        found = shutil.which(f"python{version}")
        if found and subprocess.run([found, "--version"], capture_output=True).returncode == 0:
            (PYTHONS / f"python{version}").symlink_to(found)


def newest_ansible():
    """Return the ansible-test of the newest Ansible, or nothing where there is no Python for it."""
    version = re.search(r"(?m)^ansible-core==(\S+); .* >=", (ROOT / "requirements.txt").read_text())[1]
    place = PLACE / f"ansible-core-{version}"
    python = next((PYTHONS / name for name in FOR_NEWEST if (PYTHONS / name).exists()), None)
    if not (place / "bin/ansible-test").exists() and python:
        shutil.rmtree(place, ignore_errors=True)
        run(python, "-m", "venv", place)
        run(place / "bin/pip", "install", "--quiet", "--disable-pip-version-check", f"ansible-core=={version}")
    return place / "bin/ansible-test" if (place / "bin/ansible-test").exists() else None


def make_collection(directory):
    """Make it where ansible-test wants a collection to be; return that directory."""
    collection = directory / "ansible_collections/openmicroscopy_community/omero_web"
    run(sys.executable, ROOT / "collection/make.py", collection)
    # ansible-test takes the files that git has; in this tree's own, it would find none.
    run("git", "init", "--quiet", collection)
    run("git", "-C", collection, "add", "--all")
    return collection


def test(collection, ansible_test, skipped):
    """Run all tests but these."""
    home = PLACE / "home"
    for version in re.findall(r"pip='([\d.]+)'", requirements_of(ansible_test)):
        script = home / f".ansible/test/cache/get_pip_{version.replace('.', '_')}.py"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(GET_PIP.format(python=sys.executable))
    skip = [word for name in skipped for word in ("--skip-test", name)]
    known = {**os.environ, "HOME": str(home), "PATH": f"{ansible_test.parent}:{PYTHONS}:/usr/bin:/bin"}
    run(ansible_test, "sanity", "--local", "--color", "no", *skip, cwd=collection, env=known)


def requirements_of(ansible_test):
    [path] = ansible_test.parents[1].glob("lib/python3*/site-packages/ansible_test/_internal/python_requirements.py")
    return path.read_text()


def main():
    quick = sys.argv[1:] == ["quick"]
    oldest = Path(sys.executable).with_name("ansible-test")
    find_pythons()
    collection = make_collection(PLACE / ("quick" if quick else "all"))
    try:
        test(collection, oldest, [*NOT_OURS, *(SLOW if quick else ())])
        if not quick and (newest := newest_ansible()):
            test(collection, newest, NOT_OURS)
        elif not quick:
            print("There is no Python 3.12 or newer, so the newest Ansible is not asked.")
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["quick"]):
        sys.exit(__doc__.split("\n\n")[1])
    main()

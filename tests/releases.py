#!/usr/bin/env python3
"""Try which releases of OMERO.web start and answer their login page, each with every Python that is given.

    tests/releases.py PYTHON... [--release VERSION]... [--write]

A release is installed as the role does it, from the index and with what the role's table pins, and runs under the
role's own configuration of gunicorn. With --write, what came of it is in the table of docs/releases.md, where the
releases and the Pythons that were not tried stay as they are. What is made is in .molecule/releases.
"""

import argparse
import json
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import yaml

ROOT = Path(__file__).resolve().parents[1]
ROLE = ROOT / "roles/omero-web"
TABLE = ROOT / "docs/releases.md"
WORK = ROOT / ".molecule/releases"
START, END = "<!-- table -->\n", "\n<!-- /table -->"
START_SECONDS = 60
INSTALL_SECONDS = 900
# The last line of what failed is seldom what says why.
REASON = re.compile(r"^(?:E: |ERROR: )?(\w*(?:Error|Conflict|Exception)\b.*|No matching distribution.*)", re.MULTILINE)
LOGIN = "/webclient/login/"
RUNS = "yes"

wanted = SimpleNamespace(**runpy.run_path(str(ROLE / "action_plugins/omero_web_wanted.py")))


class Failed(Exception):
    """Why a release does not run, in a few words."""


def constants(name):
    return yaml.safe_load((ROLE / f"vars/main/{name}.yml").read_text())


def series_of(release):
    """Return the row of the role's table that a release is of."""
    table = constants("release")["_omero_web_releases"]
    return next(row for row in table if wanted.version_key(row["since"]) <= wanted.version_key(release))


def run(log, *command, **environment):
    """Run a command, or say in a few words why it failed."""
    with log.open("a") as output:
        print("$", *command, file=output, flush=True)
        done = subprocess.run(
            list(map(str, command)),
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=INSTALL_SECONDS,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        )
    if done.returncode:
        raise Failed(reason_in(log))


def reason_in(log):
    found = REASON.findall(log.read_text(errors="replace"))
    return found[-1][:120] if found else "see its log"


def icepy(python, version):
    """Return IcePy as a wheel, which takes minutes to build."""
    wheels = WORK / "icepy"
    wheels.mkdir(parents=True, exist_ok=True)
    pattern = f"zeroc_ice-*-cp{version.replace('.', '')}-*.whl"
    if not list(wheels.glob(pattern)):
        table = constants("icepy")
        build = wanted.newest_for(table["_omero_web_ice_build_requirements"], version)["packages"]
        script = ROLE / "files/icepy/build_wheel.sh"
        run(WORK / f"icepy-{version}.log", script, python, wheels, table["_omero_web_ice"], *build)
    return next(wheels.glob(pattern))


def version_of(python):
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], text=True, capture_output=True, check=True).stdout.strip()


def install(release, python, version, directory, log):
    """Install a release as the role does."""
    series = series_of(release)
    method = constants("methods")["_omero_web_methods"]["pypi"]
    pip = directory / "venv/bin/python", "-m", "pip", "install"
    run(log, python, "-m", "venv", directory / "venv")
    of_python = constants("systems")["_omero_web_systems"]["RedHat"]["pythons"]["/usr/bin/python3"]
    if version == of_python["version"]:
        run(log, *pip, *of_python["pip"])
    requirements = [one.format(version=release) for one in method["requirements"]] + series.get("requirements", [])
    pins = ["--constraint", ROLE / "files" / series["constraints"]] if "constraints" in series else []
    run(log, *pip, *pins, icepy(python, version), *requirements)


def configure(directory, log, port):
    """Write the configuration of a generation, and collect the static files."""
    for path in ("etc/grid", "var/tmp", "var/log"):
        (directory / path).mkdir(parents=True)
    settings = {
        "omero.web.application_server.port": port,
        "omero.web.wsgi_workers": 1,
        "omero.web.static_root": f"{directory}/static",
    }
    (directory / "configuration.json").write_text(json.dumps({"settings": settings, "append": {}}))
    python = directory / "venv/bin/python"
    config = directory / "etc/grid/config.xml"
    run(log, python, ROLE / "files/release.py", "configure", directory / "configuration.json", config)
    django = {"OMERODIR": str(directory), "DJANGO_SETTINGS_MODULE": "omeroweb.settings"}
    run(log, python, directory / "venv/bin/django-admin", "collectstatic", "--noinput", "--verbosity=0", **django)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answer(url, gunicorn, log):
    """Wait for the answer of a page, which has to be OMERO.web's own form."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=START_SECONDS) as page:
                if "csrfmiddlewaretoken" not in page.read().decode():
                    raise Failed("its login page has no form")
                return
        except urllib.error.HTTPError as error:
            raise Failed(f"its login page answers {error.code}: {reason_in(log)}") from None
        except OSError:
            if gunicorn.poll() is not None or time.monotonic() > deadline:
                raise Failed(reason_in(log)) from None
        time.sleep(0.2)


def ask(directory, log, port):
    environment = {**os.environ, "OMERODIR": str(directory), "TMPDIR": str(directory / "var/tmp")}
    config = ROLE / "files/gunicorn.conf.py"
    command = [directory / "venv/bin/gunicorn", "--config", config, "omeroweb.wsgi:application"]
    with log.open("a") as output:
        gunicorn = subprocess.Popen(command, stdout=output, stderr=output, env=environment, cwd=directory)
    try:
        answer(f"http://127.0.0.1:{port}{LOGIN}", gunicorn, log)
    finally:
        gunicorn.terminate()
        gunicorn.wait()


def attempt(release, python, version):
    """Return whether a release runs, or why it does not."""
    directory, log = WORK / f"{release}-{version}", WORK / f"{release}-{version}.log"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    log.unlink(missing_ok=True)
    port = free_port()
    try:
        install(release, python, version, directory, log)
        configure(directory, log, port)
        ask(directory, log, port)
    except (Failed, subprocess.TimeoutExpired) as failure:
        return f"no: {failure}"
    finally:
        shutil.rmtree(directory)
    return RUNS


def table_in(text):
    """Return what the table of the documentation says, by release and Python."""
    header, _, *rows = text.partition(START)[2].partition(END)[0].splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in (header, *rows)]
    return {row[0]: dict(zip(cells[0][1:], row[1:], strict=True)) for row in cells[1:]}


def table_of(results):
    """Return results as a table, with the newest release first; a cell is empty where nothing was tried."""
    pythons = sorted({python for row in results.values() for python in row}, key=wanted.version_key)
    releases = sorted(results, key=wanted.version_key, reverse=True)
    rows = [["OMERO.web", *pythons], ["---"] * (len(pythons) + 1)]
    rows += [[release, *(results[release].get(python, "") for python in pythons)] for release in releases]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pythons", metavar="PYTHON", nargs="+")
    parser.add_argument("--release", action="append")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    text = TABLE.read_text()
    results = table_in(text)
    for python in arguments.pythons:
        version = version_of(python)
        for release in arguments.release or list(results):
            found = attempt(release, python, version)
            print(f"{time.strftime('%H:%M:%S')} {release} with Python {version}: {found}", flush=True)
            results.setdefault(release, {})[version] = found if found == RUNS else "no"
            if arguments.write:
                before, _, rest = text.partition(START)
                TABLE.write_text(before + START + table_of(results) + END + rest.partition(END)[2])


if __name__ == "__main__":
    sys.exit(main())

"""Releases of OMERO.web that run beside packages of their time, on a host whose live release has today's."""

import json

import pytest
from conftest import exhaustive

# With what of it the release or the site itself pins, or what the virtualenv of a newer Python lacks.
RELEASES = {
    "platforms-bullseye": [("5.9.2", [], "omero-py==5.15.0"), ("5.14.1", ["Django==3.2.16"], "Django==3.2.16")],
    "platforms-trixie": [("5.29.2", [], "setuptools==80.")],
}


@pytest.fixture
def manifest(host, basedir):
    """What the live generation says of itself."""
    return lambda: json.loads(host.file(f"{basedir}/current/manifest").content_string)


@pytest.fixture
def packages(host, basedir):
    """What the live release has."""
    return lambda: host.check_output("%s/current/release/venv/bin/python -m pip freeze --all", basedir)


@exhaustive
def test_older_releases_and_back(play, host, manifest, packages, login):
    name = host.backend.get_hostname()
    for release, own, package in [*RELEASES[name], (manifest()["omero_web"], [], "omero-web==")]:
        variables = {"omero_web_release": release, "omero_web_packages": own}
        code, output = play("playbooks/site.yml", "--limit", name, **variables)
        assert code == 0, output
        assert (manifest()["omero_web"], login().status) == (release, 200)
        assert f"\n{package}" in packages()

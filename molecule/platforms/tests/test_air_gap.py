"""A host that reaches no index: it is installed from a bundle, or nothing changes."""

import json
import re
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import INVENTORY


@pytest.fixture(scope="module")
def limit(host):
    return "--limit", host.backend.get_hostname()


@pytest.fixture(scope="module")
def offline(play, limit, host):
    """Make a bundle of what the host has, and lock it; the variables of a site that has nothing else."""
    directory = INVENTORY.parent / host.backend.get_hostname()
    directory.mkdir(exist_ok=True)
    for who in ("ann", "bob"):
        (directory / who).unlink(missing_ok=True)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / who]
        subprocess.run(command, check=True)
        (directory / f"{who}.signers").write_text(f"{who}@example.org {(directory / f'{who}.pub').read_text()}")
    # With its packages locked, it is another release.
    (directory / "lock.txt").unlink(missing_ok=True)
    bundle = {"omero_web_bundle": str(directory / "site.tar"), "omero_web_lock_file": str(directory / "lock.txt")}
    code, output = play("playbooks/bundle.yml", *limit, **bundle, omero_web_bundle_key=str(directory / "ann"))
    assert code == 0, output
    return {
        **bundle,
        "omero_web_offline": True,
        "omero_web_bundle_signers": str(directory / "ann.signers"),
        # That of another controller, which has none of this.
        "omero_web_wheel_cache": str(directory / "cache"),
    }


@pytest.fixture
def without_a_route(host, variables):
    """Leave the host nothing but the network that it shares with this machine, for a while."""

    def ip(*words):
        return subprocess.check_output(["ip", *words], text=True).split()

    # The host's end of the cable has a namespace with the name of this machine's end.
    towards_host = ip("-o", "route", "get", variables["ansible_host"])
    namespace = towards_host[towards_host.index("dev") + 1]

    @contextmanager
    def without_a_route():
        route = ip("-netns", namespace, "route", "show", "default")
        ip("-netns", namespace, "route", "delete", *route)
        try:
            assert host.run("ip route get 192.0.2.1").failed
            yield
        finally:
            ip("-netns", namespace, "route", "add", *route)

    return without_a_route


@pytest.fixture
def stays(refused, live, limit, host, basedir):
    """Refuse a bundle, and leave the host as it is."""

    def stays(sentence, **variables):
        before = live(), host.check_output("ls %s/releases %s/wheels", basedir, basedir)
        assert "changed=0" in refused(sentence, "playbooks/site.yml", *limit, **variables)
        assert (live(), host.check_output("ls %s/releases %s/wheels", basedir, basedir)) == before

    return stays


def test_a_bundle_of_somebody_else(stays, offline):
    signers = offline["omero_web_bundle_signers"].replace("ann", "bob")
    stays("whose signature is not that of anybody in", **{**offline, "omero_web_bundle_signers": signers})


def test_a_bundle_with_one_changed_byte(stays, offline, tmp_path):
    content = bytearray(Path(offline["omero_web_bundle"]).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "site.tar").write_bytes(content)
    stays("is not what was signed; get it again.", **{**offline, "omero_web_bundle": str(tmp_path / "site.tar")})


def test_packages_that_are_not_in_the_bundle(stays, offline):
    wanted = {**offline, "omero_web_packages": ["omero-figure"], "omero_web_lock_file": ""}
    stays("has the wheels of omero-web", **wanted)


def test_packages_that_are_not_in_the_lock_file(stays, offline):
    stays("(its packages are none, and here omero-figure)", **{**offline, "omero_web_packages": ["omero-figure"]})


def test_a_release_is_built_without_an_index(play, offline, without_a_route, limit, host, basedir, live, login):
    def packages():
        return json.loads(host.check_output("cat %s/current/release/manifest", basedir))["packages"]

    before, packages_before = live(), packages()
    with without_a_route():
        code, output = play("playbooks/site.yml", *limit, **offline)
        assert code == 0, output
        assert "Ask the package index" not in output
        assert live() > before
        assert login().status == 200
        assert packages() == packages_before
        locked = re.findall(r"(?m)^([\w.-]+==\S+) --hash", Path(offline["omero_web_lock_file"]).read_text())
        installed = {re.sub(r"[-_.]+(?=.*==)", "-", package).lower() for package in packages()}
        assert installed - set(locked) == {"zeroc-ice==3.6.5"}
        code, output = play("playbooks/site.yml", *limit, **offline)
    assert "changed=0" in output
    code, output = play("playbooks/site.yml", *limit)
    assert code == 0, output

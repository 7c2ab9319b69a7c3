"""Test hosts, as far as none has to be booted."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "molecule/resources/testhosts.py"
spec = importlib.util.spec_from_file_location("testhosts", PATH)
testhosts = importlib.util.module_from_spec(spec)
spec.loader.exec_module(testhosts)


def test_a_machine_that_cannot_boot_them_is_told_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(testhosts, "FORWARD", tmp_path / "not/there")
    monkeypatch.setattr(testhosts, "Group", None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sys, "argv", [str(PATH), "up", "demo", "demo-1=bookworm"])
    with pytest.raises(SystemExit) as ended:
        testhosts.main()
    assert ended.value.code.endswith("cannot be written, as in a container; a machine of its own can boot test hosts.")


def test_a_host_leaves_no_control_groups(monkeypatch, tmp_path):
    monkeypatch.setattr(testhosts, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(testhosts, "CORES", tmp_path)
    monkeypatch.setattr(testhosts.Host, "cgroups", lambda self: [tmp_path / "systemd"])
    host = testhosts.Host(testhosts.Group("none"), "none-1")
    host.state = {"index": 7}
    (tmp_path / "systemd/init.scope").mkdir(parents=True)
    (tmp_path / host.link).mkdir()
    host.kill()
    assert list(tmp_path.iterdir()) == []


def test_without_a_mirror_of_debian_no_suite_is_offered(monkeypatch):
    monkeypatch.setattr(testhosts, "run", lambda *command: "")
    with pytest.raises(testhosts.HostError, match="apt has no mirror of Debian, which could offer forky"):
        testhosts.be_offered("forky")

"""The units that CentOS 7 gets: its systemd knows every directive in them, and would go on without any other."""

import re
import runpy
from pathlib import Path

import pytest
import yaml

TESTS = Path(__file__).parents[1]
KNOWN = yaml.safe_load((TESTS / "systemd-219.yml").read_text())
harness = runpy.run_path(str(TESTS / "unit/test_role_names.py"))
UNITS = re.compile(r"\.(service|socket|target|timer)$")
# What keeps the service in its place, without which it would run all the same.
SANDBOX = {
    "CapabilityBoundingSet", "NoNewPrivileges", "PrivateDevices", "PrivateTmp", "ProtectHome", "ProtectSystem",
    "ReadOnlyDirectories", "ReadWriteDirectories", "RestrictAddressFamilies", "SystemCallArchitectures",
    "SystemCallFilter",
}  # fmt: skip


def directives_of(systemd):
    """Return the (section, directive) of each unit, by its path, as a host with this systemd gets it."""
    action = harness["Action"](systemd=systemd, **harness["SITE"])
    texts = {file["path"]: action.content(file, action.known) for file in action.checked["files"] if file["src"]}
    texts.update(action.generation_contents(action.known))
    units = {}
    for path, text in texts.items():
        if UNITS.search(path):
            section, units[path] = None, set()
            for line in (text.decode() if isinstance(text, bytes) else text).splitlines():
                section = line.strip("[]") if line.startswith("[") else section
                units[path].update((section, name) for name in re.findall(r"^(\w+)=", line))
    return units


UNITS_219 = directives_of(219)


@pytest.mark.parametrize("path", UNITS_219)
def test_systemd_219_knows_every_directive(path):
    known = {(section, name) for section, names in KNOWN["sections"].items() for name in names.split()}
    known |= {(section, name) for section in ("Service", "Socket") for name in KNOWN["processes"].split()}
    assert UNITS_219[path] - known == set()


def test_the_units_are_all_there():
    assert len({UNITS.search(path).group(1) for path in UNITS_219}) == 4
    assert len(UNITS_219) >= 7


@pytest.mark.parametrize("service", ["omero-web.service", "probe.service"])
def test_a_generation_has_a_sandbox_there(service):
    assert {name for _, name in UNITS_219[service]} >= SANDBOX


def test_newer_ones_get_what_it_does_not_know():
    newer = {directive for directives in directives_of(252).values() for directive in directives}
    assert ("Unit", "StartLimitIntervalSec") in newer
    assert ("Service", "ReadWritePaths") in newer

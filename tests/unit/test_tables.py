"""Which rows of the table of faults say that only `make faults` injects them, and what that of platforms says."""

import json
import re
import runpy
from pathlib import Path

import pytest

tables = runpy.run_path(str(Path(__file__).parents[2] / "tests/tables.py"))
exhaustive = pytest.mark.skipif(True, reason=tables["EXHAUSTIVE"])
old = pytest.mark.skipif(True, reason="too old")


def marked(*marks):
    def test():
        pass

    for mark in marks:
        test = mark(test)
    return test


def values(*some):
    return pytest.mark.parametrize("value", some)


@pytest.mark.parametrize(
    "test, wanted",
    [
        (marked(old), False),
        (marked(old, exhaustive), True),
        (marked(values(1, 2)), False),
        (marked(values(1, pytest.param(2, marks=exhaustive))), False),
        (marked(values(pytest.param(1, marks=exhaustive), pytest.param(2, marks=exhaustive))), True),
        (marked(values(pytest.param(1, marks=exhaustive)), values(1)), True),
        (marked(values(pytest.param(1, marks=old))), False),
    ],
)
def test_whether_only_make_faults_runs_it(test, wanted):
    assert tables["is_exhaustive"](test) is wanted


@pytest.fixture
def scenario(tmp_path, monkeypatch):
    """Have no scenarios but those that are made by it."""
    monkeypatch.setitem(tables["shape_of"].__globals__, "SCENARIOS", tmp_path)

    def make(name, platforms, release=""):
        directory = tmp_path / name
        (directory / "payload/release/usr/lib").mkdir(parents=True)
        (directory / "molecule.yml").write_text(f"---\n# One.\nplatforms: {json.dumps(platforms)}\n")
        if release:
            (directory / "payload/release/usr/lib/os-release").write_text(release)

    # It has the value from when it was defined.
    found = tables["scenarios"]
    monkeypatch.setitem(found.__globals__, "scenarios", lambda place=tmp_path: found(place))
    return make


def row(system):
    return re.search(rf"(?m)^\| {re.escape(system)} \| (.*) \|$", tables["systems"]())[1].split(" | ")


def test_where_a_system_was_run(scenario):
    scenario("one", [{"suite": "bookworm"}, {"suite": "trixie"}])
    scenario("two", [{"suite": "bookworm"}, {"suite": "bookworm"}])
    scenario("shaped", [{"suite": "bullseye"}], 'ID="rocky"\nVERSION_ID="9.4"\n')
    scenario("next", [{"suite": "forky", "moving": True}])
    scenario("containers/contained", [{"image": "ubuntu:22.04"}])
    assert row("Debian 12") == ["`/usr/bin/python3`", "`one`, `two`", ""]
    assert row("Debian 13")[1] == "`one`"
    assert row("Debian 14")[1] == "`next` (`make faults` alone)"
    assert row("Rocky Linux 9") == ["`/usr/bin/python3.11`", "`shaped` (a Debian 11 host of its shape)", ""]
    assert row("Rocky Linux 8")[1:] == ["not run", ""]
    assert row("Ubuntu 22.04") == ["`/usr/bin/python3`, `/usr/bin/python2.7`", "not run", "`contained`"]
    assert row("Debian 11")[1:] == ["not run", ""]


def test_a_system_that_the_role_does_not_take(scenario):
    scenario("containers/old", [{"image": "rockylinux:7"}])
    with pytest.raises(SystemExit, match="does not take: Rocky 7"):
        tables["systems"]()


def test_what_a_scenario_has(scenario):
    scenario("one", [{"suite": "bookworm"}, {"suite": "bookworm"}, {"suite": "trixie"}])
    last = tables["what_scenarios_have"]().splitlines()[-1]
    steps = "`--check` before the first run, and a second run, which changes nothing"
    assert last == f"| `one` | 2 × Debian 12, 1 × Debian 13 | One. | {steps} |"

"""What the runner of the scenarios makes of what they print, and when a kept host serves."""

import importlib.util
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def load(path):
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


runner = load("tests/run.py")
testhosts = load("molecule/resources/testhosts.py")

LINES = """\
INFO     minimal ➜ create: Executing
TASK [Tell what they start from]
    msg: minimal-bookworm starts from bookworm-12345678
INFO     minimal ➜ create: Executed: Successful
INFO     minimal ➜ prepare: Executing
WARNING  minimal ➜ prepare: Executed: Missing playbook (Remove from test_sequence to suppress)
INFO     minimal ➜ verify: Executing
tests/test_minimal.py::test_first_boot[ansible://minimal-bookworm] PASSED   [ 50%]
tests/test_minimal.py::test_there_is_no_nginx[ansible://minimal-bookworm] RERUN    [100%]
tests/test_minimal.py::test_there_is_no_nginx[ansible://minimal-bookworm] {}   [100%]
the reason
ERROR    minimal ➜ verify: Executed: {}
"""
REPORT = """\
<testsuites><testsuite>
<testcase classname="tests.test_a" name="test_good" time="0.1"/>
<testcase classname="tests.test_a" name="test_good" time="1.5"/>
<testcase classname="tests.test_a" name="test_bad" time="0.5"><failure message="no">first
last</failure></testcase>
<testcase classname="tests.test_a" name="test_left_out" time="0"><skipped message="why"/></testcase>
<testcase time="7.7"/>
</testsuite></testsuites>
"""


@pytest.fixture
def read():
    def read(text):
        scenario = runner.Scenario("minimal", "steps")
        for line in text.splitlines():
            scenario.read(line)
        return scenario

    return read


def test_steps_that_did_something_are_told(read, capsys):
    scenario = read(LINES.format("PASSED", "Successful"))
    assert [step for step, _ in scenario.steps] == ["create", "verify"]
    again = "test_minimal.py::test_there_is_no_nginx[ansible://minimal-bookworm]"
    assert scenario.notes == ["minimal-bookworm starts from bookworm-12345678", f"tried again: {again}"]
    assert scenario.seen == Counter(passed=2, rerun=1)
    assert "verify       0 s: 2 passed" in capsys.readouterr().out
    assert scenario.verdict == "did not get to its end"


def test_a_failed_step_is_told_with_its_last_lines(read, capsys):
    scenario = read(LINES.format("FAILED", "Failed"))
    assert scenario.verdict == "failed in verify"
    assert scenario.last_words[-1] == "the reason"
    out = capsys.readouterr().out
    assert "FAILED test_minimal.py::test_there_is_no_nginx[ansible://minimal-bookworm]" in out
    assert "verify       FAILED, 0 s: 1 failed, 1 passed" in out


def test_a_report_counts_what_ran_to_its_end(tmp_path):
    (tmp_path / "report.xml").write_text(REPORT)
    report = runner.Report(tmp_path / "report.xml")
    assert report.outcomes == Counter(passed=1, failed=1, skipped=1)
    assert report.failures == [("test_a.py::test_bad", ["first", "last"])]
    assert not runner.Report(tmp_path / "none.xml").tests


@pytest.mark.parametrize(
    "changed, serves",
    [
        ("roles/omero-web/defaults/main.yml", False),
        ("molecule/default/group_vars/omero_web.yml", False),
        ("molecule/default/tests/test_changes.py", True),
        ("molecule/resources/verify/test_site.py", True),
    ],
)
def test_a_kept_host_serves_until_what_it_was_made_from_changes(tmp_path, monkeypatch, changed, serves):
    for directory in ("roles", "molecule"):
        shutil.copytree(ROOT / directory, tmp_path / directory)
    monkeypatch.setattr(testhosts, "CHECKOUT", tmp_path)

    def digest():
        return testhosts.digest_of(*(tmp_path / part for part in ("roles", "molecule/resources", "molecule/default")))

    before = digest()
    with (tmp_path / changed).open("a") as file:
        file.write("\n")
    assert (digest() == before) is serves


@pytest.mark.parametrize(("text", "origin"), [
    ("demo-1=bookworm", ("demo-1", ("bookworm", "", "omero_web"))),
    ("a=trixie:default", ("a", ("trixie", "default", "omero_web"))),
    ("a=bookworm@omero_server", ("a", ("bookworm", "", "omero_server"))),
    ("a=bookworm:default@omero_server", ("a", ("bookworm", "default", "omero_server"))),
])  # fmt: skip
def test_what_a_host_starts_from_and_is_for(text, origin):
    assert testhosts.origin_of_host(text) == origin


@pytest.mark.parametrize("text", ["demo-1", "=bookworm", "demo-1=", "demo-1=@omero_server", "demo-1=bookworm@"])
def test_host_without_a_suite_is_refused(text):
    with pytest.raises(testhosts.argparse.ArgumentTypeError, match="is not NAME=SUITE"):
        testhosts.origin_of_host(text)


# --- the order --------------------------------------------------------------------------------------------------------


def test_where_nothing_has_run_what_takes_long_begins_first(monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "SECONDS", tmp_path / "none.json")
    waiting = runner.Run(["power", "cluster", "production", "default"], 3, "steps").waiting
    # The first keeps the hosts that others start from.
    assert [scenario.title for scenario in waiting] == ["default", "production", "cluster", "power"]


def test_what_the_mirror_lacks_is_skipped_in_a_sentence(monkeypatch, capsys):
    reason = "testhosts.py: the mirror http://mirror.example.org/debian/ does not offer forky (404)"
    for code, said, left in ((1, {"forky": reason}, ["power"]), (0, {}, ["power", "forky"])):
        monkeypatch.setattr(runner, "TESTHOSTS", ["sh", "-c", f"echo '{reason}' >&2; exit {code}", "sh"])
        run = runner.Run(["power", "forky"], 1, "steps")
        assert run.skipped == said
        assert sorted(one.title for one in run.waiting) == sorted(left)
    # Whatever the mirror offers, the others are run.
    monkeypatch.setattr(runner, "TESTHOSTS", ["false"])
    assert runner.Run(["power"], 1, "steps").skipped == {}
    assert runner.summary([], [], {"forky": reason}, [], []) == 0
    assert "1 skipped in" in capsys.readouterr().out


def test_nothing_that_moves_is_a_part_of_make_test():
    def scenarios_of(target):
        command = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True).stdout
        return [line.split() for line in command.splitlines() if line.startswith("tests/run.py")][0]

    listed = subprocess.run([sys.executable, ROOT / "tests/scenarios.py"], capture_output=True, text=True).stdout
    assert "forky" in scenarios_of("faults")
    assert "default" in scenarios_of("test") and "forky" not in scenarios_of("test")
    assert "default" in listed and "forky" not in listed


def test_what_a_scenario_usually_takes_is_known():
    scenarios = {path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")}
    assert set(json.loads(runner.USUAL_SECONDS.read_text())) == scenarios

"""The workflow of a public forge, which nothing here runs: it forgets no scenario, and what it names is there."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github/workflows/test.yml"
TEXT = WORKFLOW.read_text()
JOBS = yaml.safe_load(TEXT)["jobs"]
STEPS = [step for job in JOBS.values() for step in job["steps"]]


def scenarios(below):
    return sorted(path.parent.name for path in (ROOT / below).glob("*/molecule.yml"))


@pytest.mark.parametrize("job, below", [("hosts", "molecule"), ("containers", "molecule/containers")])
def test_every_scenario_is_run(job, below):
    assert JOBS[job]["strategy"]["matrix"]["scenario"] == scenarios(below)


def test_every_target_is_one_of_the_makefile():
    targets = [target for step in STEPS for target in re.findall(r"\bmake ([a-z-]+)", step.get("run", ""))]
    there = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text())
    assert set(targets) <= set(there)
    assert len(targets) == 3


def test_every_file_that_names_a_cache_is_there():
    patterns = re.findall(r"hashFiles\('([^']+)'\)", TEXT)
    assert patterns
    assert all(list(ROOT.glob(pattern)) for pattern in patterns)


def test_every_condition_names_a_scenario():
    named = re.findall(r"matrix\.scenario == '(\w+)'", TEXT)
    assert named
    assert set(named) <= {*scenarios("molecule"), *scenarios("molecule/containers")}


def test_every_step_runs_or_uses_something():
    assert all(("run" in step) != ("uses" in step) for step in STEPS)
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]) for step in STEPS if "uses" in step)

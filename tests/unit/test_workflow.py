"""The workflow of a public forge, which nothing here runs: it forgets no scenario, and what it names is there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github/workflows/test.yml"
TEXT = WORKFLOW.read_text()
JOBS = yaml.safe_load(TEXT)["jobs"]
STEPS = [step for job in JOBS.values() for step in job["steps"]]


def scenarios(below):
    """Return all but those of a distribution that moves."""
    found = {path.parent.name: yaml.safe_load(path.read_text()) for path in (ROOT / below).glob("*/molecule.yml")}
    return sorted(name for name, told in found.items() if not any(one.get("moving") for one in told["platforms"]))


@pytest.mark.parametrize("job, below", [("hosts", "molecule"), ("containers", "molecule/containers")])
def test_every_scenario_is_run(job, below):
    """The matrix of a job is what a script lists."""
    lister = JOBS[job]["needs"]
    assert JOBS[job]["strategy"]["matrix"]["scenario"] == f"${{{{ fromJSON(needs.{lister}.outputs.{job}) }}}}"
    [step] = [step for step in JOBS[lister]["steps"] if "id" in step]
    assert JOBS[lister]["outputs"][job] == f"${{{{ steps.{step['id']}.outputs.{job} }}}}"
    script, redirection = step["run"].split(" ", 1)
    assert redirection == '>> "$GITHUB_OUTPUT"'
    listed = subprocess.run([sys.executable, ROOT / script], capture_output=True, text=True).stdout
    assert json.loads(dict(line.split("=", 1) for line in listed.splitlines())[job]) == scenarios(below)


@pytest.mark.parametrize("page", ["Makefile", "README.md"])
def test_every_container_is_named_where_users_look(page):
    text = (ROOT / page).read_text()
    assert [name for name in scenarios("molecule/containers") if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("name", scenarios("molecule/containers"))
def test_a_container_boots(name):
    """The driver takes no command from a platform that says not to override the image's own."""
    [platform] = yaml.safe_load((ROOT / f"molecule/containers/{name}/molecule.yml").read_text())["platforms"]
    assert platform["name"] == name
    assert platform["command"] == "/usr/sbin/init" and platform.get("override_command", True)
    assert platform["systemd"] == "always"
    assert platform.get("pre_build_image") or (ROOT / "molecule/containers" / name / platform["dockerfile"]).is_file()


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

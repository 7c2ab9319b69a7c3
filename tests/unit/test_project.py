"""What a project promises beside its code: license, versions, changelog, and the files that say how to take part."""

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
release = runpy.run_path(str(ROOT / "tests/release.py"))
GALAXY = yaml.safe_load((ROOT / "collection/galaxy.yml").read_text())
PROMISED = yaml.safe_load(release["PROMISED"].read_text())
CHANGELOG = yaml.safe_load((ROOT / "changelogs/changelog.yaml").read_text())
SECTIONS = [name for name, _ in yaml.safe_load((ROOT / "changelogs/config.yaml").read_text())["sections"]]
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
UPDATES = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
MAKEFILE = (ROOT / "Makefile").read_text()
REQUIREMENTS = sorted(ROOT.glob("requirements*.txt"))


def pins():
    """Each package and its version, by the file that has it."""
    for path in REQUIREMENTS:
        for line in path.read_text().splitlines():
            if line and not line.startswith(("#", "-r ")):
                package, _, version = line.partition(";")[0].partition("==")
                yield pytest.param(package, version, id=f"{path.name}:{line}")


# --- license ----------------------------------------------------------------------------------------------------------


def test_the_license_is_the_same_everywhere():
    meta = yaml.safe_load((ROOT / "roles/omero-web/meta/main.yml").read_text())["galaxy_info"]
    assert GALAXY["license"] == [meta["license"]] == ["BSD-2-Clause"]
    text = (ROOT / "LICENSE").read_text()
    assert text.startswith("BSD 2-Clause License\n")
    assert text.count("\n1. ") == text.count("\n2. ") == 1 and "\n3. " not in text


# --- versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", release["PLACES"], ids=lambda path: path.name)
def test_the_version_is_the_same_everywhere(path):
    assert release["PLACES"][path].findall(path.read_text()) == [GALAXY["version"]]


def test_the_version_stands_nowhere_else():
    places = ("collection", "docs", "inventory", "molecule")
    kinds = [f"{place}/**/*.{kind}" for place in places for kind in ("md", "yml")]
    files = [*ROOT.glob("*.md"), *(path for kind in kinds for path in ROOT.glob(kind))]
    version = re.compile(r"omero_web-\d[\d.]*\.tar|galaxy-\d")
    assert {path for path in files if version.search(path.read_text())} == {*release["PLACES"]} - {release["GALAXY"]}


def test_the_newest_of_the_changelog_is_the_version():
    assert max(CHANGELOG["releases"], key=lambda version: [*map(int, version.split("."))]) == GALAXY["version"]
    headings = re.findall(r"(?m)^## v(\S+)$", (ROOT / "CHANGELOG.md").read_text().replace("\\", ""))
    assert headings[0] == PROMISED["version"] == GALAXY["version"]
    assert set(headings) == set(CHANGELOG["releases"])


def test_what_is_promised_is_there_unless_the_changelog_says_otherwise():
    broken = " ".join(release["breaking"]())
    known = {**release["variables"](), **dict.fromkeys(release["names"]())}
    promised = {**PROMISED["variables"], **dict.fromkeys(PROMISED["names"])}
    assert len(promised) > 100
    assert [name for name, kind in promised.items() if known.get(name, "gone") != kind and name not in broken] == []


# --- changelog --------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path):
    """A copy of what a release changes, and how one is made there; its exit code and what it printed."""
    for name in ("changelogs", "collection/galaxy.yml", "docs/own-repository.md",
                 "inventory/example/site-repository/requirements.yml", "roles/omero-web/meta", "tests/release.py",
                 "CHANGELOG.md", "playbooks", "library"):  # fmt: skip
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    fragments = tmp_path / "changelogs/fragments"
    shutil.rmtree(fragments, ignore_errors=True)
    fragments.mkdir()

    def make(version, **sections):
        (fragments / "change.yml").write_text(yaml.safe_dump(sections))
        done = subprocess.run([sys.executable, "tests/release.py", version], cwd=tmp_path, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
        return done.returncode, done.stdout

    make.directory = tmp_path
    return make


def newer(part):
    numbers = [int(number) for number in GALAXY["version"].split(".")]
    return ".".join(map(str, [*numbers[:part], numbers[part] + 1, *[0] * (2 - part)]))


def test_a_release(project):
    code, output = project(newer(1), bugfixes=["Users see pages again."], removed_features=[])
    assert code == 0, output
    for path, place in release["PLACES"].items():
        assert place.findall((project.directory / path.relative_to(ROOT)).read_text()) == [newer(1)]
    assert "Users see pages again" in (project.directory / "CHANGELOG.md").read_text()
    promised = yaml.safe_load((project.directory / "changelogs/promised.yaml").read_text())
    assert promised["version"] == newer(1)
    assert promised["variables"] == release["variables"]()
    assert promised["names"] == release["names"]()
    assert list((project.directory / "changelogs/fragments").iterdir()) == []


@pytest.mark.parametrize(
    "version, sections, sentence",
    [
        ("1.1", {}, "1.1 is no version; one has three numbers, such as 1.2.0."),
        (GALAXY["version"], {}, f"{GALAXY['version']} is not newer than {GALAXY['version']}."),
        (newer(1), {"removed_features": ["One is gone."]}, f"so it has to be {newer(0)}: One is gone."),
        (newer(2), {"breaking_changes": ["Ports change."]}, f"so it has to be {newer(0)}: Ports change."),
    ],
)
def test_a_release_that_is_refused(project, version, sections, sentence):
    before = (project.directory / "collection/galaxy.yml").read_text()
    code, output = project(version, **sections)
    assert code == 1
    assert output.endswith(sentence + "\n")
    assert (project.directory / "collection/galaxy.yml").read_text() == before


def test_a_release_that_breaks_something_and_says_so(project):
    code, output = project(newer(0), removed_features=["One is gone."])
    assert code == 0, output


def test_every_fragment_is_one():
    done = subprocess.run(["antsibull-changelog", "lint"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_contributors_are_told_of_every_section():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert [section for section in [*SECTIONS, "trivial"] if f"`{section}`" not in text] == []


# --- tools ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package, version", [*pins()])
def test_every_package_of_the_tools_is_pinned(package, version):
    assert re.fullmatch(r"[\w.-]+", package) and re.fullmatch(r"[\d.]+", version)


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_a_hook_of_pre_commit_is_what_lint_runs(hook):
    entry = hook["entry"].removeprefix(".venv/bin/").removeprefix("python ")
    assert hook["entry"].startswith(".venv/bin/")
    assert re.search(rf"(?m)^\t{re.escape(entry)}( |$)", MAKEFILE), "it is checked in another way"


def test_what_is_kept_from_being_updated_is_pinned_to_what_is_left():
    kept = {one["dependency-name"]: SpecifierSet(",".join(one["versions"])) for one in UPDATES[0]["ignore"]}
    pinned = {pin.values[0]: pin.values[1] for pin in pins() if '>= "3.13"' not in pin.id}
    assert [name for name, versions in kept.items() if pinned[name] in versions] == []
    assert {update["package-ecosystem"] for update in UPDATES} == {"pip", "github-actions"}
    assert all((ROOT / update["directory"].lstrip("/")).is_dir() for update in UPDATES)

"""Ways to take the project into a repository of one's own, without a host: from git, as a collection and as it is."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/own-repository.md").read_text()
REQUIREMENTS, SETTINGS = re.findall(r"(?ms)^```(?:yaml|ini)\n(.*?)^```$", PAGE)
[SOURCE] = yaml.safe_load(REQUIREMENTS)["collections"]
VERSION = yaml.safe_load((ROOT / "collection/galaxy.yml").read_text())["version"]
NAME = "openmicroscopy_community.omero_web"
PARTS = ("CHANGELOG.md", "LICENSE", "changelogs", "collection", "docs", "library", "module_utils", "playbooks",
         "requirements.txt", "roles")  # fmt: skip
HOSTS = "omero_web: {hosts: {web: {ansible_connection: local, ansible_become: false}}}\n"
WRONG = '{"omero_web_http_port": 0}'


class Place:
    """A directory in which commands are run as somebody with an empty home does."""

    def __init__(self, path, home):
        path.mkdir(exist_ok=True)
        self.path, self.home = path, home

    def does(self, *command):
        known = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(self.home),
            # Newer ones refuse submodules from the same machine.
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "protocol.file.allow", "GIT_CONFIG_VALUE_0": "always",
            **{f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }  # fmt: skip
        done = subprocess.run(list(map(str, command)), cwd=self.path, env=known, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL)  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def do(self, *command):
        code, output = self.does(*command)
        assert code == 0, output
        return output

    def play(self, playbook):
        """Run a playbook for a variable that is wrong, which the role says before it asks anything of a host."""
        code, output = self.does("ansible-playbook", playbook, "--extra-vars", WRONG)
        assert code == 2, output
        assert "omero_web_http_port is 0; it must be a whole number from 1 to 65535." in output
        assert "WARNING" not in output


def files_of(directory):
    files = (path for path in directory.rglob("*") if path.is_file() and path.name != ".git")
    return {path.relative_to(directory): (path.read_bytes(), path.stat().st_mode & 0o100) for path in files}


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    """A repository of the project, with all that is in this tree, committed and tagged."""
    place = Place(tmp_path_factory.mktemp("upstream"), tmp_path_factory.mktemp("home"))
    for name in PARTS:
        source, target = ROOT / name, place.path / name
        unread = shutil.ignore_patterns("__pycache__", "images")
        shutil.copytree(source, target, ignore=unread) if source.is_dir() else shutil.copy(source, target)
    place.do("git", "init", "--quiet", "--initial-branch=main")
    place.do("git", "add", "--all")
    place.do("git", "commit", "--quiet", "--message=All")
    place.do("git", "tag", VERSION)
    return place


@pytest.fixture(scope="module")
def branch(upstream):
    """What making the branch says, and its commit."""
    said = upstream.do("collection/branch.py")
    return said, upstream.do("git", "rev-parse", "galaxy")


@pytest.fixture
def site(tmp_path, upstream):
    """An empty repository of a site."""
    place = Place(tmp_path / "site", upstream.home)
    place.do("git", "init", "--quiet")
    (place.path / "inventory").mkdir()
    (place.path / "inventory/hosts.yml").write_text(HOSTS)
    return place


# --- the branch -------------------------------------------------------------------------------------------------------


def test_the_branch_has_what_the_last_commit_makes(upstream, branch, tmp_path):
    assert f"git push origin galaxy galaxy-{VERSION}\n" in branch[0]
    assert upstream.do("git", "rev-parse", f"galaxy-{VERSION}^{{commit}}") == branch[1]
    upstream.do("collection/make.py", tmp_path / "made")
    upstream.do("git", "worktree", "add", "--quiet", tmp_path / "branch", "galaxy")
    assert files_of(tmp_path / "branch") == files_of(tmp_path / "made")


def test_a_branch_that_has_it_already(upstream, branch):
    upstream.do("collection/branch.py")
    assert upstream.do("git", "rev-parse", "galaxy") == branch[1]


def test_a_commit_of_no_version(upstream, branch):
    (upstream.path / "roles/omero-web/files/new").write_text("new\n")
    # What is not committed is left out.
    upstream.do("collection/branch.py")
    assert upstream.do("git", "rev-parse", "galaxy") == branch[1]
    upstream.do("git", "add", "--all")
    upstream.do("git", "commit", "--quiet", "--message=New")
    try:
        said = upstream.do("collection/branch.py")
        assert f"No version is tagged, for {VERSION} is not tagged at the last commit." in said
        assert said.endswith("git push origin galaxy\n")
        assert upstream.do("git", "rev-parse", "galaxy^") == branch[1]
        assert upstream.do("git", "show", "galaxy:roles/omero_web/files/new") == "new\n"
        upstream.do("git", "tag", "--force", VERSION)
        code, output = upstream.does("collection/branch.py")
        assert code == 1
        assert f"The tag galaxy-{VERSION} is of other files" in output
    finally:
        upstream.do("git", "reset", "--quiet", "--hard", "HEAD^")
        upstream.do("git", "tag", "--force", VERSION)
        upstream.do("git", "update-ref", "refs/heads/galaxy", branch[1].strip())


# --- as a collection, from git ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [f"galaxy-{VERSION}", "galaxy"])
def test_a_collection_from_git(site, upstream, branch, version):
    requirements = REQUIREMENTS.replace(SOURCE["name"], f"file://{upstream.path}")
    (site.path / "requirements.yml").write_text(requirements.replace(SOURCE["version"], version))
    shutil.copy(ROOT / "inventory/example/site-repository/ansible.cfg", site.path)
    site.do("ansible-galaxy", "collection", "install", "--requirements-file", "requirements.yml")
    assert re.search(rf"(?m)^{NAME} +{VERSION} *$", site.do("ansible-galaxy", "collection", "list", NAME))
    site.do("ansible-playbook", "--syntax-check", f"{NAME}.site")
    site.play(f"{NAME}.site")


def test_the_version_that_is_shown_is_the_newest():
    assert SOURCE["version"] == f"galaxy-{VERSION}"


# --- as it is ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["submodule", "copy"])
def vendored(request, site, upstream):
    (site.path / "ansible.cfg").write_text(SETTINGS)
    if request.param == "submodule":
        site.do("git", "submodule", "--quiet", "add", f"file://{upstream.path}", "vendor/omero-web")
    else:
        for name in re.search(r"a copy of its (.*) in\s", PAGE)[1].replace(" and ", ", ").split(", "):
            shutil.copytree(upstream.path / name.strip("`"), site.path / "vendor/omero-web" / name.strip("`"))
    return site


def test_this_tree_in_a_repository(vendored):
    listed = vendored.do("ansible-playbook", "vendor/omero-web/playbooks/site.yml", "--list-tasks")
    assert "omero-web : Check the variables" in listed
    vendored.play("vendor/omero-web/playbooks/site.yml")
    (vendored.path / "own.yml").write_text(
        "- {hosts: omero_web, gather_facts: false, tasks: [import_role: {name: omero-web, rolespec_validate: false}]}\n"
    )
    vendored.play("own.yml")


def test_its_settings_are_those_of_this_tree():
    own, shown = configparser.ConfigParser(), configparser.ConfigParser()
    own.read(ROOT / "ansible.cfg")
    shown.read_string(SETTINGS)
    for option in ("library", "module_utils", "roles_path"):
        assert shown["defaults"][option] == f"vendor/omero-web/{own['defaults'][option]}"
    for section, option in (("defaults", "forks"), ("ssh_connection", "pipelining")):
        assert shown[section][option] == own[section][option]

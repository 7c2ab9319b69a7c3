#!/usr/bin/env python3
"""Commit the collection that the last commit makes to the branch `galaxy`, for sites that install it from git.

    collection/branch.py

What ansible-galaxy takes is at the root of that branch. If the version of the collection is tagged at the last commit,
the branch has it tagged as galaxy-VERSION, too. No file of this tree changes, and nothing is pushed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
# Not that of a directory of this tree, between which and a branch git would not know what is meant.
BRANCH = "refs/heads/galaxy"


def git(*command, **environment):
    """Run git in this tree, and return what it says."""
    known = {**os.environ, **environment}
    done = subprocess.run(["git", *command], cwd=ROOT, env=known, text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"git {command[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def made_of_last_commit(scratch):
    """Make the collection without what is not committed; return its directory."""
    git("archive", f"--output={scratch / 'tree.tar'}", "HEAD")
    shutil.unpack_archive(scratch / "tree.tar", scratch / "tree")
    subprocess.run([sys.executable, scratch / "tree/collection/make.py", scratch / "made"], check=True)
    return scratch / "made"


def committed(directory, index):
    """Commit these files to the branch, unless it has just them; return its commit."""
    own = {"GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(directory)}
    git("add", "--all", "--force", ".", **own)
    tree = git("write-tree", **own)
    before = git("for-each-ref", "--format=%(objectname)", BRANCH)
    if before and git("rev-parse", f"{before}^{{tree}}") == tree:
        return before
    parents = ["-p", before] if before else []
    after = git("commit-tree", tree, *parents, "-m", f"Collection of {git('describe', '--always', '--tags')}")
    git("update-ref", BRANCH, after)
    return after


def tagged(version, commit):
    """Tag a version that is released, unless it is tagged; return the tag, if there is one."""
    tag = f"galaxy-{version}"
    if version not in git("tag", "--points-at", "HEAD").split():
        return ""
    if not git("tag", "--list", tag):
        git("tag", tag, commit)
    elif git("rev-parse", f"{tag}^{{commit}}") != commit:
        sys.exit(f"The tag {tag} is of other files; sites may have them, so release another version.")
    return tag


def main():
    with tempfile.TemporaryDirectory() as scratch:
        directory = made_of_last_commit(Path(scratch))
        version = yaml.safe_load((directory / "galaxy.yml").read_text())["version"]
        tag = tagged(version, committed(directory, Path(scratch, "index")))
    if not tag:
        print(f"No version is tagged, for {version} is not tagged at the last commit.")
    print(f"To publish it: git push origin galaxy {tag}".rstrip())


if __name__ == "__main__":
    if len(sys.argv) != 1:
        sys.exit(__doc__.split("\n\n")[1].strip())
    main()

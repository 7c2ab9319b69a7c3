#!/usr/bin/env python3
"""Write what a new version of the project consists of, to be looked through and committed.

    tests/release.py VERSION

The version goes to where it stands, the fragments of the changelog become a part of it, and what there is by name, such
as the variables of the role, is promised until the next major version.
"""

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
SPEC = ROOT / "roles/omero-web/meta/argument_specs.yml"
GALAXY = ROOT / "collection/galaxy.yml"
PROMISED = ROOT / "changelogs/promised.yaml"
FRAGMENTS = ROOT / "changelogs/fragments"
# Where the version stands, each as the only group of its pattern.
PLACES = {
    GALAXY: re.compile(r"(?m)^version: (\S+)$"),
    ROOT / "inventory/example/site-repository/requirements.yml": re.compile(r"omero_web-([\d.]+)\.tar\.gz"),
    ROOT / "docs/own-repository.md": re.compile(r"(?m)^ +version: galaxy-([\d.]+)$"),
}
NAMED = ("playbooks/*.yml", "library/*.py", "roles/*")
# What a site may have to change something for.
BREAKING = ("breaking_changes", "removed_features")


class Dumper(yaml.SafeDumper):
    """Lists are indented, as yamllint has it."""

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


def types_of(options, parent=""):
    """Return the type of each variable, and of each key of those that have their keys from the specification."""
    types = {}
    for name, option in options.items():
        types[parent + name] = option["type"] + (f" of {option['elements']}" if "elements" in option else "")
        types.update(types_of(option.get("options", {}), f"{parent}{name}[]."))
    return types


def variables():
    entry_points = yaml.safe_load(SPEC.read_text())["argument_specs"].values()
    return {name: kind for entry_point in entry_points for name, kind in types_of(entry_point["options"]).items()}


def names():
    """Return what sites call by its name."""
    return sorted(str(path.relative_to(ROOT)) for kind in NAMED for path in ROOT.glob(kind))


def breaking():
    """Return what the next version breaks, as its fragments tell."""
    fragments = [yaml.safe_load(path.read_text()) for path in sorted(FRAGMENTS.glob("*.yml"))]
    return [entry for fragment in fragments for section in BREAKING for entry in fragment.get(section, ())]


def problem_of(version):
    numbers = re.compile(r"(\d+)\.(\d+)\.(\d+)")
    old = PLACES[GALAXY].search(GALAXY.read_text())[1]
    if not numbers.fullmatch(version):
        return f"{version} is no version; one has three numbers, such as 1.2.0."
    major, old_major = int(version.split(".")[0]), int(old.split(".")[0])
    if [int(number) for number in version.split(".")] <= [int(number) for number in old.split(".")]:
        return f"{version} is not newer than {old}."
    if major == old_major and breaking():
        return f"{version} breaks what {old} promises, so it has to be {old_major + 1}.0.0: {breaking()[0]}"
    return ""


def main(version):
    if problem := problem_of(version):
        sys.exit(problem)
    for path, place in PLACES.items():
        text = path.read_text()
        start, end = place.search(text).span(1)
        path.write_text(text[:start] + version + text[end:])
    promised = {"version": version, "names": names(), "variables": variables()}
    PROMISED.write_text(yaml.dump(promised, Dumper=Dumper, sort_keys=False, explicit_start=True))
    subprocess.run(["antsibull-changelog", "release", "--version", version], cwd=ROOT, check=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.split("\n\n")[1].strip())
    main(sys.argv[1])

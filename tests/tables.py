#!/usr/bin/env python3
"""Check the tables of the documentation: of variables from their argument spec, of faults, of symptoms and of what is
open on a host from the tests, and of platforms from the scenarios; with --write, bring them up to date."""

import json
import os
import re
import runpy
import sys
from collections import Counter
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SPEC = ROOT / "roles/omero-web/meta/argument_specs.yml"
SCENARIOS = ROOT / "molecule"
SYMPTOMS = SCENARIOS / "operations/tests/symptoms.yml"
SYSTEMS = ROOT / "roles/omero-web/vars/main/systems.yml"
SEQUENCE = yaml.safe_load((ROOT / ".config/molecule/config.yml").read_text())["scenario"]["test_sequence"]
SUITES = {"bullseye": "Debian 11", "bookworm": "Debian 12", "trixie": "Debian 13", "forky": "Debian 14"}
# What a distribution is called by its images and in os-release, and by Ansible.
DISTRIBUTIONS = {
    "almalinux": "AlmaLinux", "centos": "CentOS", "debian": "Debian", "rhel": "RedHat", "rocky": "Rocky",
    "rockylinux": "Rocky", "ubuntu": "Ubuntu",
}  # fmt: skip
NAMES = {"CentOS 8": "CentOS Stream 8", "CentOS 9": "CentOS Stream 9", "Rocky": "Rocky Linux", "RedHat": "RHEL"}
MODULE = re.compile(r"(?s)\nDOCUMENTATION = r?(?:\"\"\"|''')(.*?)(?:\"\"\"|''')")
STEPS = {"check": "`--check` before the first run", "idempotence": "a second run, which changes nothing"}
# Why a test is skipped unless every fault is wanted.
EXHAUSTIVE = "a part of `make faults`"


def as_table(*rows):
    """Rows of cells as Markdown; the first is the header."""
    header, *rest = ("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows)
    return "\n".join([header, "|" + " --- |" * len(rows[0]), *rest])


def as_markdown(description):
    """Ansible's markup, V(value) or O(option), as Markdown; a description is one sentence or a list of them."""
    text = description if isinstance(description, str) else " ".join(description)
    return re.sub(r"\b[A-Z]+\(([^)]*)\)", r"`\1`", text)


def type_of(option):
    elements = f" of {option['elements']}" if "elements" in option else ""
    choices = ": " + ", ".join(f"`{choice}`" for choice in option["choices"]) if "choices" in option else ""
    return option.get("type", "str") + elements + choices


def default_of(option):
    return "required" if option.get("required") else f"`{json.dumps(option.get('default'))}`"


def options_of(options, parent=""):
    for name, option in options.items():
        yield f"`{parent}{name}`", type_of(option), default_of(option), as_markdown(option["description"])
        # As roles say it, and as modules do.
        inner = option.get("options") or option.get("suboptions") or {}
        yield from options_of(inner, f"{parent}{name}[].")


def variables():
    entry_points = yaml.safe_load(SPEC.read_text())["argument_specs"].values()
    rows = [row for entry_point in entry_points for row in options_of(entry_point["options"])]
    return as_table(("Variable", "Type", "Default", "Description"), *rows)


def modules():
    """Return what each module is for, and the options of those that are of use without the role."""
    told = [yaml.safe_load(MODULE.search(path.read_text())[1]) for path in sorted((ROOT / "library").glob("*.py"))]
    text = [as_table(("module", "what it does"), *((f"`{one['module']}`", one["short_description"]) for one in told))]
    for one in told:
        if one["module"].startswith("omero_config"):
            options = as_table(("Option", "Type", "Default", "Description"), *options_of(one["options"]))
            text += [f"## {one['module']}", as_markdown(one["description"]), options]
    return "\n\n".join(text)


def faults():
    # What the tests import, and what that wants to know of the run that it is part of.
    sys.path.insert(0, str(SCENARIOS))
    os.environ.setdefault("MOLECULE_EPHEMERAL_DIRECTORY", "")
    files = [path for path in sorted(SCENARIOS.glob("*/*/test_*.py")) if "@fault(" in path.read_text()]
    tests = [test for path in files for test in runpy.run_path(str(path)).values() if hasattr(test, "pytestmark")]
    rows = {}
    for test in tests:
        for mark in (mark for mark in test.pytestmark if mark.name == "fault"):
            rows[mark.args] = rows.get(mark.args, True) and is_exhaustive(test)
    marks = [(f"{what} (`make faults` alone)" if rows[what, *rest] else what, *rest) for what, *rest in rows]
    return as_table(("what", "what your users see", "what you see"), *marks)


def is_exhaustive(test):
    """Tell whether a test is a part of `make faults` alone: as a whole, or with every value of a parameter."""
    values = [mark.args[1] for mark in test.pytestmark if mark.name == "parametrize"]
    of_values = ([getattr(value, "marks", ()) for value in some] for some in values)
    return is_left_out(test.pytestmark) or any(all(map(is_left_out, some)) for some in of_values)


def is_left_out(marks):
    return any(mark.kwargs.get("reason") == EXHAUSTIVE for mark in marks if mark.name == "skipif")


def symptoms():
    found = yaml.safe_load(SYMPTOMS.read_text())
    known = {"number": "N"}
    rows = ((one["sees"], f"`{one['says'].format(**known).strip(' :')}`", one["do"]) for one in found)
    return as_table(("what you see", "what `omero-web status` says", "what to do"), *rows)


def scenarios(place=SCENARIOS):
    """Return what each scenario says of itself, by its name."""
    return {path.parent.name: yaml.safe_load(path.read_text()) for path in sorted(place.glob("*/molecule.yml"))}


def shape_of(scenario):
    """Return which system the hosts of a scenario present, if they present another one than they are."""
    releases = [*(SCENARIOS / scenario).rglob("os-release")]
    if not releases:
        return ""
    told = dict(re.findall(r'(?m)^(\w+)="?([^"\n]*)"?$', releases[0].read_text()))
    return f"{DISTRIBUTIONS[told['ID']]} {told['VERSION_ID'].split('.')[0]}"


def ran():
    """Yield each system, where it was run, and the scenario that runs it."""
    for scenario, told in scenarios().items():
        shape = shape_of(scenario)
        for suite, moves in dict.fromkeys((one["suite"], one.get("moving", False)) for one in told["platforms"]):
            note = f" (a {SUITES[suite]} host of its shape)" if shape else " (`make faults` alone)" if moves else ""
            yield shape or SUITES[suite], "hosts", f"`{scenario}`{note}"
    for scenario, told in scenarios(SCENARIOS / "containers").items():
        image, _, version = told["platforms"][0]["image"].partition(":")
        yield f"{DISTRIBUTIONS[image]} {version}", "containers", f"`{scenario}`"


def supported(known):
    """Yield each system that the role takes, as a distribution and its version; `known` are those that were run."""
    for distribution, (first, last) in yaml.safe_load(SYSTEMS.read_text())["_omero_web_supported"].items():
        if last:
            yield from ((distribution, str(version)) for version in range(int(first), int(last) + 1))
        else:
            versions = {system.split()[1] for system in known if system.startswith(distribution)}
            yield from ((distribution, version) for version in (*sorted({first, *versions}), "newer"))


def pythons_of(distribution, version):
    """Return the Pythons on which the role lets OMERO.web run there."""
    systems = yaml.safe_load(SYSTEMS.read_text())["_omero_web_systems"]
    family = systems["Debian" if distribution in ("Debian", "Ubuntu") else "RedHat"]
    own = family["versions"].get(version.split(".")[0], {})
    found = {**family["python"], **own.get("python", {})}.values()
    return ", ".join(f"`{path}`" for path in found if path)


def systems():
    where = {}
    for system, place, scenario in ran():
        where.setdefault(system, {}).setdefault(place, []).append(scenario)
    rows = []
    for distribution, version in supported([*where]):
        found = where.pop(f"{distribution} {version}", {})
        title = NAMES.get(f"{distribution} {version}", f"{NAMES.get(distribution, distribution)} {version}")
        hosts, containers = (", ".join(found.get(place, [])) for place in ("hosts", "containers"))
        rows.append((title, pythons_of(distribution, version), hosts or "not run", containers))
    if where:
        sys.exit(f"A scenario has a system that the role does not take: {', '.join(where)}")
    return as_table(("system", "Python of OMERO.web", "`make test`, on hosts", "`make containers`"), *rows)


def what_scenarios_have():
    rows = []
    for scenario, told in scenarios().items():
        hosts = Counter(SUITES[platform["suite"]] for platform in told["platforms"])
        comment = (SCENARIOS / scenario / "molecule.yml").read_text().partition("platforms:")[0]
        sequence = told.get("scenario", {}).get("test_sequence", SEQUENCE)
        steps = [text for step, text in STEPS.items() if step in sequence]
        rows.append((
            f"`{scenario}`",
            ", ".join(f"{number} × {system}" for system, number in hosts.items()),
            " ".join(re.findall(r"(?m)^# (.*)$", comment)),
            ", and ".join(steps),
        ))  # fmt: skip
    return as_table(("scenario", "hosts", "what it is", "beside its tests"), *rows)


def commands_that_no_test_runs():
    entries = yaml.safe_load((ROOT / "tests/unit/commands.yml").read_text())
    left_out = ((entry["commands"], entry["not run"]) for entry in entries if "not run" in entry)
    return as_table(("command", "why"), *((", ".join(f"`{one}`" for one in some), why) for some, why in left_out))


def host_tests():
    return runpy.run_path(str(SCENARIOS / "resources/verify/test_host.py"))


def listening():
    rows = ((f"`{address}`", *told) for address, told in host_tests()["LISTENING"].items())
    return as_table(("address", "who listens", "who asks there"), *rows)


def ownership():
    names = {"basedir": "/opt/omero/web", "user": "omero-web", "group": "omero-web", "generation": "N"}
    rows = [f"{path} {owner}".format(**names).split() for path, owner in host_tests()["OWNERSHIP"].items()]
    return as_table(("path", "owner", "mode"), *([f"`{cell}`" for cell in row] for row in rows))


TABLES = {
    "variables.md": [variables],
    "modules.md": [modules],
    "reliability.md": [faults],
    "troubleshooting.md": [symptoms],
    "platforms.md": [systems, what_scenarios_have, commands_that_no_test_runs],
    "security.md": [listening, ownership],
}
# Between these lines, each has its place.
START, END = "<!-- table -->\n", "\n<!-- /table -->"


def main():
    for name, tables in TABLES.items():
        text = (DOCS / name).read_text()
        places = re.findall(rf"(?s){re.escape(START)}.*?{re.escape(END)}", text)
        if len(places) != len(tables):
            sys.exit(f"docs/{name} has {len(places)} places for {len(tables)} tables: each needs the lines "
                     f"{START.strip()} and {END.strip()}.")  # fmt: skip
        wanted = text
        for place, table in zip(places, tables, strict=True):
            wanted = wanted.replace(place, START + table() + END, 1)
        if "--write" in sys.argv:
            (DOCS / name).write_text(wanted)
        elif wanted != text:
            sys.exit(f"The table in docs/{name} is stale: run tests/tables.py --write")


if __name__ == "__main__":
    main()

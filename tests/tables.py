#!/usr/bin/env python3
"""Check the tables of the documentation, of the variables from their argument spec, and of faults and symptoms from the
tests that produce them; with --write, bring them up to date."""

import json
import os
import re
import runpy
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SPEC = ROOT / "roles/omero-web/meta/argument_specs.yml"
SCENARIOS = ROOT / "molecule"
SYMPTOMS = SCENARIOS / "operations/tests/symptoms.yml"
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
    return option["type"] + elements + choices


def default_of(option):
    return "required" if option.get("required") else f"`{json.dumps(option.get('default'))}`"


def options_of(options, parent=""):
    for name, option in options.items():
        yield f"`{parent}{name}`", type_of(option), default_of(option), as_markdown(option["description"])
        yield from options_of(option.get("options", {}), f"{parent}{name}[].")


def variables():
    entry_points = yaml.safe_load(SPEC.read_text())["argument_specs"].values()
    rows = [row for entry_point in entry_points for row in options_of(entry_point["options"])]
    return as_table(("Variable", "Type", "Default", "Description"), *rows)


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


TABLES = {"variables.md": variables, "reliability.md": faults, "troubleshooting.md": symptoms}
# Between these lines, each has its place.
START, END = "<!-- table -->\n", "\n<!-- /table -->"


def main():
    for name, table in TABLES.items():
        text = (DOCS / name).read_text()
        before, _, rest = text.partition(START)
        _, found, after = rest.partition(END)
        if not found:
            sys.exit(f"docs/{name} has no place for its table: it needs the lines {START.strip()} and {END.strip()}.")
        wanted = before + START + table() + END + after
        if "--write" in sys.argv:
            (DOCS / name).write_text(wanted)
        elif wanted != text:
            sys.exit(f"The table in docs/{name} is stale: run tests/tables.py --write")


if __name__ == "__main__":
    main()

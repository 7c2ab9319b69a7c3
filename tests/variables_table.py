#!/usr/bin/env python3
"""Print the README's table of the role's variables, made from their argument spec; with --write, put it there."""

import json
import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
SPEC = ROOT / "roles/omero-web/meta/argument_specs.yml"
START, END = "<!-- variables -->", "<!-- /variables -->"
HEADER = """\
| Variable | Type | Default | Description |
| --- | --- | --- | --- |"""


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


def rows(options, parent=""):
    for name, option in options.items():
        cells = f"`{parent}{name}`", type_of(option), default_of(option), as_markdown(option["description"])
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
        yield from rows(option.get("options", {}), f"{parent}{name}[].")


def table():
    entry_points = yaml.safe_load(SPEC.read_text())["argument_specs"].values()
    return "\n".join([HEADER, *(row for entry_point in entry_points for row in rows(entry_point["options"]))])


def write():
    before, start, rest = README.read_text().partition(START)
    _, end, after = rest.partition(END)
    if not end:
        sys.exit(f"README.md has no place for the table: it needs the lines {START} and {END}.")
    README.write_text(f"{before}{start}\n{table()}\n{end}{after}")


if __name__ == "__main__":
    write() if "--write" in sys.argv else print(table())

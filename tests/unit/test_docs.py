"""What the documentation shows of variables against the role's own check of them, and what is tested where."""

import re
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from test_omero_web_arguments import SPEC, arguments

ROOT = Path(__file__).parents[2]
APPS = ROOT / "molecule/production/group_vars/omero_web/apps.yml"
INDENTED = re.compile(r"(?m)(?:^ {4}.*\n)(?:(?:^\s*\n)*^ {4}.*\n)*")
FENCED = re.compile(r"(?ms)^```ya?ml\n(.*?)^```$")
# What a template may stand for: where it is the whole value a password or a path, otherwise a password or a checksum.
WHOLE = re.compile(r'(?<=")\{\{[^}]*\}\}(?=")')
PART = re.compile(r"\{\{[^}]*\}\}")


def blocks():
    """The variables of each block, by its file and line."""
    for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]:
        text = path.read_text()
        for block in [*INDENTED.finditer(text), *FENCED.finditer(text)]:
            content = dedent(block[1] if block.re is FENCED else block[0])
            if content.startswith("omero_web_"):
                line = text.count("\n", 0, block.start()) + 1
                content = PART.sub(64 * "a", WHOLE.sub("/path", content))
                yield pytest.param(yaml.safe_load(content), id=f"{path.name}:{line}")
            elif content.startswith("omero_web:"):
                for name, variables in yaml.safe_load(content)["omero_web"]["hosts"].items():
                    own = {key: value for key, value in (variables or {}).items() if not key.startswith("ansible_")}
                    yield pytest.param(own, id=f"{path.name}:{name}")


def given_on_command_lines():
    for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]:
        for name, value in re.findall(r"-e (omero_web_\w+)=([^\s`]+)", path.read_text()):
            yield pytest.param({name: value}, id=f"{path.name}:{name}={value}")


@pytest.mark.parametrize("variables", [*blocks(), *given_on_command_lines()])
def test_variables_are_right(variables):
    assert list(arguments.problems_of_names(variables, SPEC)) == []
    assert [p for name, value in variables.items() for p in arguments.problems_of_value(name, value, SPEC[name])] == []
    defaults = {name: option["default"] for name, option in SPEC.items()}
    assert list(arguments.problems_of_combinations({**defaults, **variables})) == []


def test_apps_are_those_that_are_tested():
    shown = [app for block in blocks() for app in block.values[0].get("omero_web_apps", ())]
    tested = yaml.safe_load(APPS.read_text())["omero_web_apps"]
    assert shown
    assert [app for app in shown if app not in tested] == []


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))], ids=lambda path: path.name)
def test_files_that_a_page_shows_or_leads_to_are_there(path):
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text())
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_what_is_reckoned_of_many_users_adds_up():
    text = (ROOT / "docs/scaling.md").read_text().partition("\n## 10,000")[2].partition("\nMost of it")[0]
    sums = re.findall(r"\| ([\d,.()+×/ ]+) = ([\d.]+) \|", text)
    assert len(sums) == text.count(" = ")
    for terms, result in sums:
        # From rounded figures.
        reckoned = eval(terms.replace("×", "*").replace(",", ""))
        assert reckoned == pytest.approx(float(result), rel=0.05), terms

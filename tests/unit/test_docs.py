"""What the documentation shows of variables against the role's own check of them, where tests run its commands, and
whether its links lead somewhere."""

import re
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from conftest import tally
from test_omero_web_arguments import SPEC, arguments

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
ALL_PAGES = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "collection/README.md"]
COMMANDS = yaml.safe_load(Path(__file__).with_name("commands.yml").read_text())
APPS = [ROOT / "molecule/production" / name for name in ("group_vars/omero_web/apps.yml", "single-sign-on.yml")]
INDENTED = re.compile(r"(?m)(?:^ {4}.*\n)(?:(?:^\s*\n)*^ {4}.*\n)*")
FENCED = re.compile(r"(?ms)^```ya?ml\n(.*?)^```$")
# What a template may stand for: where it is the whole value a password or a path, otherwise a password or a checksum.
WHOLE = re.compile(r'(?<=")\{\{[^}]*\}\}(?=")')
PART = re.compile(r"\{\{[^}]*\}\}")
# Blocks between fences of another language than that of a shell, and how other blocks begin that are no commands.
FOREIGN = re.compile(r"(?ms)^```(?!sh$)\w*\n.*?^```$")
NO_COMMANDS = (
    "omero_web",  # variables, and an inventory
    "- hosts:",  # a playbook
    "{% extends",  # templates
    "/opt/omero/web/ ",  # what is where on a host
    "ann@example.org ",  # a file of those who may sign
    "seconds = ", "workers = ", "worker_connections = ",  # sums
)  # fmt: skip
PROGRAMS = (
    "ansible-doc", "ansible-galaxy", "ansible-playbook", "ansible-vault", "ausearch", "cd", "certbot", "cp", "git",
    "journalctl", "make", "man", "mkdir", "mount", "mv", "omero", "omero-public", "omero-server-stand-in", "omero-web",
    "pre-commit", "redis-cli", "rm", "runuser", "ssh-keygen", "systemctl", "systemd-analyze", "tar", "umask",
)  # fmt: skip
COMMAND = re.compile(rf"(?:(?:{'|'.join(PROGRAMS)}) |\.venv/bin/|tests/\w+\.py )\S.*")


def blocks():
    """The variables of each block, by its file and line."""
    for path in PAGES:
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
    for path in PAGES:
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
    tested = [app for path in APPS for app in yaml.safe_load(path.read_text())["omero_web_apps"]]
    assert shown
    assert [app for app in shown if app not in tested] == []


def anchors(page):
    """What one can be led to on a page, by the rule of forges; what is between fences is no heading."""
    headings = re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?ms)^```.*?^```$", "", page.read_text()))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", ALL_PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_page_shows_or_leads_to_is_there(path):
    targets = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", path.read_text())
    assert [target for target, _ in targets if not (path.parent / target).exists()] == []
    led = [(path.parent / target if target else path, anchor) for target, anchor in targets if anchor]
    assert [anchor for page, anchor in led if anchor not in anchors(page)] == []


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/versions.md", "CONTRIBUTING.md"])
def test_files_that_are_named_are_there(page):
    """From the root of the project, or from that of the role."""
    named = re.findall(r"`([a-z_.]+/[\w./-]*[\w/])`", (ROOT / page).read_text().replace("METHOD", "pypi"))
    places = ROOT, ROOT / "roles/omero-web"
    assert named
    assert [name for name in named if not any((place / name).exists() for place in places)] == []


# --- commands ---------------------------------------------------------------------------------------------------------


def bare(line):
    """A command without what is said of it on its line."""
    return re.split(r" +# | {2,}", line.strip())[0]


def lines_of_blocks():
    """Each line that a shell would be given, but for those that go on with the words about the command above."""
    for path in ALL_PAGES:
        for block in INDENTED.findall(FOREIGN.sub("", path.read_text())):
            content = dedent(block)
            if not content.startswith(NO_COMMANDS):
                lines = re.sub(r"\\\n\s*", "", content).splitlines()
                yield from ((path, line) for line in lines if line and not line.startswith(" " * 8))


def commands_of_pages():
    spans = (span for path in ALL_PAGES for span in re.findall(r"`([^`\n]+)`", FOREIGN.sub("", path.read_text())))
    return {bare(line) for _, line in lines_of_blocks()} | {span for span in spans if COMMAND.fullmatch(span)}


def test_every_block_is_known_for_what_it_is():
    assert [f"{path.name}: {line}" for path, line in lines_of_blocks() if not COMMAND.fullmatch(line)] == []


def test_every_command_is_run_by_a_test_or_marked():
    found, known = commands_of_pages(), [command for entry in COMMANDS for command in entry["commands"]]
    left_out = {command for entry in COMMANDS if "not run" in entry for command in entry["commands"]}
    assert sorted(found - {*known}) == []
    assert sorted({*known} - found) == [], "the documentation has them no more"
    assert len(known) == len({*known})
    tally["commands of the documentation"] += len(found)
    tally["of these run by tests"] += len(found - left_out)


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry["commands"][0])
def test_where_a_command_is_run(entry):
    assert ("not run" in entry) != ("file" in entry)
    if "file" in entry:
        assert entry["text"] in (ROOT / entry["file"]).read_text()


def test_what_is_reckoned_of_many_users_adds_up():
    text = (ROOT / "docs/scaling.md").read_text().partition("\n## 10,000")[2].partition("\nMost of it")[0]
    sums = re.findall(r"\| ([\d,.()+×/ ]+) = ([\d.]+) \|", text)
    assert len(sums) == text.count(" = ")
    for terms, result in sums:
        # From rounded figures.
        reckoned = eval(terms.replace("×", "*").replace(",", ""))
        assert reckoned == pytest.approx(float(result), rel=0.05), terms

#!/usr/bin/env python3
"""Make a collection of Ansible out of this tree, for playbooks that are elsewhere.

    collection/make.py DIRECTORY

DIRECTORY, which is made anew, is what `ansible-galaxy collection build` takes. Nothing is written twice: the role, its
plugins and the modules are those of this tree, in the places and by the names that a collection has for them. What a
host gets is the same, so that a site can change from one to the other without any change of its hosts.
"""

import re
import shutil
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ROLE = ROOT / "roles/omero-web"
GALAXY = yaml.safe_load((HERE / "galaxy.yml").read_text())
COLLECTION = f"{GALAXY['namespace']}.{GALAXY['name']}"
PLUGINS = f"ansible_collections.{COLLECTION}.plugins"
SHARED = f"{PLUGINS}.module_utils"
KINDS = ("action", "callback", "filter", "test")

MODULES = {path.stem for path in (ROOT / "library").glob("*.py")}
ACTIONS = {path.stem for path in (ROLE / "action_plugins").glob("*.py")}
NAMES = "|".join(sorted(MODULES | ACTIONS))
JINJA = "|".join(path.stem for kind in ("filter", "test") for path in (ROLE / f"{kind}_plugins").glob("*.py"))

# How an action has the code of another one. Ansible's own way to import from collections knows packages, and no paths.
LOADED = re.compile(
    r"(?m)^(\w+) = " + re.escape("SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name(") + r'"(\w+)\.py"\)+$'
)
# Where Python has a place of this tree, and what it is in a collection.
PLACES = {
    "ROLE = Path(__file__).parents[1]\n": 'ROLE = Path(__file__).parents[2] / "roles/omero_web"\n',
    "ROLE = Path(__file__).resolve().parents[1]\n": 'ROLE = Path(__file__).resolve().parents[2] / "roles/omero_web"\n',
    'masked = runpy.run_path(str(ROLE / "filter_plugins/omero_web_masked.py"))["omero_web_masked"]\n': (
        f"from {PLUGINS}.filter.omero_web_masked import omero_web_masked as masked\n"
    ),
    "    return Path(module_utils_loader.find_plugin(name))\n": (
        '    return Path(__file__).parents[1] / "module_utils" / f"{name}.py"\n'
    ),
    "from ansible.plugins.loader import module_utils_loader\n": "",
    '    return SimpleNamespace(**runpy.run_path(str(shared_path(name))))\n': (
        f'    return importlib.import_module("{SHARED}." + name)\n'
    ),
    "import runpy\nimport socket\n": "import importlib\nimport socket\n",
    # The command of a host has no collections.
    "path.read_bytes()\n            for path in (shared": (
        f'path.read_bytes()\n            .replace(b"{SHARED}.omero_", b"ansible.module_utils." b"omero_")\n'
        "            for path in (shared"
    ),
}
# What is imported for the sake of places alone, as a rule.
IMPORTS = re.compile(r"(?m)^(?:import|from \w+ import) (runpy|Path|SimpleNamespace)\n")


def python(text):
    """Return a plugin or a module as it is in a collection."""
    for place, other in PLACES.items():
        text = text.replace(place, other)
    text = LOADED.sub(rf"from {PLUGINS}.action import \2 as \1", text)
    text = IMPORTS.sub(lambda found: found[0] if len(re.findall(rf"\b{found[1]}\b", text)) > 1 else "", text)
    text = re.sub(r"\bansible\.module_utils\.(omero_\w+)", rf"{SHARED}.\1", text)
    text = re.sub(rf'((?:_execute_module|run_action)\(\s*)"({NAMES})"', rf'\1"{COLLECTION}.\2"', text)
    # In what is told of a module: examples, other modules, and a module by its name.
    text = re.sub(rf"(?m)^(  )({NAMES}):$", rf"\1{COLLECTION}.\2:", text)
    text = re.sub(rf"(- module: )({NAMES})\b", rf"\1{COLLECTION}.\2", text)
    return re.sub(rf"\bM\(({NAMES})\)", rf"M({COLLECTION}.\1)", text)


def tasks(text):
    """Return tasks, variables or a template as they are in a collection."""
    text = re.sub(rf"(?m)^( +)({NAMES}):$", rf"\1{COLLECTION}.\2:", text)
    text = re.sub(r"(?m)^( +name: )omero-web$", rf"\1{COLLECTION}.omero_web", text)
    return re.sub(rf"(\| *|\bis (?:not )?|\bselect\(')({JINJA})\b", rf"\1{COLLECTION}.\2", text)


def copy(source, target, change=None):
    """Copy a file, or all files below a directory, and change those that are text of this project."""
    for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
        if path.is_file() and "__pycache__" not in path.parts:
            new = target / path.relative_to(source) if source.is_dir() else target
            new.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, new)
            if change:
                new.write_text(change(path.read_text()))


def ansibles():
    """Return which ansible-core the project is tested with, the oldest first, as ansible-test names them."""
    return re.findall(r"(?m)^ansible-core==(\d+\.\d+)", (ROOT / "requirements.txt").read_text())


def write_ignored(target):
    """Write what each Ansible is not to complain of; each complains of what it would not have complained of, too."""
    for age, version in zip(("oldest", "newest"), ansibles(), strict=True):
        lines = [
            f"{path.relative_to(target)} {one['test']}  # {one['because']}\n"
            for one in yaml.safe_load((HERE / "sanity.yml").read_text())
            if one.get("with", age) == age
            for pattern in one["files"]
            for path in sorted(target.glob(pattern))
            if str(path.relative_to(target)) not in one.get("but", ())
        ]
        ignored = target / f"tests/sanity/ignore-{version}.txt"
        ignored.parent.mkdir(parents=True, exist_ok=True)
        ignored.write_text("".join(lines))


def make(target):
    sources = "".join(path.read_text() for path in ROLE.glob("*_plugins/*.py"))
    gone = [place for place in PLACES if place not in sources]
    if gone:
        sys.exit(f"What is to be changed is not in this tree any more: {gone}")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in ("galaxy.yml", "README.md", "meta"):
        copy(HERE / name, target / name)
    for name in ("LICENSE", "CHANGELOG.md", "changelogs/changelog.yaml"):
        copy(ROOT / name, target / name)
    copy(ROOT / "docs", target / "docs")
    copy(ROOT / "library", target / "plugins/modules", python)
    copy(ROOT / "module_utils", target / "plugins/module_utils", python)
    for kind in KINDS:
        copy(ROLE / f"{kind}_plugins", target / "plugins" / kind, python)
    copy(ROOT / "playbooks/callback_plugins", target / "plugins/callback", python)
    for playbook in (ROOT / "playbooks").glob("*.yml"):
        # Of which Ansible wants names that are words.
        copy(playbook, target / "playbooks" / playbook.name.replace("-", "_"), tasks)
    for part in ("defaults", "files", "meta"):
        copy(ROLE / part, target / "roles/omero_web" / part)
    for part in ("tasks", "templates", "vars"):
        copy(ROLE / part, target / "roles/omero_web" / part, tasks)
    write_ignored(target)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.split("\n\n")[1].strip())
    make(Path(sys.argv[1]))

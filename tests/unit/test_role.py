"""The role's files against each other: specification, defaults, constants, tasks and templates."""

import re
import runpy
from collections import Counter
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.parameters import DEFAULT_TYPE_VALIDATORS

ROOT = Path(__file__).parents[2]
ROLE = ROOT / "roles/omero-web"
TASKS = sorted(ROLE.glob("tasks/*.yml"))
CONSTANTS = sorted(ROLE.glob("vars/main/*.yml"))
ENTRY_POINTS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"].values()
SPEC = {name: option for entry_point in ENTRY_POINTS for name, option in entry_point["options"].items()}
# Variables that are evaluated in Python.
EVALUATING = ("air_gap", "balancer", "benchmark", "build", "change", "plan", "state", "wanted", "wheels")
PLUGIN_FILES = [ROLE / f"action_plugins/omero_web_{name}.py" for name in EVALUATING]
CODE = "\n".join(path.read_text() for path in (*TASKS, *CONSTANTS, *PLUGIN_FILES, *sorted(ROLE.glob("templates/*"))))
PLAYBOOKS = "\n".join(path.read_text() for path in ROOT.glob("playbooks/*.yml"))
# Of the inventory.
GROUPS = {"omero_web_lb", "omero_web_redis", "omero_web_rolling", "omero_web_together"}
# They have names like variables, and few have that of one.
PLUGINS = {path.stem for path in (*ROOT.glob("library/*"), *ROOT.glob("module_utils/*"), *ROLE.glob("*_plugins/*.py"))}


def flattened(options, parent=""):
    for name, option in options.items():
        yield pytest.param(option, id=parent + name)
        yield from flattened(option.get("options", {}), f"{parent}{name}.")


def dictionaries(node):
    """Every dictionary inside a YAML document."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from dictionaries(child)


def names(pattern, text=CODE):
    """How often each whole name that has the pattern occurs."""
    return Counter(re.findall(rf"\b{pattern}\w+", text))


def test_defaults_are_those_of_the_spec():
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    assert defaults == {name: option["default"] for name, option in SPEC.items()}


@pytest.mark.parametrize("option", list(flattened(SPEC)))
def test_option_is_described_and_typed(option):
    assert option["description"]
    assert option["type"] in DEFAULT_TYPE_VALIDATORS
    assert option.get("elements", "str") in DEFAULT_TYPE_VALIDATORS
    assert ("elements" in option) == (option["type"] == "list")


def test_every_public_variable_is_used_and_every_used_one_is_public():
    used = names("omero_web_") + names("omero_web_", PLAYBOOKS)
    assert set(used) - ((PLUGINS | GROUPS) - set(SPEC)) == set(SPEC)


def test_every_constant_is_used_and_every_used_one_is_defined():
    defined = names("_omero_web_", "\n".join(re.findall(r"(?m)^ *(_\w+):", CODE)))
    uses = names("_omero_web_") - defined
    assert set(uses) == set(defined)


def test_constants_are_named_as_such():
    for path in CONSTANTS:
        assert all(name.startswith("_omero_web_") for name in yaml.safe_load(path.read_text())), path.name


def test_operating_systems_have_the_same():
    systems = yaml.safe_load((ROLE / "vars/main/systems.yml").read_text())["_omero_web_systems"].values()
    assert len({frozenset(system) for system in systems}) == 1
    assert all(set(version) < set(system) for system in systems for version in system["versions"].values())


def test_what_a_run_finds_out_is_named_as_such():
    tasks = [task for path in TASKS for task in dictionaries(yaml.safe_load(path.read_text()))]
    found = [task["register"] for task in tasks if "register" in task]
    found += [fact for task in tasks for fact in task.get("ansible.builtin.set_fact", ())]
    assert found
    assert [name for name in found if not name.startswith("__omero_web_")] == []


# What the packages of CentOS 7 (the older and the newer), Rocky Linux 8 and 9 have in nginx.conf.
DEFAULT_SERVER = """\
    server {
        listen       80%(flag)s;
        listen       [::]:80%(flag)s;
        server_name  _;
        root         /usr/share/nginx/html;

        # Load configuration files for the default server block.
        include /etc/nginx/default.d/*.conf;

        error_page 404 /404.html;
%(location)s
        }
    }
"""


@pytest.mark.parametrize("flag", ["", " default_server"])
@pytest.mark.parametrize("location", ["        location = /404.html {", "            location = /40x.html {"])
def test_default_server_of_nginx_is_found_and_nothing_else(flag, location):
    sites = yaml.safe_load((ROLE / "vars/main/nginx.yml").read_text())["_omero_web_nginx_default_sites"]
    pattern = sites["RedHat"]["part"]
    before = "http {\n    server {\n        root /srv/www;\n    }\n\n"
    after = "\n#    server {\n#        root         /usr/share/nginx/html;\n#    }\n}\n"
    configuration = before + DEFAULT_SERVER % {"flag": flag, "location": location} + after
    assert re.sub(pattern, "", configuration) == before + after


def test_a_release_says_nothing_of_tokens_that_packages_were_had_with():
    release = runpy.run_path(str(ROLE / "files/release.py"))
    frozen = "Django==5.2.1\napp @ git+https://me:hunter2@a.org/app.git@v1\nb @ https://a.org/b.whl?token=hunter2#sha256=00\n"
    assert release["manifest_of"]({"recipe": 1}, frozen)["packages"] == [
        "Django==5.2.1",
        "app @ git+https://********@a.org/app.git@v1",
        "b @ https://a.org/b.whl?token=********#sha256=00",
    ]


def test_root_runs_nothing_in_the_environment_of_the_site():
    """It may name a directory that the service writes in, such as one for caches, and lead root there."""
    as_the_service = {"omero-web.service.j2", "omero.j2", "check-site.yml"}
    places = [*TASKS, *ROLE.glob("templates/*"), *CONSTANTS]
    assert {path.name for path in places if "omero_web_environment" in path.read_text()} == as_the_service
    keywords = [task for path in TASKS for task in dictionaries(yaml.safe_load(path.read_text()))]
    assert [task for task in keywords if "omero_web_environment" in str(task.get("environment", ""))] == []

"""Every name that a host has of an OMERO.web, of the unnamed instance and of one beside it."""

import functools
import importlib.util
import re
import runpy
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, init_plugin_loader
from ansible.template import Templar

ROLE = Path(__file__).parents[2] / "roles/omero-web"
spec = importlib.util.spec_from_file_location("omero_web_wanted", ROLE / "action_plugins/omero_web_wanted.py")
wanted = importlib.util.module_from_spec(spec)
spec.loader.exec_module(wanted)
DEBIAN = {"distribution": "Debian", "distribution_major_version": "12", "distribution_version": "12"}
FACTS = {**DEBIAN, "os_family": "Debian", "nodename": "web-1"}
RELEASE = {
    "name": "5.33.2-aa", "directory": "/srv/web/releases/5.33.2-aa", "version": "5.33.2", "method": "pypi",
    "python": "3.11", "tag": "cp311", "interpreter": "/usr/bin/python3", "django": "5.2", "release": "5.33.2",
    "packages": [], "series": {},
}  # fmt: skip
LIVE = {"number": 1, "manifest": {"prefix": "/old", "former_prefixes": [""]}}
# All that has names of its own: what is set here brings its part of the files.
SITE = {
    "omero_web_basedir": "/srv/web",
    "omero_web_user": "service",
    "omero_web_group": "service",
    "omero_web_redis": True,
    "omero_web_tls_certificate": "/etc/letsencrypt/live/web/fullchain.pem",
    "omero_web_tls_key": "-----BEGIN PRIVATE KEY-----",
    "omero_web_trusted_proxies": ["192.0.2.1"],
    "omero_web_prefix": "/omero",
    "omero_web_access_log": "json",
    "omero_web_image_cache": True,
    "omero_web_embedded_in": ["https://portal.example.org"],
    "omero_web_config": {"omero.web.application_server.port": 4090},
}
SITES = {
    "everything": SITE,
    "sessions in files": {**SITE, "omero_web_redis": False, "omero_web_access_log": "combined"},
}
OWN_NAMES = {"omero-web-public": "omero-web", "omeroweb_public": "omeroweb", "omero-web_public": "omero-web",
             "bin/omero-public": "bin/omero", "OMERO.web public": "OMERO.web"}  # fmt: skip
# What is no name of anything on a host: templates, files of a generation, a path below a site, parts of an
# expression, a package of Python.
NO_NAMES = re.compile(
    r"omero-web[\w-]*(\.(service|socket|target|timer|bash-completion|8))?\.j2|reload-nginx-for-omero-web\.j2"
    r"|'omero-web\.(service|socket)'|/omero-web-pages/|[<$]omeroweb_\w+_path\b|omeroweb(\.settings|\.wsgi| import)"
)


@functools.cache
def constants():
    """The role's own variables, as they are written."""
    init_plugin_loader()
    filter_loader.add_directory(str(ROLE / "filter_plugins"))
    files = [ROLE / "defaults/main.yml", *sorted(ROLE.glob("vars/main/*.yml"))]
    return {name: value for path in files for name, value in yaml.safe_load(path.read_text()).items()}


def templar(**variables):
    """What evaluates the role's variables where these are set."""
    known = {"ansible_managed": "Ansible managed", "ansible_search_path": [str(ROLE)], "inventory_hostname": "web-1"}
    return Templar(DataLoader(), variables={**constants(), **known, **variables})


wheels = runpy.run_path(str(ROLE / "action_plugins/omero_web_wheels.py"))


class Action(wanted.RoleAction):
    """An action of the role, for a site whose variables are checked and a host of which all is known."""

    def __init__(self, systemd=252, **variables):
        self._templar = templar(**variables)
        self.variables = self._templar.available_variables
        self.constants = wanted.Evaluated(self.evaluated)
        defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
        self.checked = wanted.site_of({name: self.evaluated(name) for name in defaults}, self.constants, 2, "5.2")
        look = {"systemd": systemd, "nginx": "1.22.1", "ipv6": True, "cores": 2, "current": 1, "generations": [LIVE]}
        self.variables = {**self.variables, "__omero_web_site": self.checked, "__omero_web_host": look}
        self.known = {
            **wanted.host_of(self.checked, self.constants, look, FACTS, "web-1"),
            "release": RELEASE,
            "socket": f"{self.constants['_omero_web_name']}-127.0.0.1:4090.socket",
        }
        shipping = wanted.shipping_of(self.checked, self.constants, self.known, RELEASE, "")
        chosen = wheels["chosen_by"](RELEASE, shipping, "debian-12-x86_64", RELEASE)
        self.known["shipping"] = shipping
        self.known["wheels"] = wheels["wheels_of"](self.checked, chosen, None, "/cache")


@functools.cache
def everything(site, instance):
    """All that the role says of names: what it writes, where, and what it looks at."""
    action = Action(**SITES[site], omero_web_instance=instance)
    checked, known, own = action.checked, action.known, action.constants
    return {
        "generation": action.generation_contents(known),
        "moving": action.rendered(checked["variables"]["omero_web_nginx_template"], {"moving": True}, known),
        "contents": {file["path"]: action.content(file, known).decode() for file in checked["files"] if file["src"]},
        "command": wanted.settings_of_command(checked, own, known),
        "look": {key: value for key, value in wanted.look_arguments(checked, own).items() if key in ("name", "units")},
        "wanted": {key: value for key, value in wanted.wanted_of(checked, own, known).items() if key != "of_others"},
        "configuration": wanted.configuration_of(checked, RELEASE),
        "change": wanted.change_arguments(checked, own, known),
    }


@pytest.mark.parametrize("site", SITES)
def test_an_instance_differs_from_the_unnamed_one_by_its_names_alone(site):
    text = str(everything(site, "public"))
    for own, unnamed in OWN_NAMES.items():
        assert own in text
        text = text.replace(own, unnamed)
    assert text == str(everything(site, ""))


@pytest.mark.parametrize("site", SITES)
def test_an_instance_has_nothing_of_the_unnamed_one(site):
    text = NO_NAMES.sub("", str(everything(site, "public")))
    assert re.findall(r"omero-?web(?![-_]public)\b\S*|/usr/local/bin/omero(?!(?:-web)?-public)\b\S*", text) == []


def names_for_all_sites(instance):
    """What nginx knows of an instance at the level where it knows all sites: each kind of names by itself."""
    text = "\n".join(everything(site, instance)["generation"]["nginx.conf"] for site in SITES)
    kinds = {
        "variables": r"(?m)^(?:map|geo) \S+(?: \S+)? \$(\w+) \{",
        "formats": r"log_format (\w+)",
        "upstreams": r"upstream (\w+)",
        "zones": r"(?:zone=|shared:)(\w+):",
    }
    return {(kind, name) for kind, pattern in kinds.items() for name in re.findall(pattern, text)}


def test_nginx_tells_instances_apart():
    unnamed, public = names_for_all_sites(""), names_for_all_sites("public")
    assert len(unnamed) == len(public) > 10
    assert {kind for kind, _ in unnamed} == {"variables", "formats", "upstreams", "zones"}
    assert not unnamed & public
    # An instance of that name is refused, for it would have the other's.
    assert ("formats", "omeroweb_json") in unnamed


def test_the_unnamed_instance_comes_first_in_nginx():
    """And so it answers by address, as it did before there was another."""
    sites = [templar(omero_web_instance=name).template("{{ _omero_web_nginx_conf }}") for name in ("", "a", "public")]
    assert sites == sorted(sites)
    assert sites[0] == "/etc/nginx/conf.d/omero-web.conf"


def test_what_tasks_and_templates_read_is_there():
    action = Action()
    files = [*ROLE.glob("tasks/*.yml"), *ROLE.glob("vars/main/*.yml"), *ROLE.glob("templates/*.j2")]
    text = "\n".join(path.read_text() for path in files)
    there = {
        "site": {**action.checked, "look": wanted.look_arguments(action.checked, action.constants)},
        "plan": {
            **action.known,
            **dict.fromkeys(
                ("steps", "says", "generation", "live", "host", "firewall", "change", "problem", "turn"), {}
            ),
        },
    }
    # What the plan makes of them: tests/unit/test_omero_web_plan.py.
    known = ("release", "host", "firewall", "change")
    read = re.findall(r"__omero_web_(site|plan)\.(\w+)(?:\.(\w+)\b(?!\())?", text)
    assert len(read) > 50
    for where, name, part in read:
        assert name in there[where], name
        value = there[where][name]
        assert not part or name in known or part in value, f"{name}.{part}"


@pytest.mark.parametrize("site", SITES)
def test_the_roles_own_templates_say_what_ansible_would_make_of_them(site, monkeypatch):
    def texts(action):
        files = [file for file in action.checked["files"] if file["src"]]
        contents = {file["path"]: action.content(file, action.known).decode() for file in files}
        return {**action.generation_contents(action.known), **contents}

    own = texts(Action(**SITES[site]))
    monkeypatch.setattr(wanted.TEMPLATES, "list_templates", list)
    assert texts(Action(**SITES[site])) == own


def test_templates_are_compiled_before_there_is_a_host(monkeypatch):
    templates = runpy.run_path(str(ROLE / "action_plugins/omero_web_plan.py"))["site_wants"].TEMPLATES
    monkeypatch.setattr(templates, "compile", None)
    names = templates.list_templates()
    assert sorted(path.name for path in ROLE.glob("templates/*")) == names
    for name in names:
        templates.get_template(name)

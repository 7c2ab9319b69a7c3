"""Action: write the variables that make the site which a host has from before the role, secrets in a file of their own.

What the host says may have been written by anybody who can change its OMERO.web: none of it is taken for a template.
"""

import json
import os
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import yaml

wanted = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_wanted.py"))))
public_text = wanted.shared_code("omero_secrets").public_text

VARIABLES, SECRETS = "omero-web.yml", "omero-web-secrets.yml"
HEAD = "# What makes the site of {host} as it was before the role: written by playbooks/adopt.yml, yours to change.\n"
HEAD_OF_SECRETS = "# Encrypt it: ansible-vault encrypt {path}\n"
# Of a sentence that has words of the host's.
LONGEST = 400


class Plain(str):
    """A text that Ansible must not take for a template."""


class Dumper(yaml.SafeDumper):
    """Writes YAML as people do: without aliases, lists indented."""

    def ignore_aliases(self, data):
        return True

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


def shown(dumper, text):
    """Represent a text, with several lines as these."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Dumper.add_representer(str, shown)
Dumper.add_representer(Plain, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text), style='"'))


def without_templates(value):
    """Return a value, each text of which that has the signs of a template is marked as none."""
    if isinstance(value, dict):
        return {str(key): without_templates(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_templates(inner) for inner in value]
    return Plain(value) if isinstance(value, str) and re.search(r"\{[{%#]", value) else value


def as_yaml(data):
    return yaml.dump(without_templates(data), Dumper=Dumper, sort_keys=True, allow_unicode=True, width=110)


def as_sentence(text):
    """Return in one line what may have anything in it."""
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def texts_of(found, host, directory):
    """Return what is written, by the path of each file."""
    variables, secrets = f"{directory}/{VARIABLES}", f"{directory}/{SECRETS}"
    remarks = "".join(f"# {as_sentence(remark)}\n" for remark in found["remarks"])
    texts = {variables: HEAD.format(host=host) + remarks + "---\n" + as_yaml(found["variables"])}
    if found["secrets"]:
        head = HEAD_OF_SECRETS.format(path=secrets)
        texts[secrets] = f"{head}---\n{as_yaml({'omero_web_secrets': found['secrets']})}"
    return texts


def write(path, text):
    """Write a file that nobody else can read, and that was not there."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as target:
        target.write(text)


class ActionModule(wanted.RoleAction):
    _VALID_ARGS = frozenset(("directory", "port"))

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        directory = Path(self._task.args["directory"]).expanduser() / self.hostname
        if directory.exists():
            message = f"{directory} is there already; move it away, or name another omero_web_adopt_directory."
            return {**result, "failed": True, "msg": message}
        arguments = {"port": int(self._task.args["port"])}
        found = self._execute_module("omero_web_former_info", module_args=arguments, task_vars=task_vars)
        if found.get("failed"):
            return {**result, "failed": True, "msg": f"{self.hostname}: {found.get('msg', '')}"}
        # As texts of Python's own kind.
        found = json.loads(json.dumps(found))
        texts = texts_of(found, self.hostname, directory)
        directory.mkdir(mode=0o700, parents=True)
        for path, text in texts.items():
            write(path, text)
        secrets = [text for text in found["secrets"].values() if isinstance(text, str)]
        remarks = [public_text(as_sentence(remark), secrets) for remark in found["remarks"]]
        return {**result, "changed": True, "files": list(texts), "remarks": remarks}

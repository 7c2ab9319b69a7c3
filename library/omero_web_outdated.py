#!/usr/bin/python
# -*- coding: utf-8 -*-

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: omero_web_outdated
short_description: Ask the package index what is newer than what a release of OMERO.web has
version_added: "1.0.0"
description:
  - Asks by the pip of the release itself, which knows what goes with its Python. Nothing is installed, and nothing is
    left behind. It never fails, for an index that does not answer is no fault of the host.
  - Of packages, an index says that there is a newer one, and not whether that is for the sake of security.
options:
  python:
    description: The Python of the release.
    type: path
    required: true
  install:
    description: How that Python runs C(pip install), which reads the rest from its standard input, as for the release.
    type: list
    elements: str
    required: true
  sources:
    description: Where packages come from, as lines of a requirements file. They may have credentials.
    type: list
    elements: str
    default: []
  environment:
    description: The same for C(pip list), as its environment variables.
    type: json
    default: "{}"
  seconds:
    description: How long all of it may take.
    type: int
    default: 30
attributes:
  check_mode:
    description: Never changes anything.
    support: full
author: The omero-web maintainers (@openmicroscopy-community)
"""

EXAMPLES = r"""
- name: Ask what is newer
  omero_web_outdated:
    python: /opt/omero/web/current/release/venv/bin/python
    install: [-m, pip, install, --requirement, /dev/stdin]
    sources: ["--index-url https://pip.example.org/simple"]
    environment: {PIP_INDEX_URL: https://pip.example.org/simple}
"""

RETURN = r"""
versions:
  description: The versions of OMERO.web that the index has for that Python.
  returned: success
  type: list
  elements: str
  sample: [5.33.1, 5.33.2]
outdated:
  description: The packages of the release of which the index has newer ones.
  returned: success
  type: list
  elements: dict
  sample: [{name: Django, version: 5.2.1, latest: 5.2.9}]
problem:
  description: Why the index does not say, in a few words; empty if it does.
  returned: success
  type: str
"""

import json
import re
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.omero_web_systemd import OUT_OF_TIME, Commands

# Whatever there is, it is not older than that; pip says in its refusal what there is.
OLDER_THAN_ALL = "omero-web<0"
VERSIONS = re.compile(r"\(from versions: ([^)]*)\)")
# Tools of every virtualenv, and IcePy, of which OMERO wants 3.6.
OF_NO_INTEREST = ("pip", "setuptools", "wheel", "zeroc-ice")
# Neither a cache nor compiled files of a release, which never changes; and no long patience.
QUIETLY = {"PIP_NO_CACHE_DIR": "1", "PYTHONDONTWRITEBYTECODE": "1", "PIP_RETRIES": "1", "PIP_DEFAULT_TIMEOUT": "10",
           "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


class Silence(Exception):
    """The index does not say, and this is why."""


def newer(commands, params, clock=time.time):
    """Return what the index says."""
    deadline = clock() + params["seconds"]

    def run(words, **options):
        left = max(1, int(deadline - clock()))
        done = commands.run(*([params["python"]] + words), **dict(options, seconds=left))
        if done.code == OUT_OF_TIME:
            raise Silence("the package index gives no answer within %d s" % params["seconds"])
        return done

    try:
        asked = "\n".join(params["sources"] + [OLDER_THAN_ALL])
        versions = versions_in(run(params["install"], input=asked, environment=QUIETLY).errors)
        environment = dict(QUIETLY, **json.loads(params["environment"]))
        listed = run(["-m", "pip", "list", "--outdated", "--format=json"], environment=environment)
        return {"versions": versions, "outdated": outdated_in(listed.output), "problem": ""}
    except Silence as silence:
        return {"versions": [], "outdated": [], "problem": str(silence)}


def versions_in(errors):
    """Return what there is, by what pip says of what there is not; of prereleases, nothing."""
    found = VERSIONS.search(errors)
    versions = re.findall(r"(?<!\S)[\d.]+(?=,|$)", found.group(1)) if found else []
    if not versions:
        raise Silence("the package index gives no answer")
    return versions


def outdated_in(output):
    try:
        return [
            {"name": one["name"], "version": one["version"], "latest": one["latest_version"]}
            for one in json.loads(output) if one["name"].lower() not in OF_NO_INTEREST
        ]
    except (KeyError, TypeError, ValueError):
        raise Silence("pip does not say which packages are out of date")


ARGUMENT_SPEC = dict(
    python=dict(type="path", required=True),
    install=dict(type="list", elements="str", required=True),
    # They may have credentials, which no log is to have. Of a dictionary, each value would be taken for one.
    sources=dict(type="list", elements="str", default=[], no_log=True),
    environment=dict(type="json", default="{}", no_log=True),
    seconds=dict(type="int", default=30),
)


def main():
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    module.exit_json(changed=False, **newer(Commands(), module.params))


if __name__ == "__main__":
    main()

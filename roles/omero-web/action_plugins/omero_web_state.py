"""Action: find out the state of a host, by its own command, and what site.yml would do to it, by the plan.

All of it is one step, for a fleet has many hosts and each step costs time for each. It never fails, so that whoever
tells of a fleet has something to tell of every host.
"""

import json
import re
import runpy
import shlex
from pathlib import Path
from types import SimpleNamespace

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.unsafe_proxy import wrap_var

# What pip list takes of the arguments of pip install, which may have credentials that its command line would show.
PIP_OPTION = re.compile(
    r"(?:^|\s)(?:(-[if])[=\s]?|--(index-url|extra-index-url|find-links|trusted-host|proxy|cert|client-cert)[=\s])\s*(\S+)"
)
LETTERS = {"-i": "index-url", "-f": "find-links"}

wanted = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_wanted.py"))))
report = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_report.py"))))
unknown = report.unknown


def state_in(output, complaint=""):
    """Return what the command of a host says of its state; a host without one, or with an older one, says none.

    A terminal that it may have been run in has all in one stream. A host has no say in what is found out here.
    """
    try:
        state, _ = json.JSONDecoder().raw_decode(output[output.index("{") :])
        report.VERDICTS.index(state["verdict"])
        told = {key: value for key, value in state.items() if key not in ("drift", "newer")}
        return {**told, "release": str(state["release"]), "summary": [str(line) for line in state["summary"]]}
    except (KeyError, TypeError, ValueError):
        reason = " ".join((output or complaint).split())[:200]
        return unknown(f"its command does not tell its state ({reason or 'it says nothing'})", "run site.yml")


def environment_of_pip(arguments):
    """Return arguments of pip install as the variables by which every command of pip takes them."""
    found = {}
    for letter, word, value in PIP_OPTION.findall(arguments):
        name = "PIP_" + (word or LETTERS[letter]).upper().replace("-", "_")
        # Of those that may be given several times, pip takes several words.
        found[name] = f"{found[name]} {value}" if name in found else value
    return {**found, **({"PIP_NO_INDEX": "1"} if "--no-index" in arguments.split() else {})}


def newer_of(release, found):
    """Return what is newer than what runs, as it is told, from what the index says."""
    if found["problem"]:
        return {"problem": found["problem"], "releases": [], "packages": []}
    key = wanted.version_key
    releases = {version for version in found["versions"] if key(version) > key(release)}
    packages = [one for one in found["outdated"] if one["name"] != "omero-web"]
    return {"problem": "", "releases": sorted(releases, key=key, reverse=True), "packages": packages}


def lines_of_newer(newer):
    if newer["problem"]:
        return [f"  newer      is not known: {newer['problem']}"]
    packages = [f"{one['name']} {one['version']}, of which {one['latest']} is there" for one in newer["packages"]]
    releases = f"{', '.join(newer['releases'])}; set omero_web_release, run site.yml"
    told = releases if newer["releases"] else "no release of OMERO.web"
    return [f"  newer      {told}", *(f"  outdated   {package}" for package in packages)]


class ActionModule(wanted.RoleAction):
    _VALID_ARGS = frozenset()

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        try:
            state = self._state(task_vars)
        except AnsibleError as error:
            what = "reached" if isinstance(error, AnsibleConnectionFailure) else "asked"
            reason = " ".join(str(error).split())
            state = unknown(f"it cannot be {what}: {reason}", f"ansible {self.hostname} -b -m ping -vvv")
        if "summary" not in state:
            title = self.constants["_omero_web_title"]
            found = [f"  unknown    {one['what']}" for one in state["findings"]]
            state["summary"] = [f"{title} on {self.hostname}: {state['verdict']}", *found]
        drift = state.get("drift")
        told = [] if drift is None else [f"  site.yml   {'; '.join(drift) or 'would change nothing'}"]
        told += lines_of_newer(state["newer"]) if "newer" in state else []
        return {**result, "changed": False, "state": state, "says": [*state["summary"], *told]}

    def _state(self, task_vars):
        # As what is registered: no template is ever made of it.
        checked = wrap_var(self.run_action("omero_web_arguments", {}, task_vars))
        if checked.get("failed"):
            return unknown(f"its variables are wrong: {checked['msg']}", "mend them in the inventory")
        command = [self.constants["_omero_web_admin_command"], "status", "--json"]
        told = self._low_level_execute_command(shlex.join(command))
        state = state_in(told["stdout"], told["stderr"])
        known = {**task_vars, "__omero_web_site": checked}
        look = self._execute_module("omero_web_info", module_args=checked["look"], task_vars=known)
        if look.get("failed"):
            return {**state, "drift": [f"cannot be told: {' '.join(look['msg'].split())}"]}
        known.update(__omero_web_host=look, ansible_facts={**task_vars["ansible_facts"], **look["ansible_facts"]})
        planned = wrap_var(self.run_action("omero_web_plan", {"look": look, "archive_version": ""}, known))
        drift = [planned["msg"]] if planned.get("failed") else planned["says"]
        return {**state, "drift": drift, **self._newer(state, checked, known)}

    def _newer(self, state, checked, task_vars):
        """Return what the package index has that is newer, if it is to be asked of a release."""
        variables = checked["variables"]
        if not boolean(variables["omero_web_status_releases"]) or not state.get("has_release"):
            return {}
        arguments = {
            "python": f"{variables['omero_web_basedir']}/current/release/venv/bin/python",
            "install": checked["pip_install"].split(),
            "sources": checked["pip_sources"],
            "environment": json.dumps(environment_of_pip(variables["omero_web_pip_extra_args"])),
        }
        found = self._execute_module("omero_web_outdated", module_args=arguments, task_vars=task_vars)
        found = found if "versions" in found else {"problem": "the host could not ask"}
        return {"newer": newer_of(state["release"], found)}

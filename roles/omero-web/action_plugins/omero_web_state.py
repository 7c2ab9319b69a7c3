"""Action: find out the state of a host, by its own command, and what site.yml would do to it, by the plan.

All of it is one step, for a fleet has many hosts and each step costs time for each. It never fails, so that whoever
tells of a fleet has something to tell of every host.
"""

import json
import runpy
import shlex
from pathlib import Path
from types import SimpleNamespace

from ansible.errors import AnsibleConnectionFailure

wanted = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_wanted.py"))))
unknown = runpy.run_path(str(Path(__file__).with_name("omero_web_report.py")))["unknown"]


def state_in(output, complaint=""):
    """Return what the command of a host says of its state; a host without one, or with an older one, says none.

    The terminal that it may have been run in has everything in one stream.
    """
    try:
        state, _ = json.JSONDecoder().raw_decode(output[output.index("{") :])
        return {**state, "summary": [str(line) for line in state["summary"]]}
    except (KeyError, TypeError, ValueError):
        reason = " ".join((output or complaint).split())[:200]
        return unknown(f"its command does not tell its state ({reason or 'it says nothing'})", "run site.yml")


class ActionModule(wanted.RoleAction):
    _VALID_ARGS = frozenset()

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        try:
            state = self._state(task_vars)
        except AnsibleConnectionFailure as error:
            reason = " ".join(str(error).split())
            state = unknown(f"it cannot be reached: {reason}", f"ansible {self.hostname} -m ping -vvv")
        if "summary" not in state:
            title = self.constants["_omero_web_title"]
            found = [f"  unknown    {one['what']}" for one in state["findings"]]
            state["summary"] = [f"{title} on {self.hostname}: {state['verdict']}", *found]
        drift = state.get("drift")
        told = [] if drift is None else [f"  site.yml   {'; '.join(drift) or 'would change nothing'}"]
        return {**result, "changed": False, "state": state, "says": [*state["summary"], *told]}

    def _state(self, task_vars):
        checked = self._action("omero_web_arguments", {}, task_vars)
        if checked.get("failed"):
            return unknown(f"its variables are wrong: {checked['msg']}", "mend them in the inventory")
        command = [self.constants["_omero_web_admin_command"], "status", "--json"]
        told = self._low_level_execute_command(shlex.join(command))
        state = state_in(told["stdout"], told["stderr"])
        known = {**task_vars, "__omero_web_site": checked}
        look = self._execute_module("omero_web_info", module_args=checked["look"], task_vars=known)
        if look.get("failed"):
            return {**state, "drift": [look["msg"]]}
        known.update(__omero_web_host=look, ansible_facts={**task_vars["ansible_facts"], **look["ansible_facts"]})
        planned = self._action("omero_web_plan", {"look": look, "archive_version": ""}, known)
        return {**state, "drift": [planned["msg"]] if planned.get("failed") else planned["says"]}

    def _action(self, name, arguments, task_vars):
        """Return what another action of this role finds out."""
        task = self._task.copy()
        task.args = arguments
        action = self._shared_loader_obj.action_loader.get(
            name,
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        return action.run(task_vars=task_vars)

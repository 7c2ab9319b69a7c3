"""Action: install the command omero-web, a file that has all its code, so that no part of it can be of another time."""

import runpy
import tempfile
from pathlib import Path
from types import SimpleNamespace

wanted = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_wanted.py"))))


class ActionModule(wanted.RoleAction):
    _VALID_ARGS = frozenset(("path", "mode"))

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        path, mode = self._task.args["path"], self._task.args["mode"]
        with tempfile.NamedTemporaryFile() as local:
            local.write(self.command(self.variables["__omero_web_plan"]))
            local.flush()
            arguments = {"src": local.name, "dest": path, "owner": "root", "group": "root", "mode": mode}
            return {**result, **self.run_action("ansible.legacy.copy", arguments, task_vars)}

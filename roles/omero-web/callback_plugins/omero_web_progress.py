"""Callback: say of a task that takes long that it goes on, and where, so that nobody wonders whether a run is stuck.

Ansible loads it with the role; nothing has to be enabled. Of other roles' tasks it says nothing.
"""

DOCUMENTATION = """
name: omero_web_progress
type: aggregate
short_description: Says that a long task of the role goes on
version_added: 1.0.0
description:
  - Every 20 seconds it says which task of the role omero-web has not ended, on which hosts, and for how long.
"""

import threading
import time
from pathlib import Path

from ansible.plugins.callback import CallbackBase

ROLE = Path(__file__).resolve().parents[1]
SECONDS = 20
# It tells how far it is.
TELLS_ITSELF = "omero_web_build"


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "omero_web_progress"

    def __init__(self):
        super().__init__()
        self.has_ended = threading.Event()
        # Hosts by name, with when the task began there.
        self.name, self.hosts, self.heard = "", {}, time.monotonic()

    def v2_playbook_on_start(self, playbook):
        threading.Thread(target=self.watch, daemon=True).start()

    def v2_playbook_on_task_start(self, task, is_conditional):
        is_own = bool(task._role) and Path(task._role._role_path).resolve() == ROLE
        is_own = is_own and task.action.rpartition(".")[2] != TELLS_ITSELF
        self.name, self.hosts, self.heard = task.name if is_own else "", {}, time.monotonic()

    v2_playbook_on_handler_task_start = v2_playbook_on_cleanup_task_start = v2_playbook_on_task_start

    def v2_runner_on_start(self, host, task):
        if self.name:
            self.hosts = {**self.hosts, host.name: time.monotonic()}

    def v2_runner_on_ok(self, result, **_):
        self.hosts = {name: began for name, began in self.hosts.items() if name != result._host.name}
        self.heard = time.monotonic()

    v2_runner_on_failed = v2_runner_on_unreachable = v2_runner_on_skipped = v2_runner_on_ok

    def v2_playbook_on_stats(self, stats):
        self.has_ended.set()

    def watch(self):
        while not self.has_ended.wait(1):
            now, hosts = time.monotonic(), self.hosts
            if hosts and now - self.heard >= SECONDS:
                self.heard = now
                self._display.display(still(self.name, hosts, now))


def still(name, hosts, now):
    """Return that a task goes on where it has begun, and for how long it has."""
    return f"{', '.join(sorted(hosts))}: goes on with \"{name}\", {now - min(hosts.values()):.0f} s so far"

"""Callback: end the controller on the spot after the task, or the number of changes, in OMERO_WEB_INTERRUPT_AFTER."""

import os
import signal

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: interrupt
    type: aggregate
    short_description: Kills ansible-playbook after a task, as a power cut would
    description: For tests of what an interrupted run leaves behind.
    options: {}
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "interrupt"
    CALLBACK_NEEDS_ENABLED = True

    changes = 0

    def v2_runner_on_ok(self, result):
        self.changes += result.is_changed()
        if os.environ["OMERO_WEB_INTERRUPT_AFTER"] in (result.task_name, str(self.changes)):
            os.kill(os.getpid(), signal.SIGKILL)

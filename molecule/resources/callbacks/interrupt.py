"""Callback: end the controller on the spot after the task, or the number of tasks, in OMERO_WEB_INTERRUPT_AFTER."""

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

    done = 0

    def v2_runner_on_ok(self, result):
        self.done += 1
        if os.environ["OMERO_WEB_INTERRUPT_AFTER"] in (result.task_name, str(self.done)):
            os.kill(os.getpid(), signal.SIGKILL)

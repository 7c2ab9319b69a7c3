"""Callback: end the controller on the spot once the task named in OMERO_WEB_INTERRUPT_AFTER is done."""

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

    def v2_runner_on_ok(self, result):
        if result.task_name == os.environ["OMERO_WEB_INTERRUPT_AFTER"]:
            os.kill(os.getpid(), signal.SIGKILL)

"""Callback: end a run that has no host to work on. Ansible itself calls that a success."""

DOCUMENTATION = """
    name: omero_web_hosts
    type: aggregate
    short_description: Ends a run whose inventory has no host in the group omero_web
    description: It is in force because it is beside the playbooks. What --limit leaves out is left out on purpose.
    options: {}
"""

from ansible import context
from ansible.plugins.callback import CallbackBase

GROUP = "omero_web"


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "omero_web_hosts"

    hosts = None

    def v2_playbook_on_play_start(self, play):
        self.hosts = play.hosts

    def v2_playbook_on_no_hosts_matched(self):
        if self.hosts == [GROUP] and not context.CLIARGS.get("subset"):
            inventories = ", ".join(context.CLIARGS.get("inventory") or [])
            raise SystemExit(
                f"The group {GROUP} has no host in the inventory {inventories}; write your web hosts there, in a group "
                "of exactly this name. Nothing has been done."
            )

"""Action: let one run at a time change a host.

The lock is a line in a file below /run that says which run holds it; after a boot, or where the file is empty, none
does. A run that was killed cannot give it back, so a run from the same controller takes it from a dead one.
"""

import getpass
import json
import os
import shlex
import socket
import subprocess
import time
import uuid

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

LOCK = "/run/omero-web-run.lock"
# Root's alone, because whoever can open a file can keep its flock for ever.
FLOCK = f"umask 077; : >> {LOCK} && chmod 0600 {LOCK} && flock -w"
# Writes the second argument over what is in the file if that is nothing, or the first; and tells when the file was last
# written before that, and what it says now. All in one moment, for flock lets in one at a time.
TAKE = f"""{LOCK} sh -c '
    stat --format=%Y {LOCK}; [ -s {LOCK} ] && [ "$(cat {LOCK})" != "$1" ] || echo "$2" > {LOCK}; cat {LOCK}' take"""
GIVE_BACK = f"""{LOCK} sh -c '[ "$(cat {LOCK})" != "$1" ] || : > {LOCK}' give-back"""
SECONDS_BETWEEN_TRIES = 2
# For giving it back, which nobody else should hinder.
SECONDS_TO_GIVE_BACK = 60

display = Display()


def started(pid):
    """When a process of this machine started, as ps has it; empty if it is gone. A later one of that number differs."""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout.strip()


def this_run():
    """What the lock says of this run of ansible-playbook, of which an action is a child."""
    pid = os.getppid()
    by = f"{getpass.getuser()} on {socket.gethostname()}"
    return {"by": by, "machine": uuid.getnode(), "pid": pid, "started": started(pid)}


def is_dead(holder):
    """Whether a run is known to be gone. Of runs on other machines nothing is known."""
    return holder["machine"] == uuid.getnode() and holder["started"] != started(holder["pid"])


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("state", "looked_at", "timeout"))

    def run(self, tmp=None, task_vars=None):
        result = {**super().run(tmp, task_vars), "changed": False}
        try:
            return {**result, **self._hold_or_free(task_vars)}
        except AnsibleActionFail as error:
            # An exception would be announced as one.
            return {**result, "failed": True, "msg": str(error)}

    def _hold_or_free(self, task_vars):
        if self._task.args["state"] == "free":
            self._execute(GIVE_BACK, SECONDS_TO_GIVE_BACK, task_vars["__omero_web_lock"]["line"])
            return {}
        me = this_run()
        line = json.dumps({**me, "since": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())})
        written = self._take(me, line)
        # What was seen of the host before the lock was last written may be no longer so.
        return {"line": line, "is_stale": written >= int(float(self._task.args["looked_at"]))}

    def _take(self, me, line):
        """Take the lock, wait for it as long as may be; when it was last written before."""
        deadline = time.monotonic() + int(self._task.args["timeout"])
        old = ""
        while True:
            written, found = self._execute(TAKE, max(1, int(deadline - time.monotonic())), old, line)
            if found == line:
                return int(written)
            holder = json.loads(found)
            is_mine = all(holder[key] == me[key] for key in me)
            if found != old and (is_mine or is_dead(holder)):
                old = found
            elif time.monotonic() > deadline:
                raise AnsibleActionFail(
                    f"another run is changing this host: that of {holder['by']} (process {holder['pid']}), since "
                    f"{holder['since']}; wait for its end, or remove {LOCK} there if it is gone."
                )
            else:
                display.display(f"Waiting for the run of {holder['by']}, since {holder['since']}.")
                time.sleep(SECONDS_BETWEEN_TRIES)

    def _execute(self, command, seconds, *arguments):
        done = self._low_level_execute_command(f"{FLOCK} {seconds} {command} {' '.join(map(shlex.quote, arguments))}")
        if done["rc"] == 1 and LOCK not in done["stderr"]:
            raise AnsibleActionFail(
                f"{LOCK} has been kept by another process for {seconds} seconds (omero_web_lock_timeout); "
                f"`fuser -v {LOCK}` on the host names it. End it and run again."
            )
        if done["rc"] != 0:
            raise AnsibleActionFail(f"{LOCK} cannot be written: {done['stderr'].strip()}")
        return done["stdout"].splitlines()

"""Action: let the module omero_web_change do what the plan says, and word what comes of it.

The plan has neither contents of files nor secrets, so that it can be shown; they are added here, on their way to the
host. What the module says of a failure is masked here, where all secrets are known.
"""

import getpass
import socket

from ansible.plugins.action import ActionBase

# Stands for the number of a generation in what is made before it is known.
NUMBER = "@generation@"
# Of these a generation was judged before it was to go live.
TRIAL = "trial"


def numbered(value, number):
    """Return a text, or a dictionary of texts, with the number of the generation in its place."""
    if isinstance(value, dict):
        return {key: numbered(inner, number) for key, inner in value.items()}
    return value.replace(NUMBER, str(number))


def worded(outcome, number, basedir, suspects, reason, tail):
    """Return what a user should know of a generation that was not put live: why, who serves, and where to look."""
    serving = outcome["serving"]
    goes_on = f"generation {serving} goes on serving." if serving else "nothing is live yet."
    where = f" Look at {', '.join(suspects)}." if suspects else ""
    if outcome["step"] == TRIAL:
        lines = [f"Generation {number} does not work and was not put live; {goes_on}"]
        if outcome["missing_static"]:
            missing = ", ".join(outcome["missing_static"])
            lines += [f"Its login page asks for static files that its release does not have: {missing}"]
        elif outcome["status"]:
            log = f"The reason is in {basedir}/var/log/OMEROweb.log there."
            lines += [f"Its login page answered {outcome['status']}. {log}{where} The end of its log:", tail]
        elif reason.startswith("its login page"):
            lines += [f"{reason[0].upper()}{reason[1:]}.{where} The end of its log:", tail]
        else:
            lines += [f"It did not start.{where} The end of its log:", tail]
    else:
        lines = [f"Generation {number} could not be put live: {reason}", goes_on[0].upper() + goes_on[1:], tail]
    return "\n".join(filter(None, lines + outcome["undo"]))


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("plan",))

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        planned = self._task.args["plan"]
        self.variables = task_vars
        change = {key: value for key, value in planned["change"].items() if key != "release"}
        arguments = {**change, **self._evaluated("_omero_web_change"), "by": self._by()}
        if change["make"]:
            arguments["make"] = self._made(change["make"], planned["generation"])
        found = self._execute_module("omero_web_change", module_args=arguments, task_vars=task_vars)
        if "outcome" in found:
            found["msg"] = self._message(found, planned["generation"])
            # Its log is as it was.
            del found["outcome"]
        return {**result, **found}

    def _evaluated(self, name, **known):
        """Return a variable of the role, where these others are so."""
        self._templar.available_variables = {**self.variables, **known}
        return self._templar.template(self.variables[name])

    def _by(self):
        return f"ansible-playbook, by {getpass.getuser()} on {socket.gethostname()}"

    def _made(self, make, number):
        """Return what the generation is made of, contents and secrets included."""
        contents = numbered(self._evaluated("_omero_web_generation_files"), number)
        moving = self._evaluated("_omero_web_moving_site")
        contents.update({"nginx-moving.conf": moving} if moving else {})
        modes = {"tls.pem": "0600"}
        files = {name: {"content": text, "mode": modes.get(name, "0644")} for name, text in contents.items()}
        # As the look was asked: before the release and the host's cores were known.
        digest = self._evaluated("_omero_web_configuration_digest", _omero_web_cores=0, _omero_web_django="")
        configuration = {**self._evaluated("_omero_web_configuration"), "from": make["from"], "digest": digest}
        known = {key: value for key, value in make.items() if key != "from"}
        return {**known, "links": numbered(make["links"], number), "files": files, "configuration": configuration}

    def _message(self, found, number):
        outcome = found["outcome"]
        if outcome["step"] not in (TRIAL, "nginx", "start", "answer"):
            return self._masked(found["msg"]).replace("this host", self.variables["inventory_hostname"])
        log = {"_omero_web_log": "\n".join(outcome["log"])}
        tail = self._evaluated("_omero_web_log_tail", **log)
        suspects = self._evaluated("_omero_web_suspects", **log) if outcome["step"] == TRIAL else []
        basedir = self.variables["omero_web_basedir"]
        return worded(outcome, number, basedir, suspects, self._masked(outcome["reason"]), tail)

    def _masked(self, text):
        return self._evaluated("_omero_web_masked_text", _omero_web_log=text)

"""Action: let the module omero_web_change do what the plan says, and word what comes of it.

The plan has neither contents of files nor secrets, so that it can be shown; they are added here, on their way to the
host. What the module says of a failure is masked here, where all secrets are known.
"""

import json
import runpy
import time
from pathlib import Path
from types import SimpleNamespace

wanted = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_wanted.py"))))

# Stands for the number of a generation in what is made before it is known.
NUMBER = "@generation@"
# In these a generation was judged before it was to go live: by its login page, and by a user.
TRIAL, USER = "trial", "user"


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
    elif outcome["step"] == USER:
        log = f" OMERO.web's own log is {basedir}/var/log/OMEROweb.log there." if outcome["status"] >= 500 else ""
        lines = [
            f"Generation {number} was not put live; {goes_on}",
            f"{reason[0].upper()}{reason[1:]}.{log}",
            f"The end of its log:\n{tail}" if tail else "",
        ]
    else:
        lines = [f"Generation {number} could not be put live: {reason}", goes_on[0].upper() + goes_on[1:], tail]
    return "\n".join(filter(None, lines + outcome["undo"]))


class ActionModule(wanted.RoleAction):
    _VALID_ARGS = frozenset(("plan", "show"))

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        planned = self._task.args["plan"]
        if self._task.args.get("show"):
            return {**result, **self._shown(planned)}
        change = {key: value for key, value in planned["change"].items() if key != "release"}
        own = wanted.change_arguments(self.checked, self.constants, planned)
        arguments = {**change, **own, "by": self.by(), "says": planned["says"]}
        # As text: so that Ansible takes it for one value, which is secret.
        user = wanted.user_of_trial(self.checked)
        arguments["tried_as"] = json.dumps(user) if user else None
        if change["make"]:
            arguments["make"] = self._made(change["make"], planned)
        began = time.monotonic()
        found = self._execute_module("omero_web_change", module_args=arguments, task_vars=task_vars)
        if "outcome" in found:
            found["msg"] = self._message(found, planned["generation"])
            # Its log is as it was.
            del found["outcome"]
        if found.get("failed") or found.get("changed"):
            reason = found["msg"] if found.get("failed") else ""
            warnings = self.notify(planned, time.monotonic() - began, reason)
            if warnings:
                found["warnings"] = [*found.get("warnings", []), *warnings]
        return {**result, **found}

    def _configuration(self, planned):
        """Return what the configuration of the generation is written from: what depends on its Django, too."""
        cores, django = self.variables["__omero_web_host"]["cores"], planned["release"]["django"]
        site = wanted.site_of(self.checked["variables"], self.constants, cores, django)
        return wanted.configuration_of(site, planned["release"])

    def _shown(self, planned):
        """Return how the live configuration would change, for people to see."""
        variables = self.checked["variables"]
        arguments = {
            "path": f"{variables['omero_web_basedir']}/current/etc/grid/config.xml",
            "owner": "root",
            "group": variables["omero_web_group"],
            "mode": "0640",
        }
        arguments.update(self._configuration(planned))
        return self._execute_module("omero_config", module_args=arguments, task_vars=self.variables)

    def _made(self, make, planned):
        """Return what the generation is made of, contents and secrets included."""
        if "copy_of" in make:
            return make
        site, number = self.checked, planned["generation"]
        contents = self.generation_contents(planned)
        if planned["leaves"] and site["has_nginx"]:
            # While a prefix gives way to another; it is no part of the generation, which does not need it again.
            template = site["variables"]["omero_web_nginx_template"]
            contents["nginx-moving.conf"] = self.rendered(template, {"moving": True}, planned)
        modes = {"tls.pem": "0600"}
        contents = numbered(contents, number)
        files = {name: {"content": text, "mode": modes.get(name, "0644")} for name, text in contents.items()}
        configuration = {**self._configuration(planned), "from": make["from"], "digest": site["digest"]}
        known = {key: value for key, value in make.items() if key != "from"}
        return {**known, "links": numbered(make["links"], number), "files": files, "configuration": configuration}

    def _message(self, found, number):
        outcome = found["outcome"]
        if outcome["step"] not in (TRIAL, USER, "nginx", "start", "answer"):
            return self._masked(found["msg"]).replace("this host", self.hostname)
        log = {"_omero_web_log": "\n".join(outcome["log"])}
        tail = self.evaluated("_omero_web_log_tail", **log)
        suspects = self.evaluated("_omero_web_suspects", **log) if outcome["step"] == TRIAL else []
        basedir = self.checked["variables"]["omero_web_basedir"]
        return worded(outcome, number, basedir, suspects, self._masked(outcome["reason"]), tail)

    def _masked(self, text):
        return self.evaluated("_omero_web_masked_text", _omero_web_log=text)

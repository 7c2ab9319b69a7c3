"""Action: let the module omero_web_build build something, and word what comes of it.

What the build wrote is masked here, where all secrets are known.
"""

import re
import runpy
import time
from pathlib import Path
from types import SimpleNamespace

wanted = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_wanted.py"))))

# Where pip gets no answer, it finds no version, and says only that in the end.
NO_CONNECTION = re.compile(r"\[Errno [^']*(?='\)': /)")
NO_MODULE = re.compile(r"No module named '?([\w.]+)")
# Nobody is to wonder whether a run is stuck.
SECONDS_BETWEEN_WORDS = 15
STEPS = {
    "virtualenv": "makes the virtualenv",
    "archive": "unpacks the archive",
    "packages": "installs packages",
    "static": "collects and compresses static files",
    "complete": "completes the release",
}
ERROR = re.compile(r"(?m)(?:ERROR|error): .*$")
# What a compiler objects to, which pip indents.
OBJECTION = re.compile(r"(?m)^\s*(\S+:\d+(?::\d+)?: (?:fatal )?error: .*)$")
OBJECTIONS = 3
# Where pip itself breaks, as for a file that is not there, it says what at the end of a traceback.
CRASH = re.compile(r"(?m)ERROR: Exception:\nTraceback .*\n(?:\s.*\n)+(\S.*)$")


def says_of_pip(log):
    """Return what pip says of a failure, of all that it says; empty if it says nothing of one."""
    found = NO_CONNECTION.search(log)
    crash = CRASH.search(log)
    if crash:
        return f"ERROR: {crash[1]}"
    return f"No connection to the package index: {found[0]}." if found else " ".join(dict.fromkeys(ERROR.findall(log)))


def says_of_compiler(log, tail):
    """Return what a compiler objects to; where it does not, the end of the log."""
    found = [*dict.fromkeys(OBJECTION.findall(log))][:OBJECTIONS]
    return "The compiler says:\n" + "\n".join(found) if found else f"The end of its log:\n{tail}"


def worded(step, release, host, packages, apps, log, tail):
    """Return what a user should know of a release that could not be built: what, with what, and why."""
    if step == "packages":
        wanted = f" with {', '.join(packages)} (omero_web_packages, omero_web_apps)" if packages else ""
        return f"omero-web {release} cannot be installed on {host}{wanted}. pip says:\n{says_of_pip(log) or log}"
    if step == "static":
        absent = NO_MODULE.search(tail)
        if absent and absent[1] in apps:
            return f"omero.web.apps has {absent[1]}, which no package has; name its package in omero_web_packages."
        wanted = f" with omero.web.apps {', '.join(apps)}" if apps else ""
        return f"The static files of omero-web {release} cannot be collected{wanted}. The end of the log:\n{tail}"
    what = {"virtualenv": "The virtualenv", "archive": "The archive"}.get(step, "The release")
    done = {"virtualenv": "made", "archive": "unpacked"}.get(step, "built")
    reason = says_of_pip(log) or tail
    return f"{what} of omero-web {release} cannot be {done} on {host}. The end of the log:\n{reason}"


def progress(host, seconds, step, line):
    """Return how far a build is."""
    what = STEPS.get(step, "goes on with the build")
    return f"{host}: {what}, {seconds:.0f} s so far{f' ({line})' if line else ''}"


class ActionModule(wanted.RoleAction):
    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        began = time.monotonic()
        arguments = {**self._task.args, "seconds": SECONDS_BETWEEN_WORDS}
        found = self._execute_module("omero_web_build", module_args=arguments, task_vars=task_vars)
        while found.get("unfinished"):
            line = self.evaluated("_omero_web_masked_text", _omero_web_log=found["line"])
            self._display.display(progress(self.hostname, time.monotonic() - began, found["step"], line))
            arguments["directory"] = found["directory"]
            found = self._execute_module("omero_web_build", module_args=arguments, task_vars=task_vars)
        if found.get("failed"):
            if "log" in found:
                found["msg"] = self._message(found.pop("msg"), found.pop("step"), found.pop("log"))
            planned = self.variables["__omero_web_plan"]
            found["warnings"] = self.notify(planned, time.monotonic() - began, found["msg"])
        return {**result, **found}

    def _message(self, sentence, step, log):
        tail = self.evaluated("_omero_web_log_tail", _omero_web_log=log)
        log = self.evaluated("_omero_web_masked_text", _omero_web_log=log)
        if not step:
            return f"{sentence}. {says_of_compiler(log, tail)}"
        release = self.variables["__omero_web_plan"]["release"]
        return worded(
            step,
            release["version"],
            self.hostname,
            release["definition"]["packages"],
            self.checked["append"].get("omero.web.apps", []),
            log,
            tail,
        )

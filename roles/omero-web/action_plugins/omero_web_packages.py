"""Action: install packages, and say in one sentence, with the remedy, why the package manager refuses.

What it says itself may name no package ("Failed to install some of the specified packages"), be pages of a log, or a
traceback of its own.
"""

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

wanted = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_wanted.py"))))

LENGTH = 400
# Somebody else is installing packages, who will be done some time.
LOCKED = re.compile(r"(?:get|to) lock|lockfile")
# What it says, and what to do about it. The first that is found serves.
REMEDIES = (
    (
        "modular filtering",
        "the stream of its module that is enabled there has none: `dnf module list` shows the streams, and "
        "`dnf module reset` takes the choice back",
    ),
    ("exclude filtering", "the host is told to leave it out: look for exclude in /etc/dnf/dnf.conf"),
    ("^Curl error|GPG key", "the key of a repository cannot be had: look for gpgkey in /etc/yum.repos.d"),
    ("GPG|not signed|NO_PUBKEY", "a package is installed only if the key of its repository has signed it"),
    (
        "[Nn]o package|Unable to locate|nothing provides",
        "no repository that is enabled there has it: `dnf repolist --all` or `apt-cache policy` shows which there are",
    ),
    (
        "[Ff]ailed to (?:download|fetch|update)|Cannot (?:download|retrieve)|Status code",
        "a repository does not answer: give it another address, or disable it",
    ),
)


def reason_of(result):
    """Return what the package manager has said, which Ansible may have hidden."""
    failures, traceback = result.get("failures"), result.get("module_stderr", "").strip().splitlines()
    if failures:
        # Some of them begin with the name of the package that they tell of.
        return "; ".join(re.sub(r"^(\S+) (.* argument: \1)$", r"\2", str(failure)) for failure in failures)
    if traceback:
        return re.sub(r"^\w+(?:\.\w+)*: ", "", traceback[-1])
    return str(result.get("msg") or "it does not say why")


def refusal(result, packages, host):
    said = wanted.masked(re.sub(r"\s+", " ", reason_of(result)).strip(" ."))
    remedy = next((remedy for pattern, remedy in REMEDIES if re.search(pattern, said)), "")
    if len(said) > LENGTH:
        # A log begins with what was done, and ends with what came of it.
        said = f"{said[: LENGTH // 2]} … {said[-LENGTH // 2 :]}"
    sentence = f"{host} cannot install {', '.join(packages)}: {said}"
    return f"{sentence} ({remedy})." if remedy else f"{sentence}."


class ActionModule(wanted.RoleAction):
    _VALID_ARGS = frozenset(("name",))

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        packages = self._task.args["name"]
        arguments = {"name": packages, "state": "present", "update_cache": True}
        found = self.run_action("ansible.builtin.package", arguments, task_vars)
        if found.get("failed"):
            locked = bool(LOCKED.search(reason_of(found)))
            host = self._task.delegate_to or self.hostname
            return {"failed": True, "locked": locked, "msg": refusal(found, packages, host)}
        return found

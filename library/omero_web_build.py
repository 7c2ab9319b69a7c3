#!/usr/bin/python
# -*- coding: utf-8 -*-
"""Ansible module: builds what takes minutes in a unit of its own, which goes on where the run is cut off."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: omero_web_build
short_description: Builds on a host, in a unit of its own
version_added: 1.0.0
description:
  - Runs a shell script as a transient unit of systemd and returns once that has ended, or after O(seconds). The unit
    goes on if the controller or the connection is gone.
  - systemd has one unit of a name, so two runs never build the same. The second one waits for the first.
options:
  unit:
    description: Name of the unit, which ends with V(.service).
    type: str
    required: true
  properties:
    description: Properties of the unit, such as how little of the host it may take from others.
    type: list
    elements: str
    default: []
  script:
    description:
      - What C(sh) runs, as root, with the environment of the module. The directory that it runs in has O(files) and
        nothing else, and goes with its end.
      - Its function C(step) keeps a word for RV(step).
    type: str
    required: true
  files:
    description: Contents by name. They may have secrets in them - only root can read them, and they are on no disk.
    type: dict
    default: {}
  creates:
    description: Path or pattern of the file that the script writes at its very end. Where it is there, nothing is done.
    type: path
    required: true
  seconds:
    description: After so many seconds it returns while the unit goes on, to be asked again; V(0) is for its end.
    type: int
    default: 0
  directory:
    description: What an earlier call returned as RV(directory), so that this one goes on with the same build.
    type: path
    default: ""
attributes:
  check_mode:
    support: none
    description: It cannot be told what a build comes to.
notes:
  - Runs on Python 2.7, or 3.6 and newer, with systemd 219 or newer.
seealso:
  - module: omero_web_change
author: The omero-web maintainers (@openmicroscopy-community)
"""

EXAMPLES = r"""
- name: Build a release
  omero_web_build:
    unit: omero-web-build-5.33.2-0f3c9a12.service
    properties: [Nice=19, CPUWeight=1]
    script: "{{ lookup('ansible.builtin.template', 'build-release.sh.j2') }}"
    files:
      requirements.txt: omero-web==5.33.2
    creates: /opt/omero/web/releases/5.33.2-0f3c9a12/manifest
"""

RETURN = r"""
path:
  description: The file that O(creates) names.
  type: str
  returned: success
  sample: /opt/omero/web/releases/5.33.2-0f3c9a12/manifest
unfinished:
  description: Whether the unit goes on.
  type: bool
  returned: success
directory:
  description: Where the build is that this call or an earlier one has begun, empty if it is another run's.
  type: str
  returned: where it is unfinished
step:
  description: The last word that the script gave to its function C(step), empty before it did.
  type: str
  returned: where it is unfinished, and failure
  sample: packages
line:
  description: The last line that the script wrote. It may have secrets in it.
  type: str
  returned: where it is unfinished
log:
  description: What the script wrote, up to its last 100,000 characters. It may have secrets in it.
  type: str
  returned: failure
"""

import glob
import os
import shutil
import tempfile
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.converters import to_bytes
from ansible.module_utils.omero_config import secret_dictionary
from ansible.module_utils.omero_web_host import Problem, in_words, read, write
from ansible.module_utils.omero_web_systemd import Commands, Systemd

try:
    from shlex import quote
except ImportError:  # Python 2.7
    from pipes import quote

# The systemd of CentOS 7 cannot be asked to say when a unit has ended.
SECONDS_BETWEEN_LOOKS = 0.5
LONGEST_LOG = 100000
LONGEST_LINE = 200
# So long after its end, a run that was lost can come back and hear how the build ended.
SECONDS_KEPT = 600
# What has secrets goes with the script's end. The rest is kept for the run that waits. Where none comes, a service that
# sleeps removes it: the systemd of CentOS 7 would keep a transient timer until the next boot.
RUN = """\
cd %(directory)s
exec < /dev/null >> log 2>&1
trap 'exit 143' TERM INT HUP
trap 'code=$?; cd /; rm -rf %(directory)s/input; echo "$code" > %(directory)s/code
    systemd-run --quiet --description="Remove %(directory)s" sh -c "sleep %(seconds)d; rm -rf %(directory)s"' EXIT
%(environment)s
step() { echo "$1" > %(directory)s/step; : > %(directory)s/log; }
cd input
. ../script
"""


class Build(object):
    """One build, by whichever run it is done."""

    def __init__(self, params, systemd, environment, runtime="/run"):
        self.unit, self.creates = params["unit"], params["creates"]
        self.properties = params["properties"]
        self.script, self.files = params["script"], params["files"]
        self.systemd, self.environment, self.runtime = systemd, environment, runtime

    def built(self):
        """Return the path of what is built, empty if it is not."""
        return "".join(sorted(glob.glob(self.creates))[-1:])

    def run(self, directory="", seconds=0):
        """Build, unless somebody has, and return what there is to say of it, after so many seconds at the latest.

        `directory` is that of a build which an earlier call has begun. A Problem has `step` and `log` for what went
        wrong.
        """
        self.deadline = time.time() + seconds if seconds else None
        while directory or not self.built():
            # Without a directory, for that of another run, or of one that was cut off.
            if not self.wait():
                return dict(self.progress(directory), changed=False, unfinished=True, directory=directory)
            if directory and (os.path.isdir(directory) or self.built()):
                self.finish(directory)
                return {"changed": True, "unfinished": False, "path": self.built()}
            # How a build failed whose run comes back too late is found by another one.
            if not self.built():
                directory = self.begin()
        self.clear()
        return {"changed": False, "unfinished": False, "path": self.built()}

    def wait(self):
        """Wait for the unit to end; tell whether it has."""
        while self.systemd.state(self.unit) in ("active", "activating", "deactivating"):
            if self.deadline is not None and time.time() >= self.deadline:
                return False
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return True

    def progress(self, directory):
        """Return what the build does, whichever run has begun it."""
        known = directory or "".join(sorted(glob.glob(os.path.join(self.runtime, self.unit + ".*")))[-1:])
        lines = self.text(known, "log")[-LONGEST_LOG:].strip().splitlines()
        return {"step": self.text(known, "step").strip(), "line": "".join(lines[-1:])[-LONGEST_LINE:]}

    def begin(self):
        """Start the unit; return the directory of the build, empty if another run was the first to start it."""
        directory = tempfile.mkdtemp(prefix="%s." % self.unit, dir=self.runtime)
        is_started = False
        try:
            self.write_input(directory)
            is_started = self.start(directory)
        finally:
            if not is_started:
                shutil.rmtree(directory, ignore_errors=True)
        return directory if is_started else ""

    def finish(self, directory):
        """Clear away what a build has left but what it made; without that, say what went wrong."""
        try:
            code = self.text(directory, "code").strip()
            # Once it is built, another run may have cleared this away.
            if code not in ("0", "") or not self.built():
                self.fail(directory, code)
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def clear(self):
        """Clear away what builds have left whose runs were cut off: of what is built, nobody asks how it failed."""
        for directory in glob.glob(os.path.join(self.runtime, self.unit + ".*")):
            shutil.rmtree(directory, ignore_errors=True)

    def text(self, directory, name):
        return (read(directory, name) or b"").decode("utf-8", "replace")

    def write_input(self, directory):
        os.mkdir(os.path.join(directory, "input"), 0o700)
        contents = dict(("input/" + name, content) for name, content in self.files.items())
        exports = ["export %s=%s" % (name, quote(value)) for name, value in sorted(self.environment.items())]
        known = {"directory": quote(directory), "seconds": SECONDS_KEPT, "environment": "\n".join(exports)}
        contents.update(script=self.script, run=RUN % known)
        for name, content in contents.items():
            path = os.path.join(directory, name)
            if not os.path.isdir(os.path.dirname(path)):
                os.makedirs(os.path.dirname(path))
            write(path, to_bytes(content), 0o600, os.geteuid(), os.getegid())

    def start(self, directory):
        self.systemd.forget(self.unit)
        options = ["--quiet", "--unit=" + self.unit] + ["--property=" + one for one in self.properties]
        done = self.systemd.commands.run("systemd-run", *(options + ["/bin/sh", os.path.join(directory, "run")]))
        if done.code == 0:
            return True
        if self.systemd.state(self.unit) in ("active", "activating", "deactivating") or self.built():
            return False
        raise Problem("systemd-run: %s" % (done.errors.strip() or "it ended with code %d" % done.code))

    def fail(self, directory, code):
        what = "was stopped" if code in ("", "143") else "failed"
        log = self.text(directory, "log")[-LONGEST_LOG:]
        step = self.text(directory, "step").strip()
        raise Problem("%s %s" % (self.unit, what), step=step, log=log)


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "properties": {"type": "list", "elements": "str", "default": []},
            "script": {"type": "str", "required": True},
            "files": {"type": secret_dictionary, "default": {}},
            "creates": {"type": "path", "required": True},
            "seconds": {"type": "int", "default": 0},
            "directory": {"type": "path", "default": ""},
        },
    )
    params = dict(module.params, files=module.params["files"].plain)
    # What a variable's name cannot be, a shell could not export.
    environment = dict((name, value) for name, value in os.environ.items() if name.replace("_", "a").isalnum())
    build = Build(params, Systemd(Commands()), environment)
    try:
        result = build.run(module.params["directory"], module.params["seconds"])
    except Exception as error:
        details = dict({"step": "", "log": ""}, **getattr(error, "details", {}))
        module.fail_json(msg=in_words(error), **details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()

# -*- coding: utf-8 -*-
"""omero_web_build with a systemd that starts its unit as a process, and what a release and a failure of it say."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import re
import subprocess
import sys

import omero_web_build
import pytest
from ansible.module_utils.omero_web_host import Problem
from ansible.module_utils.omero_web_systemd import Done, Systemd
from conftest import ROOT, run_module

UNIT = "omero-web-build-r1.service"


class Commands(object):
    """A systemd with one unit, which is a process."""

    def __init__(self):
        self.process = None
        self.started = []
        self.refuses = ""
        # What happens while the build looks at the unit.
        self.meanwhile = lambda: None

    def run(self, *words, **dummy):
        return getattr(self, words[0].replace("-", "_"))(*words[1:]) or Done(0, "", "")

    must = run

    def systemctl(self, verb, *dummy):
        if verb == "show":
            self.meanwhile()
            is_running = self.process is not None and self.process.poll() is None
            return "Id=%s\nActiveState=%s\n" % (UNIT, "active" if is_running else "inactive")

    def systemd_run(self, *words):
        if self.refuses or self.process is not None and self.process.poll() is None:
            return Done(1, "", self.refuses or "Unit %s already exists." % UNIT)
        self.started.append(words)
        self.process = subprocess.Popen(words[-2:])


@pytest.fixture
def commands(monkeypatch):
    monkeypatch.setattr(omero_web_build, "SECONDS_BETWEEN_LOOKS", 0.01)
    return Commands()


@pytest.fixture
def build(commands, tmp_path):
    """A function that builds with a script, in a directory in which `made` proves it."""
    (tmp_path / "run").mkdir()
    (tmp_path / "bin").mkdir()
    systemd_run = tmp_path / "bin" / "systemd-run"
    # What it is to run, it keeps for a test.
    systemd_run.write_text(u'#!/bin/sh\nfor last; do :; done; echo "$last" > "$WHERE/later"\n')
    systemd_run.chmod(0o755)

    def build(script, going_on=None, **files):
        params = {
            "unit": UNIT,
            "properties": ["Nice=19"],
            "script": script,
            "files": files,
            "creates": str(tmp_path / "made*"),
        }
        runtime = str(tmp_path / "run")
        path = "%s:%s" % (tmp_path / "bin", os.environ["PATH"])
        environment = {"PATH": path, "WHERE": str(tmp_path), "QUOTED": "it's \"here\"; $PATH"}
        one = omero_web_build.Build(params, Systemd(commands), environment, runtime)
        return one.run(**going_on) if going_on else one.run()["changed"]

    return build


def test_a_build_has_its_files_and_the_environment(build, commands, tmp_path):
    assert build('cat given sub/other > "$WHERE/made-1"; echo "$QUOTED" >> "$WHERE/made-1"', **{
        "given": "secret\n", "sub/other": "other\n"})
    assert (tmp_path / "made-1").read_text() == 'secret\nother\nit\'s "here"; $PATH\n'
    assert commands.started[0][:3] == ("--quiet", "--unit=" + UNIT, "--property=Nice=19")


def test_nothing_is_left_and_nobody_else_can_read_what_it_gets(build, tmp_path):
    build('ls -ld "$PWD" .. given > "$WHERE/listing"; ls ../.. > "$WHERE/names"; touch "$WHERE/made"', given="secret")
    modes = [line.split()[0] for line in (tmp_path / "listing").read_text().splitlines()]
    assert sorted(mode.rstrip(".+") for mode in modes) == ["-rw-------", "drwx------", "drwx------"]
    assert (tmp_path / "names").read_text().startswith(UNIT + ".")
    assert list((tmp_path / "run").iterdir()) == []


def test_what_is_built_is_not_built_again(build, commands, tmp_path):
    (tmp_path / "made").touch()
    assert not build("exit 1")
    assert commands.started == []


def test_a_build_of_another_run_is_waited_for(build, commands, tmp_path):
    commands.process = subprocess.Popen(["sh", "-c", 'sleep 0.2; touch "$0"', str(tmp_path / "made")])
    assert not build("exit 1")
    assert commands.started == []


def test_where_that_one_fails_it_is_built_here(build, commands):
    commands.process = subprocess.Popen(["sleep", "0.2"])
    assert build('touch "$WHERE/made"')


def test_another_run_that_is_the_first_to_start_it_is_waited_for(build, commands, tmp_path):
    def be_first():
        commands.meanwhile = lambda: None
        commands.process = None

        def run(*dummy):
            del commands.systemd_run
            commands.process = subprocess.Popen(["sh", "-c", 'sleep 0.2; touch "$0"', str(tmp_path / "made")])
            return Done(1, "", "Unit %s already exists." % UNIT)

        commands.systemd_run = run

    commands.meanwhile = be_first
    assert not build("exit 1")
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("script, step, log, what", [
    ("echo first; step packages; echo out; echo err >&2; exit 3", "packages", "out\nerr\n", "failed"),
    ("step one; set -eu; false; touch \"$WHERE/made\"", "one", "", "failed"),
    ("echo no; true", "", "no\n", "failed"),
    ("kill -TERM $$; sleep 1", "", "", "was stopped"),
])
def test_a_failure_tells_its_step_and_what_that_wrote(build, tmp_path, script, step, log, what):
    with pytest.raises(Problem) as caught:
        build(script, secret="secret")
    assert str(caught.value) == "%s %s" % (UNIT, what)
    assert caught.value.details == {"step": step, "log": log}
    assert list((tmp_path / "run").iterdir()) == []


def test_a_systemd_that_refuses_is_quoted(build, commands, tmp_path):
    commands.refuses = "Failed to start transient service unit: Access denied"
    with pytest.raises(Problem, match="systemd-run: Failed to start transient service unit: Access denied"):
        build("true")
    assert list((tmp_path / "run").iterdir()) == []


class Gone(BaseException):
    """The process ends here."""


@pytest.fixture
def build_and_go(build, commands, monkeypatch):
    """Begin a build, whose run is gone before its end."""
    def gone(self):
        raise Gone()

    def build_and_go(script):
        waits = iter([lambda self: True, gone])
        with monkeypatch.context() as patch:
            patch.setattr(omero_web_build.Build, "wait", lambda self: next(waits)(self))
            with pytest.raises(Gone):
                build(script, secret="secret")
        commands.process.wait()

    return build_and_go


@pytest.mark.parametrize("ends", ['touch "$WHERE/made"', "false", "kill -TERM $$; sleep 1"])
def test_what_a_build_leaves_whose_run_is_gone_is_removed_by_systemd(build_and_go, tmp_path, ends):
    build_and_go("sleep 0.2; " + ends)
    (left,) = (tmp_path / "run").iterdir()
    assert not (left / "input").exists()
    later = (tmp_path / "later").read_text()
    assert later == "sleep %d; rm -rf %s\n" % (omero_web_build.SECONDS_KEPT, left)
    subprocess.check_call(["sh", "-c", later.replace("sleep", ":")])
    assert list((tmp_path / "run").iterdir()) == []


def test_a_run_that_comes_back_hears_how_it_failed_and_one_that_comes_too_late_builds_again(build, commands, tmp_path):
    begun = build("step packages; sleep 0.2; echo why; false", going_on={"seconds": 0.01})
    commands.process.wait()
    with pytest.raises(Problem) as caught:
        build("exit 1", going_on={"seconds": 0, "directory": begun["directory"]})
    assert caught.value.details == {"step": "packages", "log": "why\n"}
    assert not os.path.exists(begun["directory"])
    again = build('touch "$WHERE/made"', going_on={"seconds": 0, "directory": begun["directory"]})
    assert again == {"changed": True, "unfinished": False, "path": str(tmp_path / "made")}
    assert len(commands.started) == 2


def test_what_it_leaves_for_a_run_that_may_come_back_goes_with_the_next_one(build, build_and_go, tmp_path):
    build_and_go('sleep 0.2; touch "$WHERE/made"')
    assert len(list((tmp_path / "run").iterdir())) == 1
    assert not build("exit 1")
    assert list((tmp_path / "run").iterdir()) == []


def test_a_run_that_comes_back_after_another_knows_that_it_is_built(build, tmp_path):
    begun = build('touch "$WHERE/made"; sleep 0.2', going_on={"seconds": 0.01})
    assert not build("exit 1")
    ended = build("exit 1", going_on={"seconds": 0, "directory": begun["directory"]})
    assert (ended["unfinished"], ended["path"]) == (False, str(tmp_path / "made"))


@pytest.mark.parametrize("ends", ["touch \"$WHERE/made\"", "false"])
def test_who_asks_again_is_told_how_far_it_is_and_how_it_ends(build, commands, tmp_path, ends):
    script = 'step packages; echo first; echo last; until [ -e "$WHERE/go" ]; do sleep 0.1; done; ' + ends
    begun = build(script, going_on={"seconds": 0.01})
    assert begun["unfinished"]
    while (begun["step"], begun["line"]) != ("packages", "last"):
        begun = build("exit 1", going_on={"seconds": 0.01, "directory": begun["directory"]})
    # Another run sees as much of it, and has no part in it.
    other = build("exit 1", going_on={"seconds": 0.01})
    assert other == dict(begun, directory="")
    (tmp_path / "go").touch()
    if ends == "false":
        with pytest.raises(Problem) as caught:
            build("exit 1", going_on={"seconds": 0, "directory": begun["directory"]})
        assert caught.value.details == {"step": "packages", "log": "first\nlast\n"}
    else:
        ended = build("exit 1", going_on={"seconds": 0, "directory": begun["directory"]})
        assert ended == {"changed": True, "unfinished": False, "path": str(tmp_path / "made")}
    assert len(commands.started) == 1
    assert list((tmp_path / "run").iterdir()) == []


def test_secrets_stay_hidden(tmp_path, monkeypatch):
    secrets = []

    def run(self, *dummy):
        secrets.append(self.files["requirements.txt"])
        return {"changed": False}

    monkeypatch.setattr(omero_web_build.Build, "run", run)
    made = tmp_path / "made"
    made.touch()
    result = run_module("omero_web_build", {
        "unit": UNIT, "script": "echo", "files": {"requirements.txt": "https://u:p@x"}, "creates": str(made)})
    assert secrets == ["https://u:p@x"]
    assert "u:p" not in result.text


# --- what a release says of itself ------------------------------------------------------------------------------------

FILES = os.path.join(ROOT, "roles", "omero-web", "files")


@pytest.fixture
def release(monkeypatch):
    if not os.path.isdir(FILES):
        pytest.skip("the role is not here")
    monkeypatch.syspath_prepend(FILES)
    import release

    return release


def test_static_files_are_collected_for_settings_and_what_is_appended(release):
    settings = {u"omero.web.apps": u'["one"]', u"omero.web.debug": True, u"omero.web.title": u"Ours"}
    append = {u"omero.web.apps": [u"two"], u"omero.web.staticfile_dirs": [u"/srv"]}
    assert release.properties_of(settings, append) == {
        "omero.web.apps": '["one", "two"]',
        "omero.web.debug": "true",
        "omero.web.title": "Ours",
        "omero.web.staticfile_dirs": '["/srv"]',
    }


def test_a_manifest_has_no_credentials(release):
    frozen = "asgiref==3.8\nDjango==5.2.16\napp @ https://user:token@example.org/app.zip\n"
    manifest = release.manifest_of({"recipe": 1, "packages": ["app"]}, frozen)
    assert manifest["packages"] == ["asgiref==3.8", "Django==5.2.16", "app @ https://********@example.org/app.zip"]
    assert (manifest["django"], manifest["recipe"]) == ("5.2", 1)
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\Z", manifest["built"])


def test_a_manifest_comes_last_and_whole(release, tmp_path, monkeypatch):
    definition, path = tmp_path / "definition.json", tmp_path / "manifest"
    definition.write_text(u'{"recipe": 1}')
    monkeypatch.setattr(release.subprocess, "check_output", lambda command: b"Django==4.2.1\n")
    seen = []
    monkeypatch.setattr(release.subprocess, "call", lambda command: seen.append((command, path.exists())))
    release.complete(str(definition), str(path))
    assert seen == [(["sync"], False)]
    assert json.loads(path.read_text())["django"] == "4.2"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["definition.json", "manifest"]


# --- what a user reads of a failure, on the controller ----------------------------------------------------------------


@pytest.fixture
def action():
    if sys.version_info < (3, 10) or not os.path.isdir(FILES):
        pytest.skip("the controller's")
    import importlib.util

    path = os.path.join(ROOT, "roles", "omero-web", "action_plugins", "omero_web_build.py")
    spec = importlib.util.spec_from_file_location("omero_web_build_action", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("log, says", [
    ("Collecting x\nERROR: No matching distribution found for x\n", "ERROR: No matching distribution found for x"),
    ("WARNING: Retrying after connection broken by 'NewConnectionError('<x>: [Errno -3] Temporary failure in name "
     "resolution')': /simple/x/\nERROR: No matching distribution found for x\n",
     "No connection to the package index: [Errno -3] Temporary failure in name resolution."),
    ("error: subprocess-exited-with-error\nmore\n", "error: subprocess-exited-with-error"),
    ("Processing /srv/x.whl\nERROR: Exception:\nTraceback (most recent call last):\n  File \"a.py\", line 1, in b\n"
     "    c()\nFileNotFoundError: [Errno 2] No such file or directory: '/srv/x.whl'\n",
     "ERROR: FileNotFoundError: [Errno 2] No such file or directory: '/srv/x.whl'"),
    # What was tried twice failed for one reason.
    ("ERROR: No a\nmore\nERROR: No a\n", "ERROR: No a"),
    ("nothing of the kind", ""),
])
def test_pip_says_why(action, log, says):
    assert action.says_of_pip(log) == says


def test_a_compiler_says_why(action):
    log = """  src/mcpp/main.c:305:5: error: too many arguments to function 'mb_init'
        305 |     mb_init(1);
      src/mcpp/system.c:12: fatal error: mcpp.h: No such file or directory
      src/mcpp/main.c:305:5: error: too many arguments to function 'mb_init'
      error: command '/usr/bin/gcc' failed with exit code 1
    IcePy: 36 of 38 parts are compiled
    ERROR: Failed to build one or more wheels"""
    assert action.says_of_compiler(log, "the end") == (
        "The compiler says:\nsrc/mcpp/main.c:305:5: error: too many arguments to function 'mb_init'\n"
        "src/mcpp/system.c:12: fatal error: mcpp.h: No such file or directory"
    )
    assert action.says_of_compiler("ERROR: no such file", "the end") == "The end of its log:\nthe end"


def test_who_waits_is_told_how_far_it_is(action):
    sentence = "web1: installs packages, 30 s so far (Collecting x)"
    assert action.progress("web1", 30.4, "packages", "Collecting x") == sentence
    assert action.progress("web1", 15, "", "") == "web1: goes on with the build, 15 s so far"
    steps = set()
    for template in "build-release", "build-wheels", "install-wheels", "ship-archive", "ship-pypi":
        with open(os.path.join(FILES, "..", "templates", template + ".sh.j2")) as content:
            steps.update(re.findall(r"(?m)^step (\w+)", content.read()))
    assert set(action.STEPS) == steps


@pytest.mark.parametrize("step, sentence", [
    ("packages", "omero-web 5.33.2 cannot be installed on web1 with figure (omero_web_packages, omero_web_apps). pip "
                 "says:\nthe log"),
    ("static", "The static files of omero-web 5.33.2 cannot be collected with omero.web.apps omero_figure. The end of "
               "the log:\nthe end"),
    ("virtualenv", "The virtualenv of omero-web 5.33.2 cannot be made on web1. The end of the log:\nthe end"),
    ("archive", "The archive of omero-web 5.33.2 cannot be unpacked on web1. The end of the log:\nthe end"),
    ("complete", "The release of omero-web 5.33.2 cannot be built on web1. The end of the log:\nthe end"),
])
def test_each_step_says_what_failed(action, step, sentence):
    assert action.worded(step, "5.33.2", "web1", ["figure"], ["omero_figure"], "the log", "the end") == sentence


@pytest.mark.parametrize("name", ["'omero_figure'", "omero_figure"])
def test_an_app_without_a_package_is_named(action, name):
    tail = "ImportError: No module named %s" % name
    found = action.worded("static", "5.33.2", "web1", [], ["omero_figure"], tail, tail)
    assert found == "omero.web.apps has omero_figure, which no package has; name its package in omero_web_packages."
    other = action.worded("static", "5.33.2", "web1", [], ["omero_mapr"], tail, tail)
    assert other.startswith("The static files of omero-web 5.33.2 cannot be collected with omero.web.apps omero_mapr.")

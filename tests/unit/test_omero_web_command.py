"""The command omero-web, as the role's template makes it, on the history that omero_web_change writes."""

import json
import os
import re
import subprocess
import sys

import pytest
from ansible.module_utils import omero_web_history
from ansible.module_utils.omero_web_history import History
from test_role_names import Action

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="is for root")

# As Python 3.6 and 2.7 have it: no locale at all.
POSIX = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
BY = "ansible-playbook, by ann on controller"
CHANGE = {"from": 7, "to": 8, "by": BY, "says": ["make generation 8", "put it live"]}


@pytest.fixture
def command(tmp_path):
    """Run the command as a host would have it, on whichever Python; its exit code and what it prints."""
    program = tmp_path / "omero-web"
    action = Action(omero_web_basedir=str(tmp_path))
    program.write_bytes(action.command(action.known))

    def command(*words):
        done = subprocess.run([sys.executable, program, *words], capture_output=True, env=POSIX)
        return done.returncode, (done.stdout + done.stderr).decode()

    return command


@pytest.fixture
def changed(tmp_path, monkeypatch):
    """Let a change of the host begin, and end, if it is said how."""
    monkeypatch.setattr(omero_web_history, "now", lambda: "2026-11-26T20:21:27+00:00")

    def changed(secrets=(), **how):
        history = History(str(tmp_path))
        history.begin(CHANGE)
        if how:
            history.end(secrets, **how)

    return changed


@pytest.fixture
def words(command):
    """The commands that there are, with the options of each."""
    commands = re.search(r"(?ms)^  COMMAND\n(.*?)^\w", command("--help")[1])[1]
    names = re.findall(r"(?m)^    ([a-z]+)", commands)
    return {name: set(re.findall(r"--[a-z-]+", command(name, "--help")[1])) - {"--help"} for name in names}


def test_manual_has_every_command_with_its_options(words, tmp_path):
    action = Action(omero_web_basedir=str(tmp_path))
    page = action.content({"path": "omero-web.8", "src": "omero-web.8.j2"}, action.known).decode()
    described = page.partition(".SH COMMANDS\n")[2].partition("\n.SH")[0].split(".TP\n")[1:]
    found = {re.match(r"\.B[RI] ([a-z]+)", part)[1]: set(re.findall(r"--[a-z-]+", part)) for part in described}
    assert found == words


def test_bash_completes_every_command_with_its_options(words, tmp_path):
    action = Action(omero_web_basedir=str(tmp_path), omero_web_instance="public")
    (tmp_path / "generations/12").mkdir(parents=True)
    script = action.content({"path": "omero-web", "src": "omero-web.bash-completion.j2"}, action.known).decode()

    def completed(*typed):
        ask = f"{script}\nCOMP_WORDS=(omero-web-public {' '.join(typed)} '')\nCOMP_CWORD={len(typed) + 1}\n"
        ask += "_omero-web-public\necho ${COMPREPLY[@]}\ncomplete -p omero-web-public"
        found, registered = subprocess.check_output(["bash", "-c", ask], text=True).splitlines()
        assert registered == "complete -o default -F _omero-web-public omero-web-public"
        return set(found.split())

    assert completed() == set(words)
    others = {"maintenance": {"on", "off"}, "rollback": {"12"}, "diff": {"12"}}
    for name, options in words.items():
        assert completed(name) == options | others.get(name, set())
    assert completed("maintenance", "on") >= {"--until"}


def test_history_tells_how_each_change_ended(command, changed):
    assert command("history") == (0, "Nothing has changed yet.\n")
    changed(outcome="done", reason="")
    reason = "No hunter2-and-more, no hunter2 of 7 at redis://me:another@cache/0."
    changed(["hunter2", None, 7, "hunter2-and-more"], outcome="failed", reason=reason)
    changed()
    code, output = command("history")
    assert code == 0
    done, says, failed, _, reason, cut_off, _ = output.splitlines()
    assert done.startswith("2026-11-26 20:21:27 UTC  7 -> 8  done in ")
    assert done.endswith(f" s  {BY}")
    assert says == "    make generation 8; put it live"
    assert "  failed in " in failed
    assert reason == "    No ********, no ******** of 7 at redis://********@cache/0."
    assert cut_off.endswith(f"  7 -> 8  cut off  {BY}")
    assert [one["outcome"] for one in json.loads(command("history", "--json", "-n", "2")[1])] == ["failed", "cut off"]


def test_nothing_that_is_told_commands_a_terminal(command, changed):
    changed(outcome="failed", reason="b\x1b]0;title\x07\x9b2J\r.")
    assert command("history")[1].endswith("    b?]0;title??2J .\n")


def test_history_has_an_end(changed, tmp_path, monkeypatch):
    monkeypatch.setattr(omero_web_history, "MOST", 3)
    for number in range(5):
        changed(outcome=str(number))
    entries = [json.loads(line) for line in (tmp_path / "history").read_text().splitlines()]
    assert [one["outcome"] for one in entries] == ["2", "3", "4"]
    assert (tmp_path / "history").stat().st_mode & 0o777 == 0o600


def test_a_history_that_somebody_spoilt_tells_what_can_be_read(command, changed, tmp_path):
    changed(outcome="done", reason="")
    with (tmp_path / "history").open("a") as history:
        history.write('{"outc')
    assert command("history")[1].count("\n") == 2


def test_a_host_is_put_on_hold(command, tmp_path):
    assert command("hold") == (0, "Not on hold.\n")
    assert command("hold", "course", "until Friday") == (0, "On hold: course until Friday\n")
    assert (tmp_path / "hold").read_text() == "course until Friday\n"
    assert command("hold") == (0, "On hold: course until Friday\n")
    assert command("hold", "Prüfung – до пятницы") == (0, "On hold: Prüfung – до пятницы\n")
    assert command("hold", "--end") == (0, "Not on hold.\n")
    assert command("hold", "--end") == (0, "Not on hold.\n")


def test_going_back_is_planned_as_by_a_playbook(command, tmp_path):
    manifests = {"2": {"previous": 1}, "1": {"previous": 0}}
    for number, manifest in manifests.items():
        (tmp_path / "generations" / number / "etc").mkdir(parents=True)
        (tmp_path / "generations" / number / "release").symlink_to("../../releases/r1")
        (tmp_path / "generations" / number / "manifest").write_text(json.dumps(manifest))
    (tmp_path / "releases/r1").mkdir(parents=True)
    (tmp_path / "releases/r1/manifest").write_text("{}")
    (tmp_path / "current").symlink_to("generations/2")
    assert command("rollback", "--check") == (0, "go back from generation 2 to generation 1\n")
    sentence = "web-1 runs generation 2 and cannot go back to generation 7; what it can go back to: 1."
    assert command("rollback", "7") == (1, f"omero-web: {sentence}\n")
    (tmp_path / "var").symlink_to("/etc")
    code, output = command("rollback")
    assert code == 1
    assert output.startswith(f"omero-web: {tmp_path}/var on web-1 is a link, where the role has a directory")


def test_what_is_wrong_is_one_line(command, tmp_path):
    (tmp_path / "history").mkdir()
    assert command("history") == (1, f"omero-web: {tmp_path}/history: Is a directory\n")
    assert command()[0] == 2

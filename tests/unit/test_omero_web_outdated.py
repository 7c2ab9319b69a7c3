"""What a package index has that is newer, by what pip says of it."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.module_utils.omero_web_systemd import OUT_OF_TIME, Commands, Done

module = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "library/omero_web_outdated.py")))
PARAMS = {
    "python": "/release/venv/bin/python",
    "install": ["-m", "pip", "install", "--requirement", "/dev/stdin"],
    "sources": ["--index-url https://u:hunter2@a.org/simple"],
    "environment": json.dumps({"PIP_INDEX_URL": "https://u:hunter2@a.org/simple"}),
    "seconds": 30,
}
REFUSAL = "ERROR: Could not find a version that satisfies omero-web<0 (from versions: %s)\nERROR: No match"
LISTED = [
    {"name": "Django", "version": "5.2.1", "latest_version": "5.2.9", "latest_filetype": "wheel"},
    {"name": "pip", "version": "23.0", "latest_version": "26.3", "latest_filetype": "wheel"},
    {"name": "zeroc-ice", "version": "3.6.5", "latest_version": "3.7.11", "latest_filetype": "sdist"},
]


class Pip:
    """Answers as a pip does, and keeps how it was asked."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def run(self, *words, **options):
        self.asked.append((words, options))
        return self.answers.pop(0)


def test_what_is_newer():
    pip = Pip(Done(1, "", REFUSAL % "5.6.dev1, 5.6.0, 5.33.2, 5.34.0rc1"), Done(0, json.dumps(LISTED), "WARNING: x"))
    assert module.newer(pip, PARAMS) == {
        "versions": ["5.6.0", "5.33.2"],
        "outdated": [{"name": "Django", "version": "5.2.1", "latest": "5.2.9"}],
        "problem": "",
    }
    (probe, first), (listing, second) = pip.asked
    assert probe == ("/release/venv/bin/python", "-m", "pip", "install", "--requirement", "/dev/stdin")
    assert first["input"] == "--index-url https://u:hunter2@a.org/simple\nomero-web<0"
    assert listing == ("/release/venv/bin/python", "-m", "pip", "list", "--outdated", "--format=json")
    assert second["environment"]["PIP_INDEX_URL"] == "https://u:hunter2@a.org/simple"
    for words, options in pip.asked:
        assert "hunter2" not in " ".join(words)
        assert options["environment"]["PYTHONDONTWRITEBYTECODE"] == options["environment"]["PIP_NO_CACHE_DIR"] == "1"


@pytest.mark.parametrize(
    "answers, problem",
    [
        ([Done(1, "", REFUSAL % "none")], "the package index gives no answer"),
        ([Done(127, "", "no such file")], "the package index gives no answer"),
        ([Done(OUT_OF_TIME, "", "")], "the package index gives no answer within 30 s"),
        ([Done(1, "", REFUSAL % "5.6.0"), Done(OUT_OF_TIME, "", "")], "the package index gives no answer within 30 s"),
        ([Done(1, "", REFUSAL % "5.6.0"), Done(2, "", "x")], "pip does not say which packages are out of date"),
        ([Done(1, "", REFUSAL % "5.6.0"), Done(0, "[7]", "")], "pip does not say which packages are out of date"),
    ],
)
def test_index_that_does_not_say(answers, problem):
    assert module.newer(Pip(*answers), PARAMS) == {"versions": [], "outdated": [], "problem": problem}


def test_both_together_take_no_longer_than_they_may():
    pip = Pip(Done(1, "", REFUSAL % "5.6.0"), Done(0, "[]", ""))
    module.newer(pip, PARAMS, clock=iter([0, 0, 25]).__next__)
    assert [options["seconds"] for _, options in pip.asked] == [30, 5]


def test_command_that_reads():
    done = Commands().run("sh", "-c", 'cat; echo "$GREETING"', input="é\n", environment={"GREETING": "hello"})
    assert done == Done(0, "é\nhello\n", "")

"""What playbooks/adopt.yml writes on the controller of what a host says, which anybody may have put there."""

import os
import runpy
import stat
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROOT = Path(__file__).parents[2]
adopt = SimpleNamespace(**runpy.run_path(str(ROOT / "roles/omero-web/action_plugins/omero_web_adopt.py")))


def loaded(tmp_path, text):
    """Return the variables of a file as a play has them, templates evaluated."""
    path = tmp_path / "variables.yml"
    path.write_text(text)
    variables = DataLoader().load_from_file(str(path))
    templar = Templar(loader=None, variables=variables)
    return {name: templar.template(value) for name, value in variables.items()}


def texts(**found):
    return adopt.texts_of({"variables": {}, "secrets": {}, "remarks": [], **found}, "web-1", "/d")


@pytest.mark.parametrize(
    "text",
    [
        *("{{ lookup('pipe', 'id') }}", "{% set a = 1 %}x", "a {# b #}", "{{"),
        *("5.4", "yes", "a: b\n# c\n", "'\"\\", "!x", "ü\u2028\x07"),
    ],
)
def test_what_is_written_means_the_same_to_a_play(tmp_path, text):
    config = {"omero.web.a": text, "omero.web.b": [[text, {"c": text}]]}
    variables = {"omero_web_config": config, "omero_web_release": text}
    written = texts(variables=variables)["/d/omero-web.yml"]
    assert loaded(tmp_path, written) == variables


def test_secrets_are_in_a_file_of_their_own():
    written = texts(variables={"omero_web_release": "5.33.2"}, secrets={"omero.web.secret_key": "xyzzy"})
    assert list(written) == ["/d/omero-web.yml", "/d/omero-web-secrets.yml"]
    assert "xyzzy" not in written["/d/omero-web.yml"]
    assert written["/d/omero-web-secrets.yml"] == (
        "# Encrypt it: ansible-vault encrypt /d/omero-web-secrets.yml\n---\n"
        "omero_web_secrets:\n  omero.web.secret_key: xyzzy\n"
    )
    assert list(texts()) == ["/d/omero-web.yml"]


def test_remarks_stay_comments(tmp_path):
    remarks = ["first\nomero_web_release: b", "x" * 500 + "\x1b[2J"]
    written = texts(variables={"omero_web_release": "a"}, remarks=remarks)
    assert loaded(tmp_path, written["/d/omero-web.yml"]) == {"omero_web_release": "a"}
    assert "# first omero_web_release: b\n" in written["/d/omero-web.yml"]
    assert "x" * 401 not in written["/d/omero-web.yml"]


def test_a_file_is_its_owners_and_is_never_written_over(tmp_path):
    path = tmp_path / "a"
    adopt.write(str(path), "ü")
    assert path.read_text(encoding="utf-8") == "ü"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    os.symlink("/nowhere", tmp_path / "b")
    for name in "a", "b":
        with pytest.raises(FileExistsError):
            adopt.write(str(tmp_path / name), "")


def test_git_leaves_alone_what_has_secrets():
    """Where adopt.yml writes them, until they are encrypted."""
    directory = yaml.safe_load((ROOT / "roles/omero-web/defaults/main.yml").read_text())["omero_web_adopt_directory"]
    command = ["git", "check-ignore", "--quiet", f"{directory}/web-1/{adopt.SECRETS}"]
    assert subprocess.run(command, cwd=ROOT).returncode == 0

"""What a beginner lacks or gets wrong is told in one sentence each, before anything is asked of a host."""

import json
import os
import re
import subprocess
import zipfile
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]
HOSTS = "omero_web: {hosts: {web: {ansible_connection: local, ansible_become: false}}}\n"
SECRET = "correct horse"


@pytest.fixture
def encrypted(tmp_path):
    """Encrypt a text as ansible-vault does, by a password that is in a file."""
    password = tmp_path / "right.key"
    password.write_text("right\n")

    def encrypted(text):
        command = ["ansible-vault", "encrypt", "--vault-password-file", password, "--output=-", "-"]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout

    return encrypted


@pytest.fixture
def says(tmp_path):
    """Run site.yml for an inventory with these variables; what it says, as one line."""
    inventory = tmp_path / "production"
    (inventory / "group_vars").mkdir(parents=True)
    (inventory / "hosts.yml").write_text(HOSTS)

    def says(variables, *options):
        (inventory / "group_vars/omero_web.yml").write_text(variables)
        command = ["ansible-playbook", "-i", inventory, "playbooks/site.yml", "--check", *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        output = done.stdout + done.stderr
        assert done.returncode != 0, output
        assert "Traceback" not in output and "exception" not in output and SECRET not in output, output
        assert len(re.findall(r"(?m)^TASK ", output)) <= 1, "more is done than to check the variables"
        # As YAML writes an apostrophe between apostrophes.
        return re.sub(r"\s+", " ", output).replace("''", "'")

    return says


@pytest.mark.parametrize(
    "wrong",
    [
        {
            "omero_web_release: 5.30": "omero_web_release is 5.3; it must be a version in quotes, such as",
            "omero_web_servers: omero.example.org": "omero_web_servers is text; it must be a list.",
            "omero_web_packages: omero-figure": "omero_web_packages is text; it must be a list.",
            "omero_web_config: [omero.web.debug]": "omero_web_config is a list; it must be a dictionary.",
            'omero_web_secrets: {omero.web.public.password: "{{ vault_public_password }}"}': (
                "omero_web_secrets cannot be evaluated: 'vault_public_password' is undefined."
            ),
        },
        {
            "omero_web_servers: [{name: Our OMERO}]": "omero_web_servers[0] has no host; give it one.",
            "omero_web_config: {debug: true}": (
                'omero_web_config has the key "debug", which is no OMERO property;'
            ),
            "omero_web_worker: 9": "omero_web_worker is not a variable of the role omero-web; did you mean",
        },
        {
            "omero_web_config: {omero.web.public.password: correct horse}": (
                "omero_web_config has omero.web.public.password, which"
            ),
        },
    ],
)
def test_variables_that_are_wrong(says, wrong):
    output = says("\n".join(wrong) + "\n")
    assert [sentence for sentence in wrong.values() if sentence not in output] == []


@pytest.mark.parametrize("given", ["no password", "another password"])
def test_a_value_that_nobody_can_decrypt(says, encrypted, tmp_path, given):
    wrong = tmp_path / "wrong.key"
    wrong.write_text("wrong\n")
    options = ["--vault-password-file", wrong] if given == "another password" else []
    variables = dedent("""\
        omero_web_secrets:
          omero.web.public.password: !vault |
        """) + re.sub("(?m)^", "    ", encrypted(SECRET))
    output = says(variables, *options)
    assert "omero_web_secrets is encrypted, and no password opens it; add --ask-vault-pass or" in output


def test_a_file_that_nobody_can_decrypt(says, encrypted):
    """Ansible says so itself, before any task."""
    output = says(encrypted(f"omero_web_secrets: {{omero.web.public.password: {SECRET}}}"))
    assert "Attempting to decrypt but no vault secrets found" in output


# --- before there is an inventory -------------------------------------------------------------------------------------


def packages_of_controller():
    script = (ROOT / "tests/install-tools.sh").read_text()
    return re.search(r'(?s)\n    controller\).*?packages="\$packages ([^"]+)"', script)[1].split()


def test_the_readme_names_what_a_controller_needs():
    named = re.search(r"`apt-get install ([^`]+)`", (ROOT / "README.md").read_text())[1].split()
    assert named == sorted({"git", "make", *packages_of_controller()})


@pytest.mark.parametrize("version, is_told", [("2.7.18", True), ("3.9.2", True), ("3.10.0", False), ("3.13.5", False)])
def test_a_python_that_is_too_old(tmp_path, version, is_told):
    numbers = tuple(map(int, version.split(".")))
    python, tools = tmp_path / "python3", tmp_path / "bin"
    code = int(numbers < (3, 10))
    python.write_text(f"#!/bin/sh\n[ $1 != --version ] || {{ echo Python {version}; exit; }}\nexit {code}\n")
    # All packages are there.
    tools.mkdir()
    (tools / "dpkg-query").write_text("#!/bin/sh\necho installed\n")
    for path in (python, tools / "dpkg-query"):
        path.chmod(0o755)
    known = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "PYTHON": str(python)}
    done = subprocess.run(["tests/install-tools.sh", "controller"], cwd=ROOT, env=known, capture_output=True, text=True)
    told = f"Ansible needs Python 3.10 or newer, and {python} is Python {version}. Install one, and name it: "
    assert (done.returncode, done.stderr.startswith(told)) == (int(is_told), is_told)


@pytest.mark.parametrize("wheel", ["", "zeroc_ice-3.6.5-cp311-cp311-linux_x86_64.whl"])
def test_a_controller_without_any_wheel_is_not_warned(tmp_path, wheel):
    cache = tmp_path / "wheels/debian-12-x86_64"
    if wheel:
        cache.mkdir(parents=True)
        with zipfile.ZipFile(cache / wheel, "w") as archive:
            archive.writestr("Ice.py", "")
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars_files": [str(ROOT / "roles/omero-web/vars/main/icepy.yml")],
        "tasks": [{"ansible.builtin.debug": {"msg": "found {{ _omero_web_cached_ice_wheel }}."}}],
    }
    variables = {
        "omero_web_wheel_cache": str(tmp_path / "wheels"),
        "__omero_web_plan": {"release": {"tag": "cp311"}},
        "_omero_web_platform": "debian-12-x86_64",
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    known = {**os.environ, "ANSIBLE_TEST_PLUGINS": str(ROOT / "roles/omero-web/test_plugins")}
    command = ["ansible-playbook", "-i", "localhost,", "-e", json.dumps(variables), tmp_path / "play.yml"]
    done = subprocess.run(command, cwd=ROOT, env=known, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout
    assert f"found {cache / wheel if wheel else ''}." in re.sub(r"\s+", " ", done.stdout)
    assert "WARNING" not in done.stdout + done.stderr

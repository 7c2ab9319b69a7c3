"""What the role does and says with the newest Ansible, on a host that installs OMERO.web on itself.

It has done so by the collection, from a repository of its own; the project's own tree goes on from there.
"""

import json
import re
import shlex

import pytest
from conftest import PROJECT, exhaustively

ON_HOST = "/opt/omero-web"
ANSIBLE = re.search(r'(?m)^ansible-core==(\S+); .* >=', (PROJECT / "requirements.txt").read_text())[1]


@pytest.fixture
def play(host):
    """Run a playbook with the Ansible of the host; its exit code and everything it printed."""

    def play(playbook="playbooks/site.yml", *options, **variables):
        command = [
            ".venv/bin/ansible-playbook",
            "--inventory=/opt/site/inventory",
            "--vault-password-file=vault.key",
            playbook,
        ]
        command += [f"--extra-vars={json.dumps(variables)}", *options]
        done = host.run("runuser --login admin --command %s", f"cd {ON_HOST} && {shlex.join(command)}")
        return done.rc, done.stdout + done.stderr

    return play


def test_the_controller_is_newer_than_that_of_the_other_scenarios(host):
    assert f"[core {ANSIBLE}]" in host.check_output("%s/.venv/bin/ansible --version", ON_HOST)
    assert [int(part) for part in ANSIBLE.split(".")[:2]] >= [2, 19]


def test_nothing_is_due_and_nothing_is_deprecated(play, login):
    code, output = play()
    assert code == 0, output
    assert "changed=0" in output
    assert "WARNING" not in output
    assert "omero.web.public" not in output
    assert login().status == 200


def test_a_secret_comes_from_a_vault(host, basedir):
    config = host.file(f"{basedir}/current/etc/grid/config.xml").content_string
    assert 'name="omero.web.public.password" value="correct horse"' in config


def test_a_changed_setting_and_the_way_back(play, live, login):
    before = live()
    changed = {"omero_web_threads": 2, "omero_web_worker_class": "sync"}
    code, output = play("playbooks/site.yml", "--check", "--diff", **changed)
    assert code == 0, output
    assert f"make generation {before + 1}" in output
    assert "correct horse" not in output
    assert live() == before
    code, output = play(**changed)
    assert code == 0, output
    assert "WARNING" not in output
    assert live() == before + 1
    assert "changed=0" in play(**changed)[1]
    code, output = play("playbooks/rollback.yml")
    assert code == 0, output
    assert "WARNING" not in output
    assert live() == before
    assert login().status == 200


def test_a_redis_that_cannot_be_installed_is_not_masked(host, play, live, login):
    before = live()
    pin = "Package: redis-server\\nPin: release *\\nPin-Priority: -1\\n"
    host.check_output(f"printf '{pin}' > /etc/apt/preferences.d/none")
    try:
        code, output = play(omero_web_redis=True)
    finally:
        host.check_output("rm /etc/apt/preferences.d/none")
    assert code == 2
    assert f"{host.backend.get_hostname()} cannot install redis-server: " in output
    assert "Keep the operating system from starting a Redis of its own" in output
    assert not host.file("/etc/systemd/system/redis-server.service").exists
    assert live() == before
    assert login().status == 200


@pytest.mark.parametrize(
    "wrong, sentences",
    [
        (
            {"omero_web_worker": 9},
            ["omero_web_worker is not a variable of the role", "did you mean omero_web_workers?"],
        ),
        (
            {"omero_web_wsgi_args": "{{ nothing }}"},
            ["omero_web_wsgi_args cannot be evaluated: 'nothing' is undefined."],
        ),
        (
            {"omero_web_config_append": {"omero.web.middleware": [{"index": 50, "class": "nothing.such.Middleware"}]}},
            ["does not work and was not put live; generation", "No module named 'nothing'"],
        ),
        *exhaustively(
            ({"omero_web_http_port": 0}, ["omero_web_http_port is 0; it must be a whole number from 1 to 65535."]),
            ({"omero_web_wsgi_args": "{{ never"}, ["omero_web_wsgi_args cannot be evaluated: its template is wrong"]),
            ({"omero_web_release": "5.4.10"}, ["omero_web_release is 5.4.10, which needs Python 2.7, and Debian 13"]),
            ({"omero_web_release": "5.33.99"}, ["omero_web_release is 5.33.99, which the package index does not have"]),
            (
                {"omero_web_config": {"omero.web.session_engine": "no.such.engine"}},
                ["could not be made: omero.web.session_engine=no.such.engine: OMERO.web refuses it"],
            ),
        ),
    ],
)
def test_what_cannot_work_is_told_in_sentences(refused, live, login, wrong, sentences):
    before = live()
    output = re.sub(r"\s+", " ", refused(sentences[0], **wrong))
    assert [sentence for sentence in sentences if sentence not in output] == []
    assert "correct horse" not in output
    assert live() == before
    assert login().status == 200

"""A host of the role as it was released before: today's takes over, goes back to what that one made, and forward."""

import json
import os
import subprocess

import pytest
from conftest import INVENTORY, PROJECT, exhaustive

# Versions of the role that are out there.
RELEASED = ["e93a96e", pytest.param("347f8d6", marks=exhaustive)]
# They take no URL for an OMERO.server.
OLD_WAY = {"omero_web_servers": [{"name": "Stand-in", "host": "localhost"}]}
# All that today's role has put on the host from which this one starts, but for packages.
TAKE_AWAY = r"""
set -eu
systemctl disable --quiet --now omero-web.target || :
systemctl stop 'omero-web*.service' 'omero-web*.socket' 'omero-web*.timer'
rm -rf /opt/omero/web /etc/systemd/system/omero-web* /etc/systemd/system/*.wants/omero-web* /usr/local/bin/omero*
rm -rf /etc/nginx/conf.d/omero-web* /etc/nginx/omero-web* /etc/logrotate.d/omero-web* /var/log/nginx/omero-web*
rm -f /run/omero-web*.lock
systemctl daemon-reload
systemctl reset-failed
! systemctl is-active --quiet nginx || systemctl reload nginx
if getent passwd omero-web >/dev/null; then userdel omero-web; fi
if getent group omero-web >/dev/null; then groupdel omero-web; fi
"""


@pytest.fixture
def site_of(tmp_path):
    """Run site.yml as it was at a commit, on a host that has no OMERO.web; its exit code and everything it printed."""

    def site_of(commit):
        command = ["git", "-c", f"safe.directory={PROJECT}", "archive", f"--output={tmp_path}/role.tar", commit]
        archive = subprocess.run(command, cwd=PROJECT, text=True, capture_output=True)
        if archive.returncode != 0:
            reason = f"{commit} is not in this clone's history ({archive.stderr.strip()}); git fetch --unshallow has it"
            pytest.skip(reason)
        tree = tmp_path / commit
        tree.mkdir()
        subprocess.run(["tar", "--extract", f"--file={tmp_path}/role.tar", f"--directory={tree}"], check=True)
        done = subprocess.run(
            ["ansible-playbook", "-i", INVENTORY, "playbooks/site.yml", "-e", json.dumps(OLD_WAY)],
            cwd=tree,
            env={**os.environ, "ANSIBLE_CONFIG": f"{tree}/ansible.cfg", "ANSIBLE_FORCE_COLOR": "0"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return done.returncode, done.stdout

    return site_of


def enabled(host):
    return host.check_output("ls /etc/systemd/system/omero-web.target.wants").split()


@pytest.mark.parametrize("commit", RELEASED)
def test_a_host_of_the_role_as_it_was(host, site_of, play, live, generations, users, login, commit):
    host.check_output("sh -c %s", TAKE_AWAY)
    code, output = site_of(commit)
    assert code == 0, output
    code, output = play("molecule/resources/omero-server.yml")
    assert code == 0, output
    assert (live(), generations()) == (1, [1])

    def change(playbook="playbooks/site.yml"):
        """Let today's role change the host; nobody notices, and only the link tells what starts with the host."""
        with users() as those:
            code, output = play(playbook)
        assert code == 0, output
        assert those.failures == []
        assert those.download.is_complete, those.download.error
        assert login().status == 200
        assert enabled(host) == ["omero-web-boot.service"]
        return output

    change()
    assert live() == 2
    change("playbooks/rollback.yml")
    assert live() == 1
    code, output = play("molecule/resources/reboot.yml")
    assert code == 0, output
    assert (live(), login().status) == (1, 200)
    output = change()
    assert "roll forward again from generation 1, to which this host went back" in output
    assert (live(), generations()) == (3, [1, 2, 3])
    code, output = play()
    assert "changed=0" in output

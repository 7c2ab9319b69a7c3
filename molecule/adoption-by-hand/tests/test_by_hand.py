"""The role takes over from OMERO 5.4 as its documentation had it, whether a unit runs it or not."""

import shutil

import pytest
import yaml
from conftest import INVENTORY, exhaustive, wait_until

pytestmark = exhaustive

VARIABLES = INVENTORY.parent / "host_vars"
SITE = "/etc/nginx/conf.d/omeroweb.conf"
TOP = "/home/omero/OMERO.py"
# The archive is of a later OMERO, some of which looks for its files by one of these, and some by another.
ENVIRONMENT = f"OMERO_HOME={TOP} OMERODIR={TOP} PYTHONPATH={TOP}/lib/python PATH=/home/omero/omeroweb/bin:/bin:/usr/bin"
OMERO = f"cd /home/omero && runuser -u omero -- env {ENVIRONMENT} {TOP}/bin/omero"
UNIT = f"""[Unit]
Description=OMERO.web
Requires=nginx.service
After=network.service

[Service]
User=omero
Type=forking
PIDFile=/home/omero/OMERO.py/var/django.pid
Restart=no
RestartSec=10
Environment={ENVIRONMENT}
ExecStart=/home/omero/omeroweb/bin/python /home/omero/OMERO.py/bin/omero web start
ExecStop=/home/omero/omeroweb/bin/python /home/omero/OMERO.py/bin/omero web stop

[Install]
WantedBy=multi-user.target
"""


@pytest.fixture
def adopted(play):
    """The variables that playbooks/adopt.yml writes, which the inventory has then."""
    shutil.rmtree(VARIABLES, ignore_errors=True)
    code, output = play("playbooks/adopt.yml", omero_web_adopt_directory=str(VARIABLES))
    assert code == 0, output
    (directory,) = VARIABLES.iterdir()
    return yaml.safe_load((directory / "omero-web.yml").read_text())


def is_running(host):
    """Tell whether the old OMERO.web runs, as itself says."""
    return "RUNNING" in host.run(f"{OMERO} web status").stdout


def there_and_back(play, load, log_in, who_is, name):
    """Take over and give back, while users are there, and see that they stay logged in."""
    session = log_in()
    for playbook, change in ("site", f"take over from {name}"), ("rollback", f"give back to {name}"):
        with load(change) as users:
            code, output = play(f"playbooks/{playbook}.yml")
            assert code == 0, output
        assert users.failures == []
        assert users.download.is_complete
        assert who_is(session)
        yield


def test_one_that_was_started_by_hand(host, play, adopted, load, log_in, who_is):
    before = host.file(SITE).content
    assert adopted["omero_web_release"] == "5.4.10"
    assert adopted["omero_web_former"]["unit"] == ""
    assert (adopted["omero_web_former"]["user"], adopted["omero_web_former"]["django"]) == ("omero", "1.8")
    way = there_and_back(play, load, log_in, who_is, "5.4 by hand")
    next(way)
    # Nobody but who started it could tell how it is started again.
    assert is_running(host)
    assert not host.file(SITE).exists
    code, output = play()
    assert (code, "changed=0" in output) == (0, True), output
    next(way)
    assert is_running(host)
    assert host.file(SITE).content == before


def test_the_walkthrough(host, play, load, log_in, who_is, request):
    host.check_output(f"{OMERO} web stop")
    host.check_output("printf %s > /etc/systemd/system/omero-web.service", UNIT)
    host.check_output("systemctl daemon-reload && systemctl enable --now omero-web.service")
    wait_until(lambda: is_running(host))
    assert request.getfixturevalue("adopted")["omero_web_former"]["unit"] == "omero-web.service"
    way = there_and_back(play, load, log_in, who_is, "5.4 by the walkthrough")
    next(way)
    assert not host.service("omero-web.service").is_enabled
    wait_until(lambda: not host.service("omero-web.service").is_running)
    next(way)
    assert host.service("omero-web.service").is_enabled
    assert is_running(host)

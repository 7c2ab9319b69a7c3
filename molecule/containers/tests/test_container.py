"""What a container of the real system shows, where a host of its shape only says so."""

import pytest


@pytest.mark.parametrize("name", ["localhost", "omero.example.org"])
def test_omero_web_answers_to_any_name(host, name):
    page = host.check_output("curl --silent --fail --header 'Host: %s' http://127.0.0.1/webclient/login/", name)
    assert "OMERO.web" in page


def test_units_run_and_are_enabled(host):
    for unit in ("omero-web.target", "omero-web.socket", "nginx.service"):
        assert host.service(unit).is_running, unit
    for unit in ("omero-web.target", "omero-web-boot.service", "nginx.service"):
        assert host.service(unit).is_enabled, unit


def test_systemd_knows_every_directive(host):
    """The oldest of them says `Unknown lvalue`, newer ones `Unknown key name`."""
    said = host.check_output("journalctl --quiet --no-pager --output=cat _PID=1")
    assert "OMERO.web" in said
    assert [line for line in said.splitlines() if "Unknown" in line and "omero-web" in line] == []


def test_nginx_takes_its_configuration(host):
    assert host.run("nginx -t -q").stderr == ""

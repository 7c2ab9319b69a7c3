"""How the stand-in runs on its host."""

import re

from clients import UNIT

SETTINGS = "/etc/omero-server-stand-in.json"


def test_it_runs_sandboxed(stand_in):
    exposure = stand_in.check_output(f"systemd-analyze security --no-pager {UNIT} | tail -1")
    assert float(re.search(r"level for \S+: ([\d.]+)", exposure)[1]) < 3, exposure
    pid = stand_in.check_output(f"systemctl show --property=MainPID --value {UNIT}")
    assert stand_in.check_output(f"stat --format=%U /proc/{pid}") == "omero-server"


def test_passwords_are_for_the_service_only(stand_in, passwords):
    assert stand_in.file(SETTINGS).mode == 0o640
    assert passwords["researcher"] in stand_in.file(SETTINGS).content_string
    assert stand_in.run(f"runuser -u nobody -- cat {SETTINGS}").rc != 0
    journal = stand_in.check_output(f"journalctl --no-pager --unit={UNIT}")
    assert "listens" in journal
    assert not any(password in journal for password in passwords.values())


def test_it_is_reached_by_tls_and_without(stand_in, host):
    assert [stand_in.socket(f"tcp://0.0.0.0:{port}").is_listening for port in (4063, 4064)] == [True, True]
    address = stand_in.ansible.get_variables()["ansible_host"]
    assert "stand-in for OMERO.server" in host.check_output(
        f"openssl s_client -connect {address}:4064 </dev/null 2>/dev/null | openssl x509 -noout -subject"
    )


def test_it_refuses_aloud_what_it_does_not_know(stand_in, researcher):
    assert researcher.get("/webgateway/render_ome_tiff/i/1/").status_code == 500
    journal = stand_in.check_output(f"journalctl --no-pager --unit={UNIT}")
    assert "FactoryMethods.createExporter is not part of this stand-in for OMERO.server" in journal


def test_no_query_of_these_tests_was_unknown(stand_in):
    """Those of the files before this one."""
    journal = stand_in.check_output(f"journalctl --no-pager --unit={UNIT}")
    assert [line for line in journal.splitlines() if "unknown query" in line] == []

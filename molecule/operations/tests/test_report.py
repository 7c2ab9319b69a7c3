"""The report of a fleet: written on the controller, of a host that is in order or down and one that is not there."""

import json
import time

import pytest
from browser import browser_of
from conftest import INVENTORY

SCREENSHOTS = INVENTORY.with_name("screenshots")
PLAYBOOK = "playbooks/status.yml"
SECRET = "hunter2-of-mail"


@pytest.fixture
def report(play, tmp_path):
    """Write the report of the host and of one that cannot be reached: exit code, what is printed, page and data."""
    gone, path = tmp_path / "gone.json", tmp_path / "status.html"
    hosts = {"gone": {"ansible_host": "127.0.0.1", "ansible_port": 9}}
    gone.write_text(json.dumps({"omero_web": {"hosts": hosts}}))

    def report(**variables):
        code, output = play(PLAYBOOK, "-i", gone, omero_web_status_report=str(path), **variables)
        return code, " ".join(output.split()), path, json.loads(path.with_suffix(".json").read_text())

    return report


def show(path):
    """Keep what the page looks like, and return its text."""
    with browser_of("http://nowhere.invalid") as browser:
        for name, width, scheme in ("desktop", 1000, "light"), ("phone", 390, "dark"):
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page = context.new_page()
            page.goto(path.as_uri())
            page.screenshot(path=SCREENSHOTS / f"status-{name}.png", full_page=True)
            assert page.evaluate("document.documentElement.scrollWidth") == width
            text = page.inner_text("body")
            context.close()
    return text


def test_report_names_who_cannot_be_reached(report, host):
    name = host.check_output("hostname")
    code, output, path, data = report()
    sentence = "Of 2 sites, 1 could not be asked and 1 is in order."
    assert code == 2
    assert f"{sentence} The report is {path}." in output
    assert (data["verdict"], data["says"], set(data["hosts"])) == ("unknown", sentence, {"gone", name})
    assert data["hosts"][name]["drift"] == []
    assert "it cannot be reached: Failed to connect" in data["hosts"]["gone"]["findings"][0]["what"]
    text = show(path)
    assert text.startswith(sentence)
    assert "it cannot be reached: Failed to connect" in text
    assert f"OMERO.web {data['hosts'][name]['release']} as generation" in text


def test_report_of_a_site_that_is_down(report, host, stopped_server):
    code, output, path, data = report(omero_web_workers=2)
    assert code == 2
    assert data["says"] == "Of 2 sites, 1 is down and 1 could not be asked."
    text = show(path)
    for words in "nobody can log in there", "start it, or open the way to it", "put generation", "OMERO.web takes":
        assert words in text


def test_report_shows_no_secret(report, play, host, basedir):
    code, output = play(omero_web_secrets={"omero.web.email_host_password": SECRET})
    assert code == 0, output
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    line = f"{stamp},001 ERROR [ omeroweb.views] (proc.00071) handler500:1 <b>no {SECRET}</b>"
    host.check_output("echo %s > %s/var/log/OMEROweb.log", line, basedir)
    try:
        _, output, path, _ = report()
        assert "<b>no ********</b>" in show(path)
        for content in output, path.read_text(), path.with_suffix(".json").read_text():
            assert SECRET not in content
    finally:
        host.check_output(": > %s/var/log/OMEROweb.log", basedir)
        code, output = play()
        assert code == 0, output


def test_report_that_cannot_be_written(play, host, tmp_path):
    path = tmp_path / "nowhere/status.html"
    code, output = play(PLAYBOOK, omero_web_status_report=str(path))
    words = " ".join(output.split())
    assert code == 2
    assert f"The report cannot be written to {path}: No such file or directory." in words
    assert f"OMERO.web on {host.check_output('hostname')}: ok" in words, "it is told all the same"

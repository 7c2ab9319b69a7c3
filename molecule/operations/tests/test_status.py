"""The state of a site: what goes wrong is named with what to do, and once that is done the site is in order again.

docs/troubleshooting.md has the same table.
"""

import json
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import URLError

import pytest
import yaml
from conftest import wait_until
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

# What asking for the state is not to change.
UNITS_AND_FILES = (
    "systemctl list-units --all --plain --no-legend 'omero-web*' nginx.service; "
    "ls -lR --full-time /opt/omero/web/generations /etc/nginx"
)
SYMPTOMS = yaml.safe_load(Path(__file__).with_name("symptoms.yml").read_text())


def filled(text, names):
    """A script with what is known of the live generation. It may have other braces, too."""
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text or "true"


def certificate(days):
    """A certificate that ends in so many days, or has ended, with its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    ends = datetime.now(UTC) + timedelta(days=days)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=30))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (made.public_bytes(Encoding.PEM) + plain).decode()


@pytest.fixture(scope="module")
def status(host):
    """What the command says: its exit code, its verdict and what it finds."""

    def status():
        done = host.run("omero-web status --json")
        found = json.loads(done.stdout)
        return done.rc, found["verdict"], found["findings"]

    return status


@pytest.fixture(scope="module")
def in_order(status, host, live):
    """Check that the status finds nothing, once nothing of the day is left over; at first and after each symptom."""
    logs = "/opt/omero/web/var/log/OMEROweb.log /var/log/nginx/omero-web.error.log"

    def finds_nothing():
        host.check_output(f"journalctl --quiet --rotate --vacuum-time=1s; truncate --size=0 {logs}")
        return status() == (0, "ok", [])

    def in_order():
        host.check_output("systemctl restart omero-web@%s.service", str(live()))
        wait_until(finds_nothing)

    in_order()
    return in_order


@pytest.fixture
def page(login):
    """How the site answers for its login page, 0 if it cannot be reached."""

    def page():
        try:
            return login().status
        except URLError:
            return 0

    return page


@pytest.fixture(scope="module")
def site_as(play):
    """Change the site, unless it is so since the last symptom; in the end it is as the scenario has it."""
    now = {}

    def site_as(fails=False, **variables):
        if fails or variables != now:
            code, output = play(**variables)
            assert (code != 0) is fails, output
            now.clear()
            now.update(variables)

    yield site_as
    site_as()


@pytest.fixture(params=SYMPTOMS, ids=[symptom["says"].partition(" {")[0] for symptom in SYMPTOMS])
def symptom(request, site_as, in_order):
    """What goes wrong, on a site that is as it has to be for that."""
    fails = request.param.get("fails", False)
    site_as(fails, **request.param.get("with", {}))
    yield request.param
    if not fails:
        in_order()


def test_status_changes_nothing_and_shows_no_secret(host, in_order, variables):
    before = host.check_output(UNITS_AND_FILES)
    shown = host.check_output("omero-web status; omero-web status --json")
    assert host.check_output(UNITS_AND_FILES) == before
    assert shown.startswith("OMERO.web on operations-bookworm: ok\n")
    for secret in variables["omero_web_secrets"].values():
        assert secret not in shown


def test_status_of_all_hosts(play, host, in_order, live):
    code, output = play("playbooks/status.yml", omero_web_config={"omero.web.ping_interval": 67654})
    words = " ".join(output.split())
    assert code == 0, output
    assert "OMERO.web on operations-bookworm: ok" in words
    assert re.search(r"make generation (\d+); put generation \1 live", words)
    assert "changed=0" in output
    unit = f"omero-web@{live()}.service"
    host.check_output(f"systemctl stop {unit}")
    try:
        code, output = play("playbooks/status.yml")
        assert not host.service(unit).is_running, "nobody asked for a page"
    finally:
        host.check_output(f"systemctl start {unit}")
    assert code == 2
    assert f"{unit} is inactive, until somebody asks for a page" in " ".join(output.split())


def test_symptom(symptom, host, live, basedir, status, page):
    release = host.check_output("readlink --canonicalize %s/current/release", basedir)
    names = {"number": live(), "release": release, "certificate": certificate(symptom.get("days", 0))}
    says = filled(symptom["says"], names)
    host.check_output(filled(symptom["breaks"], names))
    try:
        # Some are logged a little later.
        with suppress(AssertionError):
            wait_until(lambda: any(finding["what"].startswith(says) for finding in status()[2]), seconds=40)
        code, verdict, findings = status()
        answered = symptom["page"] is None or page() == symptom["page"]
    finally:
        host.check_output(filled(symptom.get("mends", symptom["do"]), names))
    assert [finding["what"][: len(says)] for finding in findings] == [says]
    assert findings[0]["remedy"] == symptom["do"]
    assert (code, verdict) == ({"attention": 1, "down": 2}[symptom["level"]], symptom["level"])
    assert answered

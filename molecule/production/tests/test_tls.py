"""TLS of a site in production, as a scanner sees it: by Mozilla's recommendation for servers of everybody."""

import subprocess

import pytest
from sslyze import (
    CertificateInfoExtraArgument,
    ScanCommandsExtraArguments,
    Scanner,
    ServerNetworkLocation,
    ServerScanRequest,
)
from sslyze.mozilla_tls_profile.tls_config_checker import (
    MozillaTlsConfiguration,
    ServerNotCompliantWithTlsConfiguration,
    TlsConfigurationEnum,
    check_server_against_tls_configuration,
)

INTERMEDIATE = MozillaTlsConfiguration.get(TlsConfigurationEnum.MOZILLA_INTERMEDIATE)
# What is said of every certificate that a host issues to itself, for years.
OF_SELF_SIGNED = {"certificate_path_validation", "maximum_certificate_lifespan"}
EXTENSIONS = """
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:false
extendedKeyUsage = serverAuth
authorityKeyIdentifier = keyid
subjectAltName = DNS:{name}
"""


@pytest.fixture(scope="module")
def name(variables):
    return variables["omero_web_server_names"][0]


@pytest.fixture
def scan(variables, name):
    """Let sslyze try everything that it knows, trusting an authority of certificates besides."""

    def scan(authority=None):
        location = ServerNetworkLocation(name, variables["omero_web_https_port"], ip_address=variables["ansible_host"])
        trust = ScanCommandsExtraArguments(authority and CertificateInfoExtraArgument(authority))
        scanner = Scanner()
        scanner.queue_scans([ServerScanRequest(location, scan_commands_extra_arguments=trust)])
        return next(scanner.get_results())

    return scan


@pytest.fixture
def authority(tmp_path, name):
    """The file of an authority's certificate, and those of the site's certificate and its key, issued for 90 days."""
    config = tmp_path / "openssl.conf"
    config.write_text(EXTENSIONS.format(name=name))

    def issue(subject, kind, days, *by):
        certificate, key = tmp_path / f"{subject}.pem", tmp_path / f"{subject}.key"
        command = ["openssl", "req", "-x509", "-config", config, "-extensions", kind, "-subj", f"/CN={subject}", *by]
        output = ["-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", str(days)]
        subprocess.run([*command, *output], check=True, capture_output=True)
        return certificate, key

    certificate, key = issue("authority", "authority", 1000)
    return certificate, *issue(name, "server", 90, "-CA", certificate, "-CAkey", key)


def findings(result):
    found = set()
    if result.scan_result.session_renegotiation.result.is_vulnerable_to_client_renegotiation_dos:
        found.add("client_renegotiation_dos")
    try:
        check_server_against_tls_configuration(result, INTERMEDIATE)
    except ServerNotCompliantWithTlsConfiguration as error:
        found |= error.issues.keys()
    return found


def test_a_self_signed_certificate_is_all_that_a_scanner_finds(scan):
    assert findings(scan()) == OF_SELF_SIGNED


def test_with_a_certificate_that_was_issued_a_scanner_finds_nothing(play, scan, authority):
    trusted, certificate, key = authority
    code, output = play(omero_web_tls_certificate=certificate.read_text(), omero_web_tls_key=key.read_text())
    assert code == 0, output
    try:
        result = scan(trusted)
    finally:
        code, output = play()
    assert code == 0, output
    assert findings(result) == set()
    hsts = result.scan_result.http_headers.result.strict_transport_security_header
    assert hsts.max_age >= INTERMEDIATE.hsts_min_age

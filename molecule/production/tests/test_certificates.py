"""Certificates: given as text or as files, changed, renewed and wrong, and no request that fails meanwhile."""

import ssl

import pytest
from conftest import fault, wait_until

LIVE = "/etc/letsencrypt/live/omero-web.example.org"
HOOK = "/etc/letsencrypt/renewal-hooks/deploy/reload-nginx-for-omero-web"


@pytest.fixture
def served(variables):
    """Tell the certificate that users are shown."""
    return lambda: ssl.get_server_certificate((variables["ansible_host"], variables["omero_web_https_port"]))


@pytest.fixture
def put(host):
    """Leave a certificate and its key on the host, as certbot does."""

    def put(certificate, key):
        for name, text in ("fullchain", certificate), ("privkey", key):
            host.check_output(f"echo '{text}' | install -D -m 600 /dev/stdin {LIVE}/{name}.pem")

    return put


def test_certificate_as_text(play, host, load, issue, served, login):
    certificate, key = issue("text")
    with load("a changed certificate") as users:
        code, output = play("playbooks/site.yml", "-vvvv", omero_web_tls_certificate=certificate, omero_web_tls_key=key)
    assert code == 0, output
    assert users.failures == []
    assert users.download.is_complete, users.download.error
    assert served() == certificate
    assert login().headers["Strict-Transport-Security"] == "max-age=63072000"
    line = key.splitlines()[1]
    assert line not in output
    # Not to the letter, for sudo logs this command.
    found = host.check_output("grep -rls -e %s /etc /opt /run /tmp /var || true", f"[{line[0]}]{line[1:]}").split()
    assert found
    for path in map(host.file, found):
        assert (path.user, path.group, path.mode) == ("root", "root", 0o600), path


@fault("a certificate that does not fit its key", "nothing", "nginx's own words; the certificate before it is back")
def test_certificate_that_does_not_fit_its_key(refused, live, issue, served):
    before = live(), served()
    refused("key values mismatch", omero_web_tls_certificate=issue("one")[0], omero_web_tls_key=issue("other")[1])
    assert (live(), served()) == before


def test_certificate_that_is_renewed(play, host, put, issue, served):
    certificate, key = issue("first")
    put(certificate, key)
    paths = {"omero_web_tls_certificate": f"{LIVE}/fullchain.pem", "omero_web_tls_key": f"{LIVE}/privkey.pem"}
    code, output = play(**paths)
    assert code == 0, output
    assert served() == certificate
    certificate, key = issue("renewed")
    put(certificate, key)
    host.check_output(HOOK)
    wait_until(lambda: served() == certificate)
    code, output = play(**paths)
    assert "changed=0" in output, output


def test_certificate_for_trials_again(play, served, host):
    code, output = play()
    assert code == 0, output
    assert served() in host.check_output("cat /opt/omero/web/self-signed.pem") + "\n"

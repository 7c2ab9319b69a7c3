"""What the state of a site says of those whom it needs: OMERO.server, Redis, and TLS with its certificate."""

import json

import pytest
from conftest import wait_until

# Somebody at OMERO.server's port who greets as SSH does.
ANOTHER = """systemd-run --unit=another --collect --quiet python3 -c '
import socketserver
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"SSH-2.0-another")
socketserver.TCPServer.allow_reuse_address = True
socketserver.TCPServer(("", 4063), Handler).serve_forever()
'"""


@pytest.fixture
def status(host):
    """What the command says: its exit code, and all that it knows."""

    def status():
        done = host.run("omero-web status --json")
        return done.rc, json.loads(done.stdout)

    return status


@pytest.fixture
def deploy(play):
    """Deploy with other variables, until the end of the test."""

    def deploy(**variables):
        code, output = play(**variables)
        assert code == 0, output

    yield deploy
    deploy()


def causes(found):
    return [(one["level"], one["what"]) for one in found["findings"]]


def test_who_is_an_omero_server(status, host, stopped_server):
    host.check_output(ANOTHER)
    try:
        wait_until(lambda: host.socket("tcp://0.0.0.0:4063").is_listening)
        code, found = status()
    finally:
        host.check_output("systemctl stop another")
    sentence = (
        "what listens at tcp://localhost, port 4063, is no OMERO.server (it does not greet as an OMERO.server does): "
        "nobody can log in at Stand-in"
    )
    assert (code, causes(found)) == (2, [("down", sentence)])


def test_omero_server_by_tls(status, deploy):
    deploy(omero_web_servers=[{"name": "Plain", "host": "tcp://localhost"}, {"name": "TLS", "host": "localhost"}])
    code, found = status()
    assert (code, causes(found)) == (0, [])
    assert [(one["name"], one["port"], one["reason"]) for one in found["servers"]] == [
        ("Plain", 4063, ""),
        ("TLS", 4064, ""),
    ]


def test_tls_and_the_names_of_its_certificate(status, deploy, host, basedir):
    # It is for the first name that the site has when it is made.
    host.check_output("rm -f %s/self-signed.pem", basedir)
    deploy(omero_web_tls_certificate="self-signed", omero_web_server_names=["a.example.org", "b.example.org"])
    code, found = status()
    assert (code, causes(found)) == (
        1,
        [("attention", "the certificate is not for b.example.org: browsers refuse the site there")],
    )
    assert found["tls"]["version"].startswith("TLSv1.")
    assert (found["tls"]["reason"], found["tls"]["where"]) == ("", "127.0.0.1:443")
    assert "  TLS        TLSv1." in "\n".join(found["summary"])


def test_redis_of_the_sessions(status, host):
    code, found = status()
    where = "/run/omero-web-redis/redis.sock"
    assert (code, causes(found), found["store"]) == (0, [], {"where": where, "reason": ""})
    host.check_output("systemctl stop omero-web-redis.service")
    try:
        code, found = status()
    finally:
        host.check_output("systemctl start omero-web-redis.service")
    sentence = f"the Redis of the sessions at {where} cannot be used (No such file or directory):"
    assert code == 2
    assert [level for level, what in causes(found) if what.startswith(sentence)] == ["down"]
    assert "systemctl start omero-web-redis.service" in [one["remedy"] for one in found["findings"]]
    assert status()[0] == 0

"""What goes to a public forum has all that helpers ask for, and nothing that is secret."""

import json

import pytest

PLANTED = {
    "a_log": "8c7c2b1e-5b52-4a07-9b9e-0e3b4b0f4c11",
    "a_cookie": "sessionid=planted-cookie",
    "a_url": "https://ann:planted-password@example.org/",
    "an_address": "client: 203.0.113.77, server",
}
OTHER_SITE = 'server { listen 8081; server_name wiki; location / { proxy_set_header Cookie "planted-header"; } }'


@pytest.fixture
def bundled(host):
    """The texts of a bundle by name, where secrets lie about."""
    log = "\n".join(f"ERROR [planted] {what}" for what in PLANTED.values())
    host.check_output("echo %s > /etc/nginx/conf.d/wiki.conf; echo %s >> /opt/omero/web/var/log/OMEROweb.log",
                      OTHER_SITE, log)  # fmt: skip
    host.check_output("omero-web maintenance on --text planted")
    try:
        says = host.check_output("cd /root && omero-web bundle bundle.tar.gz")
        assert says.startswith("/root/bundle.tar.gz has what helpers want to know, without secrets")
        assert host.file("/root/bundle.tar.gz").mode == 0o600
        token = json.loads(host.check_output("cat /opt/omero/web/maintenance/state.json"))["token"]
        names = host.check_output("tar -tzf /root/bundle.tar.gz").splitlines()
        texts = {name.partition("/")[2]: host.check_output("tar -xOzf /root/bundle.tar.gz %s", name) for name in names}
    finally:
        host.check_output("omero-web maintenance off; rm -f /root/bundle.tar.gz /etc/nginx/conf.d/wiki.conf")
    return texts, token


def test_bundle_has_what_helpers_ask_for_and_no_secret(bundled, host, variables, version):
    texts, token = bundled
    key = host.check_output("cat /opt/omero/web/var/django_secret_key")
    secrets = [str(secret) for secret in variables["omero_web_secrets"].values()]
    planted = [*secrets, key, token, "8c7c2b1e", "planted-cookie", "planted-password", "203.0.113.77", "planted-header"]
    assert secrets
    assert [(name, secret) for name, text in texts.items() for secret in planted if secret in text] == []
    has = {
        "README.txt": "look through it before you give it to others",
        "status.txt": "the site is closed for users",
        "status.json": '"verdict": "attention"',
        "history.txt": "put generation 1 live",
        "packages.txt": f"omero_web {version}",
        "configuration.txt": "omero.web.server_list=",
        "diff.txt": "",
        "logs.txt": "ERROR [planted] ********",
        "units.txt": "ExecStart=",
        "nginx.txt": "server_name wiki;",
        "host.txt": "PRETTY_NAME=",
    }
    assert texts.keys() == has.keys()
    assert [name for name, text in has.items() if text not in texts[name]] == []

"""The logs of a site on another host, as docs/production.md tells. Here that is the same one, reached by its name."""

import re

import pytest
from conftest import PROJECT, exhaustive, wait_until

PAGE = (PROJECT / "docs/production.md").read_text().partition("\n## Logs on another host\n")[2].partition("\n## ")[0]
FILES = dict(re.findall(r"(?ms)^```ini\n# (\S+)\n(.*?)^```$", PAGE))
RECEIVE, SEND, READ = re.findall(r"^    (systemctl .*)|`(journalctl .*?)`", PAGE, re.M)
RECEIVE, SEND, READ = ("".join(found) for found in (RECEIVE, SEND, READ))
(REQUESTS,) = re.findall(r"^    omero_web_nginx_server: (.*)", PAGE, re.M)
DIRECTORY = "/etc/systemd"
CERTIFICATES = f"""
set -e; cd {DIRECTORY}; umask 077
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout authority.key -out journal-authority.pem
for name in journal-upload journal-remote; do
    openssl req -new -newkey rsa:2048 -nodes -subj /CN=logs.example.org -keyout $name.key -out $name.csr
    echo subjectAltName=DNS:logs.example.org > extensions
    openssl x509 -req -days 2 -in $name.csr -CA journal-authority.pem -CAkey authority.key -CAcreateserial \
        -extfile extensions -out $name.pem
done
chmod 644 *.pem; chmod 640 *.key
chgrp systemd-journal journal-upload.key; chgrp systemd-journal-remote journal-remote.key
"""


@pytest.fixture
def shipping(host, play):
    """Logs are sent, and the host that receives them is there."""
    code, output = play(omero_web_nginx_server=REQUESTS)
    assert code == 0, output
    host.check_output("apt-get install --yes --no-install-recommends systemd-journal-remote openssl")
    host.check_output("echo 127.0.0.1 logs.example.org >> /etc/hosts")
    host.check_output(CERTIFICATES)
    for path, text in FILES.items():
        host.check_output("echo %s | install -D -m 644 /dev/stdin %s", text, path)
    host.check_output(f"systemctl daemon-reload; {RECEIVE}; {SEND}")
    yield
    host.check_output(
        "systemctl disable --now systemd-journal-upload log-of-omero-web systemd-journal-remote.socket "
        "systemd-journal-remote.service; apt-get purge --yes systemd-journal-remote; "
        f"rm -rf {' '.join(FILES)} {DIRECTORY}/journal-*.pem {DIRECTORY}/journal-*.key /var/log/journal/remote"
    )


@exhaustive
def test_logs_arrive_on_another_host(host, shipping, ask, login):
    def arrived(identifier):
        return host.run(f"{READ} --quiet --output=cat --identifier={identifier}").stdout

    def note(name):
        # OMERO.web notes a form without its token.
        assert ask(f"/webclient/login/?note={name}", post=b"").status == 403

    def has(name):
        return f"note={name}" in arrived("omero_web_requests") and "Forbidden (CSRF" in arrived("OMEROweb")

    note("first")
    wait_until(lambda: has("first"))
    ask("/webclient/login/?password=hunter2&note=secret")
    note("second")
    wait_until(lambda: "note=second" in arrived("omero_web_requests"))
    assert "hunter2" not in arrived("omero_web_requests")

    before = arrived("OMEROweb").count("Forbidden (CSRF")
    host.check_output("systemctl stop systemd-journal-remote.socket systemd-journal-remote.service")
    host.check_output("logrotate --force /etc/logrotate.d/omero-web-logs")
    note("away")
    # More often than systemd starts a unit in vain that has nothing of its own about it.
    wait_until(lambda: int(host.check_output("systemctl show -P NRestarts systemd-journal-upload")) > 5)
    host.check_output("systemctl start systemd-journal-remote.socket")
    wait_until(lambda: arrived("OMEROweb").count("Forbidden (CSRF") > before)
    host.check_output("systemctl restart omero-web.target")
    wait_until(lambda: "Listening at" in host.run(f"{READ} --quiet --output=cat --unit='omero-web@*'").stdout)

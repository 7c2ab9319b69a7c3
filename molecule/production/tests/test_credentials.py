"""Credentials in the addresses of packages: pip has them, and nobody sees them."""

import socket
import subprocess
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from conftest import INVENTORY, exhaustive

WHEEL = "omero_test_app-1.0-py2.py3-none-any.whl"
ICE_WHEEL = "zeroc_ice-3.6.5-cp311-cp311-linux_x86_64.whl"
TOKEN = "wrong-horse-battery-staple"


class Packages(BaseHTTPRequestHandler):
    """Hands out wheels to whoever has the token, and takes down every command line while somebody is waiting."""

    def do_GET(self):
        self.server.command_lines += subprocess.check_output(["ps", "-e", "-ww", "-o", "args="], text=True).splitlines()
        path, _, query = self.path.partition("?")
        basic = f"Basic {b64encode(b'deploy:' + TOKEN.encode()).decode()}"
        if self.headers["Authorization"] != basic and query != f"token={TOKEN}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()
            return
        wheel = self.server.wheels.get(path.rpartition("/")[2])
        self.server.asked_for += [wheel.name] if wheel else []
        self.send_response(200)
        self.send_header("Content-Type", "application/zip" if wheel else "text/html")
        self.end_headers()
        page = f'<a href="{WHEEL}">{WHEEL}</a>'.encode()
        self.wfile.write(wheel.read_bytes() if wheel else page)

    def log_message(self, *_):
        pass


@pytest.fixture
def packages(variables):
    """A server of packages on this machine, at an address that the host reaches."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as towards_host:
        towards_host.connect((variables["ansible_host"], 9))
        address = towards_host.getsockname()[0]
    (ice_wheel,) = Path(variables["omero_web_wheel_cache"]).expanduser().glob(f"debian-12-*/{ICE_WHEEL}")
    with ThreadingHTTPServer((address, 0), Packages) as server:
        server.command_lines, server.asked_for = [], []
        server.wheels = {WHEEL: INVENTORY.with_name(WHEEL), ICE_WHEEL: ice_wheel}
        Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


@exhaustive
def test_credentials_of_packages_are_shown_nowhere(play, refused, host, packages):
    def variables(token):
        host_and_port = "{}:{}".format(*packages.server_address)
        url = f"http://deploy:{token}@{host_and_port}"
        return {
            "omero_web_packages": [f"omero-test-app @ {url}/{WHEEL}"],
            "omero_web_ice_wheel": f"http://{host_and_port}/{ICE_WHEEL}?token={token}",
            "omero_web_pip_extra_args": f"--find-links {url}/ --trusted-host {host_and_port}",
        }

    code, output = play("playbooks/site.yml", "--diff", "-vvvv", **variables(TOKEN))
    assert code == 0, output
    assert {WHEEL, ICE_WHEEL} <= set(packages.asked_for)
    assert any("pip download" in line for line in packages.command_lines)
    assert [line for line in packages.command_lines if TOKEN in line] == []
    assert TOKEN not in output
    assert TOKEN not in host.check_output("journalctl --no-pager")
    # Not to the letter, for sudo logs this command.
    assert host.run("grep -rls -e %s /etc /opt /root /run /tmp /var", TOKEN.replace("-", "[-]")).stdout == ""
    code, output = play(**variables("another-token"))
    assert "changed=0" in output, "a new token is no other release"
    elsewhere = variables("another-token")["omero_web_ice_wheel"].replace("/zeroc", "/elsewhere/zeroc")
    shown = elsewhere.replace("another-token", "********")
    refused(f"omero_web_ice_wheel is {shown}, which cannot be downloaded: ", omero_web_ice_wheel=elsewhere)
    code, output = play()
    assert code == 0, output

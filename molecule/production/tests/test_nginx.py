"""What nginx does for a site in production, beyond passing requests on."""

import json
import socket
import ssl
from urllib.parse import urlsplit

import pytest
from conftest import wait_until
from traffic import UNVERIFIED

LOGIN = "/omero/webclient/login/"
PLAIN = "http://{ansible_host}:{omero_web_http_port}"


@pytest.fixture(scope="module")
def ask_plainly(ask, variables):
    """Ask without TLS."""
    return lambda path, **options: ask(PLAIN.format(**variables) + path, **options)


@pytest.fixture(scope="module")
def base_url(ask):
    """Where OMERO.web says that its API is, as it believes that users see it."""
    return lambda **headers: json.loads(ask("/omero/api/", **headers).body)["data"][0]["url:base"]


def test_http_leads_to_https(ask_plainly, variables):
    answer = ask_plainly("/omero/webclient/?show=image-1")
    assert answer.status == 301
    assert answer.headers["Location"] == f"https://{variables['ansible_host']}/omero/webclient/?show=image-1"


@pytest.mark.parametrize("path, most", [("/webclient/", 2**32), ("/webclient/login/", 2**16)])
def test_uploads_have_a_limit(announce, path, most):
    assert announce(path, most + 1) == 413


def test_http_2(variables):
    context = ssl._create_unverified_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection((variables["ansible_host"], variables["omero_web_https_port"])) as connection:
        assert context.wrap_socket(connection).selected_alpn_protocol() == "h2"


@pytest.mark.parametrize("port", ["omero_web_http_port", "omero_web_https_port"])
def test_ipv6(host, variables, port):
    assert host.socket(f"tcp://:::{variables[port]}").is_listening


@pytest.mark.parametrize("path", ["/", "/omero"])
def test_the_prefix_is_found(ask, path):
    answer = ask(path)
    assert (answer.status, answer.headers["Location"]) == (302, "/omero/")


def test_cookies_are_for_tls_alone_and_for_each_portal_others(ask):
    cookies = [set(cookie.split("; ")) for cookie in ask(LOGIN).headers.get_all("Set-Cookie")]
    assert cookies
    assert [cookie for cookie in cookies if not cookie > {"Secure", "SameSite=None", "Partitioned"}] == []


@pytest.mark.parametrize("path", [LOGIN, "/static/webgateway/css/ome.login.css", "/metrics", "/omero/nothing"])
def test_headers_are_on_every_answer(ask, path):
    headers = ask(path).headers
    assert headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Server"] == "nginx"
    assert "Strict-Transport-Security" not in headers, "browsers would never forgive a certificate that is for trials"


def test_proxies_that_are_trusted_say_who_asks(ask, base_url, variables):
    assert base_url() == f"https://{variables['ansible_host']}/omero/api/v0/"
    assert base_url(**{"X-Forwarded-Host": "images.example.org"}) == "https://images.example.org/omero/api/v0/"
    assert base_url(**{"X-Forwarded-Proto": "http"}).startswith("http://")


def test_others_are_not_believed(host, variables):
    url = f"https://127.0.0.1:{variables['omero_web_https_port']}/omero/api/"
    program = (
        "import ssl, urllib.request as r;"
        f"q = r.Request('{url}', headers={{'X-Forwarded-Host': 'evil.example.org', 'X-Forwarded-Proto': 'http'}});"
        "print(r.urlopen(q, context=ssl._create_unverified_context()).read().decode())"
    )
    assert url in host.check_output("python3 -c %s", program)


def test_attempts_to_log_in_are_limited(ask, variables):
    def attempt(client):
        return ask(LOGIN, post=b"username=somebody", **{"X-Forwarded-For": client})

    limit = variables["omero_web_logins_per_minute"]
    attempts = [attempt("192.0.2.1") for _ in range(limit + 6)]
    assert {answer.status for answer in attempts[: limit + 1]} == {403}, "OMERO.web misses its CSRF token"
    assert attempts[-1].status == 429
    assert b"Too many attempts to log in" in attempts[-1].body
    assert attempt("192.0.2.2").status == 403, "somebody else"
    assert ask(LOGIN, **{"X-Forwarded-For": "192.0.2.1"}).status == 200, "only attempts are limited"


def test_metrics_are_not_for_everybody(ask):
    for path in "/metrics", "/django_prometheus/metrics", "/admin/":
        assert ask(f"/omero{path}").status == 403


def test_health_is_that_of_omero_web(host, ask, ask_plainly):
    def health():
        return {ask("/healthz").status, ask_plainly("/healthz").status}

    assert health() == {200}
    host.check_output("systemctl stop omero-web.target")
    try:
        wait_until(lambda: health() <= {502, 503})
    finally:
        host.check_output("systemctl start omero-web.target")
        wait_until(lambda: health() == {200})


def test_hooks_and_a_template_of_the_sites_own(ask):
    assert ask("/publication/42").body == b"publication: 1"
    assert ask("/own/").status == 204


def test_access_log_is_json(host, ask):
    ask("/omero/webclient/login/?who=reader", **{"User-Agent": 'with "quotes"'})
    lines = host.check_output("cat /var/log/nginx/omero-web.access.log").splitlines()
    entry = next(entry for entry in map(json.loads, reversed(lines)) if entry["uri"].endswith("?who=reader"))
    assert entry["status"] == 200
    assert entry["user_agent"] == 'with "quotes"'
    assert float(entry["seconds"]) > 0
    assert float(entry["upstream_seconds"]) > 0


def test_proof_for_those_who_issue_certificates(host, basedir, ask, ask_plainly):
    token = "/.well-known/acme-challenge/token"
    host.check_output(f"echo proof | install -D -m 644 /dev/stdin {basedir}/acme{token}")
    try:
        assert ask(token).body == ask_plainly(token).body == b"proof\n"
    finally:
        host.check_output(f"rm -r {basedir}/acme/.well-known")


def test_websockets(variables, site):
    """Who asks for one gets through to OMERO.web, whose apps may have some."""
    address = variables["ansible_host"], variables["omero_web_https_port"]
    with UNVERIFIED.wrap_socket(socket.create_connection(address)) as connection:
        connection.sendall(
            f"GET /omero/omero_test_app/headers/ HTTP/1.1\r\nHost: {urlsplit(site).netloc}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode()
        )
        connection.settimeout(30)
        answer = b""
        while b"}" not in answer:
            answer += connection.recv(4096)
    assert b'"HTTP_UPGRADE": "websocket"' in answer


def test_logs_are_rotated_and_written_on(host, basedir, ask):
    log = f"{basedir}/var/log/OMEROweb.log"
    before = host.file(log).size
    assert before > 0
    host.check_output("logrotate --force /etc/logrotate.d/omero-web-logs")
    assert host.file(f"{log}.1").size >= before
    ask(LOGIN, post=b"")  # OMERO.web notes a form without its token.
    wait_until(lambda: 0 < host.file(log).size < before)
    assert (host.file(log).user, host.file(log).group) == ("omero-web", "omero-web")

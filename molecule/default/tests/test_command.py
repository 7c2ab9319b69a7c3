"""The command omero-web on its host: the site is closed for maintenance, and what is logged is shown as one."""

import re
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

OPEN = "The site is open."
# From the host itself, with a header: the status of the answer.
ASKING = """python3 -c "
import http.client, sys
connection = http.client.HTTPConnection('127.0.0.1')
connection.request('GET', '/webclient/login/', headers=dict([sys.argv[1:]]) if sys.argv[1:] else {})
print(connection.getresponse().status)" """


@pytest.fixture
def maintenance(host):
    """Close the site, or open it; whatever happened, it is open in the end."""
    yield lambda words: host.check_output(f"omero-web maintenance {words}")
    assert host.check_output("omero-web maintenance off") == OPEN


def test_users_are_told_that_the_site_is_closed(maintenance, host, ask, login, play, live):
    says = maintenance('on --until 18:00 --text "<b>Pixels & planes</b> cost \\$host \\"0\\""')
    assert re.match(r"The site is closed until 18:00, since \S+, by omero-web, by admin on default-bookworm\.", says)
    for answer in login(), login(post=b"x"), ask("/webclient/?show=image-1"), ask("/static/webclient/css/layout.css"):
        assert (answer.status, answer.headers["Retry-After"]) == (503, "600")
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    page = login().body.decode()
    assert "<h1>OMERO.web is closed for maintenance until 18:00</h1>" in page
    assert "<p>&#60;b&#62;Pixels &#38; planes&#60;/b&#62; cost &#36;host &#34;0&#34;</p>" in page
    assert ask("/.well-known/acme-challenge/x").status == 404
    # It is deployed as ever, and stays closed.
    before = live()
    code, output = play(omero_web_config={"omero.web.ping_interval": 65432})
    assert code == 0, output
    assert "default-bookworm is closed for users until 18:00, since " in " ".join(output.split())
    host.check_output("systemctl restart nginx")
    assert live() != before
    assert login().status == 503
    assert maintenance("off") == OPEN
    assert login().status == 200
    code, output = play()
    assert code == 0, output
    assert "is closed for users" not in output


def test_who_is_let_through_where_the_site_is_closed(maintenance, host, ask, login, variables):
    way = re.search(r"Whoever opens (\S+) there gets through", maintenance("on"))[1]
    answer = ask(way)
    assert (answer.status, answer.headers["Location"]) == (302, "/")
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    assert (login(Cookie=cookie).status, login(Cookie=cookie + "x").status, login().status) == (200, 503, 503)
    assert ask(way[:-1]).status == 503
    with socket.create_connection((variables["ansible_host"], 22)) as connection:
        own = connection.getsockname()[0]
    assert way in maintenance(f"on --let-through {own}/31 2001:db8::/32"), "who was let in stays so"
    assert (login().status, login(Cookie=cookie).status) == (200, 200)
    # Of the host itself, nobody is let through who comes by a proxy that is there.
    assert host.check_output(ASKING) == "200"
    assert host.check_output(f"{ASKING} X-Forwarded-For 192.0.2.7") == "503"


def test_what_nginx_refuses_changes_nothing(maintenance, host, login):
    for address, sentence in ("somewhere", "somewhere is no address or network"), ("1:2:3", "invalid network"):
        refusal = host.run("omero-web maintenance on --let-through %s", address)
        assert refusal.rc == 1
        assert sentence in refusal.stderr
        assert (host.check_output("omero-web maintenance"), login().status) == (OPEN, 200)


def test_in_what_two_generations_differ(host, play, live, variables):
    before = live()
    change = {"omero.web.ping_interval": 66543, "omero.web.email_host_password": "hunter2"}
    secret = change.popitem()
    code, output = play(omero_web_config=change, omero_web_secrets={**variables["omero_web_secrets"], **dict([secret])})
    assert code == 0, output
    shown = host.check_output("omero-web diff")
    assert shown.splitlines() == [
        "properties:",
        "  +omero.web.email_host_password=********",
        "  +omero.web.ping_interval=66543",
        "secrets that differ: omero.web.email_host_password",
    ]
    code, output = play()
    assert code == 0, output
    after = live()
    assert host.check_output(f"omero-web diff {before} {after}") == f"Generation {after} is as generation {before}."
    assert host.run(f"omero-web diff {after} 99").stderr == "omero-web: there is no generation 99\n"


def test_others_than_root_are_told_nothing_wrong(maintenance, host):
    maintenance("on")
    refusal = host.run("runuser -u nobody -- /usr/local/bin/omero-web maintenance")
    assert (refusal.rc, refusal.stdout, refusal.stderr) == (1, "", "omero-web: run it as root\n")


def test_logs_are_one_stream(host, ask, live):
    number = live()
    with ThreadPoolExecutor() as others:
        following = others.submit(host.run, "timeout 4 omero-web logs -n 0 -f")
        while not following.done():
            ask("/webclient/login/?marked")
        followed = following.result().stdout
    assert re.search(r"^\S{10} \d\d:\d\d:\d\d\.\d{3}  nginx access  .*\?marked HTTP/1.1\" 200 ", followed, re.M)
    host.check_output(f"systemctl restart omero-web@{number}.service")
    shown = host.check_output("omero-web logs -n 1000")
    assert re.search(rf"  omero-web@{number} +Started ", shown)
    assert re.search(r"  nginx access  .*\?marked", shown)
    times = [line[:23] for line in shown.splitlines()]
    assert times == sorted(times)

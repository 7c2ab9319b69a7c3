"""Under which names OMERO.web answers, how often somebody may try to log in, and what logs keep of that."""

import pytest

NAME = "omero.example.org"
ATTEMPTS = """
import http.client, sys
for name in ["p%61ssword"] * int(sys.argv[1]) + ["name"]:
    connection = http.client.HTTPConnection("127.0.0.1")
    connection.request("GET", f"/api/?username=somebody&{name}=anything")
    print(connection.getresponse().status)
"""
LOGS = "/var/log/nginx/omero-web.access.log", "/var/log/nginx/omero-web.error.log"


def test_a_site_that_answers_to_its_name_alone(play, refused, live, ask, login):
    wanted = {"omero_web_config": {"omero.web.allowed_hosts": [NAME]}}
    code, output = play(**wanted)
    assert code == 0, output
    assert login(Host=NAME).status == 200
    assert login().status == 400, "whoever asks by address"
    assert ask("/healthz").status == 200
    before = live()
    refused("Its login page answered 400.", omero_web_server_names=["images.example.org"], **wanted)
    assert live() == before
    code, output = play()
    assert code == 0, output
    assert login().status == 200


def test_logs_of_nginx_are_not_for_everybody(host, play):
    readers = "stat --format='%U %G %a' " + " ".join(LOGS)
    assert host.check_output(readers).splitlines() == ["www-data adm 640"] * 2
    host.check_output("chmod 0644 " + " ".join(LOGS))
    code, output = play()
    assert code == 0, output
    assert host.check_output(readers).splitlines() == ["www-data adm 640"] * 2


@pytest.mark.parametrize("name", ["password", "p%61ssWord", "bsession", "%62session", "new_password"])
def test_the_access_log_has_no_password(host, ask, name):
    page = f"/webclient/feed/?who=reader&{name}=hunter2"
    ask(page, Referer=f"http://{NAME}{page}")
    ask(f"/webclient/feed/?who={name}")
    last = host.check_output("tail -2 %s", LOGS[0]).splitlines()
    assert "GET /webclient/feed/?********" in last[0] and f"http://{NAME}/webclient/feed/?********" in last[0]
    assert "hunter2" not in last[0]
    assert f"GET /webclient/feed/?who={name} HTTP/1.1" in last[1]


def test_passwords_in_a_url_are_attempts_to_log_in(host, variables):
    limit = variables["omero_web_logins_per_minute"]
    # From an address that nobody else logs in from.
    attempts = host.check_output("python3 -c %s %s", ATTEMPTS, str(limit + 5)).split()
    assert attempts[0] == "200"
    assert attempts[-2:] == ["429", "200"], "only attempts are limited"

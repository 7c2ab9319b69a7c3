"""What the role makes of names of packages, of the URL of a Redis and of addresses of OMERO servers."""

from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

NAME = {"_omero_web_name": "omero-web"}
VARS = Path(__file__).parents[2] / "roles/omero-web/vars/main"


def evaluated(expression, topic, **variables):
    """The value of an expression where these variables are set, and what one file of the role's constants says."""
    constants = yaml.safe_load((VARS / f"{topic}.yml").read_text())
    return Templar(DataLoader(), variables={**constants, **variables}).template("{{ " + expression + " }}")


@pytest.mark.parametrize(
    "package, name",
    [
        ("omero_mapr", "omero_mapr"),
        ("omero-figure==8.0.1", "omero_figure"),
        ("omero-figure[export] >= 8; python_version > '3'", "omero_figure"),
        ("omero-figure[export] @ https://me:hunter2@example.org/8.zip", "omero_figure"),
        ("git+https://git.example.org/ome/omero-iviewer.git@v0.19.1#egg=omero", "omero_iviewer"),
        ("https://me:hunter2@example.org/omero-parade-0.2.4.tar.gz", "omero_parade"),
        ("/var/tmp/omero_test_app-1.0-py3-none-any.whl", "omero_test_app"),
    ],
)
def test_name_of_an_app(package, name):
    assert evaluated("_omero_web_app_names", "apps", omero_web_apps=[{"package": package}]) == [name]


def test_apps_keep_their_order_and_what_is_appended_comes_last():
    apps = [
        {"package": "b", "top_links": [["B", "b"]], "viewer": "b.views.index"},
        {"package": "a", "name": "first", "top_links": [["A", "a", {"title": "A"}]], "settings": {"omero.web.a": [1]}},
    ]
    variables = {"omero_web_apps": apps, "omero_web_config_append": {"omero.web.apps": ["last"]}}
    assert evaluated("_omero_web_append", "apps", **variables) == {
        "omero.web.apps": ["b", "first", "last"],
        "omero.web.ui.top_links": [["B", "b"], ["A", "a", {"title": "A"}]],
    }
    settings = {"omero.web.a": [1], "omero.web.viewer.view": "b.views.index"}
    assert evaluated("_omero_web_app_settings", "apps", **variables) == settings


def test_nothing_follows_from_no_apps():
    variables = {"omero_web_apps": [], "omero_web_config_append": {}}
    assert evaluated("_omero_web_append", "apps", **variables) == {}
    assert evaluated("_omero_web_app_settings", "apps", **variables) == {}


@pytest.mark.parametrize(
    "url, location, password",
    [
        ("redis://redis.example.org:6379/0", "redis://redis.example.org:6379/0", ""),
        ("redis://:hunter2@redis.example.org/1", "redis://redis.example.org/1", "hunter2"),
        ("rediss://web:p%40+%25@[::1]:6380/1?a=b", "rediss://web@[::1]:6380/1?a=b", "p@+%"),
        ("unix:///run/redis/redis.sock?db=0", "unix:///run/redis/redis.sock?db=0", ""),
        ("unix://:a:b@/run/redis/redis.sock", "unix:///run/redis/redis.sock", "a:b"),
    ],
)
def test_password_is_kept_apart_from_the_url_of_a_redis(url, location, password):
    variables = {"omero_web_redis": False, "omero_web_redis_url": url, "_omero_web_django": "5.2", **NAME}
    cache = evaluated("_omero_web_redis_cache", "sessions", **variables)
    assert cache["LOCATION"] == location
    assert cache["OPTIONS"].get("PASSWORD", "") == password
    assert cache["KEY_PREFIX"] == "omero-web:django-5.2"


@pytest.mark.parametrize(
    "server, host, port",
    [
        ({"host": "omero.example.org"}, "omero.example.org", 4064),
        ({"host": "omero.example.org", "port": 14064}, "omero.example.org", 14064),
        ({"host": "wss://omero.example.org/omero-ws"}, "wss://omero.example.org/omero-ws", 443),
        ({"host": "ws://omero.example.org/omero-ws", "port": 8080}, "ws://omero.example.org/omero-ws", 8080),
        ({"host": "tcp://192.0.2.10"}, "tcp://192.0.2.10", 4063),
    ],
)
def test_server_has_the_port_of_its_protocol(server, host, port):
    """OMERO.web's own list has a port for each, which its client takes instead of the protocol's."""
    servers = [{"name": "first", **server}, {"name": "second", "host": "192.0.2.11"}]
    found = evaluated("_omero_web_server_list", "settings", omero_web_servers=servers)
    assert found == [[host, port, "first"], ["192.0.2.11", 4064, "second"]]


@pytest.mark.parametrize("host, address", [("0.0.0.0", "0.0.0.0:4080"), ("::1", "[::1]:4080")])
def test_address_where_omero_web_listens(host, address):
    settings = {"omero.web.application_server.host": host}
    assert evaluated("_omero_web_app_address", "settings", _omero_web_settings=settings) == address


@pytest.mark.parametrize(
    "nginx, proxies, arguments, expected",
    [
        (True, ["192.0.2.10"], "", ""),
        (True, [], "--log-level=DEBUG", "--log-level=DEBUG"),
        (False, [], "", ""),
        (False, ["192.0.2.10"], "", "--forwarded-allow-ips=127.0.0.1,::1,192.0.2.10"),
        (False, ["192.0.2.10"], "-k sync", "--forwarded-allow-ips=127.0.0.1,::1,192.0.2.10 -k sync"),
    ],
)
def test_gunicorn_believes_proxies_where_there_is_no_nginx(nginx, proxies, arguments, expected):
    variables = {"omero_web_nginx": nginx, "omero_web_trusted_proxies": proxies, "omero_web_wsgi_args": arguments}
    assert evaluated("_omero_web_wsgi_args", "settings", **variables) == expected


@pytest.mark.parametrize(
    "arguments, sources, others",
    [
        ("--index-url https://me:hunter2@a.org/simple -v", ["--index-url https://me:hunter2@a.org/simple"], "-v"),
        ("-ihttps://me:hunter2@a.org --extra-index-url=https://b.org", None, ""),
        ("-r https://me:hunter2@a.org/r.txt -chttps://a.org/c.txt?token=hunter2", None, ""),
        ("--constraint=https://a.org/c.txt -e git+https://me:hunter2@a.org/app.git", None, ""),
        (
            "--no-cache-dir -r /srv/requirements.txt --retries 3",
            [],
            "--no-cache-dir -r /srv/requirements.txt --retries 3",
        ),
    ],
)
def test_addresses_are_no_part_of_the_command_line_of_pip(arguments, sources, others):
    found = evaluated("_omero_web_pip_sources", "packages", omero_web_pip_extra_args=arguments)
    assert found == (
        arguments.split(" -")[:1] + ["-" + part for part in arguments.split(" -")[1:]] if sources is None else sources
    )
    command = evaluated("_omero_web_pip_install", "packages", omero_web_pip_extra_args=arguments)
    assert (
        command.removeprefix("-m pip install --disable-pip-version-check --requirement /dev/stdin").split()
        == others.split()
    )

"""What the role makes of names of packages and of the URL of a Redis."""

from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

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
    variables = {"omero_web_redis": False, "omero_web_redis_url": url, "_omero_web_django": "5.2"}
    cache = evaluated("_omero_web_redis_cache", "sessions", **variables)
    assert cache["LOCATION"] == location
    assert cache["OPTIONS"].get("PASSWORD", "") == password
    assert cache["KEY_PREFIX"] == "omero-web:django-5.2"

"""In what two generations differ, without a secret."""

import json

import pytest
from ansible.module_utils.omero_web_diff import lines_of_difference
from ansible.module_utils.omero_web_host import Problem

CONFIG = """<icegrid>
  <properties id="__ACTIVE__"><property name="omero.config.profile" value="{profile}"/></properties>
  <properties id="{profile}">{properties}</properties>
  <properties id="other"><property name="omero.web.debug" value="{number}"/></properties>
</icegrid>"""


@pytest.fixture
def make(tmp_path):
    """Make a generation with properties; its directory."""

    def make(number, properties, release="5.33.2-0f3c9a12", profile="default"):
        directory = tmp_path / "generations" / str(number)
        (directory / "etc/grid").mkdir(parents=True)
        lines = "".join(f'<property name="{name}" value="{value}"/>' for name, value in properties.items())
        known = {"profile": profile, "properties": lines, "number": number}
        (directory / "etc/grid/config.xml").write_text(CONFIG.format(**known))
        (directory / "manifest").write_text(json.dumps({"omero_web": release.partition("-")[0]}))
        (directory / "release").symlink_to(f"../../releases/{release}")
        unit = f"[Service]\nWorkingDirectory=/opt/omero/web/generations/{number}\nRuntimeDirectory=omero-web-{number}\n"
        (directory / "omero-web.service").write_text(unit)
        (directory / "tls.pem").write_text("key")
        return directory

    return make


def test_generations_that_are_alike(make, tmp_path):
    make(6, {"omero.web.page_size": 1}, profile="mine")
    make(7, {"omero.web.page_size": 1})
    assert lines_of_difference(str(tmp_path), 6, 7) == []


def test_all_that_can_differ(make, tmp_path):
    cache = "{{&quot;PASSWORD&quot;: &quot;{}&quot;}}"
    old = {"omero.web.page_size": 1, "omero.web.caches": cache.format("hunter2"), "omero.db.pass": 2}
    new = {"omero.web.page_size": 2, "omero.web.caches": cache.format("hunter3"), "omero.db.pass": 2}
    make(6, {**old, "omero.web.url": "redis://:hunter2@x"}, "5.31.1-11111111")
    later = make(7, {**new, "omero.web.url": "redis://:hunter4@x"})
    (later / "omero-web.service").open("a").write("LimitNOFILE=64\n")
    (later / "tls.pem").write_text("another key")
    for release, package in ("5.31.1-11111111", "Django-4.2"), ("5.33.2-0f3c9a12", "django-5.2"):
        top = tmp_path / "releases" / release / "venv/lib/python3.11/site-packages"
        (top / f"{package}.dist-info").mkdir(parents=True)
    assert lines_of_difference(str(tmp_path), 6, 7) == [
        "release:",
        "  -OMERO.web 5.31.1",
        "  -as 5.31.1-11111111",
        "  +OMERO.web 5.33.2",
        "  +as 5.33.2-0f3c9a12",
        "packages:",
        "  -Django 4.2",
        "  +django 5.2",
        "properties:",
        "  -omero.web.page_size=1",
        "  +omero.web.page_size=2",
        "omero-web.service:",
        "   WorkingDirectory=/opt/omero/web/generations/N",
        "   RuntimeDirectory=omero-web-N",
        "  +LimitNOFILE=64",
        "secrets that differ: omero.web.caches, omero.web.url, tls.pem",
    ]


def test_generation_that_is_not_there(make, tmp_path):
    make(6, {})
    with pytest.raises(Problem, match="there is no generation 9"):
        lines_of_difference(str(tmp_path), 6, 9)

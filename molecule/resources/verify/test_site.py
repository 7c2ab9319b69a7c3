"""What the users of a converged host see, in good times and in bad ones."""

import gzip
import re

import pytest
from conftest import wait_until


@pytest.fixture
def stopped_site(host, login):
    host.check_output("systemctl stop omero-web.target")
    try:
        wait_until(lambda: login().status != 200)
        yield
    finally:
        host.check_output("systemctl start --no-block omero-web.target")
        wait_until(lambda: login().status == 200)


@pytest.fixture
def static_file(login):
    """The path of a script that the login page asks for."""
    return re.search(rb'src="(/static/[^"]+\.js)[?"]', login().body)[1].decode()


def test_login_page(login):
    page = login()
    assert page.status == 200
    assert b"OMERO.web" in page.body


def test_static_files_come_compressed_where_wanted(ask, static_file):
    plain = ask(static_file)
    assert plain.status == 200
    assert "Content-Encoding" not in plain.headers
    compressed = ask(static_file, **{"Accept-Encoding": "gzip"})
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(compressed.body) == plain.body


def test_nginx_goes_on_while_omero_web_is_stopped(ask, login, static_file, stopped_site):
    page = login()
    assert page.status in (502, 503)
    assert b"OMERO.web is being maintained" in page.body
    assert ask(static_file).status == 200


def test_killed_gunicorn_comes_back(host, login, main_pid):
    killed = main_pid()
    host.check_output("kill -KILL %s", killed)
    wait_until(lambda: main_pid() not in ("0", killed), seconds=10)
    assert wait_until(lambda: login().status == 200) < 10

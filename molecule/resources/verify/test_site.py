"""What the users of a converged host see, in good times and in bad ones."""

import gzip
import re
from hashlib import sha256

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


def test_uploads_have_a_limit(announce, ask, variables):
    largest = variables["omero_web_max_upload_mb"] * 2**20
    assert announce("/webclient/annotate_file/", largest + 1) == 413
    assert ask(variables["omero_web_prefix"] + "/webclient/annotate_file/", post=bytes(2**17)).status != 413


@pytest.mark.parametrize("path", ["/webclient/login/", "/webadmin/login/", "/api/v0/login/"])
def test_a_request_to_log_in_is_small(announce, path):
    assert announce(path, 2**16 + 1) == 413


@pytest.mark.parametrize("path", ["/webclient/login/", "/api/"])
def test_pages_come_in_gzip_but_for_those_of_omero_5_4(ask, variables, version, path):
    page = ask(variables["omero_web_prefix"] + path, **{"Accept-Encoding": "gzip"})
    assert page.status == 200
    if version.startswith("5.4."):
        assert "Content-Encoding" not in page.headers
    else:
        assert page.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in page.headers.get_all("Vary")


@pytest.mark.parametrize("accepted", ["gzip", "gzip, deflate", "br;q=0, gzip"])
def test_static_files_come_in_gzip(ask, static_file, accepted):
    compressed = ask(static_file, **{"Accept-Encoding": accepted})
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert compressed.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(compressed.body) == ask(static_file).body


@pytest.mark.parametrize("accepted", ["br", "gzip, deflate, br, zstd"])
def test_static_files_come_in_brotli_where_nginx_has_it(host, basedir, ask, static_file, has_brotli, accepted):
    if not has_brotli:
        assert ask(static_file, **{"Accept-Encoding": accepted}).headers["Content-Encoding"] != "br"
        return
    compressed = ask(static_file, **{"Accept-Encoding": accepted})
    assert compressed.headers["Content-Encoding"] == "br"
    file = f"{basedir}/current/release{static_file}.br"
    assert compressed.body == host.file(file).content
    unpacked = host.check_output("brotli --decompress --stdout %s | sha256sum", file)
    assert unpacked.split()[0] == sha256(ask(static_file).body).hexdigest()


@pytest.mark.parametrize("accepted", ["identity", "zstd", "*;q=0"])
def test_static_files_come_as_they_are_where_nothing_else_is_accepted(ask, static_file, accepted):
    plain = ask(static_file, **{"Accept-Encoding": accepted})
    assert plain.status == 200
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["Vary"] == "Accept-Encoding", "or a cache on the way gives it to others"


@pytest.mark.parametrize(
    ("url", "lifetime"),
    [
        ("webclient/css/layout.css?_{version}", "max-age=31536000, immutable"),
        ("webclient/css/layout.css?_{version}-ice36-b105", "max-age=31536000, immutable"),
        ("webclient/css/layout.css", "no-cache"),
        ("webgateway/img/ome.ico", "max-age=3600"),
        ("webclient/javascript/jquery.infieldlabel-0.1.js", "max-age=3600"),
        # By a page from before an upgrade, which would have the wrong one for a year after going back.
        ("webclient/css/layout.css?_5.0.0", "no-cache"),
        ("webclient/css/layout.css?_{version}0", "no-cache"),
        ("webclient/css/absent.css?_{version}", None),
        # Of apps, which may be upgraded without OMERO.web but put its version into their URLs.
        ("3rdparty/panojs-2.0.0/panojs.css?_{version}", "no-cache"),
    ],
)
def test_what_stays_in_browsers(ask, version, url, lifetime):
    assert ask("/static/" + url.format(version=version)).headers["Cache-Control"] == lifetime


def test_pages_do_not_stay_in_browsers(login):
    assert "Cache-Control" not in login().headers


@pytest.mark.parametrize("accepted", ["identity", "gzip"])
def test_static_files_are_not_sent_again(ask, static_file, accepted):
    first = ask(static_file, **{"Accept-Encoding": accepted})
    assert first.headers["Cache-Control"]
    for condition in ({"If-None-Match": first.headers["ETag"]}, {"If-Modified-Since": first.headers["Last-Modified"]}):
        again = ask(static_file, **{"Accept-Encoding": accepted}, **condition)
        assert (again.status, again.body) == (304, b"")
        assert again.headers["Cache-Control"] == first.headers["Cache-Control"]


def test_nginx_goes_on_while_omero_web_is_stopped(ask, login, static_file, stopped_site):
    for page in login(), login(post=b"username=somebody"):
        assert page.status in (502, 503)
        assert b"OMERO.web is being maintained" in page.body
    assert ask(static_file).status == 200


def test_killed_gunicorn_comes_back(host, login, main_pid):
    killed = main_pid()
    host.check_output("kill -KILL %s", killed)
    wait_until(lambda: main_pid() not in ("0", killed), seconds=10)
    assert wait_until(lambda: login().status == 200) < 10

"""Pictures that nginx keeps (omero_web_image_cache): for whom, and for how long."""

import io
import re

import pytest
from clients import LOGIN, User
from PIL import Image as Picture

MARK = "omeroweb_visitor"
DIRECTORY = "/var/cache/nginx/omero-web"
# Ask the host's nginx on the host itself, so many at once: it tells where the answer came from.
ASK = """
import http.client, sys
from concurrent.futures import ThreadPoolExecutor
site, number, path, *headers = sys.argv[1:]
def ask(dummy):
    connection = http.client.HTTPConnection("127.0.0.1")
    connection.request("GET", path, headers=dict(header.split(": ", 1) for header in ["Host: " + site, *headers]))
    return connection.getresponse().headers.get("Omero-Web-Image-Cache", "none")
with ThreadPoolExecutor(int(number)) as threads:
    print(*threads.map(ask, range(int(number))))
"""
# What nginx keeps begins with a number and the second at which it is too old. Say how long it is kept, or end that.
KEPT = """
import os, pathlib, struct, sys
for path in filter(pathlib.Path.is_file, pathlib.Path(sys.argv[1]).rglob("*")):
    with path.open("r+b") as kept:
        number, until = struct.unpack("Nl", kept.read(struct.calcsize("Nl")))
        print(until - int(os.fstat(kept.fileno()).st_mtime))
        if "expire" in sys.argv:
            kept.seek(struct.calcsize("N"))
            kept.write(struct.pack("l", 1))
"""


@pytest.fixture
def published(world):
    return next(image for image in world.images.values() if world.groups[image.group].name == "Publications")


@pytest.fixture
def private(world):
    return next(image for image in world.images.values() if world.groups[image.group].name == "Private")


@pytest.fixture
def thumbnail(published):
    return f"/webgateway/render_thumbnail/{published.id}/96/"


@pytest.fixture(autouse=True)
def purged(host):
    host.check_output("find %s -type f -delete", DIRECTORY)


@pytest.fixture
def expire(host):
    return lambda: host.check_output("python3 -c %s %s expire", KEPT, DIRECTORY)


@pytest.fixture
def kept(host):
    """For how many seconds each picture is."""
    return lambda: [int(seconds) for seconds in host.check_output("python3 -c %s %s", KEPT, DIRECTORY).split()]


@pytest.fixture
def colleague(site, passwords):
    user = User(site)
    assert user.log_in("colleague", passwords["colleague"]).status_code == 302
    return user


@pytest.fixture
def sources(host, site):
    """Where the answers to so many of the same request come from; "none" where the cache has no part in it."""

    def sources(path, *headers, number=1):
        arguments = site.split("//")[1], str(number), path, *headers
        return host.check_output("python3 -c %s" + " %s" * len(arguments), ASK, *arguments).split()

    return sources


@pytest.fixture
def source(sources):
    return lambda *request: sources(*request)[0]


@pytest.fixture
def is_kept(source):
    return lambda *request: [source(*request) for _ in range(2)] == ["MISS", "HIT"]


def cookies(user):
    """The header of the user's next request."""
    return "Cookie: " + "; ".join(f"{cookie.name}={cookie.value}" for cookie in user.session.cookies)


@pytest.mark.parametrize(
    "path",
    [
        "webgateway/render_thumbnail/{}/", "webgateway/render_thumbnail/{}/64/48/?z=2",
        "webgateway/get_thumbnails/96/?id={}", "webgateway/render_birds_eye_view/{}/",
        "webgateway/render_image/{}/2/0/?c=1|100:900$FF0000,-2,-3&m=c&_=0.5",
        "webgateway/render_image_region/{}/2/0/?tile=0,0,0,256,256",
        "webgateway/render_image_region/{}/2/0/?region=0,0,64,64",
    ],
)  # fmt: skip
def test_pictures_of_the_public_are_kept(is_kept, guest, published, path):
    path = "/" + path.format(published.id)
    assert is_kept(path)
    answer = guest.get(path)
    assert answer.status_code == 200 and "Set-Cookie" not in answer.headers
    assert "Omero-Web-Image-Cache" not in answer.headers, "it is for the host itself to know"
    if "get_" not in path:
        assert Picture.open(io.BytesIO(answer.content)).format == "JPEG"


def test_what_is_kept_is_of_a_generation_a_day_and_a_name(host, site, guest, thumbnail, generation):
    assert guest.get(thumbnail).status_code == 200
    key = host.check_output("grep --recursive --no-filename --text '^KEY: ' %s", DIRECTORY)
    assert re.fullmatch(rf"KEY: {generation} \d{{4}}-\d\d-\d\d {re.escape(site.partition('//')[2] + thumbnail)}", key)


def test_another_query_is_another_picture(guest, published):
    path = f"/webgateway/render_image/{published.id}/2/0/"
    red, green = (guest.get(path, params={"c": f"{channel}|100:900${colour}", "m": "c"}).content
                  for channel, colour in ((1, "FF0000"), (2, "00FF00")))  # fmt: skip
    assert len({red, green, guest.get(path).content}) == 3


@pytest.mark.parametrize(
    "path",
    [
        "webgateway/imgData/{}/", "webgateway/render_movie/{}/z/0/", "api/v0/m/images/{}/",
        "webgateway/download_as/?image={}&format=png", "webgateway/render_thumbnail/{}/?bsession=1",
        "webgateway/render_thumbnail/{}/?%62session=1", "webgateway/render_thumbnail/{}/?z=1&username=a&password=b",
        "webgateway/render_thumbnail/{}/?z=1;password=b", "webgateway//render_thumbnail/{}/",
        "webgateway/render_thumbnail/{}/../../../api/v0/m/images/", "webgateway/render_thumbnail/{}/?" + 2000 * "a=&",
    ],
)  # fmt: skip
def test_nothing_else_is(source, published, path):
    assert source("/" + path.format(published.id)) == "none"


@pytest.mark.parametrize("header", ["Authorization: Basic YTpi", "Origin: https://example.org", "Cookie: sessionid=x"])
def test_who_may_be_somebody_gets_none_of_it(is_kept, source, thumbnail, header):
    assert is_kept(thumbnail)
    assert source(thumbnail, header) == "none"


def test_users_get_their_own(is_kept, source, guest, researcher, colleague, thumbnail, private):
    assert is_kept(thumbnail)
    for user in researcher, colleague:
        assert source(thumbnail, cookies(user)) == "none"
    own = f"/webgateway/render_thumbnail/{private.id}/96/"
    assert colleague.get(own).headers["Content-Type"] == "image/jpeg"
    # Neither what a user has just been shown, nor that there is such a picture.
    for somebody in guest, researcher, colleague, guest:
        assert somebody.get(own).status_code == (200 if somebody is colleague else 404)
    assert source(own) in ("MISS", "HIT", "EXPIRED")
    # What everybody is shown, this user may not see, nor is shown.
    assert (researcher.get(thumbnail).status_code, colleague.get(thumbnail).status_code) == (200, 404)
    assert MARK not in {**researcher.session.cookies, **colleague.session.cookies}


def test_visitor_of_a_page_gets_what_is_kept_until_logging_in(is_kept, source, guest, passwords, thumbnail, private):
    """The visitor has the session that OMERO.web makes for whoever comes, and the same one later as a user."""
    assert is_kept(thumbnail)
    assert guest.get("/api/v0/m/images/").status_code == 200
    session = guest.session.cookies["sessionid"]
    assert guest.session.cookies[MARK] == session
    assert source(thumbnail, cookies(guest)) == "HIT"
    assert guest.get(thumbnail).status_code == 200
    assert guest.session.cookies["sessionid"] == session, "nobody else's comes with the picture"

    marked = cookies(guest)
    guest.log_in("colleague", passwords["colleague"])
    assert guest.session.cookies["sessionid"] == session
    assert MARK not in guest.session.cookies
    assert source(thumbnail, cookies(guest)) == "none"
    assert guest.get(f"/webgateway/render_thumbnail/{private.id}/96/").status_code == 200
    # Nor does the mark of another session, or a second session, make a visitor of the user.
    own = f"Cookie: sessionid={session}; {MARK}="
    assert [source(thumbnail, own + key) for key in ("", "x", session[:-1])] == ["none"] * 3
    another = "Cookie: sessionid=x; " + marked.removeprefix("Cookie: ")
    assert [source(thumbnail, f"{marked}; sessionid=x"), source(thumbnail, another)] == ["none"] * 2


def test_login_by_address_ends_a_visit(guest, passwords):
    assert guest.get("/api/v0/m/images/").status_code == 200
    assert MARK in guest.session.cookies
    guest.get("/webclient/", params={"username": "colleague", "password": passwords["colleague"], "server": "1"})
    assert guest.is_logged_in() and MARK not in guest.session.cookies


def test_login_without_a_visit_is_none(site, passwords):
    user = User(site)
    user.get("/webclient/", params={"username": "colleague", "password": passwords["colleague"], "server": "1"})
    assert user.is_logged_in() and MARK not in user.session.cookies


def test_one_fetch_at_a_time(sources, thumbnail, switch):
    # So that all of them come meanwhile.
    switch("latency=2 slow=getThumbnail*")
    assert sorted(sources(thumbnail, number=8)) == ["HIT"] * 7 + ["MISS"]


def test_what_is_kept_is_shown_while_the_server_is_away(request, source, expire, guest, colleague, thumbnail):
    page, other = "/api/v0/m/images/", thumbnail.replace("/96/", "/64/")
    visitor = User(guest.site)
    assert visitor.get(page).status_code == 200
    picture = guest.get(thumbnail).content
    expire()
    request.getfixturevalue("stopped_server")
    for somebody in guest, visitor, guest:
        answer = somebody.get(thumbnail, allow_redirects=False)
        assert (answer.status_code, answer.content) == (200, picture)
    assert source(thumbnail) == "STALE"
    # To everybody else OMERO.web says what it says without a cache.
    for somebody, path in (colleague, thumbnail), (visitor, other), (guest, other):
        answer = somebody.get(path, allow_redirects=False)
        assert answer.status_code == 302 and answer.headers["Location"].startswith(LOGIN)


def test_picture_that_is_gone_is_not_shown_again(request, expire, guest, thumbnail, switch):
    assert guest.get(thumbnail).status_code == 200
    expire()
    switch("refuse=getThumbnail*")
    assert guest.get(thumbnail).status_code == 404
    switch()
    request.getfixturevalue("stopped_server")
    assert guest.get(thumbnail, allow_redirects=False).status_code != 200


def test_placeholder_is_kept_for_a_minute(kept, guest, published, thumbnail, switch):
    assert guest.get(thumbnail).status_code == 200
    assert kept() == pytest.approx([600], abs=5)
    switch("refuse=getThumbnail*")
    assert guest.get(f"/webgateway/get_thumbnails/96/?id={published.id}").json() == {str(published.id): None}
    assert sorted(kept()) == pytest.approx([60, 600], abs=5)


def test_purge(source, is_kept, play, thumbnail):
    assert is_kept(thumbnail)
    code, output = play("playbooks/purge-image-cache.yml")
    assert code == 0 and "changed=1" in output, output
    assert source(thumbnail) == "MISS"

"""A day of a user, in a real browser: at the root, and below a prefix behind a proxy that has the TLS."""

import pytest
from browser import PLANE_IS_SHOWN, Visitor, spend_a_day
from conftest import INVENTORY, NAME, on_a_busy_machine

pytestmark = on_a_busy_machine
SCREENSHOTS = INVENTORY.with_name("screenshots")
PASSWORD = "Error: Connection not available, please check your user name and password."
NO_SERVER = "Server is not responding, please contact administrator."
PREFIX = "/omero"
PORTAL = "https://portal.example.org"
COOKIES = ("omero.web.session_cookie_secure", "omero.web.csrf_cookie_secure")


@pytest.fixture(scope="module", params=["", PREFIX])
def prefix(request):
    return request.param


@pytest.fixture(scope="module")
def site(prefix, site, stand_in, play, variables):
    """The site, or the proxy's, for which the host is told what the documentation has."""
    if not prefix:
        yield site
        return
    proxy = stand_in.ansible.get_variables()["ansible_host"]
    config = {
        **variables["omero_web_config"],
        **dict.fromkeys(COOKIES, True),
        "omero.web.public.url_filter": f"^{prefix}/(webgateway|iviewer)/(?!archived_files)",
    }
    own = {"omero_web_trusted_proxies": [proxy], "omero_web_embedded_in": [PORTAL]}
    code, output = play(omero_web_prefix=prefix, omero_web_config=config, **own)
    assert code == 0, output
    yield f"https://{proxy}"
    code, output = play()
    assert code == 0, output


@pytest.fixture
def visitor(browser, site, prefix):
    visitor = Visitor(browser, site, prefix)
    yield visitor
    visitor.close()


@pytest.fixture
def show(prefix):
    """Keep what a page looks like."""
    return lambda page, name: page.screenshot(path=SCREENSHOTS / f"{name}{prefix.replace('/', '-')}.png")


def test_a_day_of_a_user(visitor, passwords, world, show):
    spend_a_day(visitor, NAME, passwords[NAME], world, show)


def test_iviewer(visitor, passwords, world, show):
    image = world.images[1]
    visitor.log_in(NAME, passwords[NAME])
    page = visitor.open(f"/iviewer/?images={image.id}")
    visitor.see(page, image)
    show(page, "iviewer")
    assert [name for name in (channel.name for channel in image.channels) if name not in page.content()] == []
    assert visitor.complaints == []


@pytest.mark.parametrize("prefix", [PREFIX], indirect=True)
def test_portal_shows_an_image_to_everybody(visitor, world, show):
    image = next(image for image in world.images.values() if world.groups[image.group].name == "Publications")
    frame = visitor.embedded(PORTAL, f"/iviewer/?images={image.id}")
    visitor.wait_until(frame, PLANE_IS_SHOWN, [image.size_x, image.size_y], again=frame.page.reload)
    show(frame.page, "portal")
    kept = {cookie["name"]: cookie.get("partitionKey") for cookie in visitor.context.cookies()}
    # By the last one, nginx knows whom it may give pictures that it keeps.
    assert kept == dict.fromkeys(("sessionid", "omeroweb_visitor_embedded"), "https://example.org")


def test_cookies_are_for_tls_where_the_proxy_has_it(visitor, passwords):
    visitor.log_in(NAME, passwords[NAME])
    cookies = {cookie["name"]: cookie["secure"] for cookie in visitor.context.cookies()}
    assert cookies == dict.fromkeys(("sessionid", "csrftoken"), visitor.site.startswith("https"))


def test_wrong_password(visitor, show):
    page = visitor.log_in(NAME, "wrong")
    show(page, "wrong-password")
    assert page.inner_text(".error") == PASSWORD
    assert visitor.complaints == []


def test_no_server(visitor, passwords, stopped_server, show):
    page = visitor.log_in(NAME, passwords[NAME])
    show(page, "no-server")
    assert NO_SERVER in page.inner_text(".error")
    assert visitor.complaints == []

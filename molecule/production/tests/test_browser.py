"""What users see of a site in production, in a real browser."""

import re

from browser import Visitor, node, spend_a_day
from clients import LOGIN
from conftest import INVENTORY, NAME, on_a_busy_machine, wait_until

pytestmark = on_a_busy_machine
SCREENSHOTS = INVENTORY.with_name("screenshots")
# Pages of other sites, of which the first may show OMERO.web.
PORTAL, OTHER = "https://portal.example.org:8443", "https://other.example.org:8443"
# OMERO.web's own words where no OMERO.server answers.
NO_SERVER = "Server is not responding, please contact administrator."


def show(page, name):
    """Keep what the page looks like."""
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def test_login_page_is_whole(visitor):
    page = visitor.open(LOGIN)
    show(page, "login")
    assert page.title().strip() == "OMERO.web - Login"
    broken = page.evaluate("[...document.images].filter(image => !image.naturalWidth).map(image => image.src)")
    assert broken == []
    assert page.locator("#login").evaluate("element => getComputedStyle(element).width") == "370px"
    assert visitor.complaints == []


def test_a_page_that_is_seen_again_takes_little(visitor, version):
    visitor.open(LOGIN)
    first = visitor.wire
    visitor.open(LOGIN)
    files = first.keys() & visitor.wire.keys() - {visitor.home + LOGIN}
    versioned = {url for url in files if url.endswith(f"?_{version}")}
    pictures = {url for url in files if url.endswith((".gif", ".ico", ".png", ".svg"))}
    # With a version of their own in their names.
    named = {url for url in files if re.search(r"-\d+(\.\d+)+(\.min)?\.(css|js)(\?|$)", url)}
    assert 0 < len(versioned) < len(files)
    assert all(first[url] for url in files)
    assert {url for url in files if not visitor.wire[url]} == versioned | pictures | named
    assert max(visitor.wire[url] for url in files) < 1000, "of others, nothing but that they have not changed"


def test_a_day_of_a_user(visitor, passwords, world):
    spend_a_day(visitor, NAME, passwords[NAME], world, show)


def test_user_of_a_portal(visitor, passwords, world):
    frame = visitor.embedded(PORTAL, LOGIN)
    visitor.log_in(NAME, passwords[NAME], frame)
    project = world.projects[1]
    node(frame, project.name).locator("> .jstree-ocl").click()
    node(frame, world.children(project)[0].name).wait_for()
    show(frame.page, "portal")
    cookies = {cookie["name"]: cookie for cookie in visitor.context.cookies()}
    assert {cookie["sameSite"] for cookie in cookies.values()} == {"None"}
    assert {cookie["partitionKey"] for cookie in cookies.values()} == {"https://example.org"}
    # The page of the portal has the focus.
    assert [complaint for complaint in visitor.complaints if "autofocus" not in complaint] == []
    assert visitor.open("/webclient/").url.startswith(visitor.home + LOGIN), "elsewhere, it is another visit"
    frame.click("#show_user_dropdown")
    with frame.expect_navigation():
        frame.click("text=Logout")
    assert frame.url.startswith(visitor.home + LOGIN)


def test_portal_below_the_domain_of_omero_web_is_no_other_visit(browser, variables, passwords):
    visitor = Visitor(browser, "https://omero-web.example.org", variables["omero_web_prefix"])
    visitor.log_in(NAME, passwords[NAME])
    frame = visitor.embedded(PORTAL, "/webclient/")
    assert frame.url == f"{visitor.home}/webclient/"
    visitor.close()


def test_other_sites_may_not_show_omero_web(visitor, passwords):
    visitor.log_in(NAME, passwords[NAME])
    # By that, a browser knows within which site they are to be sent.
    assert {cookie.get("partitionKey") for cookie in visitor.context.cookies()} == {visitor.site}
    frame = visitor.embedded(OTHER, LOGIN)
    show(frame.page, "not-a-portal")
    assert frame.url == "chrome-error://chromewebdata/", "what the browser shows in place of it"
    assert visitor.complaints == [f"{visitor.home}{LOGIN}: net::ERR_BLOCKED_BY_RESPONSE"]


def test_login_without_an_omero_server(visitor, site, stopped_server):
    page = visitor.open(LOGIN)
    page.fill("#id_username", "somebody")
    page.fill("#id_password", "secret")
    with page.expect_navigation() as navigation:
        page.click("text=Login")
    show(page, "login-without-server")
    answer = navigation.value
    assert answer.request.headers["origin"] == site
    assert answer.status == 200, "OMERO.web accepted cookies, token and origin"
    assert NO_SERVER in page.inner_text("body")
    assert visitor.complaints == []


def test_top_link_leads_to_its_app(visitor):
    page = visitor.open("/omero_test_app/top_links/")
    show(page, "top-links")
    with page.expect_popup() as popup:
        page.click("text=Figure")
    popup.value.wait_for_load_state()
    # As Figure is not for everybody, by way of a login.
    assert popup.value.url == f"{visitor.home}{LOGIN}?url=%2Fomero%2Ffigure%2F"
    assert visitor.complaints == []


def test_browser_goes_on_by_itself_after_maintenance(host, login, visitor):
    host.check_output("systemctl stop omero-web.target")
    try:
        wait_until(lambda: login().status != 200)
        page = visitor.open(LOGIN)
        show(page, "maintenance")
        assert page.inner_text("h1") == "Images of the facility is being maintained"
    finally:
        host.check_output("systemctl start --no-block omero-web.target")
    page.wait_for_selector("#id_username")

"""What users see of a site in production, in a real browser."""

import re

from browser import spend_a_day
from clients import LOGIN
from conftest import INVENTORY, NAME, on_a_busy_machine, wait_until

pytestmark = on_a_busy_machine
SCREENSHOTS = INVENTORY.with_name("screenshots")
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

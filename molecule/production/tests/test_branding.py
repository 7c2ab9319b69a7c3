"""A site with a logo, style sheets, templates and words of its own."""

import re

from clients import LOGIN
from test_browser import show


def test_pages_look_like_the_facility(host, visitor, version):
    page = visitor.open(LOGIN)
    show(page, "branding")
    logo = page.locator(".custom_logo img")
    assert re.fullmatch(r"/static/branding/logo-[0-9a-f]{8}\.svg", logo.get_attribute("src"))
    assert logo.evaluate("picture => picture.naturalWidth") == 120
    words = page.locator(".facility")
    assert words.inner_text() == "Write to the facility for an account."
    assert words.evaluate("element => getComputedStyle(element).color") == "rgb(34, 119, 170)"
    assert visitor.complaints == []
    assert logo.get_attribute("src") in host.check_output("omero config get omero.web.top_logo")


def test_a_closed_site_has_its_name_and_logo(host, visitor, ask, site):
    host.check_output("omero-web maintenance on")
    try:
        page = visitor.open(LOGIN)
        show(page, "closed")
        assert page.inner_text("h1") == "Images of the facility is closed for maintenance"
        assert "Your images & data are safe." in page.inner_text("body")
        assert page.locator("img").evaluate("picture => picture.naturalWidth") == 120
        assert ask("/static/branding/facility.css").status == 503
    finally:
        host.check_output("omero-web maintenance off")
    assert ask("/static/branding/facility.css").status == 200

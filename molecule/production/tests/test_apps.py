"""Web apps: their pages and files are served, and they are in the places of OMERO.web that their entries name."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import exhaustive

# Where each app answers a visitor: with a page of its own, or on the way to one, the login page that leads back to it.
PAGES = ["figure/", "iviewer/", "parade/", "mapr/gene/", "omero_tagsearch/", ""]
OWN_PAGES = {"fpbioimage/": b"FPBioimage Index", "signup/": b"Create account"}
FILES = [
    "omero_figure/index.html",
    "omero_iviewer/openwith.js",
    "omero_parade/js/bundle.js",
    "fpbioimage/openwith.js",
    "mapr/javascript/ome.mapr.js",
    "omero_autotag/js/bundle.min.js",
    "tagsearch/3rd-party/chosen/chosen.jquery.js",
    "gallery/model.js",
]
# What OMERO.web hands to its pages, and the templates and views behind that.
PLACES = """
import json, django
django.setup()
from django.template.loader import get_template
from django.urls import resolve
from omeroweb.webclient.decorators import render_response
context = {"ome": {}}
render_response().load_settings(None, context, None)
for plugin in context["ome"]["center_plugins"]:
    get_template(plugin["include"])
viewer = resolve("/webclient/img_detail/1/").func
print(json.dumps({
    "links": {link["label"]: link["link"] for link in context["ome"]["top_links"]},
    "center": [plugin["label"] for plugin in context["ome"]["center_plugins"]],
    "right": [plugin["label"] for plugin in context["ome"]["right_plugins"]],
    "viewer": viewer.__module__,
}))
"""

# What makes no sense where other apps are gone, or the public user with them.
WITHOUT_GALLERY = {"omero_web_config": {}, "omero_web_secrets": {}, "omero_web_image_cache": False}


@pytest.fixture(scope="module")
def places(python):
    return json.loads(python(f"-c '{PLACES}'"))


@pytest.fixture(scope="module")
def visit(ask, variables):
    """Ask for a path of OMERO.web."""
    return lambda path: ask(f"{variables['omero_web_prefix']}/{path}")


@pytest.mark.parametrize("page", PAGES)
def test_page_is_there_for_those_who_log_in(visit, variables, page):
    login_page = urlsplit(visit(page).headers["Location"])
    assert login_page.path.endswith("/webclient/login/")
    assert parse_qs(login_page.query)["url"] == [f"{variables['omero_web_prefix']}/{page}"]


@pytest.mark.parametrize("page", OWN_PAGES)
def test_page_is_there_for_all(visit, page):
    answer = visit(page)
    assert answer.status == 200
    assert OWN_PAGES[page] in answer.body


def test_what_no_app_has_is_not_there(visit):
    assert visit("no_such_app/").status == 404


@pytest.mark.parametrize("path", FILES)
def test_static_file(ask, path):
    assert ask(f"/static/{path}").status == 200


def test_files_named_after_their_content_stay_in_browsers(host, basedir, ask):
    static = f"{basedir}/current/release/static"
    for path in host.check_output("cd %s && ls -d omero_figure/assets/*", static).split():
        assert ask(f"/static/{path}").headers["Cache-Control"] == "max-age=31536000, immutable"
    assert ask("/static/omero_figure/bootstrap-icons.css").headers["Cache-Control"] == "no-cache"


def test_apps_are_in_their_order_and_those_of_others_last(properties, variables):
    names = [app.get("name") or app["package"].replace("-", "_") for app in variables["omero_web_apps"]]
    names += variables["omero_web_config_append"]["omero.web.apps"]
    assert json.loads(properties["omero.web.apps"]) == names


def test_links_come_after_those_of_omero_web(places, variables):
    assert list(places["links"]) == ["Data", "History", "Help", "Figure", "Genes", "Tag Search", "Gallery"]
    assert places["links"]["Figure"].endswith("/figure/")
    assert places["links"]["Genes"].endswith("/mapr/gene/?experimenter=-1")


def test_panels_viewer_and_open_with(places, visit):
    assert places["center"] == ["Parade", "Auto Tag"]
    assert places["right"] == ["Acquisition", "Preview"]
    assert places["viewer"] == "omero_iviewer.views"
    options = json.loads(visit("webgateway/open_with/").body)["open_with_options"]
    assert [option["id"] for option in options] == ["Image viewer", "omero_figure", "omero_iviewer", "omero_fpbioimage"]


@exhaustive
def test_an_app_that_does_not_fit_the_release_never_goes_live(refused, live, login):
    before = live()
    # It is for a Django of long ago, which pip is not told.
    unfit = {"package": "omero-iviewer==0.10.1"}
    refused("ImportError: cannot import name 'url' from 'django.conf.urls'", omero_web_apps=[unfit], **WITHOUT_GALLERY)
    assert live() == before
    assert login().status == 200

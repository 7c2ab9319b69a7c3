"""A day of a user, in a real browser: logging in, the tree, thumbnails, an image, logging out."""

import pytest
from clients import LOGIN
from conftest import INVENTORY

SCREENSHOTS = INVENTORY.with_name("screenshots")
PASSWORD = "Error: Connection not available, please check your user name and password."
NO_SERVER = "Server is not responding, please contact administrator."
# Whether all pictures of the dataset have arrived.
THUMBNAILS = """number => {
    const pictures = [...document.querySelectorAll("#dataIcons img")];
    return pictures.length === number && pictures.every(picture => picture.complete && picture.naturalWidth === 96);
}"""

# Whether iviewer has drawn something green, as one of the channels is.
PLANE_IS_SHOWN = """() => [...document.querySelectorAll("canvas")].some(drawing => {
    const {data} = drawing.getContext("2d").getImageData(0, 0, drawing.width || 1, drawing.height || 1);
    return data.some((value, position) => position % 4 === 1 && value > 200 && data[position - 1] < 100);
})"""


@pytest.fixture
def log_in_as(visitor):
    def log_in_as(name, password):
        page = visitor.open(LOGIN)
        page.fill("#id_username", name)
        page.fill("#id_password", password)
        with page.expect_navigation():
            page.click("text=Login")
        return page

    return log_in_as


def show(page, name):
    """Keep what the page looks like."""
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def node(page, name):
    """The innermost node of the tree with this name."""
    return page.locator("li.jstree-node", has_text=name).last


def test_a_day_of_a_user(visitor, log_in_as, passwords, world):
    project = world.projects[1]
    dataset = world.children(project)[0]
    image = world.children(dataset)[0]

    page = log_in_as("researcher", passwords["researcher"])
    node(page, project.name).locator("> .jstree-ocl").click()
    node(page, dataset.name).locator("> .jstree-anchor").click()
    page.wait_for_function(THUMBNAILS, arg=len(world.children(dataset)))

    page.click(f"#image_icon-{image.id}")
    page.wait_for_selector(f"#right_panel >> text={image.size_x} x {image.size_y}")
    page.wait_for_load_state("networkidle")
    show(page, "web-client")

    with page.expect_popup() as popup:
        page.dblclick(f"#image_icon-{image.id}")
    viewer = popup.value
    plane = viewer.wait_for_selector("#weblitz-viewport-img[src*=render_image]")
    viewer.wait_for_function("picture => picture.complete && picture.naturalWidth", arg=plane)
    show(viewer, "viewer")
    assert plane.evaluate("picture => [picture.naturalWidth, picture.naturalHeight]") == [image.size_x, image.size_y]
    assert viewer.title() == image.name
    viewer.close()

    page.click("#show_user_dropdown")
    with page.expect_navigation():
        page.click("text=Logout")
    assert page.url.startswith(visitor.site + LOGIN)
    assert visitor.complaints == []
    assert visitor.open("/webclient/").url.startswith(visitor.site + LOGIN)


def test_iviewer(visitor, log_in_as, passwords, world):
    image = world.images[1]
    log_in_as("researcher", passwords["researcher"])
    page = visitor.open(f"/iviewer/?images={image.id}")
    page.wait_for_function(PLANE_IS_SHOWN)
    show(page, "iviewer")
    assert [name for name in (channel.name for channel in image.channels) if name not in page.content()] == []
    assert page.title() == image.name
    # A service that a site may have for it, and this one has not.
    assert [complaint for complaint in visitor.complaints if "/omero_ms_image_region/" not in complaint] == []


def test_wrong_password(visitor, log_in_as):
    page = log_in_as("researcher", "wrong")
    show(page, "wrong-password")
    assert page.inner_text(".error") == PASSWORD
    assert visitor.complaints == []


def test_no_server(visitor, log_in_as, passwords, stopped_server):
    page = log_in_as("researcher", passwords["researcher"])
    show(page, "no-server")
    assert NO_SERVER in page.inner_text(".error")
    assert visitor.complaints == []

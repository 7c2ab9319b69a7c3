"""What users find in OMERO.web 5.4, and where it fails; what they find in any is tested as in the scenario server."""

import io
import re
from zipfile import ZipFile

import pytest
from browser import spend_a_day
from clients import complaint
from conftest import INVENTORY, NAME
from PIL import Image as Picture
from stand_in import files

SCREENSHOTS = INVENTORY.with_name("screenshots")


@pytest.fixture
def two(world):
    """Two images of one dataset."""
    return world.children(world.datasets[1])[:2]


def test_server_of_another_version_is_refused(guest, passwords, switch):
    switch("version=5.6.15")
    answer = guest.log_in(NAME, passwords[NAME])
    assert complaint(answer) == "Error: Client version does not match server, please contact administrator."
    assert not guest.is_logged_in()


def test_a_day_of_a_user(visitor, passwords, world):
    def show(page, name):
        page.screenshot(path=SCREENSHOTS / f"{name}.png")

    spend_a_day(visitor, NAME, passwords[NAME], world, show)


def test_search(researcher, world):
    found = researcher.get("/webclient/load_searching/form/", params={"query": "mitosis*", "datatype": "images"})
    images = {int(number) for number in re.findall(r'id="image-(\d+)"', found.text)}
    assert images == {image.id for image in world.images.values() if image.name.startswith("mitosis")}


def test_several_original_files(researcher, two):
    chosen = "|".join(f"image-{image.id}" for image in two)
    page = researcher.get("/webclient/download_placeholder/", params={"ids": chosen}).text
    assert [image.file_name in page for image in two] == [True, True]
    answer = researcher.get("/webgateway/archived_files/download/", params={"image": [image.id for image in two]})
    sizes = {member.filename: member.file_size for member in ZipFile(io.BytesIO(answer.content)).infolist()}
    assert sizes == {image.file_name: files.size(image) for image in two}


@pytest.mark.parametrize("plot", ["render_row_plot", "render_col_plot"])
def test_line_plots(researcher, two, plot):
    picture = Picture.open(io.BytesIO(researcher.get(f"/webgateway/{plot}/{two[0].id}/0/0/5/").content))
    assert (picture.format, picture.size) == ("GIF", (two[0].size_x, two[0].size_y))


@pytest.mark.parametrize(("path", "found"), [
    ("list_scripts/", []), ("api/shares/?member_id=2", {"shares": [], "discussions": []}),
])  # fmt: skip
def test_there_are_no_scripts_and_no_shares(researcher, path, found):
    assert researcher.get(f"/webclient/{path}").json() == found


@pytest.mark.parametrize("path", ["download_as/?image=1&format=png", "imgData/999/"])
def test_what_omero_web_itself_fails_at(researcher, path):
    assert researcher.get(f"/webgateway/{path}").status_code == 500

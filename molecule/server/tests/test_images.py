"""The tree, thumbnails, the viewer and downloads, as a user asks for them; of OMERO.web 5.4, too (scenario archive)."""

import io
from hashlib import sha256

import numpy
import pytest
from PIL import Image as Picture
from stand_in import files, pictures


@pytest.fixture
def image(world):
    """One with channels and depths."""
    return next(image for image in world.images.values() if image.size_z > 1 and len(image.channels) > 2)


def picture_of(answer, kind="JPEG"):
    assert answer.status_code == 200
    picture = Picture.open(io.BytesIO(answer.content))
    assert picture.format == kind
    return picture


def names(answer, kind):
    assert answer.status_code == 200
    return [entry["name"] for entry in answer.json()[kind]]


def test_tree(researcher, world):
    def expected(entries):
        own = [entry for entry in entries if (entry.owner, entry.group) == (2, 3)]
        return [entry.name for entry in sorted(own, key=lambda entry: entry.name.lower())]

    answer = researcher.get("/webclient/api/containers/?id=2&group=3&page=0")
    assert names(answer, "projects") == expected(world.projects.values())
    assert names(answer, "datasets") == expected(one for one in world.datasets.values() if not world.parents(one))
    assert answer.json()["orphaned"]["childCount"] == 3
    answer = researcher.get("/webclient/api/datasets/?id=1&page=0")
    assert names(answer, "datasets") == expected(world.children(world.projects[1]))
    answer = researcher.get("/webclient/api/images/?id=1&page=0&sizeXYZ=true&date=true&thumbVersion=true")
    assert names(answer, "images") == expected(world.children(world.datasets[1]))
    answer = researcher.get("/webclient/api/images/?experimenter_id=2&group=3&orphaned=true&page=0")
    assert names(answer, "images") == expected(one for one in world.images.values() if not world.parents(one))


def test_pages_of_the_tree(researcher, world):
    pages = [researcher.get(f"/webclient/api/images/?id=1&page={page}&limit=5") for page in (1, 2, 3)]
    assert [len(names(page, "images")) for page in pages] == [5, 5, 2]


def test_tags(researcher, world):
    answer = researcher.get("/webclient/api/tags/?id=1&page=0")
    assert len(names(answer, "images")) == sum(tag == 1 for _, tag in world.tags_on)


def test_thumbnails(researcher, image):
    thumbnail = researcher.get(f"/webgateway/render_thumbnail/{image.id}/96/")
    assert picture_of(thumbnail).size == (96, 96)
    other = researcher.get(f"/webgateway/render_thumbnail/{image.id + 1}/96/")
    assert picture_of(other) and other.content != thumbnail.content
    together = researcher.get(f"/webgateway/get_thumbnails/96/?id={image.id}&id={image.id + 1}").json()
    assert sorted(together) == [str(image.id), str(image.id + 1)]
    assert all(data.startswith("data:image/jpeg;base64,") for data in together.values())


def test_rendered_plane_is_the_right_one(researcher, image):
    middle = image.size_z // 2
    rendered = numpy.asarray(picture_of(researcher.get(f"/webgateway/render_image/{image.id}/{middle}/0/")), int)
    wanted = numpy.asarray(pictures.render(image, pictures.defaults(image), middle), int)
    # JPEG loses a little.
    assert rendered.shape == wanted.shape and abs(rendered - wanted).mean() < 8
    other = numpy.asarray(picture_of(researcher.get(f"/webgateway/render_image/{image.id}/0/0/")), int)
    assert abs(other - wanted).mean() > 8, "another depth is another picture"


def test_channels_are_rendered_as_the_viewer_asks(researcher, image):
    path = f"/webgateway/render_image/{image.id}/2/0/"
    red = numpy.asarray(picture_of(researcher.get(path, params={"c": "1|100:900$FF0000,-2,-3", "m": "c"})))
    assert red[..., 0].max() > 200 and red[..., 1:].max() < 60
    grey = numpy.asarray(picture_of(researcher.get(path, params={"c": "-1,2,-3", "m": "g"})), int)
    assert abs(grey[..., 0] - grey[..., 1]).max() < 10 and grey.max() > 200
    small = researcher.get(path, params={"q": "0.3"})
    assert len(small.content) < len(researcher.get(path, params={"q": "0.9"}).content)


def test_projection(researcher, image):
    projected = researcher.get(f"/webgateway/render_image/{image.id}/0/0/", params={"p": "intmax"})
    plane = researcher.get(f"/webgateway/render_image/{image.id}/0/0/")
    brightness = [numpy.asarray(picture_of(answer), int).mean() for answer in (projected, plane)]
    assert brightness[0] > brightness[1]


@pytest.mark.parametrize(("part", "size"), [("region=10,20,64,32", (64, 32)), ("tile=0,1,1,256,256", (256, 256))])
def test_parts_of_a_plane(researcher, image, part, size):
    assert picture_of(researcher.get(f"/webgateway/render_image_region/{image.id}/2/0/?{part}")).size == size


def test_viewer(researcher, image):
    data = researcher.get(f"/webgateway/imgData/{image.id}/").json()
    assert data["size"] == {"width": image.size_x, "height": image.size_y, "z": image.size_z, "t": 1, "c": 3}
    assert [channel["label"] for channel in data["channels"]] == [channel.name for channel in image.channels]
    page = researcher.get(f"/webclient/img_detail/{image.id}/")
    assert page.status_code == 200 and image.name in page.text


@pytest.mark.parametrize("panel", ["metadata_details", "metadata_preview", "metadata_acquisition"])
def test_panels(researcher, image, panel):
    page = researcher.get(f"/webclient/{panel}/image/{image.id}/")
    assert page.status_code == 200
    if panel == "metadata_details":
        assert image.name in page.text and f"{image.size_x} x {image.size_y}" in page.text


def test_original_file(researcher, image):
    opened = picture_of(researcher.get(f"/webgateway/archived_files/download/{image.id}/"), "TIFF")
    assert opened.n_frames == image.size_z * len(image.channels)
    difference = numpy.asarray(opened, int) - pictures.plane(image, 0)
    assert abs(difference).max() <= 1, "but for what numpy may round otherwise"


def test_large_original_file_arrives_byte_for_byte(researcher, world):
    image = next(image for image in world.images.values() if image.file_size)
    received, sent = sha256(), sha256()
    with researcher.get(f"/webgateway/archived_files/download/{image.id}/", stream=True) as answer:
        assert answer.status_code == 200
        for part in answer.iter_content(1 << 20):
            received.update(part)
    for number in range(image.file_size // files.BLOCK):
        sent.update(files.block(image, number))
    assert received.digest() == sent.digest()


def test_api(researcher, world):
    projects = researcher.get("/api/v0/m/projects/?owner=2&group=3").json()["data"]
    assert {project["@id"]: project["Name"] for project in projects} == {
        project.id: project.name for project in world.projects.values() if (project.owner, project.group) == (2, 3)
    }
    image = researcher.get("/api/v0/m/images/1/").json()["data"]
    assert image["Pixels"]["SizeX"] == world.images[1].size_x
    channels = [channel["Name"] for channel in image["Pixels"]["Channels"]]
    assert channels == [channel.name for channel in world.images[1].channels]


@pytest.mark.parametrize("path", ["webgateway/render_image/999/0/0", "api/v0/m/images/999"])
def test_there_is_no_such_image(researcher, path):
    assert researcher.get(f"/{path}/").status_code == 404

"""What the stand-in for OMERO.server has, who sees what of it, and what it looks like."""

import io
import itertools

import numpy
import pytest
from PIL import Image as Picture
from stand_in import files, pictures
from stand_in.world import World


@pytest.fixture(scope="module")
def world():
    return World()


def test_world_is_the_same_every_time(world):
    other = World()
    for kind in ("Project", "Dataset", "Image", "TagAnnotation", "Experimenter", "ExperimenterGroup"):
        assert world.of(kind) == other.of(kind)
        assert [*world.of(kind)] == [entry.id for entry in world.of(kind).values()]
    assert (world.datasets_in, world.images_in, world.tags_on) == (other.datasets_in, other.images_in, other.tags_on)


def test_parents_and_children_agree(world):
    for project in world.projects.values():
        assert all(project in world.parents(dataset) for dataset in world.children(project))
    for dataset in world.datasets.values():
        assert all(dataset in world.parents(image) for image in world.children(dataset))


def test_there_is_one_of_each_that_a_tree_shows(world):
    assert any(not world.parents(image) for image in world.images.values()), "an orphaned image"
    assert any(not world.parents(dataset) for dataset in world.datasets.values()), "a dataset without a project"
    assert any(not world.children(dataset) for dataset in world.datasets.values()), "an empty dataset"
    assert max(image.size_z for image in world.images.values()) > 1
    assert max(image.size_t for image in world.images.values()) > 1
    assert max(len(image.channels) for image in world.images.values()) > 1
    assert any(world.tags_of(image) for image in world.images.values())


def test_children_have_their_parents_group(world):
    for child in itertools.chain(world.datasets.values(), world.images.values()):
        assert all(parent.group == child.group for parent in world.parents(child))


@pytest.mark.parametrize(("login", "seen"), [
    ("researcher", {(2, 3), (3, 3), (2, 4)}),
    ("colleague", {(2, 3), (3, 3), (3, 5)}),
    ("public", {(2, 4)}),
    ("guest", set()),
    ("root", {(2, 3), (3, 3), (2, 4), (3, 5)}),
])  # fmt: skip
def test_who_sees_whose_images_of_which_group(world, login, seen):
    user = world.user_called(login)
    assert {(image.owner, image.group) for image in world.images.values() if world.can_read(user, image)} == seen


def test_nobody_has_an_unknown_name(world):
    assert world.user_called("nobody") is None


@pytest.mark.parametrize("structure", sorted(pictures.DRAW))
def test_structures_stand_out_from_the_background(world, structure):
    image, channel = next(
        (image, number) for image in world.images.values()
        for number, channel in enumerate(image.channels) if channel.structure == structure
    )  # fmt: skip
    plane = pictures.plane(image, channel, image.size_z // 2)
    assert plane.shape == (image.size_y, image.size_x) and plane.dtype == numpy.uint16
    assert abs(numpy.median(plane) - pictures.BACKGROUND) < 30, "most of it is empty"
    assert plane.max() > 600


def test_planes_differ_by_channel_depth_and_time(world):
    stack = next(image for image in world.images.values() if image.size_z > 1)
    film = next(image for image in world.images.values() if image.size_t > 1)
    planes = [pictures.plane(stack, 0), pictures.plane(stack, 1), pictures.plane(stack, 0, z=stack.size_z // 2)]
    planes += [pictures.plane(film, 0), pictures.plane(film, 0, t=film.size_t - 1)]
    assert len({plane.tobytes() for plane in planes}) == len(planes)
    pictures.plane.cache_clear()
    assert numpy.array_equal(pictures.plane(stack, 0), planes[0])


def test_middle_of_a_stack_is_in_focus(world):
    stack = next(image for image in world.images.values() if image.size_z >= 5)
    membranes = [channel.structure for channel in stack.channels].index("membranes")
    brightest = [int(pictures.plane(stack, membranes, z).max()) for z in range(stack.size_z)]
    middle = stack.size_z // 2
    assert brightest[: middle + 1] == sorted(brightest[: middle + 1])
    assert brightest[middle:] == sorted(brightest[middle:], reverse=True)
    assert brightest[middle] > 2 * brightest[0]


def test_cells_of_a_film_move(world):
    film = next(image for image in world.images.values() if image.size_t > 1)
    start, end = pictures.plane(film, 0, t=0), pictures.plane(film, 0, t=film.size_t - 1)
    way = pictures.SPEED * (film.size_t - 1)
    assert numpy.corrcoef(start[:, :-way].ravel(), end[:, way:].ravel())[0, 1] > 0.8
    assert numpy.corrcoef(start.ravel(), end.ravel())[0, 1] < 0.5


def test_blur_keeps_the_light_and_the_size():
    dot = numpy.zeros((21, 31))
    dot[10, 15] = 1
    blurred = pictures.blurred(dot, 2)
    assert blurred.shape == dot.shape
    assert blurred.sum() == pytest.approx(1)
    assert numpy.unravel_index(blurred.argmax(), blurred.shape) == (10, 15)
    assert blurred.max() < 0.2


def test_rendering(world):
    image = world.images[1]
    blue, green, red = pictures.defaults(image)
    off = [pictures.Shown(False, channel.window, channel.colour) for channel in (blue, green, red)]
    whole = numpy.asarray(pictures.render(image, (blue, green, red), 2))
    assert whole.shape == (image.size_y, image.size_x, 3)
    only_blue = numpy.asarray(pictures.render(image, (blue, *off[1:]), 2))
    assert only_blue[..., :2].max() == 0 and only_blue[..., 2].max() > 100
    assert numpy.asarray(pictures.render(image, off, 2)).max() == 0
    grey = numpy.asarray(pictures.render(image, (off[0], green, red), 2, grey=True))
    assert (grey[..., 0] == grey[..., 1]).all() and (grey[..., 1] == grey[..., 2]).all() and grey.max() > 100
    part = numpy.asarray(pictures.render(image, (blue, green, red), 2, region=(100, 50, 64, 32)))
    assert numpy.array_equal(part, whole[50:82, 100:164])
    projected = numpy.asarray(pictures.render(image, (blue, green, red), depths=(0, image.size_z - 1)))
    assert (projected >= whole).all() and (projected > whole).any()
    edge = pictures.render(image, (blue, green, red), 2, region=(500, 500, 64, 64))
    assert edge.size == (12, 12)


def test_thumbnails(world):
    wide = next(image for image in world.images.values() if image.size_x > image.size_y)
    thumbnail = Picture.open(io.BytesIO(pictures.thumbnail(wide, 96)))
    assert thumbnail.format == "JPEG" and thumbnail.size == (96, round(96 * wide.size_y / wide.size_x))
    assert Picture.open(io.BytesIO(pictures.thumbnail(wide, 64, 48))).size == (64, 48)
    assert pictures.thumbnail(world.images[1], 96) != pictures.thumbnail(world.images[2], 96)


def test_packed_pixels():
    assert pictures.packed(Picture.new("RGB", (2, 1), (1, 2, 3))) == [0xFF010203 - (1 << 32)] * 2


def test_original_file_of_an_image_is_a_tiff_of_its_planes(world):
    image = next(image for image in world.images.values() if image.size_z > 1)
    data = files.read(image, 0, files.size(image))
    opened = Picture.open(io.BytesIO(data))
    assert opened.n_frames == image.size_z * image.size_t * len(image.channels)
    assert numpy.array_equal(numpy.asarray(opened), pictures.plane(image, 0))
    assert files.read(image, 1000, 500) == data[1000:1500]


def test_large_original_file(world):
    image = next(image for image in world.images.values() if image.file_size)
    assert files.size(image) == image.file_size
    around = files.read(image, files.BLOCK - 10, 20)
    assert around == files.block(image, 0)[-10:] + files.block(image, 1)[:10]
    assert files.read(image, image.file_size - 5, 100) == files.block(image, image.file_size // files.BLOCK - 1)[-5:]
    assert files.read(image, image.file_size, 10) == b""
    assert files.block(image, 0) != files.block(image, 1)

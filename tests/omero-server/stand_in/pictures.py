"""Pictures that look like microscopy, out of nothing but an image's id: planes of 16 bits, and what they look like."""

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy
from PIL import Image as Picture

BACKGROUND = 100
# Of cells, in pixels from one time to the next.
SPEED = 6


def cells(image):
    """Where the cells of an image are, and how large: (x, y, radius) rows."""
    random = numpy.random.default_rng(image.id)
    number = max(4, image.size_x * image.size_y // 9000)
    places = random.uniform((0, 0), (image.size_x, image.size_y), (number, 2))
    return numpy.column_stack([places, random.uniform(14, 26, number)])


def blurred(picture, radius):
    """A box blur, twice each way: near enough to a Gaussian one."""
    width = 2 * radius + 1
    for axis in (0, 1, 0, 1):
        edges = [(radius + 1, radius) if side == axis else (0, 0) for side in (0, 1)]
        total = numpy.cumsum(numpy.pad(picture, edges, "edge"), axis=axis)
        rows = [slice(None)] * 2, [slice(None)] * 2
        rows[0][axis], rows[1][axis] = slice(width, None), slice(None, -width)
        picture = (total[tuple(rows[0])] - total[tuple(rows[1])]) / width
    return picture


def around(image, x, y, reach):
    """The part of a picture that is near a place; the distances and angles of its pixels from there."""
    top, left = max(0, int(y - reach)), max(0, int(x - reach))
    bottom, right = max(0, min(image.size_y, int(y + reach))), max(0, min(image.size_x, int(x + reach)))
    rows, columns = numpy.ogrid[top:bottom, left:right]
    part = slice(top, max(top, bottom)), slice(left, max(left, right))
    return part, numpy.hypot(columns - x, rows - y), numpy.arctan2(rows - y, columns - x)


def draw_nuclei(image, random, shift):
    picture = numpy.zeros((image.size_y, image.size_x))
    for x, y, radius in cells(image):
        part, distance, angle = around(image, x + shift, y, radius)
        edge = radius * 0.6 * (1 + 0.15 * numpy.sin(2 * angle + x))
        picture[part] += (distance < edge) * random.uniform(0.6, 1.0)
    return blurred(picture, 2)


def draw_membranes(image, random, shift):
    picture = numpy.zeros((image.size_y, image.size_x))
    for x, y, radius in cells(image):
        part, distance, angle = around(image, x + shift, y, 2 * radius)
        edge = radius * (1.2 + 0.2 * numpy.sin(3 * angle + y))
        picture[part] += numpy.exp(-((distance - edge) ** 2) / 8)
    return picture


def draw_filaments(image, random, shift):
    picture = numpy.zeros((image.size_y, image.size_x))
    for x, y, radius in cells(image):
        for angle in random.uniform(0, 2 * numpy.pi, 24):
            steps = numpy.arange(0, radius * 1.6, 0.5)
            bend = angle + 0.02 * steps * random.normal()
            columns = numpy.rint(x + shift + steps * numpy.cos(bend)).astype(int)
            rows = numpy.rint(y + steps * numpy.sin(bend)).astype(int)
            inside = (rows >= 0) & (rows < image.size_y) & (columns >= 0) & (columns < image.size_x)
            picture[rows[inside], columns[inside]] += 0.8
    return blurred(picture, 1) * 2


def draw_vesicles(image, random, shift):
    picture = numpy.zeros((image.size_y, image.size_x))
    for x, y, radius in cells(image):
        places = random.normal((x + shift, y), radius * 0.7, (30, 2)).astype(int)
        inside = (places >= 0).all(axis=1) & (places < (image.size_x, image.size_y)).all(axis=1)
        picture[places[inside, 1], places[inside, 0]] += random.uniform(4, 12)
    return blurred(picture, 1)


DRAW = {"nuclei": draw_nuclei, "membranes": draw_membranes, "filaments": draw_filaments, "vesicles": draw_vesicles}


@lru_cache(maxsize=256)
def plane(image, channel, z=0, t=0):
    """One plane, as a camera gives it: its structure out of focus away from the middle of the stack, with noise."""
    random = numpy.random.default_rng([image.id, channel])
    signal = DRAW[image.channels[channel].structure](image, random, SPEED * t)
    away = abs(z - image.size_z // 2)
    if away:
        signal = blurred(signal, 2 * away)
    noise = numpy.random.default_rng([image.id, channel, z, t]).normal(0, 8, signal.shape)
    return numpy.clip(BACKGROUND + 1200 * signal + noise, 0, 65535).astype(numpy.uint16)


@dataclass(frozen=True)
class Shown:
    """How one channel is rendered."""

    is_active: bool
    window: tuple
    colour: tuple


def defaults(image):
    return tuple(Shown(True, channel.window, channel.colour) for channel in image.channels)


@lru_cache(maxsize=64)
def projection(image, channel, t, start, end):
    """The brightest of each pixel from one depth to another."""
    return numpy.max([plane(image, channel, z, t) for z in range(start, end + 1)], axis=0)


def render(image, shown, z=0, t=0, region=None, grey=False, depths=None):
    """The planes of all active channels as one picture; a region is (x, y, width, height), depths are (start, end)."""
    x, y, width, height = region or (0, 0, image.size_x, image.size_y)
    mixed = numpy.zeros((min(height, image.size_y - y), min(width, image.size_x - x), 3), numpy.float32)
    for number, channel in enumerate(shown):
        if channel.is_active:
            start, end = channel.window
            whole = projection(image, number, t, *depths) if depths else plane(image, number, z, t)
            values = whole[y : y + height, x : x + width].astype(numpy.float32)
            values = numpy.clip((values - start) / max(end - start, 1), 0, 1)
            colour = (255, 255, 255) if grey else channel.colour
            mixed += values[..., None] * numpy.array(colour, numpy.float32)
            if grey:
                break  # The first active one, as OMERO does.
    return Picture.fromarray(numpy.clip(mixed, 0, 255).astype(numpy.uint8), "RGB")


def jpeg(picture, quality=0.9):
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=round(100 * quality))
    return stream.getvalue()


@lru_cache(maxsize=1024)
def thumbnail(image, width, height=None):
    """A JPEG of the image in the middle of its stack; of this size, or, without a height, with this longest side."""
    picture = render(image, defaults(image), image.size_z // 2)
    if height is None:
        scale = width / max(picture.size)
        width, height = (max(1, round(side * scale)) for side in picture.size)
    return jpeg(picture.resize((width, height), Picture.Resampling.BILINEAR))


def tiff(image):
    """All planes of an image as a TIFF."""
    planes = [
        Picture.fromarray(plane(image, channel, z, t))
        for t in range(image.size_t) for z in range(image.size_z) for channel in range(len(image.channels))
    ]  # fmt: skip
    stream = io.BytesIO()
    planes[0].save(stream, "TIFF", save_all=True, append_images=planes[1:])
    return stream.getvalue()


def packed(picture):
    """Each pixel as one number, alpha, red, green, blue."""
    values = numpy.asarray(picture, dtype=numpy.int64)
    return (numpy.int64(-1) << 24 | values[..., 0] << 16 | values[..., 1] << 8 | values[..., 2]).ravel().tolist()

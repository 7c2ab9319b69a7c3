"""The original files of images: a TIFF of what is shown or, where a large one is wanted, a pattern of any size."""

import hashlib
from functools import lru_cache

from . import pictures

BLOCK = 65536


@lru_cache(maxsize=64)
def whole_tiff(image):
    return pictures.tiff(image)


def size(image):
    return image.file_size or len(whole_tiff(image))


def block(image, number):
    """A block of a large file, which whoever downloads it can make as well, to compare."""
    pattern = hashlib.sha256(f"{image.id} {number}".encode()).digest()
    return pattern * (BLOCK // len(pattern))


def read(image, offset, length):
    if not image.file_size:
        return whole_tiff(image)[offset : offset + length]
    end = min(offset + length, image.file_size)
    if offset >= end:
        return b""
    first = offset // BLOCK
    blocks = b"".join(block(image, number) for number in range(first, (end - 1) // BLOCK + 1))
    return blocks[offset - first * BLOCK : end - first * BLOCK]


@lru_cache(maxsize=64)
def sha1(image):
    """What OMERO keeps of each original file."""
    digest = hashlib.sha1()
    for offset in range(0, size(image), 1 << 20):
        digest.update(read(image, offset, 1 << 20))
    return digest.hexdigest()

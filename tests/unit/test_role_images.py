"""Which requests are for pictures that nginx may keep, by the role's own expressions."""

import re
from pathlib import Path

import pytest
import yaml

IMAGES = yaml.safe_load((Path(__file__).parents[2] / "roles/omero-web/vars/main/images.yml").read_text())


def kind(request):
    """Which of the expressions a request has, as nginx puts them together."""
    kinds = {
        name: f"/({'|'.join(IMAGES[f'_omero_web_{name}_paths'])}){IMAGES['_omero_web_plain_query']}"
        for name in ("image", "placeholder")
    }
    return [name for name, expression in kinds.items() if re.fullmatch(expression, request)]


@pytest.mark.parametrize(
    "request_uri, expected",
    [
        ("/webgateway/render_thumbnail/1", ["image"]),
        ("/webgateway/render_thumbnail/1/96/?", ["image"]),
        ("/webgateway/render_image_region/1/0/0/?c=1|0:5$FF,-2&tile=0,1,2,256,256&maps=%5B%7B%22inverted%22%3A1%7D%5D",
         ["image"]),
        ("/webclient/render_image/1/0/0/?_=0.25", ["image"]),
        ("/webclient/render_thumbnail/size/96/1/?version=3", ["placeholder"]),
        ("/webgateway/get_thumbnails/?id=1&id=2&callback=jQuery1_2", ["placeholder"]),
        ("/webclient/get_thumbnails/?" + "&".join(f"id={number}" for number in range(50)), ["placeholder"]),
        # Not pictures of one rendering, or not by an address that OMERO.web has.
        ("/webgateway/render_ome_tiff/i/1/", []),
        ("/webgateway/render_thumbnail/1/../../../webclient/", []),
        ("/webgateway/render_thumbnail/%31/", []),
        ("/webgateway/archived_files/download/1/", []),
        # Somebody's, or perhaps somebody's.
        ("/webgateway/render_thumbnail/1/?bsession=a", []),
        ("/webgateway/render_thumbnail/1/?z=1&bsession=a", []),
        ("/webgateway/render_thumbnail/1/?z=1;bsession=a", []),
        ("/webgateway/render_thumbnail/1/?%62session=a", []),
        ("/webgateway/render_thumbnail/1/?username=a&password=b", []),
        ("/webgateway/render_thumbnail/1/?z=1&passw%6Frd=b", []),
        ("/webgateway/render_thumbnail/1/?&&bsession=a", []),
    ],
)  # fmt: skip
def test_requests_for_pictures(request_uri, expected):
    assert kind(request_uri) == expected

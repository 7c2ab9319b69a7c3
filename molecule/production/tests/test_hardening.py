"""What OMERO.web does beyond its pages works in the sandbox of its service."""

import json
from hashlib import sha256
from os import urandom

import pytest

# More than Django keeps in memory, which writes the rest to a file.
UPLOAD = 8 * 2**20
BOUNDARY = "boundary-of-the-parts"
APP = "{omero_web_prefix}/omero_test_app"


@pytest.fixture(scope="module")
def app(variables):
    """The path of the test app."""
    return APP.format(**variables)


def test_a_large_file_is_uploaded(ask, app):
    content = urandom(UPLOAD)
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="image.tiff"\r\n\r\n'
    form = head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    answer = ask(f"{app}/upload/", form, **{"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
    assert answer.status == 200
    assert json.loads(answer.body) == {"sha256": sha256(content).hexdigest(), "kind": "TemporaryUploadedFile"}


@pytest.mark.parametrize("address", ["port=22", "path=/run/dbus/system_bus_socket"])
def test_other_services_are_reached(ask, app, address):
    assert ask(f"{app}/reach/?{address}").status == 200

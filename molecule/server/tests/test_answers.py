"""What OMERO.web answers, but for OMERO.web 5.4, which fails at it, and its Django, which tells no length of a page."""

import io

from PIL import Image as Picture

ASK_GUNICORN = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", 4080)
connection.request("GET", sys.argv[1], headers={"Cookie": "sessionid=" + sys.argv[2]})
print(connection.getresponse().headers["X-Accel-Buffering"])
"""


def test_download_as_png(researcher, world):
    image = world.images[1]
    answer = researcher.get(f"/webgateway/download_as/?image={image.id}&format=png")
    assert answer.status_code == 200
    picture = Picture.open(io.BytesIO(answer.content))
    assert (picture.format, picture.size) == ("PNG", (image.size_x, image.size_y))
    assert image.name in answer.headers["Content-Disposition"]


def test_there_are_no_data_of_an_image_that_is_not_there(researcher):
    assert researcher.get("/webgateway/imgData/999/").status_code == 404


def test_nginx_takes_pages_as_a_whole_and_downloads_as_they_come(host, researcher, world):
    """What gunicorn tells it stays between the two."""
    large = next(image for image in world.images.values() if image.file_size)
    for path, told in ("/webclient/", "yes"), (f"/webgateway/archived_files/download/{large.id}/", "None"):
        arguments = path, researcher.session.cookies["sessionid"]
        assert host.check_output("python3 -c %s %s %s", ASK_GUNICORN, *arguments) == told
        with researcher.get(path, stream=True) as answer:
            assert answer.status_code == 200 and "X-Accel-Buffering" not in answer.headers

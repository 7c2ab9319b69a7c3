"""What users see when OMERO.server is slow, refuses, or is gone."""

import io
from concurrent.futures import ThreadPoolExecutor

from clients import UNIT
from conftest import wait_until
from PIL import Image as Picture

PLANE = "/webgateway/render_image/1/2/0/"
DOWNLOAD = "/webgateway/archived_files/download/1/"
# So many requests take much longer than one that nothing holds.
SOME = 8


def test_thumbnail_that_is_refused_is_a_placeholder(researcher, switch):
    thumbnail = "/webclient/render_thumbnail/1/"
    assert Picture.open(io.BytesIO(researcher.get(thumbnail).content)).format == "JPEG"
    switch("refuse=getThumbnail*")
    answer = researcher.get(thumbnail)
    assert answer.status_code == 200
    assert Picture.open(io.BytesIO(answer.content)).format == "PNG"


def test_query_that_is_refused_is_an_error_of_one_request(researcher, switch):
    switch("refuse=findByQuery")
    assert researcher.get(PLANE).status_code == 500
    switch()
    assert researcher.get(PLANE).status_code == 200, "nobody is logged out"


def test_slow_server(researcher, switch):
    fast = researcher.get(PLANE).elapsed.total_seconds()
    switch("latency=1.5 slow=renderCompressed")
    slow = researcher.get(PLANE)
    assert slow.status_code == 200 and slow.elapsed.total_seconds() > max(1.5, fast)


def test_answer_that_does_not_come_holds_one_request_only(researcher, switch):
    assert researcher.get(PLANE).status_code == 200, "it is drawn the first time only"
    switch("hang=renderCompressed")
    with ThreadPoolExecutor() as threads:
        held = threads.submit(researcher.get, PLANE)
        try:
            assert {researcher.get("/webgateway/imgData/1/").status_code for _ in range(SOME)} == {200}
            assert not held.done()
        finally:
            switch()
        assert held.result().status_code == 200


def test_download_at_a_byte_rate(researcher, switch):
    whole = researcher.get(DOWNLOAD).content
    assert researcher.get(PLANE).status_code == 200
    # Twenty seconds for all of it.
    switch(f"bytes_per_second={len(whole) // 20}")
    with ThreadPoolExecutor() as threads:
        held = threads.submit(researcher.get, DOWNLOAD)
        try:
            assert {researcher.get(PLANE).status_code for _ in range(SOME)} == {200}
            assert not held.done()
        finally:
            switch()
        assert held.result().content == whole


def test_restarted_server_asks_for_another_login(stand_in, researcher, passwords):
    stand_in.check_output(f"systemctl restart {UNIT}")
    wait_until(lambda: stand_in.socket("tcp://0.0.0.0:4064").is_listening)
    assert not researcher.is_logged_in()
    researcher.log_in("researcher", passwords["researcher"])
    assert researcher.is_logged_in()


def test_killed_server_comes_back(stand_in, researcher, passwords):
    stand_in.check_output(f"systemctl kill --signal=SIGKILL {UNIT}")
    wait_until(lambda: researcher.log_in("researcher", passwords["researcher"]).status_code == 302)

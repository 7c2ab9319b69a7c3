"""Downloads, and calls that OMERO.server does not answer: whom each kind of workers leaves waiting."""

import re
from concurrent.futures import ThreadPoolExecutor, wait
from hashlib import sha256
from threading import Thread

import pytest
from clients import LOGIN
from conftest import on_a_busy_machine, wait_until
from stand_in import files
from traffic import Download

pytestmark = on_a_busy_machine
CLIENTS = 50
PLANE = "/webgateway/render_image/1/2/0/"
THUMBNAIL = "/webclient/render_thumbnail/1/"
DOWNLOAD_LINK = re.compile(r'href="(/\w+/[^"]*download[^"]*)"')
SENTENCE = b"This site does not offer downloads"
# Long enough for whatever a worker is free to do.
WHILE = 5


@pytest.fixture(scope="module")
def original(world):
    """The path of an original file that is too large for the buffers on the way, and its digest."""
    image = next(image for image in world.images.values() if image.file_size)
    digest = sha256()
    for number in range(image.file_size // files.BLOCK):
        digest.update(files.block(image, number))
    return f"/webgateway/archived_files/download/{image.id}/", digest.digest()


@pytest.fixture
def downloads(site, researcher, original):
    """Begin so many slow downloads at once; those that are left in the end are given up."""
    begun = []
    path, _ = original
    session = researcher.session.cookies["sessionid"]

    def downloads(number):
        some = [Download(site + path, session=session) for _ in range(number)]
        begun.extend(some)
        starts = [Thread(target=download.start) for download in some]
        for start in starts:
            start.start()
        for start in starts:
            start.join()
        return some

    yield downloads
    for download in begun:
        download.abandon()


@pytest.fixture
def held(site, researcher, switch):
    """Ask for so many pictures that OMERO.server does not render before release() is called; their answers."""
    switch("hang=renderCompressed")
    with ThreadPoolExecutor(max_workers=100) as threads:
        yield lambda number: [threads.submit(researcher.get, PLANE) for _ in range(number)]
        switch()


@pytest.fixture
def number_of_workers(host, main_pid):
    return lambda: len(host.check_output("pgrep --parent %s", main_pid()).split())


@pytest.fixture(scope="module")
def site_with(play):
    """Change the site; it is as the scenario has it in the end."""

    def site_with(**variables):
        code, output = play(**variables)
        assert code == 0, output

    yield site_with
    site_with()


def assert_answers(guest, researcher):
    """See that the login page and thumbnails are to be had, each often enough to meet with every worker."""
    for _ in range(20):
        assert guest.get(LOGIN).status_code == 200
        assert researcher.get(THUMBNAIL).headers["Content-Type"] == "image/jpeg"


def assert_complete(download, original):
    """See that all of it arrives: one that is cut off ends like any other, only sooner."""
    download.finish()
    assert download.error is None
    assert download.received.digest() == original[1]


def assert_in_flight(some):
    assert {download.error for download in some} == {None}
    assert [download.is_alive() for download in some].count(True) == len(some)


def test_sync_workers_serve_a_download_each_and_not_for_long(site_with, downloads, original, number_of_workers, guest):
    site_with(omero_web_timeout=5)
    some = downloads(number_of_workers())
    assert_in_flight(some)
    wait_until(lambda: guest.get(LOGIN).status_code == 200)
    for download in some:
        download.finish()
    cut_off = [download for download in some if download.received.digest() != original[1]]
    assert cut_off, "a worker was killed, or nobody would have been there to answer"


def test_threads_are_not_killed_but_nobody_replaces_a_worker_with_downloads(site_with, downloads, original, guest):
    site_with(omero_web_workers=1, omero_web_threads=20, omero_web_max_requests=10, omero_web_timeout=5)
    (download,) = downloads(1)
    answers = []
    while set(answers) <= {200} and len(answers) < 20:
        answers.append(guest.get(LOGIN).status_code)
    assert answers[-1] == 504, "nginx waits as long for a worker that takes in nothing any more"
    assert_in_flight([download])
    assert_complete(download, original)
    wait_until(lambda: guest.get(LOGIN).status_code == 200)


def test_threads_serve_others_than_downloads(site_with, downloads, original, guest, researcher):
    site_with(omero_web_threads=20)
    some = downloads(CLIENTS)
    assert_answers(guest, researcher)
    assert_in_flight(some)
    assert_complete(some[0], original)


def test_threads_serve_others_than_those_who_wait_for_omero_server(held, number_of_workers, guest, researcher):
    some = held(4 * number_of_workers())
    assert_answers(guest, researcher)
    assert not any(answer.done() for answer in some)


def test_full_worker_leaves_new_requests_to_others(held, number_of_workers, guest):
    """All threads but one are taken; by chance alone, the one would not be found each time."""
    held(20 * number_of_workers() - 1)
    assert [guest.get(LOGIN).status_code for _ in range(20)] == [200] * 20


def test_download_spans_an_upgrade(site_with, downloads, original):
    """To another release, for gevent is installed into it."""
    (download,) = downloads(1)
    # A worker of gevent does nothing else while OMERO.server answers it. On a busy machine such times add up, and a
    # worker that is killed for it takes its downloads along.
    site_with(omero_web_worker_class="gevent", omero_web_timeout=300)
    assert_complete(download, original)


def test_gevent_serves_others_than_downloads(downloads, original, guest, researcher):
    some = downloads(CLIENTS)
    assert_answers(guest, researcher)
    assert_in_flight(some)
    assert_complete(some[0], original)


def test_gevent_serves_nobody_while_all_workers_wait_for_omero_server(held, number_of_workers, guest, site, switch):
    some = held(4 * number_of_workers())
    wait(some, timeout=WHILE)
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(guest.get, LOGIN)
        wait([answer], timeout=WHILE)
        assert not answer.done()
        switch()
        assert answer.result().status_code == 200
    assert {answer.result().status_code for answer in some} == {200}


def test_downloads_can_be_refused(site_with, downloads, original, researcher):
    (download,) = downloads(1)
    site_with(omero_web_downloads=False)
    # It began before.
    assert_complete(download, original)
    page = researcher.get("/webclient/metadata_details/image/1/").text
    answers = {link: researcher.get(link) for link in set(DOWNLOAD_LINK.findall(page))}
    refused = {link for link, answer in answers.items() if answer.status_code == 403 and SENTENCE in answer.content}
    assert refused == {"/webgateway/archived_files/download/1/", "/webclient/download_orig_metadata/1/"}
    rendered = answers.keys() - refused
    assert rendered == {f"/webclient/render_image_download/1/{kind}" for kind in ("", "?format=png", "?format=tif")}
    assert {answers[link].status_code for link in rendered} == {200}

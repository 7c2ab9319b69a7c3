"""Who asks for too much is told to wait, and nobody else is."""

import time

import pytest
import requests
from clients import DOWNLOAD
from conftest import wait_until
from traffic import Download

PER_USER, PER_ADDRESS = "omero_web_downloads_per_user", "omero_web_downloads_per_address"


@pytest.fixture
def path(variables, world):
    """Of a file that takes a while."""
    large = next(image for image in world.images.values() if image.file_size)
    return f"{variables['omero_web_prefix']}{DOWNLOAD}{large.id}/"


@pytest.fixture
def download(site, path):
    """Begin to download with a session; it goes on until the test ends."""
    begun = []

    def download(session):
        begun.append(Download(site + path, session=session))
        begun[-1].start()
        assert begun[-1].is_alive(), "it was refused"
        return begun[-1]

    yield download
    for one in begun:
        one.abandon()


@pytest.fixture
def asked(ask, variables):
    """What is answered to who asks for one more download, with a session; of an image that is not there."""

    def asked(session):
        answer = ask(f"{variables['omero_web_prefix']}{DOWNLOAD}999999/", Cookie=f"sessionid={session}")
        return answer.status, answer.headers["Retry-After"], b"<h1>Too much at once</h1>" in answer.body

    return asked


def test_downloads_of_a_user_are_limited(variables, log_in, download, asked, who_is):
    session = log_in()
    for _ in range(variables[PER_USER]):
        download(session)
    assert asked(session) == (429, "60", True)
    assert who_is(session) is not None, "downloads alone are limited"
    download(log_in())


def test_downloads_of_an_address_are_limited(variables, log_in, download, asked):
    for _ in range(variables[PER_ADDRESS]):
        download(log_in())
    assert asked(log_in()) == (429, "60", True)
    assert asked("a" * 32) == (429, "60", True), "who makes up a session"
    assert asked("a" * 400) == (429, "60", True), "or a key that nginx would not count"


def test_one_that_has_ended_makes_room(variables, log_in, download, asked):
    session = log_in()
    begun = [download(session) for _ in range(variables[PER_USER])]
    assert asked(session)[0] == 429
    for one in begun:
        one.abandon()
    wait_until(lambda: asked(session)[0] != 429)
    download(session)


def test_a_download_is_slowed(variables, site, path, log_in):
    """On a busy machine it takes longer than it has to, never less. nginx counts whole seconds, and one ahead."""
    began = time.monotonic()
    size = sum(map(len, Download(site + path, session=log_in()).blocks()))
    rate = variables["omero_web_download_kb_per_second"] * 1024
    assert size < rate * (time.monotonic() - began + 2)


def test_strangers_are_limited(variables, site, log_in, login):
    limit = variables["omero_web_stranger_requests_per_minute"]
    crawler, page = requests.Session(), f"{site}{variables['omero_web_prefix']}/omero_test_app/headers/"
    crawler.verify = crawler.trust_env = False
    crawler.headers["X-Forwarded-For"] = "192.0.2.7"

    def crawl(**headers):
        answer = crawler.get(page, headers=headers)
        crawler.cookies.clear()
        return answer

    answers = [crawl().status_code for _ in range(limit)]
    assert 429 not in answers
    for _ in range(limit):
        answer = crawl()
        if answer.status_code == 429:
            break
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "60"
    assert "<h1>Too much at once</h1>" in answer.text
    assert crawl(Cookie=f"sessionid={log_in()}").status_code != 429, "a user from the same address"
    assert crawl(**{"X-Forwarded-For": "192.0.2.8"}).status_code != 429, "another address"
    assert login().status == 200


def test_crawlers_are_told_to_stay_away(ask):
    answer = ask("/robots.txt")
    assert (answer.status, answer.body) == (200, b"User-agent: *\nDisallow: /\n")
    assert answer.headers["Content-Type"] == "text/plain"

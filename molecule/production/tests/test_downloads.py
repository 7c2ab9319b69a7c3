"""Whether users may download, and what counts as a download."""

import json
from shlex import quote

import pytest
from conftest import exhaustive

SENTENCE = b"This site does not offer downloads"
DOWNLOADS = [
    "/webgateway/archived_files/download/1/",
    "/webgateway/download_as/",
    "/webclient/annotation/1/",
    "/webclient/download_original_file/1/",
    "/webclient/get_original_file/1/",
    "/webclient/download_orig_metadata/1/",
    "/webclient/download_placeholder/",
    "/webclient/omero_table/1/csv/",
]
NO_DOWNLOADS = [
    "/webclient/login/",
    "/webclient/render_image_download/1/",
    "/webclient/omero_table/1/",
    "/webgateway/render_thumbnail/1/",
]
# Which of OMERO.web's own views stream, and which are at the paths that are given.
FIND_VIEWS = """
import inspect, json, re, sys
import django
django.setup()
from django.urls import get_resolver, resolve

def views(entries):
    for entry in entries:
        if hasattr(entry, "url_patterns"):
            yield from views(entry.url_patterns)
        else:
            yield inspect.unwrap(entry.callback)

def name(view):
    return view.__module__ + "." + getattr(view, "__name__", "")

own = [view for view in views(get_resolver().url_patterns) if name(view).startswith("omeroweb.")]
streams = re.compile(r"(Streaming|ConnCleaning|TableClosing)HttpResponse[(]")
streaming = {name(view) for view in own if streams.search(inspect.getsource(view))}
print(json.dumps([sorted(streaming), [name(inspect.unwrap(resolve(path).func)) for path in sys.argv[1:]]]))
"""


@pytest.fixture
def assert_downloads(ask, variables):
    """See that every download is refused in a sentence, or none; and never anything else."""

    def assert_downloads(refused):
        for path in DOWNLOADS + NO_DOWNLOADS:
            answer = ask(variables["omero_web_prefix"] + path)
            is_refused = answer.status == 403 and SENTENCE in answer.body
            assert is_refused == (refused and path in DOWNLOADS), path

    return assert_downloads


def test_all_that_streams_is_a_download(python):
    found = python(f"-c {quote(FIND_VIEWS)} {' '.join(DOWNLOADS)}")
    streaming, downloads = json.loads(found.splitlines()[-1])
    assert streaming
    assert set(streaming) <= set(downloads)


def test_downloads_are_offered(assert_downloads):
    assert_downloads(refused=False)


@exhaustive
def test_downloads_can_be_refused(play, assert_downloads):
    code, output = play(omero_web_downloads=False)
    assert code == 0, output
    assert_downloads(refused=True)
    code, output = play()
    assert code == 0, output

"""A release that the Python of the platform cannot run is refused, with the Pythons that can."""

import pytest

RELEASE_AND_RANGE = {
    "platforms-bullseye": (
        "5.33.2",
        "which needs Python 3.10 to 3.14; /usr/bin/python3 on platforms-bullseye is Python 3.9",
    ),
    "platforms-trixie": (
        "5.31.1",
        "which needs Python 3.10 to 3.12; /usr/bin/python3 on platforms-trixie is Python 3.13",
    ),
}


@pytest.fixture
def release_and_range(host):
    return RELEASE_AND_RANGE[host.backend.get_hostname()]


def test_a_release_that_the_python_cannot_run_is_refused(refused, host, release_and_range):
    release, sentence = release_and_range
    limit = ("playbooks/site.yml", "--limit", host.backend.get_hostname())
    assert "changed=0" in refused(sentence, *limit, omero_web_release=release)

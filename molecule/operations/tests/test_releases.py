"""What is newer than what runs, as a package index says that the site names; and an index that does not answer."""

import pytest

INDEX = "/root/index"
SECRET = "hunter2-of-pip"


@pytest.fixture
def told(play):
    """What status.yml says with these arguments of pip, on one line."""

    def told(arguments):
        code, output = play("playbooks/status.yml", omero_web_status_releases=True, omero_web_pip_extra_args=arguments)
        assert code == 0, output
        return " ".join(output.split())

    return told


def test_what_is_newer(told, host):
    for name, wheel in ("omero-web", "omero_web-99.0"), ("django", "Django-98.0"):
        host.check_output("mkdir -p %s/%s", INDEX, name)
        page = f'<a href="{wheel}-py3-none-any.whl">{wheel}-py3-none-any.whl</a>'
        host.check_output("echo %s > %s/%s/index.html", page, INDEX, name)
    release = host.check_output("readlink --canonicalize /opt/omero/web/current/release")
    # As pip was before it has ever been asked; there, Python compiles what it imports.
    host.check_output("find %s -path '*/pip/_internal/commands/*' -name '*.pyc' -delete", release)
    listing = f"find {release} -printf '%p %T@\\n' | sort | sha256sum"
    before = host.check_output(listing)
    try:
        words = told(f"--index-url file://{INDEX} --no-deps")
    finally:
        host.check_output("rm -r %s", INDEX)
    django = host.check_output("%s/venv/bin/python -m django --version", release)
    assert "newer 99.0; set omero_web_release, run site.yml" in words
    assert f"outdated Django {django}, of which 98.0 is there" in words
    assert host.check_output(listing) == before, "a release never changes"


def test_index_that_does_not_answer(told, host):
    words = told(f"--index-url http://u:{SECRET}@127.0.0.1:9/simple")
    assert "newer is not known: the package index gives no answer" in words
    assert SECRET not in words
    assert SECRET not in host.check_output("journalctl --boot")

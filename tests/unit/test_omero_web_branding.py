"""What makes a site look like the facility's own is found on the controller, checked, and a part of the release."""

import base64
import io
import runpy
import tarfile

import pytest
from conftest import ROOT
from test_omero_web_wanted import site, wanted

ROLE = f"{ROOT}/roles/omero-web"
brands = runpy.run_path(f"{ROLE}/action_plugins/omero_web_branding.py")
packed = runpy.run_path(f"{ROLE}/filter_plugins/omero_web_packed.py")["omero_web_packed"]


@pytest.fixture
def branding(tmp_path):
    """A facility's files, and the variable that names them."""
    for name, text in {"logo.PNG": "picture", "files/one/a.css": "a", "pages/webclient/login.html": "login"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return {"name": "Ours", "logo": "logo.PNG", "static": "files", "templates": "pages"}


@pytest.fixture
def collected(tmp_path):
    def find(path):
        if not (tmp_path / path).exists():
            raise LookupError(path)
        return str(tmp_path / path)

    return lambda branding: brands["collected"](branding, wanted.LOGO, find)


def test_what_a_release_gets(branding, collected, tmp_path):
    found = collected(branding)
    logo = next(name for name in found["files"] if "logo" in name)
    assert logo == "static/branding/logo-2cea274d.png"
    assert set(found["files"]) == {"static/one/a.css", "templates/webclient/login.html", logo}
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(packed(found["files"])))) as archive:
        assert {one.name: (one.mode, one.uid) for one in archive} == dict.fromkeys(found["files"], (0o644, 0))
        assert archive.extractfile(logo).read() == b"picture"
    digests = {found["digest"]}
    (tmp_path / "logo.PNG").write_text("another")
    digests.add(collected(branding)["digest"])
    (tmp_path / "files/one/a.css").rename(tmp_path / "files/one/b.css")
    digests.add(collected(branding)["digest"])
    assert len(digests) == 3


def test_a_site_without_has_nothing_of_it(collected):
    assert collected({}) == {"files": {}, "digest": ""}
    assert packed({}) == ""
    without = site()
    assert without["branding"] == {
        "name": "OMERO.web", "text": "Your data is safe.", "files": {}, "digest": "", "logo": "", "settings": {},
    }  # fmt: skip
    assert "omero.web.login_logo" not in without["settings"]
    configuration = wanted.configuration_of(without, {"directory": "/r", "series": {}})
    assert "omero.web.template_dirs" not in configuration["append"]


def test_what_a_site_makes_of_it(branding, collected):
    config = {"omero.web.static_url": "/own/", "omero.web.top_logo": "/mine.png"}
    append = {"omero.web.template_dirs": ["/srv/templates"]}
    found = site(branding=collected(branding), config=config, config_append=append)
    assert found["settings"]["omero.web.login_logo"] == "/own/branding/logo-2cea274d.png"
    assert found["settings"]["omero.web.top_logo"] == "/mine.png"
    configuration = wanted.configuration_of(found, {"directory": "/r", "series": {}})
    assert configuration["append"]["omero.web.template_dirs"] == ["/srv/templates", "/r/branding/templates"]


GONE = "which is not on this controller; give its path, absolute or below files/ beside the playbook."


@pytest.mark.parametrize("differences, sentence", [
    ({"logo": "gone.png"}, f"omero_web_branding.logo is gone.png, {GONE}"),
    ({"templates": "gone"}, f"omero_web_branding.templates is gone, {GONE}"),
    ({"static": "logo.PNG"}, "omero_web_branding.static is logo.PNG, which is no directory; name one."),
    ({"logo": "files/one/a.css"}, "omero_web_branding.logo is files/one/a.css; it must be a picture, with a name that "
     "ends with .gif, .jpg, .png, .svg, .webp."),
])  # fmt: skip
def test_what_is_wrong_is_one_sentence(branding, collected, differences, sentence):
    with pytest.raises(brands["Problem"]) as caught:
        collected({**branding, **differences})
    assert str(caught.value) == sentence


def test_too_much_is_refused(branding, collected, tmp_path):
    with (tmp_path / "files/large.tif").open("wb") as large:
        large.truncate(9_000_000)
    with pytest.raises(brands["Problem"], match="The files of omero_web_branding are 9 MB, and 8 are the most"):
        collected(branding)

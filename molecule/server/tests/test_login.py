"""Logging in by OMERO.web's own form, and how a session ends; at OMERO.web 5.4, too (scenario archive)."""

import pytest
from clients import LOGIN, complaint, leads_to

PASSWORD = "Connection not available, please check your user name and password."
NO_SERVER = "Server is not responding, please contact administrator."
LOGIN_OF = LOGIN + "?url=%2Fwebclient%2F"


def test_form_leads_to_the_web_client(researcher):
    page = researcher.get("/webclient/")
    assert page.status_code == 200
    assert "Rita Researcher" in page.text and "Cell biology" in page.text


@pytest.mark.parametrize(("name", "password"), [("researcher", "wrong"), ("nobody", "researcher-hunter2")])
def test_wrong_name_or_password(guest, name, password):
    answer = guest.log_in(name, password)
    assert answer.status_code == 200
    assert complaint(answer) == f"Error: {PASSWORD}"
    assert not guest.is_logged_in()


def test_logout(researcher):
    assert researcher.is_logged_in()
    assert leads_to(researcher.post("/webclient/logout/")) == LOGIN
    assert not researcher.is_logged_in()


def test_session_that_nobody_uses_ends(researcher, switch):
    assert researcher.is_logged_in()
    # The next thing that is asked comes later than that.
    switch("session_timeout=0.001")
    answer = researcher.get("/webclient/", allow_redirects=False)
    assert (answer.status_code, leads_to(answer)) == (302, LOGIN_OF)
    switch()
    assert not researcher.is_logged_in(), "it does not come back"


def test_login_after_the_session_is_lost(researcher, passwords, switch):
    switch("sessions_lost=now")
    assert not researcher.is_logged_in()
    researcher.log_in("researcher", passwords["researcher"])
    assert researcher.is_logged_in()


def test_login_without_an_omero_server(guest, stopped_server):
    answer = guest.log_in("researcher", "researcher-hunter2")
    assert answer.status_code == 200
    assert NO_SERVER in complaint(answer)


def test_users_see_what_they_may(researcher, guest, passwords, world):
    assert researcher.get("/api/v0/m/images/35/").status_code == 404
    guest.log_in("colleague", passwords["colleague"])
    assert guest.get("/api/v0/m/images/35/").json()["data"]["Name"] == world.images[35].name


def test_public_user(guest, world):
    published, private = (
        next(image for image in world.images.values() if world.groups[image.group].name == name)
        for name in ("Publications", "Private")
    )
    assert guest.get(f"/webgateway/render_image/{published.id}/0/0/").headers["Content-Type"] == "image/jpeg"
    assert guest.get(f"/webgateway/render_image/{private.id}/0/0/").status_code == 404
    seen = {image["@id"] for image in guest.get("/api/v0/m/images/").json()["data"]}
    assert seen == {image.id for image in world.images.values() if image.group == published.group}


@pytest.mark.parametrize("path", ["/webclient/", "/webgateway/archived_files/download/37/"])
def test_public_user_is_kept_from_what_is_not_public(guest, path):
    answer = guest.get(path, allow_redirects=False)
    assert answer.status_code == 302 and leads_to(answer).startswith(LOGIN)

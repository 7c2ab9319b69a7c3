"""Several servers, a public user, mail, and other sites that embed images: what OMERO.web makes of the settings."""

import json
import re

import pytest

SETTINGS = """
import json, django
from django.conf import settings
django.setup()
names = "ADMINS CHECK_VERSION EMAIL_HOST EMAIL_HOST_PASSWORD EMAIL_HOST_USER EMAIL_PORT EMAIL_USE_TLS SECURE"
print(json.dumps({name: getattr(settings, name) for name in [*names.split(), "SERVER_EMAIL"]}))
"""
IS_PUBLIC = """
import json, sys, django
django.setup()
from django.test import RequestFactory
from omeroweb.decorators import login_required
for path in sys.argv[1:]:
    print(login_required().is_valid_public_url(2, RequestFactory().get(path)))
"""
ROOT = """
import django
django.setup()
from django.urls import resolve
print(resolve("/").func.__module__)
"""


@pytest.fixture(scope="module")
def settings(python):
    return json.loads(python(f"-c '{SETTINGS}'"))


def test_login_page_offers_all_servers_in_their_order(login):
    servers = re.findall(r'<option value="(\d+)"[^>]*>([^<]+)</option>', login().body.decode())
    assert [(number, name.strip()) for number, name in servers] == [("1", "Our images:4064"), ("2", "Teaching:14064")]


def test_connections_to_servers(settings):
    assert settings["SECURE"] is True
    assert settings["CHECK_VERSION"] is False


def test_mail_is_as_django_has_it(settings, variables):
    assert settings["ADMINS"] == [["Facility", "facility@example.org"]]
    assert settings["SERVER_EMAIL"] == "omero@example.org"
    assert (settings["EMAIL_HOST"], int(settings["EMAIL_PORT"])) == ("mail.example.org", 587)
    assert settings["EMAIL_HOST_USER"] == "omero"
    assert settings["EMAIL_HOST_PASSWORD"] == variables["omero_web_secrets"]["omero.mail.password"]
    assert settings["EMAIL_USE_TLS"] is True


def test_public_user_sees_images_and_nothing_else(python):
    paths = ["/webgateway/render_image/1/", "/webgateway/archived_files/download/1/", "/webclient/", "/webadmin/"]
    assert python(f"-c '{IS_PUBLIC}' {' '.join(paths)}").split() == ["True", "False", "False", "False"]


def test_root_is_the_gallery(python):
    assert python(f"-c '{ROOT}'") == "omero_gallery.views"


@pytest.mark.parametrize(
    "origin, allowed", [("https://viewer.example.org", "https://viewer.example.org"), ("https://example.org", None)]
)
def test_sites_that_may_embed_images(ask, variables, origin, allowed):
    answer = ask(f"{variables['omero_web_prefix']}/webclient/login/", Origin=origin)
    assert answer.headers["Access-Control-Allow-Origin"] == allowed

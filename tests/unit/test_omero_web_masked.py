"""What logs and messages may say of secrets."""

import json
import runpy
from pathlib import Path
from urllib.parse import quote

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible.parsing.yaml.objects import AnsibleVaultEncryptedUnicode

FILTER = Path(__file__).parents[2] / "roles/omero-web/filter_plugins/omero_web_masked.py"
masked = runpy.run_path(str(FILTER))["omero_web_masked"]
PASSWORD = "häh/\"\\'correct horse"
URL = f"redis://:{quote(PASSWORD, safe='')}@cache.example.org:6379/0"
CACHES = {"default": {"BACKEND": "redis", "LOCATION": [URL], "TIMEOUT": 60}}


@pytest.mark.parametrize("secret", [PASSWORD, CACHES, json.dumps(CACHES), [["", PASSWORD]]], ids=type)
@pytest.mark.parametrize("spelling", [str, quote, json.dumps, repr], ids=["text", "url", "json", "python"])
def test_a_secret_is_masked_however_it_is_written(secret, spelling):
    assert masked(f"no {spelling(PASSWORD)}, sorry", {"omero.web.x": secret}).strip("no ,sry'\"") == "********"


def test_what_is_no_secret_is_left():
    text = "LOCATION of default: Timeout after 60 seconds at cache.example.org:6379"
    assert masked(text, {"omero.web.caches": CACHES, "omero.web.empty": "", "omero.web.none": None}) == text


def test_a_secret_from_a_vault_is_masked():
    vault = VaultLib([("default", VaultSecret(b"key"))])
    secret = AnsibleVaultEncryptedUnicode.from_plaintext(URL, vault, VaultSecret(b"key"))
    secret.vault = vault
    assert masked(f"no {PASSWORD}", {"omero.web.x": secret}) == "no ********"


def test_a_number_alone_is_a_secret():
    assert masked("wrong: 4711", {"omero.web.pin": 4711}) == "wrong: ********"


def test_a_secret_inside_another_does_not_show_it():
    assert masked("saw secret-key", {"omero.web.a": "secret", "omero.web.b": "secret-key"}) == "saw ********"


def test_users_and_passwords_in_urls_are_secrets_whoever_gave_them():
    assert masked("from https://me:token@pip.example.org/simple", {}) == "from https://********@pip.example.org/simple"


@pytest.mark.parametrize(
    "text, shown",
    [
        (
            "app @ git+https://me:hunter2@a.org/app.git@v1.2#egg=app",
            "app @ git+https://********@a.org/app.git@v1.2#egg=app",
        ),
        ("https://a.org/app.whl?token=hunter2#sha256=00", "https://a.org/app.whl?token=********#sha256=00"),
        ("https://a.org/?v=1&X-Amz-Signature=ab%2F&x=2 b", "https://a.org/?v=1&X-Amz-Signature=********&x=2 b"),
        ("omero-figure[export]>=8; python_version>'3'", "omero-figure[export]>=8; python_version>'3'"),
    ],
)
def test_credentials_in_addresses_of_packages(text, shown):
    assert masked(text) == shown

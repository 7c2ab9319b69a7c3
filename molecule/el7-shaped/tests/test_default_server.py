"""Of nginx on Enterprise Linux, whose own configuration has a server that would answer in place of OMERO.web."""

import os
import re
from pathlib import Path

import pytest

(ORIGINAL,) = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]).rglob("nginx.conf")


@pytest.mark.parametrize("name", ["web", "localhost", "omero.example.org"])
def test_omero_web_answers_to_any_name(ask, name):
    assert b"OMERO.web" in ask("/webclient/login/", Host=name).body
    assert ask("/index.html", Host=name).status == 404


def test_nothing_else_of_nginx_is_changed(host):
    changed = host.file("/etc/nginx/nginx.conf").content_string
    original = ORIGINAL.read_text()
    before, server, after = re.split(r"(?ms)^(    server \{.*?^    \}\n)", original)
    assert re.fullmatch(f"{re.escape(before)}    # .*\n{re.escape(after)}", changed)
    kept = host.check_output("cat /etc/nginx/nginx.conf.*~")
    assert kept + "\n" == original

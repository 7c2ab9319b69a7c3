"""For which of its names a site is asked, in trials and checks."""

import runpy
from pathlib import Path

import pytest

FILTER = Path(__file__).parents[2] / "roles/omero-web/filter_plugins/omero_web_site_name.py"
site_name = runpy.run_path(str(FILTER))["omero_web_site_name"]


@pytest.mark.parametrize(
    "server_names, allowed_hosts, name",
    [
        (["$hostname"], ["*"], "node"),
        (["omero.example.org", "b.example.org"], ["*"], "omero.example.org"),
        (["_", "*.example.org", "~^www", "omero.example.org"], ["*"], "omero.example.org"),
        (["$hostname"], ["omero.example.org", "b.example.org"], "omero.example.org"),
        (["$hostname"], '["omero.example.org"]', "omero.example.org"),
        (["$hostname"], [".example.org"], "example.org"),
        (["a.example.org", "b.example.com"], ["b.example.com"], "b.example.com"),
        (["a.example.org", "B.example.com"], [".Example.com"], "B.example.com"),
        # Misspelt: users would get no page either.
        (["omero.example.org"], ["omreo.example.org"], "omero.example.org"),
        (["$hostname"], "no JSON", "node"),
        (["$hostname"], None, "node"),
    ],
)
def test_site_name(server_names, allowed_hosts, name):
    assert site_name(server_names, allowed_hosts, "node") == name


def test_node_that_has_no_name_for_a_url():
    assert site_name(["$hostname"], ["*"], "my_host") == "localhost"

"""omero_config against the OMERO.web that the host runs, with the Python that runs it."""

import re


def test_omero_config_agrees_with_the_omero_web_of_the_host(play, host):
    code, output = play("molecule/resources/module-suite.yml", "--limit", host.backend.get_hostname())
    assert code == 0, output
    assert re.search(r" \d+ passed", output), output
    assert "compared with `omero config set`" in output, output

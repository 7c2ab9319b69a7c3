"""What the documentation tells to look at on a host is there to be seen."""

import pytest

SHOWN = {
    "systemctl status 'omero-web*'": "omero-web.target - OMERO.web",
    "journalctl -u 'omero-web@*'": "Started omero-web@",
    # A host without man has the page all the same.
    "cat /usr/local/share/man/man8/omero-web.8": ".TH",
}


@pytest.mark.parametrize("command", SHOWN)
def test_something_is_shown(host, command):
    assert SHOWN[command] in host.run(f"{command} | cat").stdout

"""omero_config on Python 2.7, against the OMERO.web of that time."""

import re

TOP = "/opt/python27"


def test_omero_config_agrees_with_the_omero_web_of_python_27(play):
    code, output = play(
        "molecule/resources/module-suite.yml",
        python=f"{TOP}/venv/bin/python",
        python_path=f"{TOP}/omero-py-5.5.1/target:{TOP}/omero-web-5.5.dev2",
        test_runner=["pytest==4.6.11", "hypothesis==4.57.1"],
    )
    assert code == 0, output
    assert re.search(r" \d+ passed", output), output
    assert "compared with `omero config set`" in output, output

"""Which of the wheels that the controller keeps serve."""

import runpy
import zipfile
from pathlib import Path

PLUGIN = Path(__file__).parents[2] / "roles/omero-web/test_plugins/omero_web_whole.py"
is_whole = runpy.run_path(str(PLUGIN))["TestModule"]().tests()["omero_web_whole"]


def test_a_wheel_that_was_half_copied_does_not_serve(tmp_path):
    wheel = tmp_path / "zeroc_ice-3.6.5-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("Ice.py", 1000 * "#")
    content = wheel.read_bytes()
    assert is_whole(wheel)
    for size in (0, 500, len(content) - 30):
        wheel.write_bytes(content[:size])
        assert not is_whole(wheel)

"""In the place of setuptools, what pip asks about an sdist before it hands it over.

The real one would run setup.py, and those of OMERO 5.5 are for Python 2; all that pip wants to know is in PKG-INFO.
"""

import email
import shutil
import sys
from pathlib import Path

__legacy__ = sys.modules[__name__]


def prepare_metadata_for_build_wheel(directory, config_settings=None):
    package = email.message_from_string(Path("PKG-INFO").read_text())
    metadata = Path(directory, f"{package['Name'].replace('-', '_')}-{package['Version']}.dist-info")
    metadata.mkdir()
    shutil.copyfile("PKG-INFO", metadata / "METADATA")
    return metadata.name

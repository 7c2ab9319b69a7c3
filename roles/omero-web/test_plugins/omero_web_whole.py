"""Test: a zip, as wheels are, has its end, where the table of its members is. One that is half copied has none."""

import zipfile


class TestModule:
    def tests(self):
        return {"omero_web_whole": zipfile.is_zipfile}

"""Filter: files of the controller, by the paths that they are to have, as the base64 of a tar archive."""

import base64
import io
import tarfile
from pathlib import Path


def omero_web_packed(files):
    if not files:
        return ""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, path in sorted(files.items()):
            text = Path(path).read_bytes()
            # Whoever they belong to here, and whoever may read them: on a host they are root's, for everybody to read.
            about = tarfile.TarInfo(name)
            about.size, about.mode = len(text), 0o644
            archive.addfile(about, io.BytesIO(text))
    return base64.encodebytes(content.getvalue()).decode()


class FilterModule:
    def filters(self):
        return {"omero_web_packed": omero_web_packed}

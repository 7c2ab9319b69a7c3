"""Original files, read a part at a time and, where the switch says so, no faster than a line would."""

import omero
import omero_api_RawFileStore_ice  # noqa: F401

from .. import files
from ..dispatch import Service, refusal, serves
from ..pace import Pace


@serves(omero.api.RawFileStore)
class RawFile(Service):
    def __init__(self, server, session):
        super().__init__(server, session)
        self.image, self.pace = None, Pace()

    def setFileId(self, number, current):
        image = self.world.images.get(number)
        if not image or not self.world.can_read(self.session.user, image):
            raise refusal(f"There is no original file {number}")
        self.image = image

    def getFileId(self, current):
        return omero.rtypes.rlong(self.image.id)

    def size(self, current):
        return files.size(self.image)

    def read(self, offset, length, current):
        data = files.read(self.image, offset, length)
        self.pace.wait(len(data), self.server.switches.state.bytes_per_second)
        return data

    def exists(self, current):
        return True

    def close(self, current):
        self.session.services.pop(current.id.name, None)

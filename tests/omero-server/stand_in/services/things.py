"""What OMERO.web asks for on its way, and the stand-in has none of: scripts, shares, regions of interest, searches."""

import omero
import omero_api_IRepositoryInfo_ice  # noqa: F401
import omero_api_IRoi_ice  # noqa: F401
import omero_api_IScript_ice  # noqa: F401
import omero_api_IShare_ice  # noqa: F401
import omero_api_ITimeline_ice  # noqa: F401
import omero_api_ITypes_ice  # noqa: F401
import omero_api_IUpdate_ice  # noqa: F401
import omero_api_Search_ice  # noqa: F401
import omero_SharedResources_ice  # noqa: F401

from ..dispatch import Service, serves
from ..objects import enumeration

ENUMERATIONS = {
    "RenderingModel": ("rgb", "greyscale"),
    "Family": ("linear", "polynomial", "exponential", "logarithmic"),
}


@serves(omero.api.IScript)
class Scripts(Service):
    def getScripts(self, current):
        return []

    def getScriptsByMimetype(self, mimetype, current):
        return []


@serves(omero.api.IRoi)
class Rois(Service):
    def findByImage(self, number, options, current):
        return omero.api.RoiResult(None, [], {}, {})

    def getRoiMeasurements(self, number, options, current):
        return []


@serves(omero.api.IShare)
class Shares(Service):
    def getOwnShares(self, active, current):
        return []

    getMemberShares = getOwnShares

    def deactivate(self, current):
        pass


@serves(omero.api.ITypes)
class Types(Service):
    def allEnumerations(self, kind, current):
        kind = kind.rpartition(".")[2]
        return [enumeration(kind, value) for value in ENUMERATIONS.get(kind, ())]

    def getEnumeration(self, kind, value, current):
        return enumeration(kind.rpartition(".")[2], value)


@serves(omero.api.ITimeline)
class Timeline(Service):
    """As if nobody had done anything yet."""

    def getMostRecentObjects(self, kinds, parameters, merge, current):
        return {kind: [] for kind in kinds}

    def getByPeriod(self, kinds, start, end, parameters, merge, current):
        return {kind: [] for kind in kinds}

    def countByPeriod(self, kinds, start, end, parameters, current):
        return dict.fromkeys(kinds, 0)

    def getEventLogsByPeriod(self, start, end, parameters, current):
        return []


@serves(omero.api.IRepositoryInfo)
class Repository(Service):
    def getUsedSpaceInKilobytes(self, current):
        return 1 << 20

    def getFreeSpaceInKilobytes(self, current):
        return 1 << 22


@serves(omero.api.IUpdate)
class Update(Service):
    """Nothing is ever saved; who tries is told so."""


@serves(omero.api.Search)
class Search(Service):
    """By words in names."""

    def __init__(self, server, session):
        super().__init__(server, session)
        self.kind, self.found = "Image", []

    def onlyType(self, kind, current):
        self.kind = kind

    def byFullText(self, text, current):
        words = [word.strip("*").lower() for word in text.split()]
        known = self.kind in ("Project", "Dataset", "Image")
        self.found = [
            entry for entry in (self.world.of(self.kind).values() if known else ())
            if self.world.can_read(self.session.user, entry) and any(word in entry.name.lower() for word in words)
        ]  # fmt: skip

    def byLuceneQueryBuilder(self, fields, start, end, date_type, text, current):
        self.byFullText(text, current)

    def hasNext(self, current):
        return bool(self.found)

    def results(self, current):
        found, self.found = self.found, []
        return [self.objects.make(entry) for entry in found]

    def setBatchSize(self, size, current):
        pass

    setAllowLeadingWildcard = setCaseSensitive = onlyOwnedBy = setBatchSize

    def onlyCreatedBetween(self, start, end, current):
        pass

    def close(self, current):
        self.session.services.pop(current.id.name, None)


@serves(omero.grid.SharedResources)
class SharedResources(Service):
    def areTablesEnabled(self, current):
        return False

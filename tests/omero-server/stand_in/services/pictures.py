"""What images look like: thumbnails, rendered planes, raw planes and how they are rendered."""

import dataclasses

import omero
import omero_api_IPixels_ice  # noqa: F401
import omero_api_IRenderingSettings_ice  # noqa: F401
import omero_api_RawPixelsStore_ice  # noqa: F401
import omero_api_RenderingEngine_ice  # noqa: F401
import omero_api_ThumbnailStore_ice  # noqa: F401

from .. import objects, pictures
from ..dispatch import Service, refusal, serves

TILE = 256
UINT16 = 65535


class OfOneImage(Service):
    """A service that is told first which image it is about; an image's pixels have its id."""

    image = None

    def find(self, number):
        image = self.world.images.get(number)
        if not image or not self.world.can_read(self.session.user, image):
            raise omero.ValidationException(None, "stand-in", f"There are no pixels {number}")
        return image

    def close(self, current):
        self.session.services.pop(current.id.name, None)


@serves(omero.api.ThumbnailStore)
class Thumbnails(OfOneImage):
    def setPixelsId(self, number, current):
        self.image = self.find(number)
        return True

    def isInProgress(self, current):
        return False

    def getRenderingDefId(self, current):
        return self.image.id

    def setRenderingDefId(self, number, current):
        pass

    def resetDefaults(self, current):
        pass

    def getThumbnail(self, width, height, current):
        return pictures.thumbnail(self.image, width.val if width else 96, height.val if height else None)

    getThumbnailDirect = getThumbnailWithoutDefault = getThumbnail

    def getThumbnailByLongestSide(self, longest, current):
        return pictures.thumbnail(self.image, longest.val if longest else 96)

    getThumbnailByLongestSideDirect = getThumbnailByLongestSide

    def getThumbnailForSectionDirect(self, z, t, width, height, current):
        return self.getThumbnail(width, height, current)

    def getThumbnailForSectionByLongestSideDirect(self, z, t, longest, current):
        return self.getThumbnailByLongestSide(longest, current)

    def getThumbnailByLongestSideSet(self, longest, numbers, current):
        return {number: pictures.thumbnail(self.find(number), longest.val if longest else 96) for number in numbers}

    def getThumbnailSet(self, width, height, numbers, current):
        size = width.val if width else 96, height.val if height else None
        return {number: pictures.thumbnail(self.find(number), *size) for number in numbers}

    def thumbnailExists(self, width, height, current):
        return True


class Pyramid(OfOneImage):
    """No image of the stand-in is so large that it has more than one resolution."""

    def requiresPixelsPyramid(self, current):
        return False

    def getResolutionLevels(self, current):
        return 1

    def getResolutionDescriptions(self, current):
        return [omero.api.ResolutionDescription(self.image.size_x, self.image.size_y)]

    def getResolutionLevel(self, current):
        return 0

    def setResolutionLevel(self, level, current):
        if level != 0:
            raise refusal(f"There is no resolution {level}")

    def getTileSize(self, current):
        return [min(TILE, self.image.size_x), min(TILE, self.image.size_y)]


@serves(omero.api.RenderingEngine)
class Engine(Pyramid):
    def __init__(self, server, session):
        super().__init__(server, session)
        self.shown, self.quality, self.model = [], 0.9, "rgb"

    def lookupPixels(self, number, current):
        self.image = self.find(number)
        self.shown = list(pictures.defaults(self.image))

    def lookupRenderingDef(self, number, current):
        return True

    def loadRenderingDef(self, number, current):
        pass

    def load(self, current):
        pass

    def getRenderingDefId(self, current):
        return self.image.id

    def resetDefaultSettings(self, save, current):
        self.shown = list(pictures.defaults(self.image))
        return self.image.id

    def getPixels(self, current):
        return self.objects.pixels(self.image)

    def getDefaultZ(self, current):
        return self.image.size_z // 2

    def getDefaultT(self, current):
        return 0

    def getModel(self, current):
        return objects.enumeration("RenderingModel", self.model)

    def getAvailableModels(self, current):
        return [objects.enumeration("RenderingModel", value) for value in ("rgb", "greyscale")]

    def getAvailableFamilies(self, current):
        return [objects.enumeration("Family", "linear")]

    def setModel(self, model, current):
        self.model = model.value.val

    def getQuantumDef(self, current):
        return self.objects.quantum()

    def change(self, channel, **values):
        self.shown[channel] = dataclasses.replace(self.shown[channel], **values)

    def isActive(self, channel, current):
        return self.shown[channel].is_active

    def setActive(self, channel, is_active, current):
        self.change(channel, is_active=is_active)

    def getRGBA(self, channel, current):
        return [*self.shown[channel].colour, 255]

    def setRGBA(self, channel, red, green, blue, alpha, current):
        self.change(channel, colour=(red, green, blue))

    def getChannelWindowStart(self, channel, current):
        return float(self.shown[channel].window[0])

    def getChannelWindowEnd(self, channel, current):
        return float(self.shown[channel].window[1])

    def setChannelWindow(self, channel, start, end, current):
        self.change(channel, window=(start, end))

    def getChannelLookupTable(self, channel, current):
        return ""

    def setChannelLookupTable(self, channel, name, current):
        pass

    def getChannelFamily(self, channel, current):
        return objects.enumeration("Family", "linear")

    def getChannelCurveCoefficient(self, channel, current):
        return 1.0

    def getChannelNoiseReduction(self, channel, current):
        return False

    def setQuantizationMap(self, channel, family, coefficient, noise_reduction, current):
        pass

    def getChannelStats(self, channel, current):
        return [0.0, 4095.0]

    def getCodomainMapContext(self, channel, current):
        return []

    def addCodomainMapToChannel(self, context, channel, current):
        pass

    removeCodomainMapFromChannel = addCodomainMapToChannel

    def isPixelsTypeSigned(self, current):
        return False

    def getPixelsTypeLowerBound(self, channel, current):
        return 0.0

    def getPixelsTypeUpperBound(self, channel, current):
        return float(UINT16)

    def setCompressionLevel(self, quality, current):
        self.quality = quality

    def getCompressionLevel(self, current):
        return self.quality

    def picture(self, plane):
        region = plane.region
        region = region and (region.x, region.y, region.width, region.height)
        return pictures.render(self.image, self.shown, plane.z, plane.t, region, self.model == "greyscale")

    def renderCompressed(self, plane, current):
        return pictures.jpeg(self.picture(plane), self.quality)

    def renderProjectedCompressed(self, algorithm, t, stepping, start, end, current):
        if algorithm != omero.constants.projection.ProjectionType.MAXIMUMINTENSITY:
            raise refusal("The stand-in projects by the brightest of each pixel only")
        grey = self.model == "greyscale"
        return pictures.jpeg(pictures.render(self.image, self.shown, 0, t, None, grey, (start, end)), self.quality)

    def renderAsPackedInt(self, plane, current):
        return pictures.packed(self.picture(plane))


@serves(omero.api.RawPixelsStore)
class RawPixels(Pyramid):
    def setPixelsId(self, number, bypass_original_file, current):
        self.image = self.find(number)

    def getPlane(self, z, c, t, current):
        return pictures.plane(self.image, c, z, t).astype(">u2").tobytes()

    def getTile(self, z, c, t, x, y, width, height, current):
        return pictures.plane(self.image, c, z, t)[y : y + height, x : x + width].astype(">u2").tobytes()

    def getRow(self, y, z, c, t, current):
        return self.getTile(z, c, t, 0, y, self.image.size_x, 1, current)

    def getCol(self, x, z, c, t, current):
        return self.getTile(z, c, t, x, 0, 1, self.image.size_y, current)

    def getByteWidth(self, current):
        return 2

    def isSigned(self, current):
        return False

    def isFloat(self, current):
        return False


@serves(omero.api.IPixels)
class Pixels(OfOneImage):
    def retrievePixDescription(self, number, current):
        return self.objects.pixels(self.find(number))

    def retrieveRndSettings(self, number, current):
        image = self.find(number)
        return self.objects.rendering_settings(image, pictures.defaults(image))

    loadRndSettings = retrieveRndSettings

    def retrieveRndSettingsFor(self, number, user, current):
        return self.retrieveRndSettings(number, current)

    def retrieveAllRndSettings(self, number, user, current):
        return [self.retrieveRndSettings(number, current)]

    def getBitDepth(self, pixels_type, current):
        return 16


@serves(omero.api.IRenderingSettings)
class RenderingSettings(Service):
    pass

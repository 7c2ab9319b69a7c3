"""The world as OMERO's own objects, as a user sees them."""

import omero
from omero import model
from omero.rtypes import rbool, rdouble, rint, rlong, rmap, rstring, rtime

from . import files
from .world import BEGINNING, USER

# Whether linking, editing, deleting, annotating, moving and giving away are barred: in the order that OMERO has them.
ALLOWED, BARRED = [False] * 6, [True] * 6
RESTRICTIONS = ("canLink", "canEdit", "canDelete", "canAnnotate", "canChgrp", "canChown")


def is_barred(viewer, entry):
    return not (viewer.is_admin or entry.owner == viewer.id)


def permissions(number, barred=False):
    found = model.PermissionsI(number)
    found._restrictions = list(BARRED if barred else ALLOWED)
    return found


def permissions_map(world, viewer, entry):
    """What a projection says of an object's permissions."""
    number = world.groups[entry.group].permissions
    allowed = rbool(not is_barred(viewer, entry))
    return rmap({"perm": rstring(str(model.PermissionsI(number))), **dict.fromkeys(RESTRICTIONS, allowed)})


def enumeration(kind, value):
    """OMERO numbers them in its database; here it is by their letters, which is the same every time."""
    found = getattr(model, f"{kind}I")(sum(map(ord, value)), True)
    found.value = rstring(value)
    return found


def length(value, unit):
    found = model.LengthI()
    found.setValue(value)
    found.setUnit(getattr(model.enums.UnitsLength, unit))
    return found


def event(time):
    found = model.EventI(1, True)
    found.time = rtime(time)
    return found


class Objects:
    """Makes them for one user."""

    def __init__(self, world, viewer):
        self.world, self.viewer = world, viewer

    def make(self, entry):
        return getattr(self, entry.kind.lower())(entry)

    def details(self, entry):
        details = model.DetailsI()
        details._owner = self.experimenter(self.world.users[entry.owner])
        details._group = self.experimentergroup(self.world.groups[entry.group])
        details._creationEvent = details._updateEvent = event(entry.created)
        group = self.world.groups[entry.group]
        details._permissions = permissions(group.permissions, is_barred(self.viewer, entry))
        return details

    def plain(self, kind, entry):
        """What all containers have."""
        found = getattr(model, f"{kind}I")(entry.id, True)
        found.name, found.description = rstring(entry.name), rstring(entry.description)
        found._details = self.details(entry)
        return found

    def project(self, entry):
        return self.plain("Project", entry)

    def dataset(self, entry):
        return self.plain("Dataset", entry)

    def experimenter(self, user, with_groups=False):
        found = model.ExperimenterI(user.id, True)
        found.omeName, found.firstName, found.lastName = map(rstring, (user.login, user.first_name, user.last_name))
        found.email, found.ldap = rstring(f"{user.login}@example.org"), rbool(False)
        found._details = model.DetailsI()
        found._details._permissions = permissions(-52, barred=True)
        found._details._creationEvent = event(BEGINNING)
        found._groupExperimenterMapSeq, found._groupExperimenterMapLoaded = [], True
        if with_groups:
            for number in user.groups:
                found._groupExperimenterMapSeq.append(self.membership(self.world.groups[number], user, child=found))
        return found

    def experimentergroup(self, group, with_members=False):
        found = model.ExperimenterGroupI(group.id, True)
        found.name, found.description, found.ldap = rstring(group.name), rstring(group.description), rbool(False)
        found._details = model.DetailsI()
        found._details._permissions = permissions(group.permissions)
        found._details._creationEvent = event(BEGINNING)
        found._groupExperimenterMapSeq, found._groupExperimenterMapLoaded = [], True
        if with_members:
            for user in self.world.users.values():
                if group.id in user.groups:
                    found._groupExperimenterMapSeq.append(self.membership(group, user, parent=found))
        return found

    def membership(self, group, user, parent=None, child=None):
        found = model.GroupExperimenterMapI(1000 * group.id + user.id + 1, True)
        found._parent = parent or self.experimentergroup(group)
        found._child = child or self.experimenter(user)
        found.owner = rbool(False)
        return found

    def tagannotation(self, tag):
        found = model.TagAnnotationI(tag.id, True)
        found.textValue, found.description = rstring(tag.name), rstring(tag.description)
        found._details = self.details(tag)
        return found

    def image(self, image, with_pixels=False):
        """Without pixels, as OMERO leaves them out of most answers: who needs them asks for the image again."""
        found = self.plain("Image", image)
        found.acquisitionDate = rtime(image.created)
        found.archived, found.partial = rbool(False), rbool(False)
        found._series = rint(0)
        found._format = enumeration("Format", "OMETiff")
        found._fileset = model.FilesetI(image.id, False)
        if with_pixels:
            found._pixelsSeq, found._pixelsLoaded = [self.pixels(image, found)], True
        else:
            found.unloadPixels()
        return found

    def pixels(self, image, of_image=None):
        found = model.PixelsI(image.id, True)
        found._image = of_image or model.ImageI(image.id, False)
        found.sizeX, found.sizeY, found.sizeZ, found.sizeC, found.sizeT = map(
            rint, (image.size_x, image.size_y, image.size_z, len(image.channels), image.size_t)
        )
        found.physicalSizeX = length(image.pixel_size, "MICROMETER")
        found.physicalSizeY = length(image.pixel_size, "MICROMETER")
        found.physicalSizeZ = length(0.5, "MICROMETER")
        found.sha1, found.methodology = rstring("0" * 40), None
        found.significantBits = rint(16)
        found.dimensionOrder = enumeration("DimensionOrder", "XYCZT")
        found.pixelsType = enumeration("PixelsType", "uint16")
        found.pixelsType.bitSize = rint(16)
        found._channelsSeq, found._channelsLoaded = [self.channel(image, n) for n in range(len(image.channels))], True
        for channel in found._channelsSeq:
            channel._pixels = found
        found._thumbnailsSeq, found._thumbnailsLoaded = [], True
        found._details = self.details(image)
        return found

    def channel(self, image, number):
        channel = image.channels[number]
        found = model.ChannelI(100 * image.id + number, True)
        found.red, found.green, found.blue = map(rint, channel.colour)
        found.alpha, found.lookupTable = rint(255), None
        found._logicalChannel = self.logical_channel(image, number)
        found._statsInfo = model.StatsInfoI(100 * image.id + number, True)
        found._statsInfo.globalMin, found._statsInfo.globalMax = rdouble(0), rdouble(4095)
        found._details = self.details(image)
        return found

    def logical_channel(self, image, number):
        channel = image.channels[number]
        found = model.LogicalChannelI(100 * image.id + number, True)
        found.name, found.fluor = rstring(channel.name), rstring(channel.name)
        found.emissionWave = length(float(channel.emission), "NANOMETER")
        found._details = self.details(image)
        return found

    def rendering_settings(self, image, shown):
        """Of one image, as they are used unless a user asks for others."""
        found = model.RenderingDefI(image.id, True)
        found.defaultZ, found.defaultT = rint(image.size_z // 2), rint(0)
        found.compression, found.name = rdouble(0.9), None
        found._model = enumeration("RenderingModel", "rgb")
        found._pixels = model.PixelsI(image.id, False)
        found._quantization = self.quantum()
        found._details = self.details(image)
        found._waveRenderingSeq, found._waveRenderingLoaded = [], True
        for number, channel in enumerate(shown):
            binding = model.ChannelBindingI(100 * image.id + number, True)
            binding.active = rbool(channel.is_active)
            binding.inputStart, binding.inputEnd = map(rdouble, channel.window)
            binding.red, binding.green, binding.blue = map(rint, channel.colour)
            binding.alpha, binding.lookupTable = rint(255), None
            binding.coefficient, binding.noiseReduction = rdouble(1), rbool(False)
            binding._family = enumeration("Family", "linear")
            binding._details = self.details(image)
            found._waveRenderingSeq.append(binding)
        return found

    @staticmethod
    def quantum():
        found = model.QuantumDefI(1, True)
        found.cdStart, found.cdEnd, found.bitResolution = rint(0), rint(255), rint(255)
        return found

    def original_file(self, image):
        found = model.OriginalFileI(image.id, True)
        found.name, found.path = rstring(image.file_name), rstring("stand-in/")
        found.size, found.mimetype = rlong(files.size(image)), rstring("image/tiff")
        found.hash, found.mtime = rstring(files.sha1(image)), rtime(image.created)
        found._hasher = enumeration("ChecksumAlgorithm", "SHA1-160")
        found._details = self.details(image)
        return found

    def fileset(self, image):
        found = model.FilesetI(image.id, True)
        found.templatePrefix = rstring("stand-in/")
        entry = model.FilesetEntryI(image.id, True)
        entry._fileset, entry._originalFile = found, self.original_file(image)
        entry.clientPath = rstring(f"microscope/{image.file_name}")
        found._imagesSeq, found._imagesLoaded = [self.image(image)], True
        found._usedFilesSeq, found._usedFilesLoaded = [entry], True
        found._details = self.details(image)
        return found

    def link(self, kind, parent, child):
        """What joins a container or an image to what belongs to it."""
        found = getattr(model, f"{kind}I")(10_000 * parent.id + child.id, True)
        found._parent, found._child = self.make(parent), self.make(child)
        owned = child if hasattr(child, "owner") else parent
        found._details = self.details(owned)
        return found

    def session(self, session):
        found = model.SessionI(1, True)
        found.uuid, found.userAgent = rstring(session.uuid), rstring("OMERO.web")
        found.timeToIdle, found.timeToLive = rlong(int(1000 * session.time_to_idle)), rlong(0)
        found.started, found.closed = rtime(int(1000 * session.started)), None
        found._owner = self.experimenter(session.user)
        return found

    def event_context(self, session):
        user = session.user
        return omero.sys.EventContext(
            shareId=-1, sessionId=1, sessionUuid=session.uuid, userId=user.id, userName=user.login,
            sudoerId=None, sudoerName=None, groupId=session.group, groupName=self.world.groups[session.group].name,
            isAdmin=user.is_admin, adminPrivileges=[], eventId=-1, eventType="User",
            memberOfGroups=list(user.groups), leaderOfGroups=[],
            groupPermissions=permissions(self.world.groups[session.group].permissions),
        )  # fmt: skip


def roles():
    return omero.sys.Roles(
        rootId=0, rootName="root", guestId=1, guestName="guest", systemGroupId=0, systemGroupName="system",
        userGroupId=USER, userGroupName="user", guestGroupId=2, guestGroupName="guest",
    )  # fmt: skip

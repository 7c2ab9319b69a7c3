"""All that the stand-in has: users, groups, projects, datasets, images, tags. It is the same every time."""

from dataclasses import dataclass

SYSTEM, USER, GUESTS = 0, 1, 2
ROOT, GUEST = 0, 1
# 9 November 2026, 09:00 UTC, in milliseconds, as OMERO counts time.
BEGINNING = 1_794_214_800_000
MINUTE = 60_000
MIB = 1 << 20


@dataclass(frozen=True)
class Group:
    id: int
    name: str
    # As OMERO stores them in one number: rw---- is -120, rwr--- -56.
    permissions: int
    description: str = ""

    kind = "ExperimenterGroup"

    @property
    def others_read(self):
        return self.permissions & 0x40 != 0


@dataclass(frozen=True)
class User:
    id: int
    login: str
    first_name: str
    last_name: str
    # The first one is where the user is after login.
    groups: tuple

    kind = "Experimenter"
    name = property(lambda self: self.login)

    @property
    def is_admin(self):
        return SYSTEM in self.groups


@dataclass(frozen=True)
class Entry:
    """What has an owner and a group."""

    id: int
    name: str
    owner: int
    group: int
    description: str = ""

    @property
    def created(self):
        return BEGINNING + self.id * MINUTE


class Project(Entry):
    kind = "Project"


class Dataset(Entry):
    kind = "Dataset"


class Tag(Entry):
    kind = "TagAnnotation"


@dataclass(frozen=True)
class Channel:
    name: str
    colour: tuple
    # What it shows; see pictures.py.
    structure: str
    emission: int
    window: tuple = (80, 1400)


@dataclass(frozen=True)
class Image(Entry):
    """Its pixels, fileset, original file and rendering settings have the id of the image."""

    channels: tuple = ()
    size_x: int = 512
    size_y: int = 512
    size_z: int = 1
    size_t: int = 1
    # Micrometres per pixel.
    pixel_size: float = 0.108
    # Of the original file: a TIFF of all planes, or so many bytes of a pattern.
    file_size: int = 0

    kind = "Image"

    @property
    def file_name(self):
        return f"{self.name}.{'dat' if self.file_size else 'tiff'}"


HOECHST = Channel("Hoechst", (0, 0, 255), "nuclei", 461)
GFP = Channel("GFP-tubulin", (0, 255, 0), "filaments", 509)
MCHERRY = Channel("mCherry-CAAX", (255, 0, 0), "membranes", 610)
LYSOSOMES = Channel("LysoTracker", (255, 0, 255), "vesicles", 592)


class World:
    """Everything by kind and id, and what belongs to what."""

    def __init__(self):
        self.users, self.groups, self.projects, self.datasets = {}, {}, {}, {}
        self.images, self.tags = {}, {}
        # (parent, child) by id, in order.
        self.datasets_in, self.images_in, self.tags_on = [], [], []
        self._make_people()
        self._make_images()

    def _make_people(self):
        for group in (
            Group(SYSTEM, "system", -120), Group(USER, "user", -52), Group(GUESTS, "guest", -120),
            Group(3, "Cell biology", -56, "Images of the stand-in"),
            Group(4, "Publications", -56, "What everybody may see"),
            Group(5, "Private", -120, "Nobody else sees what is here"),
        ):  # fmt: skip
            self.groups[group.id] = group
        for user in (
            User(ROOT, "root", "root", "root", (SYSTEM, USER)),
            User(GUEST, "guest", "Guest", "Account", (GUESTS,)),
            User(2, "researcher", "Rita", "Researcher", (3, USER, 4, 5)),
            User(3, "colleague", "Carl", "Colleague", (3, USER, 5)),
            User(4, "public", "Public", "Visitor", (4, USER)),
        ):
            self.users[user.id] = user

    def _make_images(self):
        stack = {"channels": (HOECHST, GFP, MCHERRY), "size_z": 5}
        film = {"channels": (HOECHST, MCHERRY), "size_t": 6}
        single = {"channels": (HOECHST,), "size_x": 384, "size_y": 256}
        mitosis = self._project("Mitosis in HeLa cells", 2, 3, "How spindles form")
        hela = self._dataset("HeLa GFP-tubulin, stacks", 2, 3, mitosis)
        self._images(hela, "mitosis", 12, 2, 3, **stack)
        films = self._dataset("HeLa time lapse", 2, 3, mitosis)
        self._images(films, "division", 4, 2, 3, **film)
        lysosomes = self._project("Lysosomes", 2, 3)
        uptake = self._dataset("Uptake after 30 min", 2, 3, lysosomes)
        self._images(uptake, "uptake", 6, 2, 3, channels=(HOECHST, LYSOSOMES), size_z=3)
        self._dataset("Not acquired yet", 2, 3, lysosomes)
        loose = self._dataset("To be sorted", 2, 3)
        self._images(loose, "unsorted", 3, 2, 3, **single)
        self._images(None, "snapshot", 3, 2, 3, **single)
        large = self._dataset("Large acquisitions", 2, 3)
        self._images(large, "overnight", 2, 2, 3, file_size=64 * MIB, **single)

        neurons = self._dataset("Cortex, week 1", 3, 3, self._project("Neurons", 3, 3))
        self._images(neurons, "neuron", 4, 3, 3, channels=(GFP, LYSOSOMES))
        secret = self._dataset("Nobody else's", 3, 5, self._project("Private project", 3, 5))
        self._images(secret, "private", 2, 3, 5, **single)
        atlas = self._dataset("Figure 1", 2, 4, self._project("Cell atlas", 2, 4, "Published images"))
        self._images(atlas, "figure", 5, 2, 4, **stack)

        for name, number in (("mitosis", 12), ("to publish", 4), ("out of focus", 1)):
            tag = Tag(len(self.tags) + 1, name, 2, 3)
            self.tags[tag.id] = tag
            self.tags_on += [(image, tag.id) for image in list(self.images)[:number]]

    def _project(self, name, owner, group, description=""):
        project = Project(len(self.projects) + 1, name, owner, group, description)
        self.projects[project.id] = project
        return project

    def _dataset(self, name, owner, group, project=None):
        dataset = Dataset(len(self.datasets) + 1, name, owner, group)
        self.datasets[dataset.id] = dataset
        if project:
            self.datasets_in.append((project.id, dataset.id))
        return dataset

    def _images(self, dataset, name, number, owner, group, **properties):
        for count in range(1, number + 1):
            image = Image(len(self.images) + 1, f"{name}-{count:02}", owner, group, **properties)
            self.images[image.id] = image
            if dataset:
                self.images_in.append((dataset.id, image.id))

    def of(self, kind):
        """All of one kind, by id."""
        return {
            "Experimenter": self.users, "ExperimenterGroup": self.groups, "Project": self.projects,
            "Dataset": self.datasets, "Image": self.images, "TagAnnotation": self.tags,
        }[kind]  # fmt: skip

    def user_called(self, login):
        return next((user for user in self.users.values() if user.login == login), None)

    def links(self, parent_kind):
        """The (parent, child) pairs below a kind of container."""
        return {"Project": self.datasets_in, "Dataset": self.images_in}[parent_kind]

    def children(self, parent):
        links = self.links(parent.kind)
        found = self.of({"Project": "Dataset", "Dataset": "Image"}[parent.kind])
        return [found[child] for above, child in links if above == parent.id]

    def parents(self, child):
        kind = {"Dataset": "Project", "Image": "Dataset"}.get(child.kind)
        return [self.of(kind)[above] for above, below in self.links(kind) if below == child.id] if kind else []

    def tags_of(self, entry):
        if entry.kind != "Image":
            return []
        return [self.tags[tag] for image, tag in self.tags_on if image == entry.id]

    def can_read(self, user, entry):
        """As OMERO's groups have it: the owner always does, others of the group where it lets them read."""
        if entry.kind in ("Experimenter", "ExperimenterGroup") or user.is_admin:
            return True
        if entry.group not in user.groups:
            return False
        return entry.owner == user.id or self.groups[entry.group].others_read

"""The queries of OMERO.web, in one table: those of a shape of their own, then what hql.py understands of the others."""

import logging
import re

import omero
from omero.rtypes import rint, rlong, rmap, rstring, rtime, unwrap

from . import files, hql
from .objects import permissions_map

logger = logging.getLogger("stand_in")

SHAPES = []


def shape(pattern):
    """Let a method answer all queries that begin so; {} stands for the name of a class."""

    def add(method):
        SHAPES.append((re.compile(pattern), method))
        return method

    return add


class Question:
    """One query of one user."""

    def __init__(self, server, session, query, parameters, context):
        self.server, self.world, self.viewer = server, server.world, session.user
        self.objects = server.objects_for(session)
        self.query = query
        self.parameters = {name: unwrap(value) for name, value in ((parameters and parameters.map) or {}).items()}
        rule = parameters and parameters.theFilter
        self.offset, self.limit = (unwrap(rule.offset), unwrap(rule.limit)) if rule else (None, None)
        self.group = int(context.get("omero.group") or session.group)

    def visible(self, kind):
        """All entries of a kind that the user may see in the group that is asked for; -1 is all of them."""
        if kind == "Annotation":
            kind = "TagAnnotation"
        entries = self.world.of(kind).values()
        if kind in ("Experimenter", "ExperimenterGroup"):
            return [*entries]
        return [
            entry for entry in entries
            if self.world.can_read(self.viewer, entry) and self.group in (-1, entry.group)
        ]  # fmt: skip

    def answer(self):
        text = hql.normalise(self.query)
        try:
            for pattern, method in SHAPES:
                if found := pattern.match(text):
                    return method(self, found)
            return self.select(hql.parse(self.query))
        except (hql.Unknown, KeyError) as unknown:
            logger.error("unknown query: %s (of this, %s)", text, unknown)
            raise omero.QueryException(None, "stand-in", f"The stand-in does not know this query: {text}") from None

    def select(self, select):
        if select.kind.endswith("Link") and select.kind not in hql.ABSENT:
            return self.links(select)
        entries = [] if select.kind in hql.ABSENT else self.visible(select.kind)
        found = hql.matching(select, entries, self.world, self.parameters)
        if re.match(r"count\((distinct )?[\w.*]+\)$", select.what):
            return [[rlong(len(found))]]
        found = hql.page(found, self.offset, self.limit)
        if select.is_of_objects:
            return [self.whole(select, entry) for entry in found]
        pairs, is_map = hql.columns(select)
        rows = [[(name, self.column(expression, select, entry)) for expression, name in pairs] for entry in found]
        return [[rmap(dict(row))] if is_map else [value for _, value in row] for row in rows]

    def whole(self, select, entry):
        if entry.kind == "Image" and "pixels" in select.joins:
            return self.objects.image(entry, with_pixels=True)
        if entry.kind == "Experimenter":
            return self.objects.experimenter(entry, with_groups=True)
        if entry.kind == "ExperimenterGroup":
            return self.objects.experimentergroup(entry, with_members=True)
        return self.objects.make(entry)

    def column(self, expression, select, entry):
        if counted := re.match(r"\(select count\(.*?\) from (\w+) ", expression):
            return rlong(self.count(counted[1], entry))
        if expression == f"lower({select.alias}.name)":
            return rstring(entry.name.lower())
        if expression == select.alias:
            return permissions_map(self.world, self.viewer, entry)
        alias, _, path = expression.partition(".")
        if alias not in (select.alias, "pix"):
            raise hql.Unknown(expression)
        return COLUMNS[path](entry, self)

    def count(self, kind, entry):
        if kind in hql.ABSENT:
            return 0
        if kind == "ImageAnnotationLink":
            return sum(tag == entry.id for _, tag in self.world.tags_on)
        return len(self.world.children(entry))

    # Links between things.

    def pairs(self, kind):
        """All (parent, child) of a kind of link that the user may see."""
        parent_kind, child_kind = re.match(r"(\w+?)(Dataset|Image|Annotation)Link$", kind).groups()
        if child_kind == "Annotation":
            images = self.visible("Image") if parent_kind == "Image" else []
            return [(image, tag) for image in images for tag in self.world.tags_of(image)]
        return [(parent, child) for parent in self.visible(parent_kind) for child in self.world.children(parent)]

    def links(self, select):
        def holds(condition, parent, child):
            if of_class := re.match(r"(?:ann|ch)\.class = (\w+)$", condition):
                return child.kind == of_class[1]
            comparison = hql.named(condition)
            if not comparison:
                raise hql.Unknown(condition)
            left, operator, right = comparison
            side = re.sub(rf"^{select.alias}\.", "", left)
            values = hql.value(right, self.parameters)
            if side in ("parent.id", "pa.id"):
                return parent.id in values
            if side in ("child.id", "ann.id", "ch.id"):
                return child.id in values
            if side in ("owner.id", "details.owner.id"):
                return child.owner in values
            if side in ("ann.ns", "ch.ns"):
                return False
            raise hql.Unknown(condition)

        found = [pair for pair in self.pairs(select.kind) if all(holds(one, *pair) for one in select.conditions)]
        if select.what == f"{select.alias}.parent.id, count({select.alias}.id)":
            counted = {parent.id: sum(parent is other for other, _ in found) for parent, _ in found}
            return [[rlong(parent), rlong(number)] for parent, number in counted.items()]
        if not select.is_of_objects:
            raise hql.Unknown(select.what)
        return [self.objects.link(select.kind, *pair) for pair in hql.page(found, self.offset, self.limit)]

    # Queries of a shape of their own.

    def images(self, name="ids"):
        numbers = self.parameters[name]
        numbers = numbers if isinstance(numbers, list) else [numbers]
        return [image for image in self.visible("Image") if image.id in numbers]

    @shape(r"select image\.id, thumbs\.version from Image image ")
    def thumbnail_versions(self, _):
        return [[rlong(image.id), rint(1)] for image in self.images()]

    @shape(r"select t\.version from Thumbnail t ")
    def thumbnail_version(self, _):
        return [[rint(1)]]

    @shape(r"select new map\(i\.id as im_id, p\.id as pix_id\) from Pixels as p join p\.image as i ")
    def pixels_of_images(self, _):
        return [[rmap({"im_id": rlong(image.id), "pix_id": rlong(image.id)})] for image in self.images()]

    @shape(r"select coalesce\(powner\.id, downer\.id, iowner\.id\), pdlink\.parent\.id, ")
    def paths_to_image(self, _):
        rows = []
        for image in self.images("iid"):
            for dataset in self.world.parents(image) or [None]:
                for project in (self.world.parents(dataset) if dataset else []) or [None]:
                    owner = (project or dataset or image).owner
                    number = len(self.world.children(dataset)) if dataset else 0
                    rows.append([rlong(owner), self.number(project), self.number(dataset), rlong(number),
                                 rlong(image.id), rlong(image.group)])  # fmt: skip
        return rows

    @shape(r"select coalesce\(powner\.id, downer\.id\), pdlink\.parent\.id, dataset\.id from Dataset dataset ")
    def paths_to_dataset(self, _):
        datasets = [dataset for dataset in self.visible("Dataset") if dataset.id == self.parameters["did"]]
        return [[rlong((project or dataset).owner), self.number(project), rlong(dataset.id)]
                for dataset in datasets for project in self.world.parents(dataset) or [None]]  # fmt: skip

    @shape(r"select child_o\.id, opl\.parent\.id FROM Dataset child_o ")
    def parents_of_datasets(self, _):
        datasets = [dataset for dataset in self.visible("Dataset") if dataset.id in self.parameters["ids"]]
        return [[rlong(dataset.id), self.number(project)]
                for dataset in datasets for project in self.world.parents(dataset) or [None]]  # fmt: skip

    @shape(r"select img\.id, dset\.id, pdl\.parent\.id, smp\.well\.id, ")
    def parents_of_images(self, _):
        return [[rlong(image.id), self.number(dataset), self.number(project), None, None, None, None]
                for image in self.images() for dataset in self.world.parents(image) or [None]
                for project in (self.world.parents(dataset) if dataset else []) or [None]]  # fmt: skip

    @staticmethod
    def number(entry):
        return rlong(entry.id) if entry else None

    @shape(r"select coalesce\((sowner|tsowner)\.id, ")
    def paths_to_what_is_not_there(self, _):
        return []

    @shape(r"select p from Image i join i\.datasetLinks dl .* where i\.id = (\d+)$")
    def projects_of_image(self, found):
        datasets = self.world.parents(self.world.images[int(found[1])])
        return [self.objects.make(project) for dataset in datasets for project in self.world.parents(dataset)]

    @shape(r"select sum\(case when an\.ns = :ratingns .* from (\w+)AnnotationLink ial ")
    def counted_annotations(self, found):
        if found[1] != "Image":
            return []
        number = len({tag.id for image in self.images() for tag in self.world.tags_of(image)})
        return [[rlong(0), rlong(0), rlong(number), rstring("ome.model.annotations.TagAnnotation")]] if number else []

    @shape(r"select obj0 from \w+ obj0 ")
    def bulk_annotations(self, _):
        return []

    @shape(r"select lc\.name, lc\.emissionWave\.value, index\(chan\) from Pixels p ")
    def channel_labels(self, _):
        return [[rstring(channel.name), omero.rtypes.rdouble(channel.emission), rint(number)]
                for image in self.images("id") for number, channel in enumerate(image.channels)]  # fmt: skip

    @shape(r"select p from Pixels p (left outer )?join ")
    def pixels(self, _):
        return [self.objects.pixels(image) for image in self.images("pid" if "pid" in self.parameters else "id")]

    @shape(r"select ofile from FilesetEntry as fse ")
    def original_files(self, _):
        return [self.objects.original_file(image) for image in self.images("id")]

    @shape(r"select obj from Fileset obj .*where obj\.id in \(:ids\)$")
    def filesets(self, _):
        return [self.objects.fileset(image) for image in self.images()]

    @shape(r"select ofile\.path, ofile\.name, fse\.clientPath from FilesetEntry as fse ")
    def original_paths(self, _):
        return [[rstring("stand-in/"), rstring(image.file_name), rstring(f"microscope/{image.file_name}")]
                for image in self.images("id")]  # fmt: skip

    @shape(r"select count\(fse\), sum\(fse\.originalFile\.size\) from FilesetEntry as fse ")
    def size_of_original_files(self, _):
        images = self.images()
        return [[rlong(len(images)), rlong(sum(map(files.size, images)))]]

    @shape(r"select ann\.id, ann\.ns, ann\.textValue from Fileset as fileset ")
    def annotations_of_filesets(self, _):
        return []

    @shape(r"select count\(link\), sum\(link\.parent\.size\) from PixelsOriginalFileMap as link ")
    def size_of_archived_files(self, _):
        return [[rlong(0), None]]

    @shape(r"select obj from OriginalFile obj .*where obj\.id in \(:ids\)$")
    def files_by_id(self, _):
        return [self.objects.original_file(image) for image in self.images()]


# What a column of an entry is, by what follows the alias.
COLUMNS = {
    "id": lambda entry, _: rlong(entry.id),
    "name": lambda entry, _: rstring(entry.name),
    "textValue": lambda entry, _: rstring(entry.name),
    "description": lambda entry, _: rstring(entry.description),
    "ns": lambda entry, _: None,
    "details.owner.id": lambda entry, _: rlong(entry.owner),
    "details.group.id": lambda entry, _: rlong(entry.group),
    "details.permissions": lambda entry, _: rmap({"perm": rstring(str(omero.model.PermissionsI(entry.permissions)))}),
    "details.creationEvent.time": lambda entry, _: rtime(entry.created),
    "acquisitionDate": lambda entry, _: rtime(entry.created),
    "archived": lambda entry, _: omero.rtypes.rbool(False),
    "fileset.id": lambda entry, _: rlong(entry.id),
    "sizeX": lambda entry, _: rint(entry.size_x),
    "sizeY": lambda entry, _: rint(entry.size_y),
    "sizeZ": lambda entry, _: rint(entry.size_z),
    "sizeT": lambda entry, _: rint(entry.size_t),
    "omeName": lambda entry, _: rstring(entry.login),
    "firstName": lambda entry, _: rstring(entry.first_name),
    "lastName": lambda entry, _: rstring(entry.last_name),
    "email": lambda entry, _: rstring(f"{entry.login}@example.org"),
}

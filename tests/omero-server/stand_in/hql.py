"""As much of HQL, Hibernate's query language, as OMERO.web's queries have: read into parts, and tried on the world.

Whatever is not known is refused: a query that is half understood would give answers that no OMERO.server gives.
"""

import re
from dataclasses import dataclass


class Unknown(ValueError):
    """A query, or a part of it, that the stand-in does not understand."""


# Of these OMERO.web asks, and the stand-in has none.
ABSENT = {
    "Roi", "Shape", "Screen", "Plate", "PlateAcquisition", "Well", "WellSample", "ScreenPlateLink", "PlaneInfo",
    "AnnotationAnnotationLink", "FileAnnotation", "CommentAnnotation", "LongAnnotation", "MapAnnotation",
    "ExternalInfo", "PixelsOriginalFileMap", "Laser", "ShareMember",
}  # fmt: skip
PARENT = {"Dataset": "Project", "Image": "Dataset"}
KEYWORDS = ("select", "from", "where", "group by", "order by")
START = re.compile(r"(?P<kind>\w+)(?: as)? (?P<alias>\w+)(?: (?P<joins>.*))?$")


def normalise(query):
    """One space where there is any, none inside brackets: the same query, however it is laid out."""
    text = re.sub(r"\s+", " ", query).strip()
    text = re.sub(r"\( ", "(", text)
    text = re.sub(r" ([),])", r"\1", text)
    return re.sub(r" ?(!?=) ?", r" \1 ", text)


def split(text, separator):
    """The parts of a text between separators that are not inside brackets."""
    parts, depth, start, position = [], 0, 0, 0
    while position < len(text):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if not depth and text.startswith(separator, position):
            parts.append(text[start:position])
            position += len(separator)
            start = position
        else:
            position += 1
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


@dataclass(frozen=True)
class Select:
    """A query's parts. What it selects is the alias, or columns."""

    text: str
    kind: str
    alias: str
    what: str
    joins: str
    conditions: tuple
    order: str

    @property
    def is_of_objects(self):
        return self.what == self.alias


def parse(query):
    text = normalise(query)
    parts = {}
    rest = f" {text}"
    for keyword in reversed(KEYWORDS):
        # The last of its kind outside brackets; those inside belong to queries within the query.
        before = split(rest, f" {keyword} ")
        if len(before) > 1 or rest.startswith(f" {keyword} "):
            parts[keyword] = before[-1]
            rest = f" {keyword} ".join(f" {part}" for part in before[:-1]) if len(before) > 1 else ""
    found = START.match(parts.get("from", ""))
    if not found or rest.strip():
        raise Unknown(text)
    alias = found["alias"]
    what = parts.get("select", alias)
    return Select(
        text, found["kind"], alias, what[len("distinct ") :] if what.startswith("distinct ") else what,
        found["joins"] or "", tuple(split(parts.get("where", ""), " and ")), parts.get("order by", ""),
    )  # fmt: skip


def value(text, parameters):
    """What stands on the right of a condition, as a set of values."""
    text = text.strip("() ")
    if text.startswith(":"):
        if text[1:] not in parameters:
            raise Unknown(f"parameter {text}")
        found = parameters[text[1:]]
        return set(found) if isinstance(found, (list, tuple)) else {found}
    return {int(text) if text.lstrip("-").isdigit() else text.strip("'")}


def named(condition):
    """A condition that compares: what is on the left of = or in, whether it is negated, and the right."""
    found = re.match(r"([\w.]+) (=|!=|in|not in) ?(\(?:\w+\)?|'[^']*'|\(?-?\d+\)?)$", condition)
    return found and found.groups()


def holds(condition, select, entry, world, parameters):
    """Whether a condition of a query is true of an entry of the world."""
    kind = select.kind
    if condition.startswith("not exists (select"):
        if re.search(r" from (WellSample|AnnotationAnnotationLink) ", condition):
            return True
        if re.search(r" from (ProjectDatasetLink|DatasetImageLink) ", condition):
            return not world.parents(entry)
        raise Unknown(condition)
    comparison = named(condition)
    if not comparison:
        raise Unknown(condition)
    left, operator, right = comparison
    values = value(right, parameters)
    return (not values.isdisjoint(left_side(left, select, entry, world, kind))) == (operator not in ("!=", "not in"))


def left_side(left, select, entry, world, kind):
    """What a name in a condition stands for; there may be more than one."""
    alias, _, path = left.partition(".")
    if alias == select.alias:
        if path == "id" or (path == "fileset.id" and kind == "Image"):
            return {entry.id}
        if path in ("name", "textValue", "omeName"):
            return {entry.name}
        if path == "details.owner.id":
            return {entry.owner}
    elif left == "owner.id":
        return {entry.owner}
    elif path == "parent.id" and kind in PARENT and re.search(rf"\.\w+Links? {alias}\b", select.joins):
        return {parent.id for parent in world.parents(entry)}
    elif path == "child.id" and kind == "Dataset" and re.search(rf"\.imageLinks {alias}\b", select.joins):
        return {child.id for child in world.children(entry)}
    elif path == "child.id" and re.search(rf"\.annotationLinks {alias}\b", select.joins):
        return {tag.id for tag in world.tags_of(entry)}
    elif path == "parent.id" and kind == "Experimenter" and "groupExperimenterMap" in select.joins:
        return set(entry.groups)
    elif path == "child.id" and kind == "ExperimenterGroup" and "groupExperimenterMap" in select.joins:
        return {user.id for user in world.users.values() if entry.id in user.groups}
    raise Unknown(left)


def matching(select, entries, world, parameters):
    """The entries of which all conditions are true, in the order of the query."""
    if select.kind in ABSENT:
        return []
    found = [
        entry for entry in entries
        if all(holds(condition, select, entry, world, parameters) for condition in select.conditions)
    ]  # fmt: skip
    if "lower" in select.order:
        return sorted(found, key=lambda entry: (entry.name.lower(), entry.id))
    return sorted(found, key=lambda entry: entry.id)


def page(found, offset, limit):
    offset = offset or 0
    return found[offset : offset + limit] if limit else found[offset:]


def columns(select):
    """What a query selects as (expression, name) pairs, and whether each row is one map of them."""
    inside = re.match(r"new map\((.*)\)$", select.what)
    pairs = []
    for column in split(inside[1] if inside else select.what, ","):
        expression, _, name = column.rpartition(" as ")
        pairs.append((expression or name, name))
    return pairs, bool(inside)

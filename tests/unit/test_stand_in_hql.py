"""What the stand-in for OMERO.server understands of OMERO.web's queries, and that it says what it does not."""

import pytest
from stand_in import hql
from stand_in.world import World

OBJECTS = (
    "select obj from {} obj join fetch obj.details.owner as owner left outer join fetch obj.details.externalInfo "
    "join fetch obj.details.creationEvent"
)
COUNTED = """
    select new map(dataset.id as id,
           dataset.name as name,
           dataset as dataset_details_permissions,
           (select count(id) from DatasetImageLink dil
             where dil.parent=dataset.id) as childCount)
           from Dataset dataset
           {}
    order by lower(dataset.name), dataset.id
"""
NO_PROJECT = "not exists ( select pdlink from ProjectDatasetLink as pdlink where pdlink.child = dataset.id )"


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture
def ask(world):
    def ask(query, **parameters):
        select = hql.parse(query)
        return [entry.id for entry in hql.matching(select, world.of(select.kind).values(), world, parameters)]

    return ask


def test_layout_does_not_matter():
    assert hql.normalise("select  a\n from B a\twhere ( a.id=:id )") == "select a from B a where (a.id = :id)"
    assert hql.normalise("x !=:y") == "x != :y"


def test_brackets_keep_together():
    assert hql.split("a, f(b, c), d", ",") == ["a", "f(b, c)", "d"]
    assert hql.split("a and (b and c)", " and ") == ["a", "(b and c)"]


def test_parts_of_a_query():
    select = hql.parse(COUNTED.format(f"join dataset.projectLinks plink where plink.parent.id = :pid and {NO_PROJECT}"))
    assert (select.kind, select.alias, select.joins) == ("Dataset", "dataset", "join dataset.projectLinks plink")
    assert len(select.conditions) == 2 and select.conditions[0] == "plink.parent.id = :pid"
    assert select.order == "lower(dataset.name), dataset.id"
    columns, is_map = hql.columns(select)
    assert is_map and [name for _, name in columns] == ["id", "name", "dataset_details_permissions", "childCount"]
    assert columns[-1][0].startswith("(select count(id) from DatasetImageLink dil where")
    assert not select.is_of_objects


def test_query_without_select():
    select = hql.parse("from DatasetImageLink as c where c.child.id=3")
    assert (select.kind, select.alias, select.conditions) == ("DatasetImageLink", "c", ("c.child.id = 3",))
    assert select.is_of_objects


def test_columns_that_are_no_map():
    columns, is_map = hql.columns(hql.parse("select grp.id, grp.name from ExperimenterGroup grp"))
    assert not is_map and [expression for expression, _ in columns] == ["grp.id", "grp.name"]


def test_by_id(ask):
    query = OBJECTS.format("Image") + " where obj.id in (:ids)"
    assert ask(query, ids=[3, 1, 999]) == [1, 3]
    assert ask("select e from Experimenter e where e.id = 2") == [2]


def test_by_owner(ask, world):
    for condition in ("owner.id = (:eid)", "obj.details.owner.id = :eid"):
        found = ask(f"{OBJECTS.format('Project')} where {condition}", eid=3)
        assert found == [project.id for project in world.projects.values() if project.owner == 3] != []


def test_by_container(ask, world):
    found = ask("select image.id from Image image join image.datasetLinks dlink where dlink.parent.id = :did", did=2)
    assert found == [image.id for image in world.children(world.datasets[2])] != []
    datasets = OBJECTS.format("Dataset") + " join obj.imageLinks imagelinks where imagelinks.child.id = :iid"
    assert ask(datasets, iid=found[0]) == [2]


def test_orphans(ask, world):
    found = ask(COUNTED.format("where " + NO_PROJECT))
    assert sorted(found) == [dataset.id for dataset in world.datasets.values() if not world.parents(dataset)] != []


def test_by_tag(ask, world):
    tagged = "select new map(obj.id as id) from Image obj join obj.annotationLinks alink where alink.child.id=:tid"
    assert ask(tagged, tid=1) == [image for image, tag in world.tags_on if tag == 1] != []


def test_members(ask, world):
    query = "select e.id from Experimenter e join e.groupExperimenterMap grexp where grexp.parent.id = :gid"
    assert ask(query, gid=5) == [user.id for user in world.users.values() if 5 in user.groups] != []
    query = """select grp.id from ExperimenterGroup grp join grp.groupExperimenterMap grexp
               where grp.name != 'user' and grexp.child.id = :mid"""
    assert ask(query, mid=2) == [3, 4, 5]


@pytest.mark.parametrize(("condition", "found"), [("in", [0]), ("not in", [1, 2, 3, 4, 5])])
def test_names_in_a_list(ask, condition, found):
    assert ask(f"select g from ExperimenterGroup as g where g.name {condition} (:names)", names=["system"]) == found


def test_order(ask, world):
    names = [world.datasets[number].name for number in ask(COUNTED.format(""))]
    assert names == sorted(names, key=str.lower) != [dataset.name for dataset in world.datasets.values()]


@pytest.mark.parametrize(("offset", "limit", "found"), [
    (None, None, [1, 2, 3, 4]), (0, 2, [1, 2]), (2, 2, [3, 4]), (1, None, [2, 3, 4]), (4, 2, []),
])  # fmt: skip
def test_pages(offset, limit, found):
    assert hql.page([1, 2, 3, 4], offset, limit) == found


@pytest.mark.parametrize("query", [
    "select obj from Image obj where obj.colour = :colour",
    "select obj from Image obj where obj.id > 3",
    "select obj from Image obj where obj.id = :number",
    "select obj from Image obj where obj.id = 3 or obj.id = 4",
    "select obj from Image obj where other.id = 3",
    "select obj from Image obj where not exists (select x from Something x)",
    "select obj from Image obj where obj.parent.id = 3",
    "select obj",
    "delete from Image",
    "",
])  # fmt: skip
def test_what_is_not_known_is_refused(ask, query):
    with pytest.raises(hql.Unknown):
        ask(query, colour="red")


@pytest.mark.parametrize("query", [
    "select obj from Screen obj where obj.whatever = 3",
    """select distinct mem.parent.id, mem.parent.active, extract(epoch from mem.parent.started)
           +(mem.parent.timeToLive/1000) from ShareMember mem where mem.parent.itemCount > 0 order by mem.parent.id""",
])  # fmt: skip
def test_there_is_nothing_of_what_the_stand_in_has_not(world, query):
    assert hql.matching(hql.parse(query), world.images.values(), world, {}) == []

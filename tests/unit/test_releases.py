"""Which releases run with which Pythons: what was tried, as the documentation has it, against the role's own table."""

import importlib.util
from pathlib import Path

import pytest

TRIES = Path(__file__).parents[1] / "releases.py"
spec = importlib.util.spec_from_file_location("releases", TRIES)
tries = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tries)

TRIED = tries.table_in(tries.TABLE.read_text())
RELEASES = tries.constants("release")["_omero_web_releases"]
version_key = tries.wanted.version_key


def test_the_role_installs_what_runs_and_nothing_else():
    cells = [(release, python, cell) for release, row in TRIED.items() for python, cell in row.items() if cell]
    assert {"yes", "no"} == {cell for _, _, cell in cells}
    for release, python, cell in cells:
        series = tries.series_of(release)
        is_claimed = version_key(series["python_from"]) <= version_key(python) <= version_key(series["python_to"])
        is_claimed = is_claimed and "instead" not in series
        assert (release, python, cell) == (release, python, "yes" if is_claimed else "no")


def test_releases_with_pins_are_those_that_need_them():
    pinned = {row["since"]: row["constraints"] for row in RELEASES if "constraints" in row}
    of_their_time = dict.fromkeys(("5.16.0", "5.14.0", "5.6.1"), "constraints-5.6.txt")
    assert pinned == {**of_their_time, "5.3.0": "constraints-python2.7.txt"}
    assert all((tries.ROLE / "files" / name).is_file() for name in pinned.values())


def test_no_release_is_of_a_series_that_is_newer():
    ends = [(series["newest"], series["since"]) for series in RELEASES]
    in_order = [version for pair in ends for version in pair]
    assert in_order == sorted(in_order, key=version_key, reverse=True)


@pytest.mark.parametrize("results", [{"5.9.2": {"3.9": "yes", "3.10": "no"}, "5.10.0": {"3.9": "no", "3.10": ""}}])
def test_a_table_is_read_as_it_was_written(results):
    table = tries.table_of(results)
    assert table.splitlines()[::2] == ["| OMERO.web | 3.9 | 3.10 |", "| 5.10.0 | no |  |"]
    assert tries.table_in(f"a\n{tries.START}{table}{tries.END}\nb") == results


def test_the_reason_is_the_last_that_a_program_gave(tmp_path):
    log = tmp_path / "log"
    log.write_text("ImportError: a\n  File x\nModuleNotFoundError: No module named 'b'\nmore\n")
    assert tries.reason_in(log) == "ModuleNotFoundError: No module named 'b'"
    log.write_text("nothing")
    assert tries.reason_in(log) == "see its log"

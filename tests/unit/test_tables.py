"""Which rows of the table of faults say that only `make faults` injects them."""

import runpy
from pathlib import Path

import pytest

tables = runpy.run_path(str(Path(__file__).parents[2] / "tests/tables.py"))
exhaustive = pytest.mark.skipif(True, reason=tables["EXHAUSTIVE"])
old = pytest.mark.skipif(True, reason="too old")


def marked(*marks):
    def test():
        pass

    for mark in marks:
        test = mark(test)
    return test


def values(*some):
    return pytest.mark.parametrize("value", some)


@pytest.mark.parametrize(
    "test, wanted",
    [
        (marked(old), False),
        (marked(old, exhaustive), True),
        (marked(values(1, 2)), False),
        (marked(values(1, pytest.param(2, marks=exhaustive))), False),
        (marked(values(pytest.param(1, marks=exhaustive), pytest.param(2, marks=exhaustive))), True),
        (marked(values(pytest.param(1, marks=exhaustive)), values(1)), True),
        (marked(values(pytest.param(1, marks=old))), False),
    ],
)
def test_whether_only_make_faults_runs_it(test, wanted):
    assert tables["is_exhaustive"](test) is wanted

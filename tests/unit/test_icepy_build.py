"""How the sources of IcePy are compiled together; that a wheel comes of it is seen on hosts."""

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import setuptools  # noqa: F401 - before distutils, which it may bring

# isort: split
from distutils.ccompiler import CCompiler
from distutils.errors import CompileError

SCRIPT = Path(__file__).parents[2] / "roles/omero-web/files/icepy/fast/sitecustomize.py"


@pytest.fixture
def build(monkeypatch):
    # Put back in the end.
    monkeypatch.setattr(CCompiler, "compile", CCompiler.compile)
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


def test_sources_of_a_directory_are_compiled_together(build):
    sources = ["b/4.cpp", "a/2.cpp", "a/1.cpp", "a/3.cpp", "a/0.c", "a/4.c"]
    c_sources = [["a/0.c"], ["a/4.c"]]
    assert build.batches_of(sources, 2) == [*c_sources, ["a/1.cpp", "a/2.cpp"], ["a/3.cpp"], ["b/4.cpp"]]
    assert build.batches_of(sources, 1) == [*c_sources, ["a/1.cpp"], ["a/2.cpp"], ["a/3.cpp"], ["b/4.cpp"]]


@pytest.mark.parametrize("rivals", [(), ("1", "2"), ("0", "7"), ("2", "4", "6")])
def test_sources_that_are_in_each_others_way_are_compiled_apart(build, tmp_path, rivals):
    sources = [str(tmp_path / f"{number}.cpp") for number in range(8)]
    compiled = {}

    def compile_source(target, source, _):
        batch = [source] if source in sources else re.findall(r'#include "(.+)"', Path(source).read_text())
        if sum(Path(one).stem in rivals for one in batch) > 1:
            raise CompileError("redefinition")
        compiled[target] = batch

    objects = build.compile_batch(sources, {source: f"{source}.o" for source in sources}, compile_source)
    assert sorted(objects) == sorted(compiled)
    assert sorted(source for batch in compiled.values() for source in batch) == sources
    assert (len(objects) == 1) == (not rivals)


def test_a_source_that_cannot_be_compiled_fails_the_build(build, tmp_path):
    def compile_source(*_):
        raise CompileError("syntax")

    sources = [str(tmp_path / "1.cpp"), str(tmp_path / "2.cpp")]
    with pytest.raises(CompileError):
        build.compile_batch(sources, {source: f"{source}.o" for source in sources}, compile_source)


def test_memory_that_is_free_is_read(build, tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 2048000 kB\nMemAvailable:    1024000 kB\n")
    assert build.free_mb(str(tmp_path / "meminfo")) == 1000

"""Compile the C++ sources of an extension a few at a time: imported by every Python of the wheel build.

Most of the time goes into headers that all sources share; of those that are compiled together they are read once.
"""

import itertools
import multiprocessing
import os
import re
from multiprocessing.pool import ThreadPool

import setuptools  # noqa: F401 - before distutils, which it may bring

# isort: split
from distutils.ccompiler import CCompiler
from distutils.errors import CompileError

TOGETHER = 8
# What a compiler takes for them.
COMPILER_MB = 700


def free_mb(path="/proc/meminfo"):
    with open(path) as memory:
        return int(re.search(r"MemAvailable:\s+(\d+) kB", memory.read()).group(1)) // 1024


def batches_of(sources, size):
    """Return lists of at most `size` C++ sources of the same directory, and each source of another kind by itself."""

    def kind(source):
        return os.path.dirname(source), os.path.splitext(source)[1]

    batches = []
    for (_, ending), group in itertools.groupby(sorted(sorted(sources), key=kind), key=kind):
        alike, most = list(group), size if ending == ".cpp" else 1
        batches += [alike[start:start + most] for start in range(0, len(alike), most)]
    return batches


def compile_batch(batch, object_of, compile_source):
    """Compile sources as one, and where names of theirs are in each other's way, its halves; return the objects."""
    source = first = batch[0]
    if len(batch) > 1:
        source = object_of[first] + ".cpp"
        with open(source, "w") as together:
            together.write("".join('#include "%s"\n' % os.path.abspath(one) for one in batch))
    try:
        compile_source(object_of[first], source, os.path.splitext(first)[1])
        return [object_of[first]]
    except CompileError:
        if len(batch) == 1:
            raise
    middle = len(batch) // 2
    return [one for half in (batch[:middle], batch[middle:]) for one in compile_batch(half, object_of, compile_source)]


def tell(progress):
    """Say how far it is, past pip, which keeps what it hears to itself."""
    if "PROGRESS" in os.environ:
        with open(os.environ["PROGRESS"], "a") as log:
            log.write(progress + "\n")


def compile_sources(compiler, sources, output_dir=None, macros=None, include_dirs=None, debug=0, extra_preargs=None,
                    extra_postargs=None, depends=None):  # fmt: skip
    """Take the place of CCompiler.compile."""
    _, objects, postargs, options, _ = compiler._setup_compile(
        output_dir, macros, include_dirs, sources, depends, extra_postargs
    )
    arguments = compiler._get_cc_args(options, debug, extra_preargs)
    compilers = free_mb() // COMPILER_MB
    at_once = max(1, min(multiprocessing.cpu_count(), compilers))
    batches = batches_of(sources, TOGETHER if compilers else 1)
    object_of = dict(zip(sources, objects))

    def compile_source(target, source, ending):
        compiler._compile(target, source, ending, arguments, postargs, options)

    done = itertools.count(1)

    def compile_and_tell(batch):
        found = compile_batch(batch, object_of, compile_source)
        tell("IcePy: %d of %d parts are compiled" % (next(done), len(batches)))
        return found

    compiled = ThreadPool(at_once).map(compile_and_tell, batches, 1)
    return list(itertools.chain.from_iterable(compiled))


CCompiler.compile = compile_sources

"""Compile the header that all sources share once, and then the sources side by side: imported by every Python of the
wheel build."""
import os

from pybind11.setup_helpers import ParallelCompile

ParallelCompile("ICEPY_BUILD_JOBS").install()

import distutils.ccompiler  # noqa: E402 - the one that pybind11 has changed, which may be that of setuptools

compile_sources = distutils.ccompiler.CCompiler.compile


def compile_header_and_sources(compiler, sources, output_dir=None, macros=None, include_dirs=None, debug=0,
                               extra_preargs=None, extra_postargs=None, depends=None):  # fmt: skip
    header = os.environ["ICEPY_HEADER"]
    _, _, postargs, options, _ = compiler._setup_compile(output_dir, macros, include_dirs, [], depends, extra_postargs)
    arguments = compiler._get_cc_args(options, debug, extra_preargs) + ["-x", "c++-header"]
    compiler._compile(header + ".gch", header, ".h", arguments, postargs, options)
    return compile_sources(
        compiler, sources, output_dir, macros, include_dirs, debug, extra_preargs, extra_postargs, depends
    )


distutils.ccompiler.CCompiler.compile = compile_header_and_sources

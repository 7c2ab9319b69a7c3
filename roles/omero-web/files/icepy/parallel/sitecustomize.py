"""Compile the sources of an extension side by side: imported by every Python of the wheel build."""
from pybind11.setup_helpers import ParallelCompile

ParallelCompile("ICEPY_BUILD_JOBS").install()

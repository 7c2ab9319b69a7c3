#!/bin/sh
# Builds the IcePy wheel from the published sdist.
# usage: build_wheel.sh PYTHON OUTPUT_DIRECTORY PIP_REQUIREMENT_OF_ICEPY [BUILD_REQUIREMENT...]
set -eu

python=$1 output=$2 icepy=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
work=$output/build-${python##*/}
rm -rf "$work"
mkdir "$work"
trap 'rm -rf "$work"' EXIT

if "$python" -c 'import venv' 2>/dev/null; then
    "$python" -m venv "$work/venv"
else
    virtualenv --quiet --python "$python" "$work/venv"
fi
"$work/venv/bin/pip" install --quiet "$@"

# Older setuptools hand CFLAGS to the C++ compiler, newer ones CXXFLAGS. gcc 14 makes an error of a
# declaration that the bundled C preprocessor leaves out, and gcc 15 takes it for C23, where true and false
# are no names any more; without debug info the wheel shrinks from 17 to 3 MB.
CXXFLAGS="-O2 -g0 -Wno-error=implicit-function-declaration -I$here/include -include icepy_compat.h"
CFLAGS="-std=gnu11 $CXXFLAGS"
PYTHONPATH=$here/fast
PROGRESS=/proc/$$/fd/1
export CFLAGS CXXFLAGS PYTHONPATH PROGRESS
"$work/venv/bin/pip" wheel --no-deps --no-build-isolation --no-binary :all: --wheel-dir "$work/built" "$icepy"
unset PYTHONPATH

# Python 3.12 removed the module imp, of which Ice.py wants a single call.
"$work/venv/bin/wheel" unpack --dest "$work/unpacked" "$work"/built/*.whl
sed -i -e 's/^import sys, string, imp,/import sys, string, types,/' -e 's/imp\.new_module(/types.ModuleType(/' \
    "$work"/unpacked/*/Ice.py
"$work/venv/bin/wheel" pack --dest-dir "$work" "$work"/unpacked/*
# A name that is there counts, so it has to have its content after a power cut, too.
sync
mv "$work"/*.whl "$output/"

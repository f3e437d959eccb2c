#!/bin/sh
# Builds matfac with its C++ tests into a virtual environment of its own (.venv-test) and runs all the tests:
#   sh tools/test.sh [arguments of pytest]
# Needs Python 3.10 or later; what else is missing is installed with apt-get, and the test tools with pip. The core is
# compiled once, into build/test, for the wheel and the C++ tests alike; a second run compiles what has changed. A process
# for each processor tests; "--numprocesses 0" at the end: one.
# MATFAC_STRICT=1 makes warnings of the compiler errors. MATFAC_DATA is the folder of the real data sets (../shared/data).
set -eu
cd "$(dirname "$0")/.."
. tools/setup.sh
build=build/test

stage 'setting up'
need python
need compiler
need doctest
need pkg-config
need service
install_missing
check_installed
make_environment .venv-test
.venv-test/bin/python -m pip install --quiet --group build

stage 'building and installing matfac into .venv-test'
# A failed build must not leave the library of an earlier one to be tested.
rm -f "$build/cpp/tests/matfac_tests" "$build/cpp/examples/service/matfac_service"
PATH=$PWD/.venv-test/bin:$PATH .venv-test/bin/python -m pip install --quiet --no-build-isolation \
  -Cbuild-dir="$build" -Ccmake.define.MATFAC_BUILD_TESTS=ON -Ccmake.define.MATFAC_BUILD_SERVICE=ON -Ccmake.define.MATFAC_STRICT="${MATFAC_STRICT:-0}" '.[test]'

stage 'testing'
MATFAC_CPP_TESTS=$PWD/$build/cpp/tests/matfac_tests \
  MATFAC_SERVICE=$PWD/$build/cpp/examples/service/matfac_service \
  .venv-test/bin/pytest --numprocesses auto --dist loadgroup "$@"
stage

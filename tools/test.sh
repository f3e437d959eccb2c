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
# The wheel is built beside the build tools, which keep their folder; what the tests need is built, where it comes as
# sources, apart from them.
rm -f "$build"/wheel/*.whl
PATH=$PWD/.venv-test/bin:$PATH .venv-test/bin/python -m pip wheel --quiet --no-build-isolation --no-deps --wheel-dir "$build/wheel" \
  -Cbuild-dir="$build" -Ccmake.define.MATFAC_BUILD_TESTS=ON -Ccmake.define.MATFAC_BUILD_SERVICE=ON -Ccmake.define.MATFAC_STRICT="${MATFAC_STRICT:-0}" .
.venv-test/bin/python -m pip uninstall --quiet --yes matfac
.venv-test/bin/python -m pip install --quiet "$(echo "$build"/wheel/*.whl)[test]"

stage 'testing'
MATFAC_CPP_TESTS=$PWD/$build/cpp/tests/matfac_tests \
  MATFAC_SERVICE=$PWD/$build/cpp/examples/service/matfac_service \
  .venv-test/bin/pytest --numprocesses auto --dist loadgroup "$@"
stage

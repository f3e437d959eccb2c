#!/bin/sh
# Builds a stranger's C++ project in every way to have the library, with each compiler, build type and kind of library:
#   sh tools/consumers.sh [arguments of pytest]
# That is GCC and Clang, Debug and Release, shared and static, each by find_package, pkg-config, add_subdirectory and
# FetchContent, and out of the installed wheel. It compiles the library eight times; tests/cpp/test_consumer.py, which does
# the work, does it once among the other tests. Uses the environment that tools/test.sh has made.
set -eu
cd "$(dirname "$0")/.."
. tools/setup.sh
test -x .venv-test/bin/matfac || fail 'run tools/test.sh first: the wheel that it has installed is one of the ways'

need compiler
need clang
need pkg-config
install_missing
status=0
for compiler in ${COMPILERS:-g++ clang++}; do
  for build_type in ${BUILD_TYPES:-Debug Release}; do
    stage "$compiler $build_type"
    CXX=$compiler CMAKE_BUILD_TYPE=$build_type MATFAC_CONSUMERS=all .venv-test/bin/pytest -q tests/cpp/test_consumer.py "$@" ||
      status=1
  done
done
stage
exit $status

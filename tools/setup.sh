# shellcheck shell=sh
# What the scripts in this folder share. Read with ".", from the root of the repository; POSIX sh.

# The caller's Python settings must not reach into the virtual environments, nor the other way round.
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV PYTEST_ADDOPTS PYTEST_PLUGINS MATFAC_ISA
export PYTHONNOUSERSITE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_REQUIRE_VIRTUALENV=1 PIP_NO_INPUT=1

PYTHON=${PYTHON:-python3}
_start=$(date +%s)
_stage=''
_stage_start=$_start

# stage NAME: says what begins, and how long the stage before it took. "stage" alone ends the last one.
stage() {
  _now=$(date +%s)
  if [ -n "$_stage" ]; then echo "== $_stage: $((_now - _stage_start)) s"; fi
  _stage=${1:-}
  _stage_start=$_now
  if [ -n "$_stage" ]; then echo "== $_stage ..."; else echo "== all together: $((_now - _start)) s"; fi
}

fail() {
  echo "$0: $*" >&2
  exit 1
}

# missing WHAT PACKAGE...: notes Debian packages that bring what is not there.
_missing=''
_packages=''
missing() {
  _missing="$_missing${_missing:+, }$1"
  shift
  _packages="$_packages $*"
}

_has_compiler() {
  _probe=$(mktemp -d)
  printf '#include <span>\n#ifndef _OPENMP\n#error\n#endif\nint main() { return std::span<int>().size(); }\n' >"$_probe/a.cpp"
  ${CXX:-c++} -std=c++20 -fopenmp "$_probe/a.cpp" -o "$_probe/a" >"$_probe/log" 2>&1
  _result=$?
  rm -r "$_probe"
  return $_result
}
_check_version() {
  "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "$PYTHON is $("$PYTHON" -V 2>&1), but 3.10 or later is needed: name another one with PYTHON=... sh $0"
}
_has_venv() { "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; }
_has_python_headers() {
  "$PYTHON" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
}
_has_doctest() { echo '#include <doctest/doctest.h>' | ${CXX:-c++} -E -x c++ - >/dev/null 2>&1; }
_has_service_headers() {
  printf '#include <httplib.h>\n#include <nlohmann/json.hpp>\n' | ${CXX:-c++} -std=c++20 -E -x c++ - >/dev/null 2>&1
}
_has_clang() {
  _probe=$(mktemp -d)
  printf '#include <omp.h>\nint main() { return omp_get_max_threads() < 1; }\n' >"$_probe/a.cpp"
  clang++ -fopenmp "$_probe/a.cpp" -o "$_probe/a" >"$_probe/log" 2>&1
  _result=$?
  rm -r "$_probe"
  return $_result
}

# need compiler|python|doctest|service|clang|pkg-config: notes what is missing of it.
need() {
  case $1 in
    compiler) _has_compiler || missing 'a C++20 compiler with OpenMP' g++ ;;
    doctest) _has_doctest || missing 'the header doctest/doctest.h' doctest-dev ;;
    service)
      _has_service_headers || missing 'cpp-httplib and nlohmann-json' libcpp-httplib-dev nlohmann-json3-dev
      ;;
    clang) _has_clang || missing 'Clang with OpenMP' clang libomp-dev ;;
    pkg-config) command -v pkg-config >/dev/null || missing pkg-config pkg-config ;;
    python)
      if ! command -v "$PYTHON" >/dev/null; then
        [ "$PYTHON" = python3 ] || fail "there is no $PYTHON"
        missing Python python3 python3-venv python3-dev
        return
      fi
      _check_version
      _has_venv || missing 'the Python module venv' python3-venv
      _has_python_headers || missing 'the Python headers' python3-dev
      ;;
  esac
}

# Installs what was noted, if anything, with apt-get.
install_missing() {
  if [ -z "$_packages" ]; then return; fi
  echo "Missing: $_missing. Debian packages:$_packages"
  command -v apt-get >/dev/null || fail "there is no apt-get here: install $_missing by hand and start again"
  if [ "$(id -u)" = 0 ]; then
    _as_root=''
  elif command -v sudo >/dev/null; then
    _as_root=sudo
  else
    fail "run this as root, or ask for it: apt-get install$_packages"
  fi
  $_as_root apt-get update -qq || fail "apt-get update failed: without the network, install$_packages by other means"
  # shellcheck disable=SC2086  # a list of words
  $_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $_packages >/dev/null ||
    fail "apt-get could not install$_packages"
  _packages=''
  _missing=''
}

# check_installed: what was noted must be there now. An interpreter that is not Debian's is not helped by its packages.
check_installed() {
  _check_version
  _has_compiler || fail "the compiler ${CXX:-c++} cannot build C++20 with OpenMP: name another one with CXX=... sh $0"
  if ! _has_venv || ! _has_python_headers; then
    fail "$PYTHON has no module venv or no headers: name another interpreter with PYTHON=... sh $0"
  fi
}

# make_environment FOLDER: a virtual environment with a pip that knows dependency groups. One that was made in this place
# with this Python is kept; after any other change (a new Python, a moved repository) it is made anew.
make_environment() {
  _made_for="$PWD $("$PYTHON" -c 'import sys; print(sys.base_prefix, sys.version.replace("\n", " "))')"
  if [ "$(cat "$1/made-for" 2>/dev/null)" != "$_made_for" ]; then
    "$PYTHON" -m venv --clear "$1"
    "$1/bin/python" -m pip install --quiet --upgrade 'pip>=25.1'
    echo "$_made_for" >"$1/made-for"
  fi
}

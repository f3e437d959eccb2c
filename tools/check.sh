#!/bin/sh
# Checks formatting, types and the generated stubs; changes nothing: sh tools/check.sh
# Uses the environment that tools/test.sh has made.
set -eu
cd "$(dirname "$0")/.."
. tools/setup.sh
test -x .venv-test/bin/matfac || fail 'run tools/test.sh first: the types and the stubs are checked against its build'

stage 'installing the checkers'
.venv-test/bin/python -m pip install --quiet --group check
PATH=$PWD/.venv-test/bin:$PATH
status=0

stage 'C++ formatting'
find cpp \( -name '*.cpp' -o -name '*.hpp' -o -name '*.inl' \) -exec clang-format --dry-run --Werror {} + || status=1
stage 'Python formatting and lint'
ruff format --check --quiet . || { ruff format --diff . || true; status=1; }
ruff check . || status=1
stage 'types'
mypy || status=1
stage 'stubs'
python tools/stubs.py --check || status=1
stage
exit $status

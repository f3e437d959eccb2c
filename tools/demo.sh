#!/bin/sh
# Builds matfac into a virtual environment of its own (.venv) and runs its demonstration: sh tools/demo.sh
# Needs Python 3.10 or later; what else is missing (a C++ compiler, venv, Python's headers) is installed with apt-get.
set -eu
cd "$(dirname "$0")/.."
. tools/setup.sh

stage 'setting up'
need python
need compiler
install_missing
check_installed
"$PYTHON" -m venv --clear .venv

stage 'building and installing matfac into .venv'
.venv/bin/python -m pip install --quiet .

stage 'matfac demo'
.venv/bin/matfac demo "$@"
stage
echo "matfac is installed in .venv: try .venv/bin/matfac --help"

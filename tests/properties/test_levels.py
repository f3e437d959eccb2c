"""What the level of the kernels (baseline, avx2, avx512) has to do with a fit."""

from __future__ import annotations

import numpy as np
import pytest

import matfac as mf
from conftest import DTYPES, LABELS, POINTWISE, SOLVERS, assert_near, run_python

#: Below, beyond and at the length of a register; many users have fewer ratings, some have more.
SIZES = (7, 37, 64)
LEVELS = mf.runtime_info()["instruction_sets"]
#: Those that multiply and add in one rounding.
FUSED = [level for level in LEVELS if level != "baseline"]

FITS = """
import numpy as np
import matfac as mf

R = mf.datasets.make_ratings(300, 200, 4000, random_state=0)
counts = np.diff(R.offsets)
assert counts.min() < min(SIZES) and counts.max() > max(SIZES)
labels = mf.Ratings.from_csr_arrays(
    R.offsets, R.items, np.where(R.values > R.values.mean(), 1, -1).astype(R.dtype), R.n_items
)
found = {}

def keep(estimator, R, loss, solver, dtype, size, **options):
    chosen = {"loss": loss, "solver": solver, "dtype": dtype, **options}
    model = estimator(size, max_iter=3, random_state=0, n_threads=2, **chosen).fit(R)
    names = ("user_factors_", "item_factors_", "user_biases_", "item_biases_")
    arrays = {name: getattr(model, name) for name in names if getattr(model, name) is not None}
    arrays["objective"] = model.history_["objective"]
    beside = " ".join(f"{key}={value}" for key, value in options.items())
    for name, array in arrays.items():
        found[f"{loss} {solver} {dtype} {size} {beside} {name}"] = array

explicit, implicit = mf.MatrixFactorization, mf.ImplicitFactorization
for dtype in DTYPES:
    for solver in SOLVERS:
        for size in SIZES:
            keep(explicit, R, "squared", solver, dtype, size)
        keep(explicit, R, "squared", solver, dtype, 37, nonnegative=True, l1_regularization=0.1)
    for solver, losses in POINTWISE.items():
        for loss in losses[1:]:  # the first is the squared one
            keep(explicit, labels if loss in LABELS else R, loss, solver, dtype, 37)
    for row_solver in ("cholesky", "conjugate_gradient", "subspace"):
        keep(implicit, R, "implicit_squared", "als", dtype, 37, row_solver=row_solver)
    for loss in ("bpr", "warp"):
        keep(implicit, R, loss, "sgd", dtype, 37)
np.savez(PATH, **found)
print(mf.runtime_info()["instruction_set"])
"""


@pytest.fixture(scope="module")
def fits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    """What the same fits find at each level, and at the one that is chosen "unasked"."""
    found = {}
    for level in (*LEVELS, "unasked"):
        path = str(tmp_path_factory.mktemp(level) / "fits.npz")
        parameters = {"PATH": path, "SOLVERS": SOLVERS, "DTYPES": DTYPES, "SIZES": SIZES}
        parameters |= {"POINTWISE": POINTWISE, "LABELS": LABELS}
        code = "".join(f"{name} = {value!r}\n" for name, value in parameters.items()) + FITS
        used = run_python(code, MATFAC_ISA="" if level == "unasked" else level).strip()
        assert used == (LEVELS[-1] if level == "unasked" else level)
        with np.load(path) as file:
            found[level] = dict(file)
    return found


@pytest.mark.skipif(not FUSED, reason="no level of this machine fuses")
def test_fits_have_the_same_bits_at_all_levels_that_fuse(fits):
    """Sums are taken in an order, or by a tree, that the width of a register has no part in."""
    first, *others = (fits[level] for level in (*FUSED, "unasked"))
    for other in others:
        assert [key for key in first if first[key].tobytes() != other[key].tobytes()] == []


@pytest.mark.skipif(not FUSED, reason="this machine has one level")
def test_fits_at_the_baseline_are_near_those_that_fuse(fits):
    """One rounding or two is all that differs; and it does differ, so that the levels are real."""
    plain, fused = fits["baseline"], fits[FUSED[-1]]
    assert plain.keys() == fused.keys()
    for key, array in plain.items():
        loss, solver, dtype, *_ = key.split()
        if loss != "squared":  # a kink, or a choice by comparison, makes much of a rounding
            continue
        operation = "objective" if key.endswith("objective") else solver
        assert_near(array, fused[key], operation, dtype)
    assert any(array.tobytes() != fused[key].tobytes() for key, array in plain.items())

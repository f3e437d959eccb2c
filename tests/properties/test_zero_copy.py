"""What is shared, by address and by measured memory, and how long it lives."""

from __future__ import annotations

import gc
import json
import sys
import weakref
from typing import Any

import numpy as np
import pytest

import matfac as mf
from conftest import make_problem, run_python


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


# ---- addresses -----------------------------------------------------------------------------------


def test_ratings_are_the_arrays_they_were_made_from(dtype):
    offsets = np.array([0, 2, 2, 3])
    items, values = np.array([0, 4, 1], np.int32), np.array([3, 1, 2], dtype)
    R = mf.Ratings.from_csr_arrays(offsets, items, values, 5)
    assert address(R.offsets) == address(offsets)
    assert address(R.items) == address(items)
    assert address(R.values) == address(values)
    # And they are what the core reads: a change shows in its results.
    U, V = np.ones((3, 2), dtype), np.ones((5, 2), dtype)
    assert mf.residuals(R, U, V).tolist() == [-1, 1, 0]
    values[0] = 2
    assert mf.residuals(R, U, V).tolist() == [0, 1, 0]


def test_a_pattern_that_changes_in_place_is_not_the_one_kept(dtype):
    n_users, n_items = 400, 300
    offsets = np.arange(0, 120 * n_users + 1, 120)
    items = np.tile(np.arange(0, 240, 2, dtype=np.int32), n_users)
    values = np.ones(len(items), dtype)
    R = mf.Ratings.from_csr_arrays(offsets, items, values, n_items)
    rng = np.random.default_rng(0)
    U, V = (rng.normal(size=(n, 8)).astype(dtype) for n in R.shape)
    asked = [mf.gradients(R, U, V)[1] for _ in range(3)]  # the second call makes what is kept
    assert all(np.array_equal(asked[0], other) for other in asked)
    items[7 * 120 + 60] += 1
    fresh = mf.Ratings.from_csr_arrays(offsets, items.copy(), values, n_items)
    dU, dV = mf.gradients(R, U, V)
    assert not np.array_equal(dV, asked[0])
    for found, expected in zip((dU, dV), mf.gradients(fresh, U, V), strict=True):
        np.testing.assert_array_equal(found, expected)
    offsets[1] += 1
    items[120] = 250
    fresh = mf.Ratings.from_csr_arrays(offsets.copy(), items.copy(), values, n_items)
    np.testing.assert_array_equal(mf.gradients(R, U, V)[1], mf.gradients(fresh, U, V)[1])


def test_ratings_keep_the_arrays_alive(dtype):
    offsets, items = np.array([0, 1000]), np.arange(1000, dtype=np.int32)
    values = np.ones(1000, dtype)
    R = mf.Ratings.from_csr_arrays(offsets, items, values, 1000)
    lives = weakref.ref(values)
    del offsets, items, values
    gc.collect()
    assert lives() is not None and R.values.sum() == 1000
    view = R.values
    del R
    gc.collect()
    assert view.sum() == 1000 and lives() is not None
    del view
    gc.collect()
    assert lives() is None


@pytest.mark.parametrize("n_factors", [7, 16])
def test_steps_update_the_factors_where_they_lie(n_factors, dtype):
    p = make_problem("general", n_factors, dtype)
    for step in (mf.batch_step, mf.sgd_epoch):
        before, places = p.copy(), (address(p.U), address(p.V))
        step(p.R, p.U, p.V, learning_rate=0.01)
        assert (address(p.U), address(p.V)) == places
        assert not np.array_equal(p.U, before.U) and not np.array_equal(p.V, before.V)


def test_steps_update_a_part_of_a_larger_array(dtype):
    """Rows of one block, as an optimizer keeps its parameters: neighbours are not touched."""
    p = make_problem("general", 7, dtype)
    n_users, n_items = p.R.shape
    block = np.full((n_users + n_items + 2, 7), 9, dtype)
    block[1 : n_users + 1], block[n_users + 1 : -1] = p.U, p.V
    mf.batch_step(p.R, block[1 : n_users + 1], block[n_users + 1 : -1], learning_rate=0.01)
    mf.batch_step(p.R, p.U, p.V, learning_rate=0.01)
    assert np.array_equal(block[1:-1], np.concatenate([p.U, p.V]))
    assert np.all(block[[0, -1]] == 9)


@pytest.mark.parametrize("n_factors", [7, 16])
def test_results_are_written_to_out(n_factors, dtype):
    p = make_problem("general", n_factors, dtype)
    e, dU, dV = np.empty(p.R.nnz, dtype), np.empty_like(p.U), np.empty_like(p.V)
    assert mf.residuals(p.R, p.U, p.V, out=e) is e
    assert np.array_equal(e, mf.residuals(p.R, p.U, p.V))
    found = mf.gradients(p.R, p.U, p.V, out=(dU, dV))
    assert found[0] is dU and found[1] is dV
    expected = mf.gradients(p.R, p.U, p.V)
    assert np.array_equal(dU, expected[0]) and np.array_equal(dV, expected[1])
    derivatives = np.empty_like(e)
    found = mf.gradients(p.R, p.U, p.V, derivatives=derivatives)
    assert np.array_equal(derivatives, e)  # of the squared loss: the residuals, bit for bit
    assert np.array_equal(found[0], dU) and np.array_equal(found[1], dV)


def test_arguments_are_not_changed(dtype):
    p = make_problem("general", 7, dtype)
    for array in (p.U, p.V):
        array.flags.writeable = False
    before = p.copy()
    mf.residuals(p.R, p.U, p.V)
    mf.loss(p.R, p.U, p.V)
    mf.gradients(p.R, p.U, p.V)
    mf.pair_gradients(3.0, p.U[0], p.V[0])
    mf.MatrixFactorization(7, init=(p.U, p.V), max_iter=1, dtype=dtype).fit(p.R)
    assert np.array_equal(p.U, before.U) and np.array_equal(p.V, before.V)


def test_unaligned_or_foreign_byte_order_factors_are_copied_not_misread():
    p = make_problem("general", 7, "float64")
    expected = mf.residuals(p.R, p.U, p.V)
    raw = np.empty(p.U.nbytes + 1, np.uint8)[1:].view(np.float64).reshape(p.U.shape)
    raw[:] = p.U
    assert not raw.flags.aligned
    with pytest.warns(mf.CopyWarning):
        assert np.array_equal(mf.residuals(p.R, raw, p.V), expected)
    with pytest.warns(mf.CopyWarning):
        assert np.array_equal(mf.residuals(p.R, np.asfortranarray(p.U), p.V), expected)


# ---- fitted factors ------------------------------------------------------------------------------


def test_fitted_factors_are_read_only_and_outlive_the_model(solver, dtype):
    p = make_problem("general", 7, dtype)
    model = mf.MatrixFactorization(7, solver=solver, max_iter=2, dtype=dtype).fit(p.R)
    views = [
        model.user_factors_,
        model.item_factors_,
        model.user_biases_,
        model.item_biases_,
        model.user_factors_[3:5],
    ]
    expected = [view.copy() for view in views]
    for view in views:
        assert view.dtype == dtype and view.flags.c_contiguous and not view.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 0
    del model, p
    gc.collect()
    _ = [np.ones(50_000) for _ in range(50)]  # what was freed would be written over
    assert all(np.array_equal(a, b) for a, b in zip(views, expected, strict=True))


def test_predictions_of_a_model_do_not_change_when_it_is_fitted_again(dtype):
    p = make_problem("general", 7, dtype)
    model = mf.MatrixFactorization(7, max_iter=1, dtype=dtype).fit(p.R)
    factors = model.user_factors_
    before = factors.copy()
    model.set_params(max_iter=3).fit(p.R)
    assert np.array_equal(factors, before) and not np.array_equal(model.user_factors_, before)


def test_a_fit_that_is_stopped_keeps_the_factors_so_far(solver, dtype):
    p = make_problem("general", 7, dtype)
    stopped = mf.MatrixFactorization(7, solver=solver, max_iter=50, dtype=dtype)
    stopped.fit(p.R, callbacks=lambda info: info["iteration"] < 3)
    short = mf.MatrixFactorization(7, solver=solver, max_iter=3, dtype=dtype).fit(p.R)
    assert stopped.stop_reason_ == "cancelled" and stopped.n_iter_ == 3
    assert np.array_equal(stopped.user_factors_, short.user_factors_)

    def interrupt(info: dict[str, Any]) -> None:
        if info["iteration"] == 3:
            raise KeyboardInterrupt

    interrupted = mf.MatrixFactorization(7, solver=solver, max_iter=50, dtype=dtype)
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(p.R, callbacks=interrupt)
    assert np.array_equal(interrupted.user_factors_, short.user_factors_)
    assert np.array_equal(interrupted.predict(p.R), short.predict(p.R))


# ---- memory --------------------------------------------------------------------------------------

#: Defines `peak_growth(work)`: how far the process's memory rises, at most, while `work()` runs.
MEASURE = """
import json
import numpy as np
import matfac as mf

def status(key):
    with open("/proc/self/status") as lines:
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(key))

def peak_growth(work):
    with open("/proc/self/clear_refs", "w") as control:
        control.write("5")  # the peak starts anew
    before = status("VmRSS")
    work()
    return status("VmHWM") - before

def ratings(n_users, n_items, per_user, dtype):
    rng = np.random.default_rng(0)
    offsets = per_user * np.arange(n_users + 1)
    step = n_items // per_user
    items = rng.integers(step, size=(n_users, per_user)) + step * np.arange(per_user)
    values = rng.integers(1, 6, n_users * per_user).astype(dtype)
    return mf.Ratings.from_csr_arrays(offsets, items.astype(np.int32).ravel(), values, n_items)

def warm_up(solver, dtype):  # threads, libraries, the allocator's first pages
    R = ratings(300, 100, 50, dtype)
    mf.MatrixFactorization(8, solver=solver, max_iter=1, dtype=dtype).fit(R)
"""
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@linux_only
def test_fits_need_few_bytes_a_rating(solver, dtype):
    """At most what fit.hpp promises, and never 24 bytes a rating, beyond arrays and factors."""
    n_users, n_items, per_user, n_factors = 40_000, 4_000, 50, 8
    code = f"""
R = ratings({n_users}, {n_items}, {per_user}, "{dtype}")
warm_up("{solver}", "{dtype}")
model = mf.MatrixFactorization({n_factors}, solver="{solver}", max_iter=2, dtype="{dtype}")
print(json.dumps(peak_growth(lambda: model.fit(R))))
"""
    grown = json.loads(run_python(MEASURE + code))
    width = np.dtype(dtype).itemsize
    nnz, row = n_users * per_user, max(64, n_factors * width)
    # als holds the ratings by item too; batch two 16-bit ids, and 8 bytes for the eight ratings of
    # an item in a block here; sgd its blocks: two 16-bit ids and a value; ccd the residuals by user
    # and by item, with the users.
    promised = {"als": 8 + width, "batch": 5, "sgd": 4 + width, "ccd": 4 + 2 * width}[solver]
    # Per user and item: the factors and at most five padded copies, and a few numbers beside them.
    beside = (n_users + n_items) * (6 * row + 128)
    assert promised < 24
    assert grown <= promised * nnz + beside + 8e6


@linux_only
def test_held_out_ratings_are_not_copied():
    code = """
R = ratings(40_000, 4_000, 50, "float32")
warm_up("sgd", "float32")
fit = lambda *held_out: mf.MatrixFactorization(8, solver="batch", max_iter=1).fit(R, *held_out)
print(json.dumps([peak_growth(fit), peak_growth(lambda: fit(R))]))
"""
    alone, with_eval = json.loads(run_python(MEASURE + code))
    assert with_eval - alone < 4e6  # the held-out ratings take 16 MB


@linux_only
@pytest.mark.parametrize("operation", ["residuals", "loss", "gradients", "batch_step", "recommend"])
def test_operations_copy_neither_ratings_nor_factors(operation):
    """Factors of 64 bytes a row and 2 million ratings, each of which would show if copied."""
    code = f"""
R = ratings(400_000, 100, 5, "float32")
U, V = np.ones((400_000, 16), "float32"), np.ones((100, 16), "float32")
e, dU, dV = np.ones(R.nnz, "float32"), np.ones_like(U), np.ones_like(V)
warm_up("batch", "float32")
work = {{
    "residuals": lambda: mf.residuals(R, U, V, out=e),
    "loss": lambda: mf.loss(R, U, V),
    "gradients": lambda: mf.gradients(R, U, V, out=(dU, dV)),
    "batch_step": lambda: mf.batch_step(R, U, V, learning_rate=0.0),
    "recommend": lambda: mf._core.recommend(
        U, V, None, None, 0.0, np.arange(1000, dtype=np.int32), 3, None, 0
    ),
}}["{operation}"]
print(json.dumps([peak_growth(work), U.nbytes, R.values.nbytes + R.items.nbytes]))
"""
    grown, factors, ratings = json.loads(run_python(MEASURE + code))
    allowed = factors + 4e6 if operation == "batch_step" else 6e6  # a step needs the gradients
    assert grown < allowed
    assert allowed < factors + ratings

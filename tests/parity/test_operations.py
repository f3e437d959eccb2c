"""The native operations against their NumPy twins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matfac as mf
from conftest import (
    SHAPES,
    SHAPES_AND_SIZES,
    SIZES,
    Problem,
    assert_near,
    make_hollow_problem,
    make_large_problem,
    make_problem,
)
from matfac import reference

each_shape = pytest.mark.parametrize("shape", SHAPES)
each_size = pytest.mark.parametrize("n_factors", SIZES)


def check_residuals(p: Problem) -> None:
    x = p.exact()
    assert_near(
        mf.residuals(p.R, p.U, p.V), reference.residuals(x.R, x.U, x.V), "sum", p.dtype, p.terms()
    )


def check_loss(p: Problem) -> None:
    x = p.exact()
    # A residual's rounding is proportional to its terms, hence the loss's to |e| times them.
    scale = np.sum(p.terms() * np.abs(reference.residuals(x.R, x.U, x.V)) + p.terms() ** 2)
    assert_near(mf.loss(p.R, p.U, p.V), reference.loss(x.R, x.U, x.V), "sum", p.dtype, scale)


def gradient_scales(p: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The sums of the absolute terms of both gradients."""
    x = p.exact()
    users, terms = reference.user_codes(x.R), p.terms()[:, None]
    scales = np.zeros_like(x.U), np.zeros_like(x.V)
    np.add.at(scales[0], users, terms * np.abs(x.V[x.R.items]))
    np.add.at(scales[1], x.R.items, terms * np.abs(x.U[users]))
    return scales


def check_gradients(p: Problem) -> None:
    x = p.exact()
    found, expected = mf.gradients(p.R, p.U, p.V), reference.gradients(x.R, x.U, x.V)
    for side, scale in enumerate(gradient_scales(p)):
        assert_near(found[side], expected[side], "sum", p.dtype, scale)


def check_batch_step(p: Problem) -> None:
    x, stepped = p.exact(), p.copy()
    before = mf.batch_step(p.R, stepped.U, stepped.V, learning_rate=0.01)
    assert before == pytest.approx(mf.loss(p.R, p.U, p.V), rel=1e-12)  # sums are in double
    reference.batch_step(x.R, x.U, x.V, learning_rate=0.01)
    scales = gradient_scales(p)
    assert_near(stepped.U, x.U, "sum", p.dtype, np.abs(p.U) + 0.01 * scales[0])
    assert_near(stepped.V, x.V, "sum", p.dtype, np.abs(p.V) + 0.01 * scales[1])


def check_sgd_epoch(p: Problem, seed: int = 5, epoch: int = 2) -> None:
    x, stepped = p.exact(), p.copy()
    order = mf.sgd_order(p.R, seed=seed, epoch=epoch)
    total = mf.sgd_epoch(p.R, stepped.U, stepped.V, learning_rate=0.02, seed=seed, epoch=epoch)
    expected = reference.sgd_epoch(x.R, x.U, x.V, learning_rate=0.02, order=order)
    assert_near(total, expected, "epoch", p.dtype, max(expected, np.sum(p.terms() ** 2)))
    # Factors begin at about 1; some end near 0, with the rounding of where they came from.
    for found, exact in ((stepped.U, x.U), (stepped.V, x.V)):
        assert_near(found, exact, "epoch", p.dtype, max(1.0, np.max(np.abs(exact))))


CHECKS = (check_residuals, check_loss, check_gradients, check_batch_step, check_sgd_epoch)
each_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__[6:])


@each_check
@pytest.mark.parametrize(("shape", "n_factors"), SHAPES_AND_SIZES)
def test_equals_twin(check, shape, n_factors, dtype):
    check(make_problem(shape, n_factors, dtype))


@pytest.mark.parametrize("check", CHECKS[:-1], ids=lambda check: check.__name__[6:])
@pytest.mark.parametrize("n_factors", [8, 33])
def test_equals_twin_over_many_blocks(check, n_factors, dtype):
    check(make_large_problem(n_factors, dtype))


@pytest.mark.parametrize("n_factors", [8, 130])
def test_epoch_equals_twin_over_many_blocks(n_factors, dtype):
    # With rows this long there are more blocks of items than of users, or none would fit a cache.
    check_sgd_epoch(make_large_problem(n_factors, dtype, n_items=3000, n_draws=20_000))


@each_check
def test_equals_twin_beyond_16_bit_codes(check, dtype):
    check(make_hollow_problem(3, dtype))


@settings(max_examples=60, deadline=None)
@given(
    n_users=st.integers(1, 40),
    n_items=st.integers(1, 40),
    density=st.floats(0, 1),
    n_factors=st.integers(1, 40),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_twin_at_any_size(n_users, n_items, density, n_factors, dtype, seed):
    p = make_problem((n_users, n_items, density), n_factors, dtype, seed)
    for check in CHECKS:
        check(p)


@each_size
def test_pair_gradients(n_factors, dtype):
    rng = np.random.default_rng(n_factors)
    for _ in range(20):
        u, v = rng.normal(size=(2, n_factors)).astype(dtype)
        rating = float(rng.integers(1, 6))
        found = mf.pair_gradients(rating, u, v)
        expected = reference.pair_gradients(rating, u.astype(float), v.astype(float))
        terms = np.sum(np.abs(u * v)) + rating
        assert_near(found[0], expected[0], "sum", dtype, terms * np.abs(v))
        assert_near(found[1], expected[1], "sum", dtype, terms * np.abs(u))


def test_pair_gradients_of_anything_are_in_double():
    du, dv = mf.pair_gradients(3, [1, 2], [0.5, 0.25])
    assert du.dtype == dv.dtype == np.float64
    assert du.tolist() == [-1.0, -0.5] and dv.tolist() == [-2.0, -4.0]


def test_gradients_sum_the_pairs(dtype):
    """The batch gradients are the sums of the pair gradients of DESIGN's table."""
    p = make_problem("general", 7, dtype)
    dU, dV = np.zeros(p.U.shape), np.zeros(p.V.shape)
    for n, m, rating in zip(reference.user_codes(p.R), p.R.items, p.R.values, strict=True):
        du, dv = mf.pair_gradients(float(rating), p.U[n], p.V[m])
        dU[n] += du
        dV[m] += dv
    found, scales = mf.gradients(p.R, p.U, p.V), gradient_scales(p)
    assert_near(found[0], dU, "sum", dtype, scales[0])
    assert_near(found[1], dV, "sum", dtype, scales[1])


def test_rows_without_ratings_have_no_gradient_and_stay(dtype):
    p = make_problem("general", 33, dtype)
    empty_users, empty_items = (count == 0 for count in reference.counts(p.R))
    assert empty_users.sum() >= 2 and empty_items.sum() >= 2
    dU, dV = mf.gradients(p.R, p.U, p.V)
    assert not dU[empty_users].any() and not dV[empty_items].any()
    for step in (mf.batch_step, mf.sgd_epoch):
        stepped = p.copy()
        step(p.R, stepped.U, stepped.V, learning_rate=0.1)
        assert np.array_equal(stepped.U[empty_users], p.U[empty_users])
        assert np.array_equal(stepped.V[empty_items], p.V[empty_items])
        assert not np.array_equal(stepped.U, p.U) and not np.array_equal(stepped.V, p.V)


# ---- the order of the stochastic epoch -----------------------------------------------------------


@each_shape
def test_order_visits_every_rating_once(shape, dtype):
    p = make_problem(shape, 7, dtype)
    order = mf.sgd_order(p.R)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(p.R.nnz))


@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (2**50 + 1, 3), (2**64 - 1, 2**40)])
def test_order_equals_twin(seed, epoch, dtype):
    for p in (
        make_problem("one rating", 1, dtype),
        make_problem("general", 1, dtype),
        make_large_problem(1, dtype, n_items=3000, n_draws=20_000),
        make_large_problem(1, dtype, n_items=300, n_draws=400_000),
    ):
        expected = reference.sgd_order(p.R, seed=seed, epoch=epoch)
        assert np.array_equal(mf.sgd_order(p.R, seed=seed, epoch=epoch), expected)


def test_order_of_many_blocks_visits_every_rating_once_and_is_scattered(dtype):
    p = make_large_problem(8, dtype)
    order = mf.sgd_order(p.R, seed=1)
    assert np.array_equal(np.sort(order), np.arange(p.R.nnz))
    # A tenth of the epoch touches users from everywhere.
    first_users = reference.user_codes(p.R)[order[: p.R.nnz // 10]]
    quarters = np.bincount(4 * first_users // p.R.n_users, minlength=4) / len(first_users)
    everywhere = np.bincount(4 * reference.user_codes(p.R) // p.R.n_users) / p.R.nnz
    assert np.all(np.abs(quarters - everywhere) < 0.15)


def test_order_differs_by_seed_and_epoch_and_repeats():
    p = make_large_problem(8, "float32")
    orders = {
        (seed, epoch): mf.sgd_order(p.R, seed=seed, epoch=epoch).tobytes()
        for seed in (0, 1, 2**63 + 5)
        for epoch in (0, 1, 2**40)
    }
    assert len(set(orders.values())) == len(orders)
    assert orders[1, 2**40] == mf.sgd_order(p.R, seed=1, epoch=2**40, n_threads=1).tobytes()


def test_epochs_with_other_seeds_give_other_factors():
    p = make_large_problem(8, "float32")
    results = set()
    for seed, epoch in ((0, 0), (1, 0), (0, 1)):
        stepped = p.copy()
        mf.sgd_epoch(p.R, stepped.U, stepped.V, learning_rate=0.02, seed=seed, epoch=epoch)
        results.add(stepped.U.tobytes())
    assert len(results) == 3


# ---- instruction sets ----------------------------------------------------------------------------


def test_instruction_set_in_use_is_the_forced_or_the_best():
    info = mf.runtime_info()
    assert info["instruction_sets"][0] == "baseline"
    forced = os.environ.get("MATFAC_ISA") or info["instruction_sets"][-1]
    assert info["instruction_set"] == forced


@pytest.mark.skipif("MATFAC_ISA" in os.environ, reason="this is already a run at a forced level")
@pytest.mark.parametrize("level", mf.runtime_info()["instruction_sets"][:-1])
def test_parity_at_each_lower_instruction_set(level):
    """The level is chosen once a process: the parity tests again in one that has it forced.

    Those of schedules are left out, for they are the same code at every level.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [
            *command,
            "-k",
            "not many_blocks and not 16_bit and not order",
            str(Path(__file__).parent),
        ],
        env={**os.environ, "MATFAC_ISA": level},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert "passed" in done.stdout

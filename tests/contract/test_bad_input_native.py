"""Bad input at the border of the core: refused before any work, by name, and nothing is lost."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import matfac as mf
from conftest import Problem, make_problem, ratings_from_mask, run_python
from matfac import _core

READING = (mf.residuals, mf.loss, mf.gradients)
WRITING = (
    lambda R, U, V, **options: mf.batch_step(R, U, V, learning_rate=0.01, **options),
    lambda R, U, V, **options: mf.sgd_epoch(R, U, V, learning_rate=0.01, **options),
)
each_reading = pytest.mark.parametrize("operation", READING, ids=lambda f: f.__name__)
each_writing = pytest.mark.parametrize("operation", WRITING, ids=["batch_step", "sgd_epoch"])
each_operation = pytest.mark.parametrize(
    "operation",
    READING + WRITING,
    ids=["residuals", "loss", "gradients", "batch_step", "sgd_epoch"],
)


@pytest.fixture
def p() -> Problem:
    return make_problem("general", 7, "float32")


def refused(
    error: type[Exception],
    message: str | None,
    call: Callable[..., Any],
    *arguments: Any,
    **named: Any,
) -> None:
    """Assert that a call is refused with a message, and that no array among its arguments changes.

    The message is None where pybind11 words it.
    """
    arrays = [a for a in [*arguments, *named.values()] if isinstance(a, np.ndarray)]
    before = [array.copy() for array in arrays]
    with pytest.raises(error, match=message):
        call(*arguments, **named)
    for array, old in zip(arrays, before, strict=True):
        assert np.array_equal(array, old, equal_nan=array.dtype.kind == "f")


# ---- factors -------------------------------------------------------------------------------------


def test_signatures_say_where_nothing_may_be_passed():
    """The stub is made from them."""
    for kind in ("RatingsF32", "RatingsF64"):
        either = rf"eval: (Optional\[)?matfac\._core\.{kind}(\]| \| None),"
        assert re.search(either, _core.fit.__doc__)


@each_operation
def test_factors_of_another_type_are_refused(operation, p):
    refused(TypeError, "float16", operation, p.R, p.U.astype("float16"), p.V)
    refused(TypeError, "int64", operation, p.R, p.U, p.V.astype("int64"))
    refused(TypeError, "float32.*float64", operation, p.R, p.U, p.V.astype("float64"))
    refused(TypeError, "list", operation, p.R, p.U.tolist(), p.V)
    refused(TypeError, "complex64", operation, p.R, p.U.astype("complex64"), p.V)


@each_operation
def test_factors_of_another_shape_are_refused(operation, p):
    n_users, n_items = p.R.shape
    refused(ValueError, rf"\({n_users - 1}, 7\)", operation, p.R, p.U[:-1], p.V)
    refused(ValueError, rf"\({n_items}, 6\)", operation, p.R, p.U, np.ones((n_items, 6), "float32"))
    refused(ValueError, "shape", operation, p.R, p.V, p.U)
    refused(ValueError, "two dimensions", operation, p.R, p.U.ravel(), p.V)
    refused(ValueError, "shape", operation, p.R, p.U, p.V.ravel())
    refused(ValueError, "column|factor", operation, p.R, p.U[:, :0].copy(), p.V[:, :0].copy())


@each_operation
def test_what_is_no_ratings_is_refused(operation, p):
    refused(TypeError, "ndarray", operation, np.ones((3, 3)), p.U, p.V)
    refused(TypeError, "NoneType", operation, None, p.U, p.V)


@each_operation
@pytest.mark.parametrize("n_threads", [-1, 2**31, 2**70])
def test_numbers_of_threads_out_of_range_are_refused(operation, n_threads, p):
    refused(ValueError, f"n_threads.*{n_threads}", operation, p.R, p.U, p.V, n_threads=n_threads)


@each_operation
@pytest.mark.parametrize("n_threads", [1.5, "2", True, None])
def test_what_is_no_number_of_threads_is_refused(operation, n_threads, p):
    refused(TypeError, "n_threads", operation, p.R, p.U, p.V, n_threads=n_threads)


@each_writing
def test_factors_to_be_updated_are_never_copied(operation, p):
    refused(ValueError, "U .*C-contiguous", operation, p.R, np.asfortranarray(p.U), p.V)
    refused(ValueError, "V .*C-contiguous", operation, p.R, p.U, np.asfortranarray(p.V))
    refused(ValueError, "U .*C-contiguous", operation, p.R, np.repeat(p.U, 2, axis=0)[::2], p.V)
    p.V.flags.writeable = False
    refused(ValueError, "V .*read-only", operation, p.R, p.U, p.V)


@each_writing
def test_factors_to_be_updated_must_not_overlap(operation):
    R = ratings_from_mask(np.ones((4, 4), bool), "float32", np.random.default_rng(0))
    both = np.ones((5, 3), "float32")
    refused(ValueError, "share memory|overlap", operation, R, both[:4], both[:4])
    refused(ValueError, "share memory|overlap", operation, R, both[:4], both[1:])


@pytest.mark.parametrize("rate", [math.nan, math.inf, -math.inf])
def test_rates_that_are_not_finite_are_refused(rate, p):
    for step in (mf.batch_step, mf.sgd_epoch):
        refused(ValueError, "learning_rate", step, p.R, p.U, p.V, learning_rate=rate)


@pytest.mark.parametrize("step", [mf.batch_step, mf.sgd_epoch])
def test_rates_that_are_no_numbers_are_refused(step, p):
    refused(TypeError, None, step, p.R, p.U, p.V, learning_rate="fast")


def test_seeds_and_epochs_out_of_range_are_refused(p):
    refused(ValueError, "-1", mf.sgd_epoch, p.R, p.U, p.V, learning_rate=0.1, seed=-1)
    refused(ValueError, str(2**64), mf.sgd_epoch, p.R, p.U, p.V, learning_rate=0.1, seed=2**64)
    for epoch in (-1, -(2**63)):
        wrong = f"epoch must be at least 0, not {epoch}"
        refused(ValueError, wrong, mf.sgd_epoch, p.R, p.U, p.V, learning_rate=0.1, epoch=epoch)
        refused(ValueError, wrong, mf.sgd_order, p.R, epoch=epoch)
    refused(ValueError, "n_threads", mf.sgd_order, p.R, n_threads=-1)


# ---- results -------------------------------------------------------------------------------------


def test_places_for_results_that_do_not_fit_are_refused(p):
    e = np.ones(p.R.nnz, "float32")
    for bad, error in (
        (e[:-1], ValueError),
        (e.astype("float64"), TypeError),
        (e.reshape(1, -1), ValueError),
        (np.repeat(e, 2)[::2], ValueError),
        (e.tolist(), TypeError),
    ):
        refused(error, "out", mf.residuals, p.R, p.U, p.V, out=bad)
    e.flags.writeable = False
    refused(ValueError, "out.*writeable", mf.residuals, p.R, p.U, p.V, out=e)

    dU, dV = np.ones_like(p.U), np.ones_like(p.V)
    for pair, error in (
        ((dU,), ValueError),
        ((dU, dV, dV), ValueError),
        ((dV, dU), ValueError),
        ((dU, np.asfortranarray(dV)), ValueError),
        ((dU.astype("float64"), dV), TypeError),
    ):
        refused(error, "out", mf.gradients, p.R, p.U, p.V, out=pair)
    refused(TypeError, "out: expected a pair", mf.gradients, p.R, p.U, p.V, out=5)
    dV.flags.writeable = False
    refused(ValueError, r"out\[1\].*writeable", mf.gradients, p.R, p.U, p.V, out=(dU, dV))
    for derivatives, error in (
        (np.empty(p.R.nnz + 1, "float32"), ValueError),
        (np.empty(2 * p.R.nnz, "float32")[::2], ValueError),
        (np.empty(p.R.nnz), TypeError),
    ):
        refused(error, "derivatives", mf.gradients, p.R, p.U, p.V, derivatives=derivatives)


def test_results_must_not_overlap_what_is_read(p):
    dU, dV = np.ones_like(p.U), np.ones_like(p.V)
    for out in ((p.U, dV), (dU, p.V)):
        refused(ValueError, "share memory", mf.gradients, p.R, p.U, p.V, out=out)
    n_users, n_items = p.R.shape
    block = np.ones((n_users + n_items, 7), "float32")
    out = (block[:n_users], block[n_users - 1 : -1])  # they share a row
    refused(ValueError, "share memory", mf.gradients, p.R, p.U, p.V, out=out)
    # Residuals into the memory of U: the rows would change while they are read.
    R = ratings_from_mask(np.ones((6, 4), bool), "float32", np.random.default_rng(0))
    U, V = np.ones((6, 16), "float32"), np.ones((4, 16), "float32")
    refused(ValueError, "share memory", mf.residuals, R, U, V, out=U.reshape(-1)[: R.nnz])
    refused(ValueError, "share memory", mf.residuals, R, U, V, out=V.reshape(-1)[: R.nnz])
    for shared in (U, V):
        derivatives = shared.reshape(-1)[: R.nnz]
        refused(ValueError, "share memory", mf.gradients, R, U, V, derivatives=derivatives)
    dU, dV = np.empty_like(U), np.empty_like(V)
    derivatives = dU.reshape(-1)[: R.nnz]
    refused(
        ValueError, "share memory", mf.gradients, R, U, V, out=(dU, dV), derivatives=derivatives
    )


def test_results_must_not_overlap_what_the_ratings_borrow():
    offsets, items = np.arange(0, 101, 5), np.tile(np.arange(5, dtype="i4") * 4, 20)
    values, weights = np.ones(100, "float32"), np.ones(100, "float32")
    R = mf.Ratings.from_csr_arrays(offsets, items, values, 20, weights=weights)
    U, V = np.ones((20, 3), "float32"), np.ones((20, 3), "float32")
    for shared in (items.view("float32"), values, weights):
        kept = shared.copy()
        with pytest.raises(ValueError, match="out must not share memory with R"):
            mf.residuals(R, U, V, out=shared)
        with pytest.raises(ValueError, match="derivatives must not share memory with R"):
            mf.gradients(R, U, V, derivatives=shared)
        assert np.array_equal(shared.view("i4"), kept.view("i4"))


def test_pairs_that_do_not_fit_are_refused():
    refused(ValueError, r"\(3,\).*\(2,\)", mf.pair_gradients, 1.0, np.ones(3), np.ones(2))
    refused(ValueError, "vectors", mf.pair_gradients, 1.0, np.ones((1, 3)), np.ones((1, 3)))
    for rating in (math.nan, math.inf):
        refused(ValueError, "finite", mf.pair_gradients, rating, np.ones(3), np.ones(3))
    refused(ValueError, "finite|number|dtype|convert", mf.pair_gradients, 1.0, ["a"], ["b"])


# ---- fits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_factors", 0),
        ("n_factors", -5),
        ("n_factors", 65_537),
        ("regularization", -0.1),
        ("regularization", (0.1, -0.1)),
        ("regularization", math.nan),
        ("regularization", (0.1, 0.1, 0.1)),
        ("bias_regularization", -1.0),
        ("bias_regularization", (math.inf, 1.0)),
        ("regularization_exponent", math.nan),
        ("learning_rate", 0.0),
        ("learning_rate", -1.0),
        ("learning_rate", math.inf),
        ("max_iter", 0),
        ("tol", -1e-3),
        ("tol", math.nan),
        ("patience", 0),
        ("init_std", -1.0),
        ("init_std", math.inf),
        ("n_threads", -1),
        ("random_state", -1),
        ("random_state", 2**64),
        ("solver", "magic"),
        ("loss", "magic"),
        ("init", "zeros"),
        ("dtype", "float16"),
        ("dtype", "no such type"),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(name, value, p):
    model = mf.MatrixFactorization(**{"n_factors": 7, name: value})
    refused(ValueError, name, model.fit, p.R)
    assert not hasattr(model, "user_factors_")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_factors", "many"),
        ("n_factors", 7.5),
        ("n_factors", None),
        ("regularization", "strong"),
        ("max_iter", 3.5),
        ("tol", "low"),
        ("random_state", "lucky"),
        ("n_threads", 1.5),
        ("solver", 3),
    ],
)
def test_parameters_of_another_type_are_refused_by_name(name, value, p):
    refused(TypeError, name, mf.MatrixFactorization(**{name: value}).fit, p.R)


def test_unknown_names_are_answered_with_the_known_ones(p):
    for name in ("als", "sgd", "batch"):
        refused(ValueError, f"'{name}'", mf.MatrixFactorization(solver="magic").fit, p.R)
    refused(ValueError, "'squared'", mf.MatrixFactorization(loss="magic").fit, p.R)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("part", range(4))
def test_a_start_that_is_not_finite_is_refused(bad, part, solver, dtype):
    p = make_problem("general", 7, dtype)
    init = [p.U, p.V, np.zeros(p.R.n_users, dtype), np.zeros(p.R.n_items, dtype)]
    init[part].reshape(-1)[5] = bad
    names = ["user_factors", "item_factors", "user_biases", "item_biases"]
    model = mf.MatrixFactorization(7, solver=solver, init=tuple(init), dtype=dtype)
    refused(ValueError, f"{names[part]}.*entry 5", model.fit, p.R)


def test_a_start_that_does_not_fit_is_refused(p):
    biases = [np.zeros(n, "float32") for n in p.R.shape]
    for init, biased in (
        ((p.U,), True),
        ((p.U, p.V, biases[0]), True),
        ((p.V, p.U), True),
        ((p.U[:, :6], p.V[:, :6]), True),
        ((p.U[:-1], p.V), True),
        ((p.U, p.V, biases[1], biases[0]), True),
        ((p.U, p.V, *biases), False),
    ):
        refused(ValueError, "init", mf.MatrixFactorization(7, init=init, biases=biased).fit, p.R)


def test_early_stopping_without_held_out_ratings_is_refused(p):
    refused(ValueError, "eval", mf.MatrixFactorization(7, early_stopping=True).fit, p.R)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_held_out_ratings_that_all_weigh_nothing_are_refused(p, early_stopping):
    R = p.R
    nothing = mf.Ratings.from_csr_arrays(
        R.offsets, R.items, R.values, R.n_items, weights=np.zeros(R.nnz, R.dtype)
    )
    model = mf.MatrixFactorization(3, early_stopping=early_stopping)
    refused(ValueError, "weights of the eval set are 0", model.fit, R, eval_set=nothing)


@pytest.mark.parametrize("solver", ["als", "batch", "ccd"])
def test_solvers_that_only_descend_come_down_from_any_start(solver):
    R = make_problem("general", 7, "float64").R
    model = mf.MatrixFactorization(4, solver=solver, init_std=3, max_iter=200, tol=0).fit(R)
    objectives = model.history_["objective"]
    assert objectives[-1] <= objectives[0] and model.history_["train_rmse"][-1] < np.std(R.values)


def test_divergence_is_an_error_that_says_where_and_what_to_lower(dtype):
    p = make_problem("general", 7, dtype)
    options = {"solver": "sgd", "learning_rate": 1e6, "regularization": 0, "init": (p.U, p.V)}
    model = mf.MatrixFactorization(7, max_iter=50, dtype=dtype, **options)
    refused(mf.DivergenceError, r"iteration \d+.*learning_rate", model.fit, p.R)
    assert not hasattr(model, "user_factors_")
    # A model that was fitted before stays as it was.
    good = mf.MatrixFactorization(7, max_iter=2, dtype=dtype).fit(p.R)
    before = good.user_factors_
    good.set_params(max_iter=50, **options)
    refused(mf.DivergenceError, "iteration", good.fit, p.R)
    assert good.user_factors_ is before and np.all(np.isfinite(before))


@pytest.mark.parametrize("learning_rate", [0.01, 0.2, 1.0, 3.0, 10.0, 100.0, 1e4, 1e6])
def test_a_fit_is_of_use_or_says_that_it_diverged(learning_rate, dtype):
    R = make_problem("general", 7, dtype).R
    model = mf.MatrixFactorization(7, solver="sgd", learning_rate=learning_rate, dtype=dtype)
    try:
        model.fit(R)
    except mf.DivergenceError:
        assert learning_rate >= 1
    else:
        assert model.history_["train_rmse"][-1] < 10 * np.std(R.values)


# ---- a fitted model, at the core's own border ----------------------------------------------------


@pytest.fixture
def model() -> mf.MatrixFactorization:
    return mf.MatrixFactorization(7, max_iter=2).fit(make_problem("general", 7, "float32").R)


def codes(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


@pytest.mark.parametrize("bad", [-2, -(2**31), 67, 2**31 - 1])
def test_codes_out_of_range_are_refused(bad, model):
    """Raw ids never give such codes; whoever calls the core may."""
    n_users, n_items = 67, 43
    parameters, out = model._parameters(), np.ones(2, "float32")
    message = rf"{bad} at position 1.*\[0, {n_users}\)"
    refused(ValueError, message, _core.predict, *parameters, codes(0, bad), codes(0, 0), out, 0)
    refused(ValueError, message, _core.recommend, *parameters, codes(0, bad), 3, None, 0)
    message = rf"{bad} at position 1.*\[0, {n_items}\)"
    refused(ValueError, message, _core.predict, *parameters, codes(0, 0), codes(0, bad), out, 0)
    refused(ValueError, message, _core.similar_items, model.item_factors_, codes(0, bad), 3, 0)


def test_patterns_of_seen_items_that_are_malformed_are_refused(model):
    def recommend(offsets: list[int], items: list[int]) -> Any:
        seen = np.array(offsets, np.int64), codes(*items)
        return _core.recommend(*model._parameters(), codes(0, 1), 3, seen, 0)

    refused(ValueError, "offsets", recommend, [0, 1, 3], [0, 1])  # beyond the end
    refused(ValueError, "offsets", recommend, [1, 1, 2], [0, 1])  # not from 0
    refused(ValueError, "offsets", recommend, [0, 3, 2], [0, 1])  # falling, past the end
    refused(ValueError, "offsets", recommend, [0, -1, 2], [0, 1])
    refused(ValueError, "exclude has 3 rows", recommend, [0, 1, 2, 2], [0, 1])  # for two users
    refused(ValueError, "-1", recommend, [0, 1, 2], [0, -1])
    refused(ValueError, "43", recommend, [0, 1, 2], [0, 43])
    refused(ValueError, "ascending", recommend, [0, 2, 2], [5, 4])
    refused(ValueError, "ascending", recommend, [0, 2, 2], [4, 4])
    assert recommend([0, 2, 2], [4, 5])[0].shape == (2, 3)


def test_arrays_of_another_type_or_layout_do_not_reach_the_core(model, p):
    """The core reads arrays as they lie, so it takes no other than those it was compiled for."""
    U, V, b, c, mean = model._parameters()
    out, none = np.ones(1, "float32"), codes(0)
    for arguments in (
        (U.astype("float64"), V, b, c, mean, none, none, out, 0),
        (np.asfortranarray(U), V, b, c, mean, none, none, out, 0),
        (U, V, b, c, mean, none.astype("int64"), none, out, 0),
        (U, V, b, c, mean, none, none, out.astype("float64"), 0),
        (U, V, b[::2], c, mean, none, none, out, 0),
    ):
        refused(TypeError, None, _core.predict, *arguments)
    for arguments in (
        ("user_biases", U, V, b[:-1], c, mean, none, none, out, 0),
        ("biases", U, V, None, c, mean, none, none, out, 0),
        ("item_factors", U[:, :6].copy(), V, b, c, mean, none, none, out, 0),
        ("out", U, V, b, c, mean, none, none, np.ones(2, "float32"), 0),
        ("items", U, V, b, c, mean, none, codes(0, 0), out, 0),
        ("n_threads", U, V, b, c, mean, none, none, out, -1),
        ("dimension", U[0], V, b, c, mean, none, none, out, 0),
    ):
        refused(ValueError, arguments[0], _core.predict, *arguments[1:])
    out.flags.writeable = False
    refused(ValueError, "writeable", _core.predict, U, V, b, c, mean, none, none, out, 0)


@pytest.mark.parametrize(
    ("offsets", "items", "values", "message"),
    [
        ([0, 1, 3], [0, 1], [1, 1], "3.*2 items"),
        ([1, 2], [0, 1], [1, 1], "begin with 0"),
        ([0, 2, 1], [0], [1], "fall"),
        ([0, 5, 2], [0, 1], [1, 1], "fall"),
        ([], [], [], "at least one"),
        ([0, 2], [0, 4], [1, 1], r"item code 4 at entry 1.*\[0, 4\)"),
        ([0, 2], [-1, 0], [1, 1], "item code -1 at entry 0"),
        ([0, 2], [1, 1], [1, 1], "ascending"),
        ([0, 2], [2, 1], [1, 1], "ascending"),
        ([0, 2], [1, 2], [1, math.nan], "nan at entry 1"),
        ([0, 2], [1, 2], [-math.inf, 1], "-inf at entry 0"),
        ([0, 2], [1, 2], [1], "1 values"),
    ],
)
def test_malformed_rows_do_not_reach_the_core(offsets, items, values, message, dtype):
    kind = _core.RatingsF32 if dtype == "float32" else _core.RatingsF64
    arrays = np.array(offsets, np.int64), codes(*items), np.array(values, dtype)
    refused(ValueError, message, kind, 4, *arrays)


def test_questions_without_an_answer_are_refused(model):
    refused(ValueError, "n=0", model.recommend, [0], n=0)
    refused(ValueError, "n=-3", model.similar_items, [0], n=-3)
    refused(TypeError, "n=", model.recommend, [0], n=2.5)
    refused(ValueError, "at least 1", _core.recommend, *model._parameters(), codes(0), 0, None, 0)
    refused(ValueError, "at least 1", _core.similar_items, model.item_factors_, codes(0), -1, 0)
    for n_threads in (-1, -(2**31)):
        refused(ValueError, "n_threads", model.recommend, [0], n_threads=n_threads)
        refused(ValueError, "n_threads", model.fold_in, model_ratings(), n_threads=n_threads)
    refused(ValueError, "999", model.similar_items, [0, 999])


def model_ratings() -> mf.Ratings:
    return make_problem("general", 7, "float32").R


def test_more_items_than_there_are_is_an_answer(model):
    ids, scores = model.recommend([0, 1], n=100)
    assert ids.shape == scores.shape == (2, 100)
    seen = np.diff(model_ratings().offsets)[:2]
    assert [int((row >= 0).sum()) for row in ids] == [43 - n for n in seen]
    assert len(model.recommend(0, n=100).ids) == 43 - seen[0]


def test_no_questions_are_an_answer(model):
    assert model.recommend([], n=3).ids.shape == (0, 3)
    assert len(model.predict([], [])) == 0


def test_ratings_of_another_shape_are_refused(model):
    other = make_problem("wide", 7, "float32").R
    refused(ValueError, "shape", _core.rmse, *model._parameters(), other._native, 0)
    settings = _core.Settings()
    settings.n_factors = 7
    settings.regularization = settings.bias_regularization = (1.0, 1.0)
    rows, biases = np.ones((5, 7), "float32"), np.ones(5, "float32")
    fixed = (model.item_factors_, model.item_biases_, model.global_mean_)
    refused(ValueError, "items", _core.fold_in, *fixed, settings, other._native, rows, biases, 0)
    known = model_ratings()._native
    refused(ValueError, "shape", _core.fold_in, *fixed, settings, known, rows, biases, 0)
    refused(
        ValueError,
        "shape",
        _core.fit,
        known,
        settings,
        rows,
        rows.copy(),
        biases,
        biases,
        None,
        None,
    )


def test_an_unknown_instruction_set_is_refused_with_the_possible_ones():
    printed = run_python(
        """
import matfac as mf
try:
    mf.runtime_info()
except ValueError as error:
    print(error)
""",
        MATFAC_ISA="sse9",
    )
    assert re.search("MATFAC_ISA.*sse9.*baseline", printed)

"""`MatrixFactorization`: parameters, fit, what stops it, and what is left when it fails."""

from __future__ import annotations

import inspect
import math
import traceback

import numpy as np
import pytest

import matfac as mf
from conftest import bits, bits_of, run_python

SEED = 7


@pytest.fixture(scope="module")
def R():
    return mf.datasets.make_ratings(300, 120, 6000, random_state=SEED)


@pytest.fixture(scope="module")
def parts(R):
    return R.split(0.2, random_state=SEED)


def small(**params):
    return mf.MatrixFactorization(**{"n_factors": 8, "max_iter": 3} | params)


# ---- scikit-learn's conventions ------------------------------------------------------------------


def test_parameters_can_be_read_set_and_given_anew(R):
    model = mf.MatrixFactorization(5, solver="sgd", regularization=(1, 2), tol=0.5)
    params = model.get_params()
    assert list(params) == list(inspect.signature(mf.MatrixFactorization).parameters)
    assert (params["n_factors"], params["solver"], params["tol"]) == (5, "sgd", 0.5)
    assert mf.MatrixFactorization(**params).get_params() == params
    assert model.get_params(deep=False) == params
    assert model.set_params(solver="als", max_iter=2) is model
    assert (model.solver, model.max_iter, model.tol) == ("als", 2, 0.5)
    assert model.set_params() is model


def test_an_unknown_parameter_is_refused_and_nothing_is_set():
    model = small()
    with pytest.raises(ValueError, match=r"no parameter 'alpha'; it has n_factors, solver"):
        model.set_params(tol=0.5, alpha=1)
    assert model.tol == 0.0
    with pytest.raises(TypeError, match="alpha"):
        mf.MatrixFactorization(alpha=1)
    with pytest.raises(TypeError, match="positional"):
        mf.MatrixFactorization(8, "als")


@pytest.mark.parametrize("cls", [mf.MatrixFactorization, mf.ImplicitFactorization])
def test_defaults_are_those_of_the_core(cls):
    settings = mf._core.Settings()
    #: What the implicit model leaves open for the loss to decide.
    by_loss = {"solver": None, "loss": "implicit_squared", "biases": None}
    for name, parameter in inspect.signature(cls).parameters.items():
        if name == "random_state":
            assert parameter.default == settings.seed
        elif name == "l1_regularization":
            assert (parameter.default, parameter.default) == settings.l1_regularization
        elif cls is mf.ImplicitFactorization and name in by_loss:
            assert parameter.default == by_loss[name]
        elif hasattr(settings, name):
            assert parameter.default == getattr(settings, name), name
        else:
            assert name in ("dtype", "verbose")


def test_every_setting_of_the_core_is_a_parameter():
    settings = {name for name in vars(mf._core.Settings) if not name.startswith("_")}
    parameters = set(inspect.signature(mf.MatrixFactorization).parameters)
    parameters |= set(inspect.signature(mf.ImplicitFactorization).parameters)
    assert settings - parameters == {"seed", "validate"}


def test_sklearn_clones_it(R):
    from sklearn.base import clone

    model = small(solver="sgd", init=(np.ones((300, 8)), np.ones((120, 8)))).fit(R)
    twin = clone(model)
    assert type(twin) is mf.MatrixFactorization
    assert not hasattr(twin, "user_factors_")
    assert twin.init[0] is not model.init[0] and np.array_equal(twin.init[0], model.init[0])
    assert twin.get_params().keys() == model.get_params().keys()
    assert bits_of(twin.fit(R)) == bits_of(model)


def test_repr_shows_what_is_not_default():
    assert repr(mf.MatrixFactorization()) == "MatrixFactorization()"
    shown = repr(mf.MatrixFactorization(64, solver="sgd", dtype="float64"))
    assert shown == "MatrixFactorization(n_factors=64, solver='sgd', dtype='float64')"


def test_fit_returns_self_and_leaves_the_parameters_alone(R, solver):
    model = small(solver=solver, dtype=np.float32, regularization=[0.5, 1])
    before = {name: (id(value), repr(value)) for name, value in model.get_params().items()}
    assert model.fit(R) is model
    assert {n: (id(v), repr(v)) for n, v in model.get_params().items()} == before


def test_what_a_fit_leaves(R, solver, dtype):
    model = small(solver=solver, dtype=dtype).fit(R)
    expected = {
        "user_factors_": (300, 8),
        "item_factors_": (120, 8),
        "user_biases_": (300,),
        "item_biases_": (120,),
    }
    for name, shape in expected.items():
        array = getattr(model, name)
        assert array.shape == shape and array.dtype == dtype and array.flags.c_contiguous
        assert np.isfinite(array).all() and np.any(array != 0)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    assert model.global_mean_ == pytest.approx(R.mean, rel=1e-6)
    assert np.array_equal(model.user_ids_, R.user_ids)
    assert np.array_equal(model.item_ids_, R.item_ids)
    assert (model.n_iter_, model.best_iteration_, model.stop_reason_) == (3, 3, "max_iter")
    assert set(model.history_) == {"iteration", "objective", "train_rmse", "seconds"}
    assert model.history_["iteration"] == [1, 2, 3]
    assert all(len(entries) == 3 for entries in model.history_.values())
    assert model.history_["seconds"] == sorted(model.history_["seconds"])
    s = float(np.std(R.values.astype(np.float64)))
    assert model.regularization_ == pytest.approx((1.2 * s, 1.2 * s), rel=1e-6)
    assert model.bias_regularization_ == pytest.approx((1, 1))


def test_without_biases(R, solver):
    model = small(solver=solver, biases=False, max_iter=10).fit(R)
    assert model.user_biases_ is None and model.item_biases_ is None
    assert model.global_mean_ == 0.0
    assert model.score(R) < 1.2
    assert model.predict(-1, int(R.item_ids[0])) == 0.0  # nothing is known


@pytest.mark.parametrize(
    "use",
    [
        lambda m, R: m.predict(0, 0),
        lambda m, R: m.recommend(0),
        lambda m, R: m.recommend_new(R),
        lambda m, R: m.similar_items(0),
        lambda m, R: m.fold_in(R),
        lambda m, R: m.score(R),
        lambda m, R: m.save("never-written"),
    ],
    ids=["predict", "recommend", "recommend_new", "similar_items", "fold_in", "score", "save"],
)
def test_a_model_must_be_fitted_first(use, R):
    with pytest.raises(mf.NotFittedError, match=r"not fitted yet; call fit\(ratings\) first"):
        use(mf.MatrixFactorization(), R)
    assert issubclass(mf.NotFittedError, ValueError) and issubclass(
        mf.NotFittedError, AttributeError
    )


def test_a_refit_replaces_everything(R):
    other = mf.Ratings.from_arrays(["a", "a", "b"], ["x", "y", "x"], [1.0, 2.0, 4.0])
    model = small().fit(R, eval_set=R)
    model.fit(other)
    assert model.user_factors_.shape == (2, 8) and model.item_ids_.tolist() == ["x", "y"]
    assert "eval_rmse" not in model.history_
    assert bits_of(model) == bits_of(small().fit(other))
    assert model.recommend("b").ids.tolist() == ["y"]


# ---- a failed fit leaves the earlier model whole -----------------------------------------------

BAD_PARAMETERS = [
    ({"n_factors": 0}, ValueError, r"n_factors must be in \[1, \d+\], not 0"),
    ({"n_factors": -3}, ValueError, "n_factors must be .* not -3"),
    ({"n_factors": 2.0}, TypeError, r"n_factors=2.0: expected an integer"),
    ({"n_factors": True}, TypeError, "n_factors=True: expected an integer"),
    ({"n_factors": 2**40}, ValueError, "n_factors=.* less than"),
    ({"solver": "svd"}, ValueError, "unknown solver 'svd': choose one of 'als', 'sgd', 'batch'"),
    ({"solver": None}, TypeError, "solver=None: expected a name"),
    ({"loss": "median"}, ValueError, "unknown loss 'median': choose one of 'squared'"),
    ({"loss": None}, TypeError, "loss=None: expected a name"),
    ({"loss": "hinge"}, ValueError, "'als' does not .* 'hinge': .* is supported by 'sgd'"),
    ({"solver": "ccd", "loss": "warp"}, ValueError, "fit an ImplicitFactorization"),
    ({"huber_threshold": 0}, ValueError, "huber_threshold must be .* above 0, not 0"),
    ({"huber_threshold": "s"}, TypeError, "huber_threshold='s': expected a number or None"),
    ({"l1_regularization": (0, -1)}, ValueError, r"l1_regularization \(item\) .* not -1"),
    ({"l1_regularization": None}, TypeError, "l1_regularization=None: expected a number"),
    ({"nonnegative": 1}, TypeError, "nonnegative=1: expected True or False"),
    ({"row_solver": "lu"}, ValueError, "unknown row_solver 'lu': choose one of 'cholesky'"),
    ({"cg_steps": 0}, ValueError, "cg_steps must be at least 1, not 0"),
    ({"subspace_size": 0.5}, TypeError, "subspace_size=0.5: expected an integer"),
    ({"biases": "no"}, TypeError, "biases='no': expected True or False"),
    ({"regularization": -1}, ValueError, r"regularization \(user\) .* not -1"),
    ({"regularization": (1, math.nan)}, ValueError, r"regularization \(item\) .* not nan"),
    ({"regularization": (1, 2, 3)}, ValueError, r"\(1, 2, 3\): expected .* pair"),
    ({"regularization": "1"}, TypeError, "regularization='1': expected a number"),
    ({"bias_regularization": (1, None)}, TypeError, "bias_regularization=None: expected"),
    ({"regularization_exponent": math.inf}, ValueError, "regularization_exponent .* finite"),
    ({"learning_rate": 0}, ValueError, "learning_rate must be .* above 0"),
    ({"learning_rate": "0.1"}, TypeError, "learning_rate='0.1': expected a number"),
    ({"max_iter": 0}, ValueError, "max_iter must be at least 1, not 0"),
    ({"max_iter": 1.5}, TypeError, "max_iter=1.5: expected an integer"),
    ({"tol": -1}, ValueError, "tol must be .* at least 0"),
    ({"tol": math.nan}, ValueError, "tol must be"),
    ({"patience": 0}, ValueError, "patience must be at least 1"),
    ({"early_stopping": True}, ValueError, "early_stopping needs held-out ratings"),
    ({"init": "zeros"}, ValueError, "init='zeros': expected 'random'"),
    ({"init": None}, ValueError, "init: expected .* got NoneType"),
    ({"init_std": -1}, ValueError, "init_std must be"),
    ({"init_std": "1"}, TypeError, "init_std='1': expected a number or None"),
    ({"dtype": "float16"}, ValueError, "dtype='float16': expected 'float32' or 'float64'"),
    ({"dtype": None}, ValueError, "dtype=None: expected 'float32' or 'float64'"),
    ({"dtype": "complex"}, ValueError, "dtype='complex'"),
    ({"n_threads": -1}, ValueError, r"n_threads=-1 must be at least 0 \(0: all\)"),
    ({"n_threads": 1.0}, TypeError, "n_threads=1.0: expected an integer"),
    ({"random_state": -1}, ValueError, "random_state=-1 must be at least 0"),
    ({"random_state": 2**64}, ValueError, "random_state=.* less than"),
    ({"random_state": "a"}, TypeError, "random_state='a': expected an integer, None or"),
    ({"random_state": True}, TypeError, "random_state=True"),
]


@pytest.mark.parametrize(("params", "error", "match"), BAD_PARAMETERS, ids=repr)
def test_bad_parameters_are_refused_in_fit_before_any_work(params, error, match, R):
    model = small().fit(R)
    before = bits_of(model)
    model.set_params(**params)  # says nothing yet: validation is the fit's
    calls = []
    with pytest.raises(error, match=match):
        model.fit(R, callbacks=calls.append)
    assert not calls
    assert bits_of(model) == before


@pytest.mark.parametrize(
    ("ratings", "match"),
    [
        ([[1, 2], [3, 4]], r"ratings: expected Ratings.* got list; build one with"),
        (np.ones((2, 2)), "got ndarray"),
        ("ratings.csv", r"got str; read a file with Ratings.read\(path\)"),
        (None, "got NoneType"),
    ],
)
def test_what_are_no_ratings_is_refused(ratings, match):
    with pytest.raises(TypeError, match=match):
        small().fit(ratings)


@pytest.mark.parametrize("learning_rate", [3.0, 1000.0, 1e30])
def test_a_huge_learning_rate_is_an_error_that_says_what_to_lower(learning_rate, R, dtype):
    model = small(solver="sgd", dtype=dtype).fit(R)
    before = bits_of(model)
    model.set_params(learning_rate=learning_rate)
    with pytest.raises(mf.DivergenceError, match=r"iteration \d+ .*lower learning_rate") as raised:
        model.fit(R)
    assert isinstance(raised.value, ArithmeticError)
    assert bits_of(model) == before
    assert np.isfinite(model.predict(R)).all()


# ---- held-out ratings, stopping ------------------------------------------------------------------


def test_an_eval_set_is_measured_after_each_iteration(parts, solver, dtype):
    train, test = parts
    seen = []
    model = small(solver=solver, dtype=dtype)
    model.fit(train, eval_set=test, callbacks=lambda now: seen.append(dict(now)))
    assert model.history_["eval_rmse"] == [now["eval_rmse"] for now in seen]
    assert model.history_["eval_rmse"][-1] == pytest.approx(model.score(test), rel=1e-5)
    without = small(solver=solver, dtype=dtype).fit(train)
    assert bits(*without._parameters()) == bits(*model._parameters())


def test_the_training_error_is_that_of_the_model(R):
    for solver in ("als", "batch"):
        model = small(solver=solver).fit(R)
        assert model.history_["train_rmse"][-1] == pytest.approx(model.score(R), rel=1e-5)
        assert model.history_["objective"] == sorted(model.history_["objective"], reverse=True)


def test_unknown_users_and_items_of_the_eval_set_are_left_out_with_a_warning(R):
    users, items, values = R.to_arrays()
    more = mf.Ratings.from_arrays([*users[:50], 10**6], [*items[:50], 3], [*values[:50], 1.0])
    with pytest.warns(UserWarning, match=r"1 of the 51 ratings of eval_set .* left out"):
        model = small().fit(R, eval_set=more)
    known = mf.Ratings.from_arrays(users[:50], items[:50], values[:50])
    assert model.history_["eval_rmse"] == small().fit(R, eval_set=known).history_["eval_rmse"]


def test_an_eval_set_of_strangers_is_refused(R):
    strangers = mf.Ratings.from_arrays([10**6], [10**6], [1.0])
    with pytest.raises(ValueError, match="do the ids mean the same"):
        small().fit(R, eval_set=strangers)
    strings = mf.Ratings.from_arrays(["1"], ["2"], [1.0])
    with pytest.raises(TypeError, match="strings"):
        small().fit(R, eval_set=strings)


def test_early_stopping_gives_back_the_best_factors(parts, solver):
    train, test = parts
    # Hardly any regularization: the held-out error soon rises.
    params = {"solver": solver, "regularization": 0.01, "n_factors": 16, "max_iter": 60}
    model = small(**params, early_stopping=True, patience=2).fit(train, eval_set=test)
    errors = model.history_["eval_rmse"]
    assert model.stop_reason_ == "early_stopping"
    assert model.best_iteration_ == 1 + int(np.argmin(errors))
    assert model.n_iter_ == len(errors) == model.best_iteration_ + 2 < 60
    assert model.score(test) == pytest.approx(min(errors), rel=1e-5)
    assert model.score(test) < errors[-1]


def test_the_best_factors_are_those_of_a_fit_that_ends_there(parts):
    train, test = parts
    params = {"regularization": 0.01, "n_factors": 16}
    model = small(**params, max_iter=60, early_stopping=True).fit(train, eval_set=test)
    again = small(**params, max_iter=model.best_iteration_).fit(train)
    assert bits(*again._parameters()) == bits(*model._parameters())


def test_tol_stops_a_fit_that_no_longer_falls(R):
    model = small(max_iter=200, tol=1e-3).fit(R)
    falls = -np.diff(model.history_["objective"]) / np.array(model.history_["objective"][:-1])
    assert model.stop_reason_ == "converged" and 3 < model.n_iter_ < 200
    assert falls[-1] < 1e-3 and np.all(falls[:-1] >= 1e-3)
    assert small(max_iter=10, tol=0).fit(R).n_iter_ == 10


# ---- callbacks, Ctrl-C ---------------------------------------------------------------------------


def test_callbacks_are_called_after_each_iteration_in_order(R):
    calls = []
    hooks = [lambda now: calls.append(("a", now)), lambda now: calls.append(("b", now))]
    model = small().fit(R, callbacks=hooks)
    assert [name for name, _ in calls] == ["a", "b"] * 3
    assert [now["iteration"] for _, now in calls[::2]] == [1, 2, 3]
    assert [now["objective"] for _, now in calls[::2]] == model.history_["objective"]
    assert set(calls[0][1]) == {"iteration", "objective", "train_rmse", "seconds"}


def test_a_callback_stops_the_fit_by_returning_false(R, solver):
    model = small(solver=solver, max_iter=20)
    model.fit(R, callbacks=[lambda now: now["iteration"] < 4, lambda now: None])
    assert (model.n_iter_, model.stop_reason_) == (4, "cancelled")
    stopped_itself = small(solver=solver, max_iter=4).fit(R)
    # sgd's rates and batch's directions do not depend on how many iterations are yet to come.
    assert bits(*model._parameters()) == bits(*stopped_itself._parameters())


class Wrong(Exception):
    pass


def test_what_a_callback_raises_comes_out_and_the_model_is_usable(R, solver):
    def fails(now):
        if now["iteration"] == 2:
            raise Wrong("no more")

    model = small(solver=solver)
    with pytest.raises(Wrong, match="no more") as raised:
        model.fit(R, callbacks=fails)
    names = [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]
    assert "fails" in names
    assert (model.n_iter_, model.stop_reason_) == (2, "cancelled")
    assert bits(*model._parameters()) == bits(
        *small(solver=solver, max_iter=2).fit(R)._parameters()
    )
    assert len(model.recommend(int(R.user_ids[0]), 3).ids) == 3


@pytest.mark.parametrize("callbacks", [5, [print, None], "print"])
def test_what_cannot_be_called_is_refused_before_any_work(callbacks, R):
    model = small()
    with pytest.raises(TypeError, match=r"callbacks: .* is not callable"):
        model.fit(R, callbacks=callbacks)
    assert not hasattr(model, "user_factors_")


INTERRUPTED = """
import os, signal, sys, threading
import matfac as mf
R = mf.datasets.make_ratings(2000, 500, 100_000, random_state=0)
model = mf.MatrixFactorization(32, solver=sys.argv[1], max_iter=100_000, verbose=False)
started = threading.Event()
def interrupt():
    started.wait()
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
try:
    # No callback in the way: the signal alone must be noticed between iterations.
    model.fit(R, callbacks=lambda now: started.set() if now["iteration"] == 3 else None)
except KeyboardInterrupt:
    assert model.stop_reason_ == "cancelled", model.stop_reason_
    assert 3 <= model.n_iter_ < 100_000 and len(model.history_["objective"]) == model.n_iter_
    assert len(model.recommend(0, 5).ids) == 5 and model.score(R) < 1.1
    model.save(sys.argv[2])
    assert mf.load(sys.argv[2]).predict(0, 0) == model.predict(0, 0)
    print("usable")
"""


def test_ctrl_c_stops_the_fit_and_leaves_a_usable_model(solver, tmp_path):
    code = f"import sys; sys.argv = ['', {solver!r}, {str(tmp_path / 'm')!r}]\n" + INTERRUPTED
    assert run_python(code) == "usable\n"


# ---- a given start, seeds, threads ---------------------------------------------------------------


def start(n_factors=8, biases=False, seed=1, dtype="float32"):
    rng = np.random.default_rng(seed)
    shapes = [(300, n_factors), (120, n_factors)] + ([(300,), (120,)] if biases else [])
    return tuple(rng.normal(size=shape).astype(dtype) for shape in shapes)


@pytest.mark.parametrize("biases", [False, True])
def test_a_given_start_is_copied_and_not_changed(biases, R, solver, dtype):
    init = start(biases=biases, dtype=dtype)
    before = bits(*init)
    for array in init:
        array.flags.writeable = False
    model = small(solver=solver, dtype=dtype, init=init).fit(R)
    assert bits(*init) == before
    assert not any(np.shares_memory(a, b) for a in init for b in model._parameters()[:4])
    assert bits_of(small(solver=solver, dtype=dtype, init=init, random_state=9).fit(R)) == bits_of(
        small(solver=solver, dtype=dtype, init=init, random_state=9).fit(R)
    )


def test_a_fit_can_go_on_where_another_stopped(R):
    first = small(max_iter=4).fit(R)
    onward = small(max_iter=3, init=first._parameters()[:4]).fit(R)
    assert bits(*onward._parameters()) == bits(*small(max_iter=7).fit(R)._parameters())
    as_lists = small(max_iter=1, init=tuple(a.tolist() for a in first._parameters()[:2])).fit(R)
    assert as_lists.score(R) < 1.0


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda U, V: (U,), "got 1 arrays"),
        (lambda U, V: (U, V, U[:, 0]), "got 3 arrays"),
        (lambda U, V: (V, U), r"user_factors has shape \(120, 8\), expected \(300, 8\)"),
        (lambda U, V: (U, V[:, :7]), r"item_factors has shape \(120, 7\), expected \(120, 8\)"),
        (lambda U, V: (U, V, U[:, 0], U[:, 0]), r"item_biases has shape \(300,\)"),
        (lambda U, V: (U, V * np.nan), "item_factors holds -?nan at entry 0"),
        (lambda U, V: (np.where(U > 2, np.inf, U), V), "user_factors holds inf"),
        (lambda U, V: (np.full(U.shape, "x"), V), "user_factors is not an array of numbers"),
        (lambda U, V: U, "got ndarray"),
    ],
)
def test_a_wrong_start_is_refused(change, match, R):
    with pytest.raises(ValueError, match=match):
        small(init=change(*start())).fit(R)


def test_biases_cannot_be_given_to_a_model_without(R):
    with pytest.raises(ValueError, match="got 4 arrays"):
        small(init=start(biases=True), biases=False).fit(R)


def test_a_seed_makes_a_fit_repeatable(R, solver):
    first, again = (small(solver=solver, random_state=3).fit(R) for _ in range(2))
    other = small(solver=solver, random_state=4).fit(R)
    assert bits_of(first) == bits_of(again) != bits_of(other)
    assert bits_of(small(solver=solver, random_state=np.int32(3)).fit(R)) == bits_of(first)
    # The largest seed is as good as any.
    small(solver=solver, random_state=2**64 - 1).fit(R)


def test_generators_are_drawn_from_and_none_is_fresh(R):
    fits = [small(random_state=np.random.default_rng(5)).fit(R) for _ in range(2)]
    assert bits_of(fits[0]) == bits_of(fits[1])
    model = small(random_state=np.random.default_rng(5))
    assert bits_of(model.fit(R)) != bits_of(model.fit(R))  # the generator has moved on
    legacy = [small(random_state=np.random.RandomState(5)).fit(R) for _ in range(2)]
    assert bits_of(legacy[0]) == bits_of(legacy[1])
    assert bits_of(small(random_state=None).fit(R)) != bits_of(small(random_state=None).fit(R))


def test_numpys_global_state_is_left_alone(R):
    np.random.seed(0)
    expected = np.random.random()
    np.random.seed(0)
    small(solver="sgd", random_state=None).fit(R)
    assert np.random.random() == expected


@pytest.mark.parametrize("n_threads", [1, 2, 5, np.int64(3), 64])
def test_the_number_of_threads_changes_nothing(n_threads, R, solver):
    assert bits_of(small(solver=solver, n_threads=n_threads).fit(R)) == bits_of(
        small(solver=solver).fit(R)
    )


def test_kinds_of_numbers_are_taken(R):
    model = small(
        n_factors=np.int32(8),
        max_iter=np.uint8(3),
        regularization=np.array([0.5, 1.0]),
        bias_regularization=np.float32(2),
        tol=0,
        biases=np.True_,
        dtype=np.dtype("float64"),
    ).fit(R)
    assert model.regularization_ == (0.5, 1.0) and model.bias_regularization_ == (2.0, 2.0)
    assert model.user_factors_.shape == (300, 8)


# ---- progress ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verbose", "shown"), [(True, True), (False, False), (0, False)])
def test_a_progress_bar_is_shown_when_asked_for(verbose, shown, R, monkeypatch, capsys):
    monkeypatch.setattr("matfac._progress._DELAY_SECONDS", 0)
    small(verbose=verbose).fit(R, eval_set=R)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert ("3/3" in printed.err and "eval_rmse=" in printed.err) is shown
    assert bool(printed.err) is shown


def test_a_progress_bar_is_shown_by_itself_only_where_somebody_watches(R, monkeypatch, capsys):
    monkeypatch.setattr("matfac._progress._DELAY_SECONDS", 0)
    small().fit(R)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("matfac._progress.is_interactive", lambda: True)
    small().fit(R)
    assert "3/3" in capsys.readouterr().err


def test_there_may_be_no_console(R, monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    assert isinstance(small().fit(R), mf.MatrixFactorization)

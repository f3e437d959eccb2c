"""The rows of als against their NumPy twins: weights, losses, penalties, ways to solve a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import matfac as mf
from conftest import Problem, assert_near, bits, make_problem
from matfac import _core, reference
from matfac.reference._als import AlsMethod, implicit_loss

THREADS = (1, 2, 3)
SIZES = (1, 7, 16, 33, 100)
PENALTY = reference.Penalty((0.6, 0.9), (0.3, 0.5), 0.5)
L1 = (0.2, 0.4)
THRESHOLD = 0.7
with_and_without_biases = pytest.mark.parametrize("biases", [True, False], ids=["biases", "bare"])
with_and_without_weights = pytest.mark.parametrize(
    "weighted", [True, False], ids=["weights", "alike"]
)
ROW_SOLVERS: dict[str, dict[str, Any]] = {
    "cholesky": {},
    "conjugate_gradient": {"cg_steps": 2},
    "subspace": {"subspace_size": 5},
}
each_row_solver = pytest.mark.parametrize("row_solver", list(ROW_SOLVERS))


def sigmoid_weights(x: np.ndarray) -> np.ndarray:
    half = np.maximum(np.abs(x), 1e-9) / 2
    return np.tanh(half) / (4 * half)


#: loss -> the weights and targets of its parabolas, by ratings r and estimates x.
MAJORIZERS = {
    "huber": lambda r, x: (THRESHOLD / np.maximum(np.abs(x - r), THRESHOLD), r),
    "logistic": lambda r, x: (sigmoid_weights(x), 0.5 * np.sign(r - 0.5) / sigmoid_weights(x)),
    "squared_hinge": lambda r, x: (
        np.ones(len(r)),
        np.where(np.sign(r - 0.5) * x > 1, x, np.sign(r - 0.5)),
    ),
}
COSTS = {
    "squared": lambda r, x: 0.5 * (r - x) ** 2,
    "huber": lambda r, x: np.where(
        np.abs(r - x) <= THRESHOLD,
        0.5 * (r - x) ** 2,
        THRESHOLD * (np.abs(r - x) - THRESHOLD / 2),
    ),
    "absolute": lambda r, x: np.abs(r - x),
    "logistic": lambda r, x: np.logaddexp(0, -np.sign(r - 0.5) * x),
    "squared_hinge": lambda r, x: 0.5 * np.maximum(0, 1 - np.sign(r - 0.5) * x) ** 2,
}


class Case:
    """A problem with weights and a loss, fitted natively and by the twin."""

    def __init__(
        self,
        n_factors: int,
        dtype: str,
        *,
        loss: str = "squared",
        biases: bool = True,
        weighted: bool = False,
        shape: str = "small",
        seed: int = 0,
    ) -> None:
        self.p: Problem = make_problem(shape, n_factors, dtype, seed)
        rng = np.random.default_rng(seed)
        R, values = self.p.R, np.abs(self.p.R.values)
        if loss in ("logistic", "squared_hinge"):
            values = (values > 3).astype(dtype)
        if loss == "implicit_squared":
            values, biases = (values + 0.1).astype(dtype), False
        self.weights = rng.choice([0.0, 0.5, 1.0, 3.0], len(values)).astype(dtype)
        # One user's ratings count for nothing.
        self.weights[slice(*R.offsets[1:3]) if R.n_users > 1 else slice(0)] = 0
        self.R = mf.Ratings.from_csr_arrays(
            R.offsets, R.items, values, R.n_items, **({"weights": self.weights} if weighted else {})
        )
        self.rows = reference.StoredRows(
            R.offsets,
            R.items,
            values.astype(float),
            R.shape,
            self.weights.astype(float) if weighted else np.ones(len(values)),
        )
        self.dtype, self.loss, self.biases = dtype, loss, biases
        center = np.mean(values) if biases else 0.0
        self.least_error = 1e-3 * float(np.sqrt(np.mean((values - center) ** 2)))
        counts = reference.counts(self.rows)
        sides = [self.p.U.copy(), self.p.V.copy()]
        sides += [0.1 * rng.normal(size=n).astype(dtype) for n in R.shape] if biases else []
        for i, part in enumerate(sides):
            part[counts[i % 2] == 0] = 0
        self.start = sides

    def fit(self, max_iter: int = 1, **options: Any) -> tuple[list[np.ndarray], dict[str, Any]]:
        settings = _core.Settings()
        choice = {
            "n_factors": self.p.n_factors,
            "loss": self.loss,
            "biases": self.biases,
            "regularization": PENALTY.regularization,
            "bias_regularization": PENALTY.bias_regularization,
            "regularization_exponent": PENALTY.regularization_exponent,
            "huber_threshold": THRESHOLD,
            "init": "given",
            "max_iter": max_iter,
            "unobserved_weight": 0.3,
            "confidence_scale": 2.0,
        }
        for name, value in {**choice, **options}.items():
            setattr(settings, name, value)
        parts = [part.copy() for part in self.start]
        given = parts if self.biases else [*parts, None, None]
        report = _core.fit(self.R._native, settings, *given, None, None)
        if self.loss == "implicit_squared":
            # Users of whom nothing is known have a row of their own kind, which no sweep sees.
            parts[0][reference.counts(self.rows)[0] == 0] = 0
        return parts, report

    def twin(self, mean: float, max_iter: int = 1, **options: Any) -> reference.Model:
        method = AlsMethod(
            majorizer=self.absolute if self.loss == "absolute" else MAJORIZERS.get(self.loss),
            implicit=(0.3, 2.0) if self.loss == "implicit_squared" else None,
            least_change=1e-5 if self.dtype == "float32" else 1e-10,
            **options,
        )
        parts = [part.astype(float) for part in self.start]
        model = reference.Model(*parts, global_mean=mean)
        for _ in range(max_iter):
            model = reference.als_sweep(self.rows, model, PENALTY, method)
        return model

    def absolute(self, r: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The parabolas above |r - x|; errors below a thousandth of the spread count as that."""
        return 1 / np.maximum(np.abs(x - r), self.least_error), r

    def objective(self, model: reference.Model, l1: tuple[float, float] = (0.0, 0.0)) -> float:
        R = self.rows
        if self.loss == "implicit_squared":
            total = implicit_loss(R, model, 0.3, 2.0)
        else:
            total = float(R.weights @ COSTS[self.loss](R.values, reference.estimates(R, model)))
        for side, factors in enumerate((model.user_factors, model.item_factors)):
            weight = reference.count_weights(reference.counts(R)[side], 0.5)
            total += l1[side] * float(weight @ np.abs(factors).sum(axis=1))
        return total + reference.penalty_of(R, model, PENALTY)

    def check(self, operation: str = "als", max_iter: int = 1, **options: Any) -> list[np.ndarray]:
        """Fit, compare factors and objective with the twin, and threads with each other."""
        native = {k: v for k, v in options.items() if k != "least_change"}
        parts, report = self.fit(max_iter, n_threads=THREADS[0], **native)
        twin = self.twin(report["global_mean"], max_iter, **options)
        expected = [twin.user_factors, twin.item_factors, twin.user_biases, twin.item_biases]
        for part, other in zip(parts, expected, strict=False):
            assert_near(part, other, operation, self.dtype, max(1.0, np.max(np.abs(other))))
        fitted = reference.Model(
            *(part.astype(float) for part in parts), global_mean=report["global_mean"]
        )
        objective = report["history"][-1]["objective"]
        l1 = options.get("l1_regularization", (0.0, 0.0))
        assert_near(objective, self.objective(fitted, l1), "objective", self.dtype)
        for n_threads in THREADS[1:]:
            again, _ = self.fit(max_iter, n_threads=n_threads, **native)
            assert bits(*again) == bits(*parts)
        return parts


#: Every size for the exact solver, on either side of a block for the others.
SOLVERS_AND_SIZES = [("cholesky", size) for size in SIZES] + [
    (name, size) for name in ("conjugate_gradient", "subspace") for size in (1, 7, 33)
]
each_row_solver_and_size = pytest.mark.parametrize(("row_solver", "n_factors"), SOLVERS_AND_SIZES)


@with_and_without_biases
@each_row_solver_and_size
def test_weights(row_solver, biases, n_factors, dtype):
    case = Case(n_factors, dtype, biases=biases, weighted=True)
    parts = case.check(row_solver=row_solver, **ROW_SOLVERS[row_solver])
    if row_solver == "cholesky":
        assert not parts[0][1].any(), "a user whose ratings count for nothing"


@pytest.mark.parametrize("n_factors", [1, 16, 33])
@each_row_solver
def test_without_weights(row_solver, n_factors, dtype):
    Case(n_factors, dtype).check(max_iter=2, row_solver=row_solver, **ROW_SOLVERS[row_solver])


def test_weights_are_repetitions(dtype):
    """A weight of 2 on every rating is half the penalty, bar its weight of a count."""
    case = Case(7, dtype, weighted=False)
    case.R = mf.Ratings.from_csr_arrays(
        case.R.offsets,
        case.R.items,
        case.R.values,
        case.R.n_items,
        weights=np.full(case.R.nnz, 2, dtype),
    )
    twice, _ = case.fit(regularization=(1.0, 2.0), bias_regularization=(0.4, 0.6))
    case.R = Case(7, dtype).R
    once, _ = case.fit(regularization=(0.5, 1.0), bias_regularization=(0.2, 0.3))
    for part, other in zip(twice, once, strict=True):
        assert_near(part, other, "als", dtype)


@pytest.mark.parametrize("n_factors", [7, 33])
def test_weighted_rows_have_the_least_norm(n_factors, dtype):
    """Without a penalty, fewer ratings (or fewer that count) than factors."""
    case = Case(n_factors, dtype, weighted=True, seed=3)
    settings = _core.Settings()
    settings.regularization = settings.bias_regularization = (0, 0)
    users, biases = np.zeros_like(case.start[0]), np.zeros_like(case.start[2])
    V, c = case.start[1], case.start[3]
    _core.fold_in(V, c, 3.0, settings, case.R._native, users, biases, 0)
    model = reference.Model(
        np.zeros(users.shape), V.astype(float), np.zeros(len(biases)), c.astype(float), 3.0
    )
    expected, expected_biases = reference.fold_in(case.rows, model, reference.Penalty())
    x, y = np.column_stack([users, biases]), np.column_stack([expected, expected_biases])
    # Rows of systems that are barely regular are ill-determined.
    few = np.diff(case.rows.offsets) < n_factors
    assert few.sum() > 10 or n_factors < 10
    assert_near(x[few], y[few], "least_norm", dtype, max(1.0, np.max(np.abs(y[few]), initial=1.0)))


@with_and_without_weights
@each_row_solver_and_size
def test_implicit(row_solver, weighted, n_factors, dtype):
    case = Case(n_factors, dtype, loss="implicit_squared", weighted=weighted)
    case.check(row_solver=row_solver, **ROW_SOLVERS[row_solver])


def test_implicit_over_sweeps_and_shapes(dtype):
    for shape in ("one rating", "one user", "one item", "wide", "tall", "general"):
        Case(7, dtype, loss="implicit_squared", shape=shape).check(max_iter=3)


def test_implicit_refuses_biases():
    settings = _core.Settings()
    settings.loss = "implicit_squared"
    with pytest.raises(ValueError, match="'implicit_squared' is one without biases"):
        settings.validate()


def test_implicit_fold_in_is_half_a_sweep(dtype):
    case = Case(16, dtype, loss="implicit_squared")
    parts, report = case.fit(max_iter=2)
    users = np.zeros_like(parts[0])
    _core.fold_in(parts[1], None, 0.0, report["settings"], case.R._native, users, None, 0)
    model = reference.Model(np.zeros(users.shape), parts[1].astype(float))
    expected, _ = reference.fold_in(case.rows, model, PENALTY, AlsMethod(implicit=(0.3, 2.0)))
    assert_near(users, expected, "als", dtype)


@pytest.mark.parametrize("n_factors", [1, 7, 33])
@with_and_without_biases
@pytest.mark.parametrize("nonnegative", [False, True], ids=["signed", "nonnegative"])
@pytest.mark.parametrize("loss", ["squared", "implicit_squared"])
def test_absolute_penalty_and_signs(loss, nonnegative, biases, n_factors, dtype):
    case = Case(n_factors, dtype, loss=loss, biases=biases, weighted=loss == "squared")
    if nonnegative:
        case.start[:2] = [np.abs(part) for part in case.start[:2]]
        if biases:  # factors of 0 or more need ratings of 0 or more, and have little to add
            case.start[2:] = [0 * part for part in case.start[2:]]
    parts = case.check(l1_regularization=L1, nonnegative=nonnegative)
    assert not nonnegative or (parts[0].min() >= 0 and parts[1].min() >= 0)
    assert n_factors < 30 or np.mean(parts[0] == 0) > 0.1  # 2 of 31 users have no ratings


@pytest.mark.parametrize("nonnegative", [False, True], ids=["signed", "nonnegative"])
@pytest.mark.parametrize("loss", [*MAJORIZERS, "absolute"])
def test_majorizers_with_absolute_penalty_and_signs(loss, nonnegative, dtype):
    case = Case(7, dtype, loss=loss, weighted=loss != "absolute")  # its least error is plain here
    if nonnegative:
        case.start[:2] = [np.abs(part) for part in case.start[:2]]
    parts = case.check(l1_regularization=L1, nonnegative=nonnegative)
    assert not nonnegative or (parts[0].min() >= 0 and parts[1].min() >= 0)


@each_row_solver
def test_coordinate_descent_is_for_one_row_solver(row_solver):
    settings = _core.Settings()
    settings.row_solver, settings.l1_regularization = row_solver, (0.1, 0.0)
    if row_solver == "cholesky":
        settings.validate()
        return
    with pytest.raises(ValueError, match="knows no l1_regularization"):
        settings.validate()


@pytest.mark.parametrize("loss", [*MAJORIZERS, "absolute"])
@pytest.mark.parametrize("n_factors", [1, 7, 33])
@with_and_without_biases
def test_majorizers(biases, n_factors, loss, dtype):
    Case(n_factors, dtype, loss=loss, biases=biases).check()


@pytest.mark.parametrize("loss", [*COSTS, "implicit_squared"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("way", [*ROW_SOLVERS, "l1"])
def test_objectives_do_not_rise(way, weighted, loss, dtype):
    case = Case(16, dtype, loss=loss, weighted=weighted, shape="general")
    options = {"l1_regularization": (0.05, 0.1)} if way == "l1" else {"row_solver": way}
    parts, report = case.fit(12, n_threads=1, **options, **ROW_SOLVERS.get(way, {}))
    objectives = np.array([now["objective"] for now in report["history"]])
    # The parabolas lie above the absolute error but for errors that count as none.
    slack = 1e-4 if loss == "absolute" else 1e-5 if dtype == "float32" else 1e-12
    assert np.all(np.diff(objectives) <= slack * objectives[:-1])
    assert objectives[-1] < objectives[0]
    model = reference.Model(
        *(part.astype(float) for part in parts), global_mean=report["global_mean"]
    )
    expected = case.objective(model, options.get("l1_regularization", (0.0, 0.0)))
    assert_near(objectives[-1], expected, "objective", dtype)


@each_row_solver
@pytest.mark.parametrize("loss", ["squared", "implicit_squared"])
def test_all_row_solvers_reach_the_same_objective(row_solver, loss):
    case = Case(7, "float64", loss=loss)
    exact = case.fit(300, n_threads=1)[1]["history"][-1]["objective"]
    other = case.fit(300, n_threads=1, row_solver=row_solver, **ROW_SOLVERS[row_solver])[1]
    assert other["history"][-1]["objective"] == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("weighted", [False, True])
def test_held_out_choices_are_measured_among_all_that_was_not_chosen(weighted, dtype):
    case = Case(7, dtype, loss="implicit_squared")
    rng = np.random.default_rng(0)
    held = rng.random(case.R.nnz) < 0.3
    train, held_out = case.R.select(~held), case.R.select(held)
    if weighted:
        weights = rng.choice([0.5, 1, 4], held_out.nnz).astype(dtype)
        held_out = mf.Ratings.from_csr_arrays(
            held_out.offsets, held_out.items, held_out.values, held_out.n_items, weights=weights
        )
    settings = _core.Settings()
    settings.n_factors, settings.loss, settings.biases = 7, "implicit_squared", False
    settings.max_iter, settings.unobserved_weight, settings.confidence_scale = 2, 0.7, 1.5
    U, V = (np.zeros_like(part) for part in case.start[:2])
    report = _core.fit(train._native, settings, U, V, None, None, held_out._native, None)
    model = reference.Model(U.astype(float), V.astype(float), None, None, 0.0)
    expected = reference.held_out_implicit_loss(train, held_out, model, 0.7, 1.5)
    assert report["history"][-1]["eval_loss"] == pytest.approx(expected, rel=1e-5)


def test_users_of_whom_nothing_is_known_get_the_mean_row(dtype):
    case = Case(7, dtype, loss="implicit_squared")
    settings = _core.Settings()
    settings.n_factors, settings.loss, settings.biases = 7, "implicit_squared", False
    U, V = (np.zeros_like(part) for part in case.start[:2])
    _core.fit(case.R._native, settings, U, V, None, None, None, None)
    known = np.diff(case.R.offsets) > 0
    assert not known.all() and known.any()
    np.testing.assert_allclose(
        U[~known], np.tile(U[known].mean(axis=0), (np.sum(~known), 1)), rtol=1e-4, atol=1e-6
    )
    assert not V[np.bincount(case.R.items, minlength=len(V)) == 0].any()

"""The same bits at any number of threads, in any process, and every time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matfac as mf
from conftest import (
    SOLVERS,
    THREADS,
    Problem,
    bits,
    bits_of,
    make_hollow_problem,
    make_large_problem,
    make_problem,
    run_python,
    same_at_any_n_threads,
)


def residuals(p: Problem, n_threads: int) -> list[bytes]:
    return bits(mf.residuals(p.R, p.U, p.V, n_threads=n_threads))


def loss(p: Problem, n_threads: int) -> list[bytes]:
    return bits(mf.loss(p.R, p.U, p.V, n_threads=n_threads))


def gradients(p: Problem, n_threads: int) -> list[bytes]:
    return bits(*mf.gradients(p.R, p.U, p.V, n_threads=n_threads))


def batch_step(p: Problem, n_threads: int) -> list[bytes]:
    stepped = p.copy()
    losses = [
        mf.batch_step(p.R, stepped.U, stepped.V, learning_rate=1e-3, n_threads=n_threads)
        for _ in range(2)
    ]
    return bits(stepped.U, stepped.V, *losses)


def sgd_epoch(p: Problem, n_threads: int) -> list[bytes]:
    stepped = p.copy()
    losses = [
        mf.sgd_epoch(
            p.R, stepped.U, stepped.V, learning_rate=0.01, seed=1, epoch=e, n_threads=n_threads
        )
        for e in range(2)
    ]
    return bits(stepped.U, stepped.V, *losses)


OPERATIONS = (residuals, loss, gradients, batch_step, sgd_epoch)
each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda f: f.__name__)


def fit(p: Problem, solver: str, n_threads: int, **options: Any) -> mf.MatrixFactorization:
    options = {"max_iter": 3, "dtype": p.dtype, "random_state": 3, **options}
    return mf.MatrixFactorization(p.n_factors, solver=solver, n_threads=n_threads, **options).fit(
        p.R, p.R
    )


# ---- numbers of threads --------------------------------------------------------------------------


@each_operation
@pytest.mark.parametrize("n_factors", [7, 32])
def test_operations_give_the_same_bits_at_any_number_of_threads(operation, n_factors, dtype):
    p = make_large_problem(n_factors, dtype)
    for _ in range(3):  # a race need not show every time
        same_at_any_n_threads(lambda n_threads: operation(p, n_threads))


@pytest.mark.parametrize("biases", [True, False], ids=["biases", "bare"])
def test_fits_give_the_same_bits_at_any_number_of_threads(solver, biases, dtype):
    p = make_large_problem(7, dtype)
    same_at_any_n_threads(lambda n: bits_of(fit(p, solver, n, biases=biases)))


@each_operation
def test_operations_on_many_empty_rows(operation, dtype):
    p = make_hollow_problem(5, dtype)
    same_at_any_n_threads(lambda n_threads: operation(p, n_threads))


@settings(max_examples=12, deadline=None)
@given(
    n_users=st.integers(1, 100),
    n_items=st.integers(1, 100),
    density=st.floats(0, 1),
    n_factors=st.integers(1, 40),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_problem_gives_the_same_bits(n_users, n_items, density, n_factors, dtype, seed):
    p = make_problem((n_users, n_items, density), n_factors, dtype, seed)
    for operation in OPERATIONS:
        same_at_any_n_threads(lambda n, run=operation: run(p, n))
    for solver in SOLVERS:
        same_at_any_n_threads(lambda n, s=solver: bits_of(fit(p, s, n, max_iter=2)))


def test_what_a_model_says_does_not_depend_on_the_number_of_threads(dtype):
    p = make_large_problem(7, dtype)
    model = fit(p, "als", 0, max_iter=2)
    new = make_problem((50, p.R.n_items, 0.1), 1, dtype).R

    def answers(n_threads: int) -> list[bytes]:
        model.set_params(n_threads=n_threads)
        results = [model.predict(p.R), model.score(p.R)]
        results += model.recommend(n=7, n_threads=n_threads)
        results += model.similar_items(p.R.item_ids, n=7, n_threads=n_threads)
        results += model.fold_in(new, return_biases=True, n_threads=n_threads)
        return bits(*results)

    same_at_any_n_threads(answers)


# ---- repetition ----------------------------------------------------------------------------------


def test_a_fit_repeats_itself(solver, dtype):
    p = make_large_problem(7, dtype)
    assert bits_of(fit(p, solver, 0)) == bits_of(fit(p, solver, 0))


def test_another_seed_gives_another_model(solver):
    p = make_problem("general", 7, "float32")
    models = [fit(p, solver, 0, random_state=seed) for seed in (0, 1, 2**40)]
    assert len({model.user_factors_.tobytes() for model in models}) == 3
    # Nobody's seed is a fresh one.
    nobody = [fit(p, solver, 0, random_state=None) for _ in range(2)]
    assert nobody[0].user_factors_.tobytes() != nobody[1].user_factors_.tobytes()


def test_a_longer_fit_begins_as_a_shorter_one(solver):
    p = make_problem("general", 7, "float32")
    longer = fit(p, solver, 0, max_iter=6)
    seen = []

    def watch(info: dict[str, Any]) -> None:
        seen.append(info["objective"])

    shorter = mf.MatrixFactorization(7, solver=solver, max_iter=3, random_state=3)
    shorter.fit(p.R, p.R, callbacks=watch)
    assert longer.history_["objective"][:3] == shorter.history_["objective"] == seen


def test_the_order_of_the_input_does_not_matter(solver, dtype):
    p = make_problem("general", 7, dtype)
    users, items, values = p.R.to_arrays()
    models = []
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(p.R.nnz)
        R = mf.Ratings.from_arrays(users[order], items[order], values[order])
        models.append(bits_of(fit(Problem(R, p.U, p.V), solver, 0)))
    assert models[0] == models[1]


def test_names_of_users_and_items_do_not_matter(solver):
    """Raw ids that sort alike give the same codes, hence the same bits."""
    p = make_problem("general", 7, "float32")
    users, items, values = p.R.to_arrays()
    plain = mf.Ratings.from_arrays(users, items, values)
    named = mf.Ratings.from_arrays(
        10 * users.astype(np.int64) - 55, [f"item {m:06d}" for m in items], values
    )
    assert bits_of(fit(Problem(plain, p.U, p.V), solver, 0)) == bits_of(
        fit(Problem(named, p.U, p.V), solver, 0)
    )


@pytest.mark.parametrize("n_factors", [7, 32])
def test_gradients_asked_for_again_have_the_same_bits(n_factors, dtype):
    """The second call keeps the ratings' pattern by item, which those after it work with."""
    p = make_large_problem(n_factors, dtype)
    first = gradients(p, 1)
    for n_threads in (2, 1, 8, 2):
        assert gradients(p, n_threads) == first
    other = mf.MatrixFactorization(n_factors, solver="batch", dtype=dtype, max_iter=2)
    assert bits_of(other.fit(p.R)) == bits_of(other.fit(make_large_problem(n_factors, dtype).R))
    assert gradients(make_large_problem(n_factors, dtype), 2) == first


# ---- processes and Python's threads --------------------------------------------------------------


def in_threads(n_workers: int, work: Callable[[], Any]) -> list[Any]:
    """What `work` returns in each of so many threads of Python, which begin together."""
    start = threading.Barrier(n_workers)
    found: list[Any] = []

    def run() -> None:
        start.wait()
        found.append(work())

    workers = [threading.Thread(target=run) for _ in range(n_workers)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return found


def test_python_threads_may_fit_at_the_same_time(solver):
    p = make_large_problem(7, "float32")
    expected = bits_of(fit(p, solver, 2))
    assert in_threads(3, lambda: bits_of(fit(p, solver, 2))) == [expected] * 3


def test_python_threads_may_ask_for_the_same_gradients_at_once():
    p = make_large_problem(16, "float32")
    expected = gradients(make_large_problem(16, "float32"), 1)
    assert in_threads(4, lambda: [gradients(p, 2) for _ in range(5)]) == [[expected] * 5] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_works_and_gives_the_same_bits():
    """The parent has used its threads; they do not exist in the child."""
    run_python("""
import os, signal, numpy as np, matfac as mf
R = mf.datasets.make_ratings(300, 200, 9000, random_state=0)
U, V = (np.ones((n, 7), np.float32) for n in R.shape)
fit = lambda: [mf.MatrixFactorization(7, solver=s, max_iter=2, n_threads=2).fit(R).user_factors_
               for s in ("als", "sgd", "batch", "ccd")] + [mf.gradients(R, U, V)[1]]
before = fit()
child = os.fork()
if child == 0:
    signal.alarm(120)  # a child that hangs is killed, which the parent sees
    same = all(np.array_equal(a, b) for a, b in zip(before, fit()))
    os._exit(0 if same else 3)
assert os.waitpid(child, 0)[1] == 0
assert all(np.array_equal(a, b) for a, b in zip(before, fit()))
""")


def test_environment_of_openmp_does_not_matter():
    code = """
import hashlib, matfac as mf
R = mf.datasets.make_ratings(300, 200, 9000, random_state=0)
for solver in ("als", "sgd", "batch", "ccd"):
    model = mf.MatrixFactorization(7, solver=solver, max_iter=2).fit(R)
    print(hashlib.sha256(model.user_factors_.tobytes()).hexdigest())
"""
    outputs = {run_python(code, OMP_NUM_THREADS=str(n)) for n in THREADS}
    outputs.add(run_python(code, OMP_NUM_THREADS="4", OMP_DYNAMIC="true"))
    assert len(outputs) == 1

"""Several Python threads at once; processes that are forked or spawned."""

from __future__ import annotations

import multiprocessing
import os
import threading
import warnings

import numpy as np
import pytest

import matfac as mf
from conftest import bits, bits_of

#: Long enough for a busy machine; a child that hangs is found by it.
TIMEOUT = 120


@pytest.fixture(scope="module")
def R():
    return mf.datasets.make_ratings(400, 150, 10_000, random_state=4)


def fitted(R, solver="als", **params):
    return mf.MatrixFactorization(8, solver=solver, max_iter=3, **params).fit(R)


def in_threads(n, work):
    """Run ``work(i)`` in n threads that begin together; return what they return, raise alike."""
    results, errors, gate = [None] * n, [], threading.Barrier(n)

    def run(i):
        try:
            gate.wait()
            results[i] = work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]
    return results


def test_fits_in_several_threads_at_once(R, solver):
    expected = bits_of(fitted(R, solver))
    for found in in_threads(4, lambda i: bits_of(fitted(R, solver, n_threads=i))):
        assert found == expected


def test_one_model_asked_by_several_threads_at_once(R):
    model = fitted(R)

    def ask(i):
        everything = [*model.recommend(n=20), model.predict(R), *model.similar_items(range(150), 5)]
        return bits(*everything, model.fold_in(R), *model.recommend_new(R, 5))

    expected = ask(0)
    assert all(found == expected for found in in_threads(6, ask))


def test_fitting_and_asking_at_once(R):
    model = fitted(R)
    expected_fit, expected_answer = bits_of(fitted(R, "sgd")), bits(*model.recommend(n=10))

    def work(i):
        for _ in range(3):
            if i % 2:
                assert bits_of(fitted(R, "sgd")) == expected_fit
            else:
                assert bits(*model.recommend(n=10)) == expected_answer

    in_threads(4, work)


def test_other_threads_run_during_a_fit(R):
    """The interpreter is not locked: this thread counts while the fit has not returned."""
    started, done, counted = threading.Event(), threading.Event(), 0
    large = mf.datasets.make_ratings(3000, 1000, 300_000, random_state=0)

    def fit():
        model = mf.MatrixFactorization(64, max_iter=3)
        model.fit(large, callbacks=lambda now: started.set())
        done.set()

    thread = threading.Thread(target=fit, daemon=True)
    thread.start()
    assert started.wait(TIMEOUT)
    while not done.is_set() and counted < 100_000:
        counted += 1
    thread.join(TIMEOUT)
    assert done.is_set() and counted > 1000


def child(queue, R, solver):
    model = fitted(R, solver, n_threads=2)
    queue.put((os.getpid(), bits_of(model), bits(*model.recommend(n=5))))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_process_fits_after_its_parent_has_used_threads(method, R, solver):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    model = fitted(R, solver, n_threads=2)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=child, args=(queue, R, solver), daemon=True)
    with warnings.catch_warnings():
        # Python warns of forking a process that has threads. That it goes well is the point here.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    try:
        pid, fit, answer = queue.get(timeout=TIMEOUT)
    finally:
        process.join(TIMEOUT)
        hangs = process.is_alive()
        process.kill()
    assert not hangs and process.exitcode == 0
    assert pid != os.getpid()
    assert fit == bits_of(model) and answer == bits(*model.recommend(n=5))
    # And the parent goes on.
    assert bits_of(fitted(R, solver, n_threads=2)) == fit


def test_a_model_goes_to_processes_of_a_pool(R):
    model = fitted(R)
    expected = model.recommend(np.arange(40), 5).ids
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        parts = pool.starmap_async(
            model.recommend, [(np.arange(20), 5), (np.arange(20, 40), 5)]
        ).get(TIMEOUT)
    assert np.array_equal(np.concatenate([part.ids for part in parts]), expected)

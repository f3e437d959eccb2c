"""Life in a process with others: other OpenMP runtimes, limits of threads, forks, pools.

Each test runs its own process, because what is loaded first and how many threads there are is a
matter of the whole process.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

linux_only = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")
#: A hang is found by it.
TIMEOUT = 300

#: All entry points that use threads; prints what came out, to be compared bit for bit.
PRELUDE = """
import hashlib, os, sys
import numpy as np

def everything(n_threads=0):
    import matfac as mf
    R = mf.datasets.make_ratings(200, 80, 3000, random_state=4)
    digest = hashlib.sha256()
    def add(*arrays):
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
    for solver in ("als", "sgd", "batch", "ccd"):
        model = mf.MatrixFactorization(
            8, solver=solver, max_iter=2, random_state=1, n_threads=n_threads
        ).fit(R)
        add(model.user_factors_, model.item_factors_)
    for loss in ("implicit_squared", "bpr", "warp"):
        choices = mf.ImplicitFactorization(
            8, loss=loss, max_iter=2, random_state=1, n_threads=n_threads
        ).fit(R)
        add(choices.user_factors_, *choices.recommend(n=5))
    add(*model.recommend(n=5), *model.similar_items(model.item_ids_, 5), model.predict(R))
    add(model.fold_in(R), *model.recommend_new(R, 5), model.score(R))
    U, V = np.array(model.user_factors_), np.array(model.item_factors_)
    add(mf.residuals(R, U, V, n_threads=n_threads), *mf.gradients(R, U, V, n_threads=n_threads))
    add(mf.loss(R, U, V, n_threads=n_threads))
    mf.batch_step(R, U, V, learning_rate=1e-5, n_threads=n_threads)
    mf.sgd_epoch(R, U, V, learning_rate=0.01, seed=1, epoch=0, n_threads=n_threads)
    add(U, V)
    return digest.hexdigest()

def n_tasks():
    return len(os.listdir("/proc/self/task"))
"""


def run(script: str, **environment: str) -> str:
    env = os.environ | environment
    for name in ("OMP_NUM_THREADS",):
        if name not in environment:
            env.pop(name, None)
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PRELUDE + script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def alone() -> str:
    """What comes out where nobody else is."""
    return run("print(everything(1))")


OTHERS = {
    "scikit-learn": """
def others():
    from sklearn.cluster import KMeans
    X = np.random.default_rng(0).normal(size=(3000, 8))
    return KMeans(5, n_init=1, max_iter=5, random_state=0).fit(X).labels_.sum()
""",
    "NumPy and SciPy": """
def others():
    from scipy import linalg, sparse
    A = np.random.default_rng(0).normal(size=(600, 600))
    return linalg.lu(A @ A.T)[2].shape, (sparse.csr_array(A) @ A).shape
""",
    "faiss": """
def others():
    import faiss
    X = np.random.default_rng(0).normal(size=(5000, 16)).astype(np.float32)
    index = faiss.IndexFlatIP(16)
    index.add(X)
    return index.search(X, 5)[1].sum()
""",
}
# Too large to ask for it (docs/releasing.md), so only where it is.
if importlib.util.find_spec("torch") is not None:
    OTHERS["PyTorch"] = """
def others():
    import torch
    torch.manual_seed(0)
    A = torch.randn(600, 600)
    trace = float((A @ A.T).trace())
    return torch.get_num_threads(), trace, float(torch.linalg.qr(A).R.abs().sum())
"""


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("ours_first", [True, False])
def test_other_runtimes_in_one_process_in_either_order(
    other: str, ours_first: bool, alone: str
) -> None:
    first = "import matfac" if ours_first else "others()"
    script = f"""
{OTHERS[other]}
{first}
before = str(others())
print(everything(2))
assert str(others()) == before
"""
    assert run(script) == alone


def test_threadpoolctl_sees_and_limits_ours() -> None:
    script = """
import matfac as mf
from threadpoolctl import threadpool_info, threadpool_limits
R = mf.datasets.make_ratings(50, 40, 500, random_state=0)
ours = [pool for pool in threadpool_info() if pool["user_api"] == "openmp"]
assert len(ours) == 1, ours
with threadpool_limits(1, user_api="openmp"):
    assert mf.runtime_info()["n_threads"] == 1
with threadpool_limits(3, user_api="openmp"):
    assert mf.runtime_info()["n_threads"] in (1, 2, 3)
before = n_tasks()
with threadpool_limits(1):
    one = everything()
assert n_tasks() == before
print(one == everything(2), n_tasks() - before)
"""
    assert run(script) == "True 1"


@linux_only
@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_n_threads_is_respected_everywhere(n_threads: int, alone: str) -> None:
    script = f"import matfac\nbefore = n_tasks()\nprint(everything({n_threads}))\n"
    script += f"assert n_tasks() - before == {n_threads - 1}, (before, n_tasks())"
    assert run(script, OPENBLAS_NUM_THREADS="1") == alone


@linux_only
@pytest.mark.parametrize("n_threads", [1, 3])
def test_omp_num_threads_is_respected(n_threads: int, alone: str) -> None:
    script = f"""
import matfac
assert matfac.runtime_info()["n_threads"] == {n_threads}
before = n_tasks()
print(everything())
assert n_tasks() - before == {n_threads - 1}, (before, n_tasks())
"""
    assert run(script, OMP_NUM_THREADS=str(n_threads), OPENBLAS_NUM_THREADS="1") == alone


@linux_only
@pytest.mark.parametrize("when", ["before", "after"])
def test_affinity_is_respected(when: str, alone: str) -> None:
    """A process that may use one processor starts no threads, whenever it was told so."""
    bind = "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])"
    steps = [bind, "import matfac"] if when == "before" else ["import matfac", bind]
    script = (
        "\n".join(steps)
        + """
assert matfac.runtime_info()["n_threads"] == 1
before = n_tasks()
print(everything())
assert n_tasks() == before
"""
    )
    assert run(script, OPENBLAS_NUM_THREADS="1") == alone


@linux_only
def test_every_call_works_in_a_fork_of_a_process_that_has_used_threads(alone: str) -> None:
    script = """
import signal
assert everything(2) == everything(3)
read, write = os.pipe()
child = os.fork()
if child == 0:
    signal.alarm(120)  # a hang ends the child
    grandchild = os.fork()
    if grandchild == 0:
        signal.alarm(100)
        os.write(write, everything(2).encode() + b" ")
        os._exit(0)
    code = os.waitpid(grandchild, 0)[1]
    os.write(write, everything(2).encode() + b" ")
    os._exit(code != 0)
assert os.waitpid(child, 0)[1] == 0
os.close(write)
print(*sorted({*os.read(read, 1000).decode().split(), everything(2)}))
"""
    assert run(script) == alone


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_of_processes(method: str, alone: str, tmp_path: Path) -> None:
    if sys.platform == "win32" and method != "spawn":
        pytest.skip(f"this system cannot {method}")
    program = tmp_path / "program.py"
    program.write_text(
        PRELUDE
        + f"""
if __name__ == "__main__":
    import multiprocessing
    if {method!r} == "fork":
        everything(2)
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        print(*set(pool.map_async(everything, [0, 1, 2]).get({TIMEOUT // 2})))
"""
    )
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == alone


def test_a_pool_of_threads(alone: str) -> None:
    script = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    print(*set(pool.map(everything, [0, 1, 2, 3, 0, 1])))
"""
    assert run(script) == alone

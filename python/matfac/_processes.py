"""Fits in processes of their own."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from matfac._cross_validation import Job, Result, Task, fit_and_score


class _Spawn(SpawnContext):
    """Spawns processes and remembers them, to be ended where nobody waits for them any more."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[SpawnProcess] = []

    def Process(self, *args: Any, **named: Any) -> SpawnProcess:  # type: ignore[override]
        process = SpawnProcess(*args, **named)
        self.started.append(process)
        return process

    def end(self) -> None:
        running = [process for process in self.started if process.pid is not None]
        for process in running:
            process.terminate()
        for process in running:
            process.join(10)


def run_in_processes(job: Job, tasks: Sequence[Task], n_workers: int) -> list[Result]:
    """Return the results of `fit_and_score`, in the order of the tasks."""
    try:
        packed = pickle.dumps(job, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise TypeError(
            "n_jobs: the estimator, its parameters, the scoring and fit_params are sent to other "
            f"processes, but {error}; define functions at the top level of a module, or use "
            "n_jobs=1"
        ) from error
    spawn = _Spawn()
    executor = ProcessPoolExecutor(
        n_workers, mp_context=spawn, initializer=_start_worker, initargs=(packed,)
    )
    try:
        futures: list[Future[Result]] = [executor.submit(_run_task, *task) for task in tasks]
        results = [future.result() for future in futures]
    except BaseException as error:  # Ctrl-C, a fit's error that is to be passed on, a lost process
        executor.shutdown(wait=False, cancel_futures=True)
        spawn.end()
        if isinstance(error, BrokenProcessPool):
            raise RuntimeError(
                "a worker process ended by itself. In a script, call this below `if __name__ == "
                "'__main__':`; functions must be defined in a module, not at a prompt; or memory "
                "ran out, and fewer n_jobs may do"
            ) from error
        raise
    executor.shutdown()
    return results


#: In a worker process.
_job: Job | None = None


def _start_worker(packed: bytes) -> None:
    global _job
    # Ctrl-C reaches all processes of a terminal; the first one decides, and ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _job = pickle.loads(packed)  # noqa: S301  (made by the process that started this one)


def _run_task(params: dict[str, Any], split: int) -> Result:
    assert _job is not None
    return fit_and_score(_job, params, split)

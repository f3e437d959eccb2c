"""A contender's process: prepares once, then measures each time it is asked.

The parent writes a job as a line of JSON and then a line for each repetition, or for the thread
pools; each is answered by a line of JSON. What the libraries print goes to the error output.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MEASURE, POOLS = "measure\n", "pools\n"


@dataclass(frozen=True)
class Job:
    task: str
    contender: str
    params: dict[str, Any]
    n_threads: int
    folder: str
    libmf: str | None = None
    bind: bool = field(default=True)

    def to_line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


class Station:
    """A contender that is ready to be measured."""

    def __init__(self, job: Job) -> None:
        from benchmarks import memory, registry
        from benchmarks.data import Data

        work = registry.Work(Data(Path(job.folder)), job.n_threads, job.libmf)
        self._measure = registry.find(job.task, job.contender).prepare(work, **job.params)
        memory.forget_peak()
        self._before = memory.peak_bytes()

    def measure(self) -> dict[str, Any]:
        from benchmarks import memory

        busy, start = time.process_time(), time.perf_counter()
        sample = self._measure()
        sample["cpu_seconds"] = time.process_time() - busy
        sample["whole_seconds"] = time.perf_counter() - start
        sample.setdefault("memory", max(memory.peak_bytes() - self._before, 0))
        return sample

    def pools(self) -> dict[str, Any]:
        """The thread pools of the libraries that are loaded by now, where that can be told."""
        try:
            from threadpoolctl import threadpool_info
        except ImportError:
            return {"pools": None}
        keys = ("user_api", "internal_api", "version", "num_threads")
        return {"pools": [{key: pool.get(key) for key in keys} for pool in threadpool_info()]}

    def close(self) -> None:
        del self._measure


def bind_to_processors(n_threads: int) -> None:
    """So many threads, so many processors: the same ones for each contender."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n_threads])


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        job = Job(**json.loads(sys.stdin.readline()))
        if job.bind:
            bind_to_processors(job.n_threads)
        station = Station(job)
        answer({"ready": True})
        for request in sys.stdin:
            answer(station.pools() if request == POOLS else station.measure())
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {error}"})
        raise


if __name__ == "__main__":
    main()

"""The parent's side of a contender's process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import registry
from benchmarks.worker import MEASURE, POOLS, Job

ROOT = Path(__file__).resolve().parent.parent
#: What the runtimes of the contenders read their number of threads from.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)


class ContenderFailed(Exception):
    """It ended, or said that it could not."""


def with_our_path(environment: dict[str, str]) -> dict[str, str]:
    """Let a child find this package, wherever it is started."""
    paths = [str(ROOT), *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}


class Process:
    """A contender in a process of its own; answers as `worker.Station` does."""

    def __init__(self, job: Job) -> None:
        contender = registry.find(job.task, job.contender)
        environment = with_our_path(dict(os.environ))
        environment.update(dict.fromkeys(THREAD_VARIABLES, str(job.n_threads)))
        environment.update(contender.environment)
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)
        self._child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=environment,
        )
        try:
            self._ask(job.to_line())
        except ContenderFailed:
            self.close()
            raise

    def measure(self) -> dict[str, Any]:
        return self._ask(MEASURE)

    def pools(self) -> dict[str, Any]:
        return self._ask(POOLS)

    def close(self) -> None:
        assert self._child.stdin and self._child.stdout
        self._child.stdin.close()
        self._child.wait()
        self._child.stdout.close()
        self._said.close()

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._child.stdin and self._child.stdout
        try:
            self._child.stdin.write(line)
            self._child.stdin.flush()
            answer = self._child.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise ContenderFailed(f"its process ended: {self._last_words()}")
        message: dict[str, Any] = json.loads(answer)
        if "error" in message:
            raise ContenderFailed(message["error"])
        return message

    def _last_words(self) -> str:
        self._child.wait()
        self._said.seek(0)
        lines = self._said.read().strip().splitlines()
        return lines[-1] if lines else f"exit status {self._child.returncode}"

"""LIBMF's own program, mf-train, as its users run it.

It tells no times, so its lines are timed as they come. Through a pseudo-terminal it writes its
heading when the preparation is done, and a line after each iteration. The validation ratings are a
named pipe, which it reads last of its input: when it has been read, parsing is over.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.registry import Measure, Work, contender

#: Of its ratings, of which any is right for the time of an epoch; these two reach its best error.
REGULARIZATION, LEARNING_RATE = 0.05, 0.1
TIMED_ITERATIONS = 6


@contender("sgd", "LIBMF", "mf-train")
def sgd(work: Work, n_factors: int) -> Measure:
    train = work.data.text_file()

    def measure() -> dict[str, Any]:
        run = Run(work, n_factors, TIMED_ITERATIONS, train, b"0 0 3.5\n")
        return {"seconds": median(run.steps), "memory": run.peak_bytes}

    return measure


@contender("curve", "LIBMF", "mf-train")
def sgd_curve(work: Work, n_factors: int, max_iter: int) -> Measure:
    train = work.data.text_file()
    test = work.data.text_file("test").read_bytes()
    errors = Run(work, n_factors, max_iter, train, test).errors

    def measure() -> dict[str, Any]:
        # A single rating to validate with takes no time; the errors were found above.
        run = Run(work, n_factors, max_iter, train, b"0 0 3.5\n")
        seconds = [run.prepared]
        for step in run.steps:
            seconds.append(seconds[-1] + step)
        points = list(zip(seconds[1:], errors, strict=True))
        return {
            "seconds": seconds[-1],
            "prepared": run.prepared,
            "curve": points,
            "memory": run.peak_bytes,
        }

    return measure


class Run:
    """One run of mf-train: seconds of preparation, of each iteration, and the errors it printed."""

    def __init__(
        self, work: Work, n_factors: int, n_iter: int, train: Path, validation: bytes
    ) -> None:
        assert work.libmf is not None
        with tempfile.TemporaryDirectory() as folder:
            pipe = Path(folder) / "validation"
            options = {
                "-l2": REGULARIZATION,
                "-r": LEARNING_RATE,
                "-k": n_factors,
                "-t": n_iter,
                "-s": work.n_threads,
                "-p": pipe,
            }
            command = [work.libmf, *(str(word) for pair in options.items() for word in pair)]
            parsed: list[float] = []
            os.mkfifo(pipe)
            writer = threading.Thread(
                target=lambda: parsed.append(serve_twice(pipe, validation)), daemon=True
            )
            writer.start()
            lines, self.peak_bytes = timed_lines([*command, str(train), os.devnull])
        self._take(lines, n_iter, parsed)

    def _take(self, lines: list[tuple[float, str]], n_iter: int, parsed: list[float]) -> None:
        headings = [at for at, line in lines if line.split()[:1] == ["iter"]]
        rows = [(at, line.split()) for at, line in lines if re.match(r"\s*\d+\s", line)]
        if len(headings) != 1 or len(rows) != n_iter or not parsed:
            said = "; ".join(line for _, line in lines) or "nothing"
            raise RuntimeError(f"mf-train did not run as expected; it said: {said}")
        ends = [headings[0], *(at for at, _ in rows)]
        self.prepared = headings[0] - parsed[0]
        self.steps = [after - before for before, after in pairwise(ends)]
        self.errors = [float(columns[2]) for _, columns in rows]


def serve_twice(pipe: Path, content: bytes) -> float:
    """Feed a reader that opens the file twice (to count the lines, to read them); when it was done.

    A pipe of its own for each reading: what is written for the second must not reach the first.
    """
    with pipe.open("wb") as first:
        second = pipe.with_name("second")
        os.mkfifo(second)
        second.replace(pipe)
        first.write(content)
    with pipe.open("wb") as last:
        make_small(last.fileno())  # so that little of it is still on its way at the end
        last.write(content)
    return time.perf_counter()


def make_small(pipe: int) -> None:
    import fcntl

    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)


def timed_lines(command: list[str]) -> tuple[list[tuple[float, str]], int]:
    """Run a program at a terminal; when each of its lines came, and its peak memory."""
    import pty

    ours, its = pty.openpty()
    child = subprocess.Popen(command, stdout=its, stderr=its, stdin=subprocess.DEVNULL)
    os.close(its)
    lines: list[tuple[float, str]] = []
    rest = b""
    for chunk in iter(reader(ours), b""):
        now = time.perf_counter()
        *complete, rest = (rest + chunk).split(b"\n")
        lines += [(now, line.decode(errors="replace").rstrip("\r")) for line in complete]
    os.close(ours)
    _, _, usage = os.wait4(child.pid, 0)
    child.returncode = 0
    return lines, 1024 * usage.ru_maxrss


def reader(terminal: int) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            return os.read(terminal, 65536)
        except OSError:  # the other end was closed
            return b""

    return read

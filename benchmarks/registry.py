"""Who takes part in what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.data import Data

#: One repetition. Returns "seconds" and whatever else there is to tell.
Measure = Callable[[], dict[str, Any]]

OURS = "matfac"
#: Contenders whose threads are their own, so that a BLAS below them must not start any.
ONE_BLAS_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "BLIS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Work:
    """What a contender is given."""

    data: Data
    n_threads: int
    libmf: str | None = None


@dataclass(frozen=True)
class Contender:
    """A way to do a task. `prepare(work, **params)` returns what one repetition is."""

    task: str
    name: str
    prepare: Callable[..., Measure]
    needs: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def missing(self, libmf: str | None) -> str | None:
        """Why it cannot take part, or None."""
        for module in self.needs:
            if module == "mf-train":
                if libmf is None:
                    return "no mf-train was named with --libmf"
                if not Path(libmf).is_file():
                    return f"there is no {libmf}"
            elif find_spec(module) is None:
                return f"the Python module {module} is not installed"
        return None


_CONTENDERS: dict[tuple[str, str], Contender] = {}


def contender(
    task: str, name: str, *needs: str, environment: dict[str, str] | None = None
) -> Callable[[Callable[..., Measure]], Callable[..., Measure]]:
    """Register a function as the way in which `name` does `task`."""

    def register(prepare: Callable[..., Measure]) -> Callable[..., Measure]:
        assert (task, name) not in _CONTENDERS
        _CONTENDERS[task, name] = Contender(task, name, prepare, needs, environment or {})
        return prepare

    return register


def find(task: str, name: str) -> Contender:
    import benchmarks.contenders  # noqa: F401  (they register themselves)

    return _CONTENDERS[task, name]


def names_for(task: str) -> list[str]:
    """All who do a task, ours first."""
    import benchmarks.contenders  # noqa: F401

    names = [name for other, name in _CONTENDERS if other == task]
    return sorted(names, key=lambda name: (not name.startswith(OURS), name))

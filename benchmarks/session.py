"""A run of suites: has contenders take turns and collects what they measure."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import data, machine, registry, targets
from benchmarks.process import ContenderFailed, Process
from benchmarks.report import Report, Share
from benchmarks.worker import Job, Station

#: Before a turn, so that the threads of the one before, which may spin for a while, have gone to
#: sleep.
SETTLING_SECONDS = 0.2
#: Below this scale the machine is measured with little: nobody looks at the figures.
TINY = 0.005


@dataclass(frozen=True)
class Options:
    """See ``python -m benchmarks --help``."""

    folder: Path
    scale: float = 1.0
    threads: int = 2
    repeats: int = 5
    budget: float = 60.0
    factors: tuple[int, ...] = ()
    only: tuple[str, ...] = ()
    libmf: str | None = None
    isolated: bool = True


@dataclass(frozen=True)
class Entry:
    """One who takes part in a comparison."""

    task: str
    contender: str = registry.OURS
    params: dict[str, Any] = field(default_factory=dict)
    threads: int | None = None

    def title(self) -> str:
        return ", ".join([self.task, *(in_words(*param) for param in self.params.items())])


def in_words(name: str, value: Any) -> str:
    if name == "exclude_seen":
        return "seen excluded" if value else "nothing excluded"
    forms = {"n_factors": "F = {}", "n": "n = {}", "max_iter": "{} iterations", "kind": "{} ids"}
    forms |= {"megabytes": "{} MB"}
    return forms.get(name, "{}").format(value)


@dataclass
class Result:
    """What an entry has measured; no samples if it could not take part."""

    entry: Entry
    samples: list[dict[str, Any]] = field(default_factory=list)
    missing: str = ""
    pools: list[dict[str, Any]] | None = None

    @property
    def seconds(self) -> float | None:
        return median(s["seconds"] for s in self.samples) if self.samples else None

    @property
    def memory(self) -> int:
        return max(sample["memory"] for sample in self.samples)


class Session:
    """What a suite works with."""

    def __init__(self, options: Options) -> None:
        self.options = options
        shown = {key: value for key, value in asdict(options).items() if key != "folder"}
        self.report = Report(machine.describe(), shown)
        self.home = data.provide(options.folder, options.scale)
        self.shape = data.Data(self.home).shape
        self.report.data = asdict(self.shape)

    # ---- measuring ------------------------------------------------------------------------------

    def compare(self, entries: list[Entry]) -> list[Result]:
        """Measure the entries in turns; results in their order."""
        results = [Result(entry) for entry in entries]
        stations: list[Process | Station | None] = []
        for result in results:
            result.missing = self._why_missing(result.entry)
            stations.append(None if result.missing else self._start(result))
        used = [0.0] * len(results)
        for _ in range(self.options.repeats):
            for i, station in enumerate(stations):
                if station is not None and used[i] < self.options.budget:
                    if isinstance(station, Process):
                        time.sleep(SETTLING_SECONDS)
                    start = time.perf_counter()
                    self._measure(station, results[i])
                    used[i] += time.perf_counter() - start
        for station, result in zip(stations, results, strict=True):
            if station is not None:
                self._finish(station, result)
        self._note(results)
        return results

    def _start(self, result: Result) -> Process | Station | None:
        entry, options = result.entry, self.options
        say(f"{entry.title()}: preparing {entry.contender}")
        threads = entry.threads or options.threads
        job = Job(entry.task, entry.contender, entry.params, threads, str(self.home), options.libmf)
        try:
            return Process(job) if options.isolated else Station(job)
        except ContenderFailed as failure:
            result.missing = f"failed: {failure}"
            return None

    @staticmethod
    def _measure(station: Process | Station, result: Result) -> None:
        if result.missing:
            return
        try:
            sample = station.measure()
        except ContenderFailed as failure:
            result.missing, result.samples = f"failed: {failure}", []
            return
        result.samples.append(sample)
        say(f"{result.entry.title()}: {result.entry.contender} {sample['seconds']:.4g} s")

    @staticmethod
    def _finish(station: Process | Station, result: Result) -> None:
        if not result.missing:
            result.pools = station.pools()["pools"]
        station.close()

    def _why_missing(self, entry: Entry) -> str:
        names = self.options.only
        if names and not entry.contender.startswith(names) and entry.contender != "NumPy":
            return f"left out: only {', '.join(names)} was asked for"
        found = registry.find(entry.task, entry.contender)
        return found.missing(self.options.libmf) or ""

    def _note(self, results: list[Result]) -> None:
        for result in results:
            entry = result.entry
            if result.missing:
                failed = result.missing.startswith("failed")
                name = f"{entry.contender}, {entry.title()}" if failed else entry.contender
                self.report.skipped[name] = result.missing
                continue
            self.report.results.append(
                {
                    "work": entry.title(),
                    "task": entry.task,
                    "params": entry.params,
                    "contender": entry.contender,
                    "threads": entry.threads or self.options.threads,
                    "seconds": result.seconds,
                    "memory": result.memory,
                    "samples": result.samples,
                    "pools": result.pools,
                }
            )

    # ---- the machine ----------------------------------------------------------------------------

    def sgemm_entry(self) -> Entry:
        return Entry("sgemm", "NumPy", {"size": 512 if self._tiny() else 3072})

    def limits(self) -> dict[str, float]:
        """The rates of the machine, measured once a run."""
        if not self.report.limits:
            sgemm, copy = self.sgemm_entry(), Entry("copy", "NumPy", {"megabytes": 256})
            if self._tiny():
                copy.params["megabytes"] = 4
            of_sgemm, of_copy = self.compare([sgemm, copy])
            assert of_sgemm.seconds and of_copy.seconds
            flop, moved = 2 * sgemm.params["size"] ** 3, 2 * copy.params["megabytes"] * 2**20
            self.report.limits = {
                "gigaflops": flop / of_sgemm.seconds / 1e9,
                "gigabytes": moved / of_copy.seconds / 1e9,
            }
        return self.report.limits

    def share(self, work: str, result: Result, flop: float, moved: float) -> None:
        """Set one of our results beside the machine's limits: least flop, least bytes moved."""
        if not result.seconds:
            return
        limits = self.limits()
        gigaflops, gigabytes = flop / result.seconds / 1e9, moved / result.seconds / 1e9
        self.report.shares.append(
            Share(
                work,
                result.seconds,
                gigaflops,
                gigabytes,
                gigaflops / limits["gigaflops"],
                gigabytes / limits["gigabytes"],
            )
        )

    def _tiny(self) -> bool:
        return self.options.scale < TINY

    # ---- what suites ask ------------------------------------------------------------------------

    def factors(self, *usual: int) -> tuple[int, ...]:
        """The sizes to run: the usual ones, unless the user has named others."""
        return self.options.factors or usual

    def against_peer(self, target: targets.Target) -> targets.Target:
        """With a lower instruction set forced, less is asked."""
        if machine.is_forced_lower(self.report.machine["matfac"]):
            least = targets.LEAST_WHEN_FORCED * target.least
            return target._replace(least=least)
        return target


def say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)

"""What came out: rows of ratios, shares of the machine's limits, memory, who did not take part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.targets import Target

#: A load average above it is worth a warning.
QUIET = 0.5


@dataclass(frozen=True)
class Row:
    """Ours against theirs in one piece of work; a ratio above 1 is in our favour."""

    suite: str
    work: str
    against: str
    ours: float | None
    theirs: float | None
    unit: str
    ratio: float | None
    aim: float | None = None
    least: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.ratio is None:
            return self.note or "not measured"
        if self.least is None or self.aim is None:
            return self.note
        if self.ratio >= self.aim:
            verdict = "reaches the aim"
        elif self.ratio >= self.least:
            verdict = "pass"
        else:
            verdict = "FALLS SHORT"
        return f"{verdict}; {self.note}" if self.note else verdict


@dataclass(frozen=True)
class Share:
    """One of our kernels beside the machine's limits, by the least flop and bytes of its work."""

    work: str
    seconds: float
    gigaflops: float
    gigabytes: float
    of_sgemm: float
    of_copy: float


@dataclass
class Report:
    """Everything that is printed and written."""

    machine: dict[str, Any]
    options: dict[str, Any]
    data: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    shares: list[Share] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    curves: list[dict[str, Any]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)  # suite -> seconds

    def compare(
        self,
        suite: str,
        work: str,
        against: str,
        seconds: tuple[float | None, float | None],
        target: Target | None = None,
        amount: float | None = None,
        unit: str = "s",
        note: str = "",
    ) -> None:
        """Add a row from the seconds of ours and of theirs.

        With an amount of work both are shown as rates, in `unit`s of a second.
        """
        ours, theirs = seconds
        ratio = theirs / ours if ours and theirs else None
        if amount is not None:
            ours, theirs = (amount / s if s else None for s in seconds)
        aim, least = target or (None, None)
        self.rows.append(Row(suite, work, against, ours, theirs, unit, ratio, aim, least, note))

    def to_json(self, path: Path) -> None:
        content = asdict(self)
        for row, entry in zip(self.rows, content["rows"], strict=True):
            entry["verdict"] = row.verdict
        path.write_text(json.dumps(content, indent=1) + "\n")

    def to_text(self) -> str:
        parts = [self._heading(), self._rows(), self._shares(), self._memory(), self._last()]
        return "\n\n".join(part for part in parts if part)

    def _heading(self) -> str:
        machine, info = self.machine, self.machine["matfac"]
        forced = " (forced)" if machine["instruction_set_forced"] else ""
        lines = [
            f"{machine['processor']}, {machine['processors']} processors, BLAS {machine['blas']}",
            f"matfac {info['version']}, kernels {info['instruction_set']}{forced} of "
            f"{', '.join(info['instruction_sets'])}, {info['compiler']}",
            f"{self.options['threads']} threads, {self.options['repeats']} repetitions, medians; "
            "training ratings: {n_train:,} of {n_users:,} users and {n_items:,} items".format(
                **self.data
            ),
        ]
        if self.limits:
            lines.append(
                f"the machine: sgemm {self.limits['gigaflops']:.1f} GFLOP/s, "
                f"copying {self.limits['gigabytes']:.1f} GB/s (read and written)"
            )
        others = (machine["load_average"] or [0.0])[0]
        if others > QUIET:
            lines.append(f"NOT ALONE: the load average was {others:.1f} at the start")
        return "\n".join(lines)

    def _rows(self) -> str:
        heading = ("work", "against", "ours", "theirs", "", "ratio", "aim", "least", "verdict")
        body = [
            (
                row.work,
                row.against,
                number(row.ours),
                number(row.theirs),
                row.unit,
                times(row.ratio),
                times(row.aim),
                times(row.least),
                row.verdict,
            )
            for row in self.rows
        ]
        return table(heading, body, right=(2, 3, 5, 6, 7)) if body else ""

    def _shares(self) -> str:
        heading = ("our kernel", "seconds", "GFLOP/s", "of sgemm", "GB/s", "of copying")
        body = [
            (
                share.work,
                number(share.seconds),
                f"{share.gigaflops:.1f}",
                f"{share.of_sgemm:.0%}",
                f"{share.gigabytes:.1f}",
                f"{share.of_copy:.0%}",
            )
            for share in self.shares
        ]
        return table(heading, body, right=(1, 2, 3, 4, 5)) if body else ""

    def _memory(self) -> str:
        heading = ("peak memory beyond the input", "contender", "threads", "MB", "repetitions")
        body = [
            (
                result["work"],
                result["contender"],
                str(result["threads"]),
                f"{result['memory'] / 1e6:,.0f}",
                str(len(result["samples"])),
            )
            for result in self.results
        ]
        return table(heading, body, right=(2, 3, 4)) if body else ""

    def _last(self) -> str:
        lines = [f"skipped: {name}: {reason}" for name, reason in self.skipped.items()]
        if self.took:
            took = ", ".join(f"{suite} {seconds:.0f} s" for suite, seconds in self.took.items())
            lines.append(f"the suites took: {took}")
        return "\n".join(lines)


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}×"


def table(heading: Sequence[str], body: list[tuple[str, ...]], right: tuple[int, ...]) -> str:
    """The same table on a screen and in Markdown."""
    widths = [max(map(len, column)) for column in zip(heading, *body, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rules = [
        "-" * (width - 1) + (":" if place in right else "-") for place, width in enumerate(widths)
    ]
    return "\n".join([line(heading), line(rules), *map(line, body)])

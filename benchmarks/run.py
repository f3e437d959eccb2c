"""The command line: one command runs a suite, prints what came out and writes it."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":
    # Run by its path: the package is found from the folder above, not from its own.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import plots
from benchmarks.process import with_our_path
from benchmarks.session import Options, Session
from benchmarks.suites import SUITES


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    result.add_argument("suites", nargs="+", metavar="SUITE", choices=[*SUITES, "all"])
    result.add_argument("--scale", type=float, default=1.0, help="1 is MovieLens 20M (default: 1)")
    result.add_argument("--threads", type=int, default=2, help="of each contender (default: 2)")
    result.add_argument("--repeats", type=int, default=5, help="of each measurement (default: 5)")
    result.add_argument(
        "--budget",
        type=float,
        default=60.0,
        help="seconds after which a contender is not repeated any more (default: 60)",
    )
    result.add_argument("--factors", help="sizes to run instead of the usual ones: 32,64")
    result.add_argument("--only", help="contenders to run, by the beginning of their names: matfac")
    result.add_argument("--libmf", metavar="MF-TRAIN", help="LIBMF's program, built with AVX")
    result.add_argument("--json", type=Path, metavar="FILE", help="write all results")
    result.add_argument(
        "--plot", type=Path, metavar="FOLDER", help="draw test RMSE against seconds"
    )
    result.add_argument(
        "--data", type=Path, metavar="FOLDER", help="keep the ratings there for the next run"
    )
    result.add_argument(
        "--in-process",
        action="store_true",
        help="all in this process: quick, for trying a suite out, not for measuring",
    )
    result.epilog = f"suites: {', '.join(SUITES)}, or all"
    return result


def options_of(arguments: argparse.Namespace, folder: Path) -> Options:
    return Options(
        folder=folder,
        scale=arguments.scale,
        threads=arguments.threads,
        repeats=arguments.repeats,
        budget=arguments.budget,
        factors=tuple(int(size) for size in (arguments.factors or "").split(",") if size),
        only=tuple(name for name in (arguments.only or "").split(",") if name),
        libmf=str(Path(arguments.libmf).resolve()) if arguments.libmf else None,
        isolated=not arguments.in_process,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parser().parse_args(arguments)
    os.environ.update(with_our_path(dict(os.environ)))
    with tempfile.TemporaryDirectory(prefix="matfac-benchmarks-") as temporary:
        session = Session(options_of(chosen, chosen.data or Path(temporary)))
        names = SUITES if "all" in chosen.suites else dict.fromkeys(chosen.suites)
        for name in names:
            start = time.perf_counter()
            SUITES[name](session)
            session.report.took[name] = time.perf_counter() - start
            if chosen.json:  # each time: a long run may be interrupted
                session.report.to_json(chosen.json)
    print(session.report.to_text())
    if chosen.plot:
        for path in plots.draw(session.report.curves, chosen.plot):
            print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

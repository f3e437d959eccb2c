"""The benchmarks run: every suite, at a tiny size, with our own contenders. No time is judged."""

from __future__ import annotations

import json
import math
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Two thousand ratings. Threads that wait do not spin: there may be others who want to work.
TINY = ("--scale", "0.0001", "--factors", "8")
ENVIRONMENT = {**os.environ, "GOMP_SPINCOUNT": "0"}
SUITES = (
    *("machine", "sgd", "time-to-rmse", "gradients", "als", "implicit-als", "bpr", "top-n"),
    *("evaluation", "prepare", "scaling"),
)

#: A stand-in for LIBMF's program: it reads and says what the real one does, in the same order.
MF_TRAIN = """#!{python}
import sys
args = sys.argv[1:]
options = dict(zip(args[0:-2:2], args[1:-2:2]))
count = sum(1 for _ in open(args[-2]))
for reading in range(2):
    validation = sum(1 for _ in open(options["-p"]))
print("iter      tr_rmse      va_rmse          obj", flush=True)
for i in range(int(options["-t"])):
    columns = (i, 0.9, 9 - 0.1 * i, count + validation)
    print("%4d       %.4f       %.4f   %.4e" % columns, flush=True)
"""


def run(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run the command and return what it wrote as JSON."""
    written = folder / "results.json"
    command = [sys.executable, "-m", "benchmarks", *arguments, *TINY, "--repeats", "1"]
    command += ["--data", str(folder), "--json", str(written)]
    done = subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(written.read_text())
    for row in report["rows"]:
        assert row["work"] in done.stdout
    for name in report["skipped"]:
        assert f"skipped: {name}: " in done.stdout
    return report


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the ratings lie, so that they are generated once."""
    return tmp_path_factory.mktemp("ratings")


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    """All suites, in one process."""
    return run(folder, "all", "--only", "matfac", "--in-process")


@pytest.fixture
def mf_train(tmp_path: Path) -> Callable[[str], str]:
    """Writes a program."""

    def write(text: str) -> str:
        program = tmp_path / "mf-train"
        program.write_text(text)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return str(program)

    return write


def test_what_it_ran_on_is_recorded(report: dict[str, Any]) -> None:
    assert report["machine"]["matfac"]["instruction_set"] and report["machine"]["processor"]
    assert report["machine"]["packages"]["numpy"]
    assert report["data"]["n_train"] == 1800 and report["data"]["n_test"] == 200
    assert report["limits"]["gigaflops"] > 0 and report["limits"]["gigabytes"] > 0


def test_every_result_is_ours_or_the_machines(report: dict[str, Any]) -> None:
    tasks = {result["task"] for result in report["results"]}
    assert tasks == {
        *("sgd", "curve", "gradients", "als", "implicit-als", "objective-curve", "bpr", "top-n"),
        *("evaluate", "prepare", "sgemm", "copy"),
    }
    for result in report["results"]:
        assert result["contender"].startswith(("matfac", "NumPy"))
        assert math.isfinite(result["seconds"]) and result["seconds"] > 0


@pytest.mark.parametrize("suite", SUITES[1:])
def test_each_suite_has_rows_and_names_who_is_missing(suite: str, report: dict[str, Any]) -> None:
    rows = [row for row in report["rows"] if row["suite"] == suite]
    if suite == "scaling" and suite in report["skipped"]:
        pytest.skip(report["skipped"][suite])
    assert rows
    assert {row["suite"] for row in report["rows"]} <= set(SUITES), "list the new suite here"
    for row in rows:
        # Without the peer there is no error to reach, and no objective.
        is_race = suite == "time-to-rmse" or "to its objective" in row["work"]
        assert (row["ours"] is None) == is_race, row
        if row["theirs"] is None:
            assert row["ratio"] is None and row["against"] in report["skipped"]
        elif row["ratio"] is not None:
            assert row["ratio"] > 0 and row["verdict"] is not None


def test_kernels_are_set_beside_the_machine(report: dict[str, Any]) -> None:
    works = [share["work"].split(",")[0] for share in report["shares"]]
    assert {"SGD epoch", "gradients", "exact ALS sweep", "top-10 for all users"} <= set(works)
    assert all(share["of_sgemm"] > 0 and share["of_copy"] > 0 for share in report["shares"])


def test_curves_have_the_time_and_the_error_of_each_iteration(report: dict[str, Any]) -> None:
    curves = {curve["contender"]: curve["points"] for curve in report["curves"]}
    assert set(curves) == {"matfac als", "matfac batch", "matfac sgd"}
    for points in curves.values():
        seconds = [at for at, _ in points]
        assert seconds == sorted(seconds)
        assert all(0.5 < error < 1.5 for _, error in points)


def test_contenders_run_in_processes_of_their_own(folder: Path) -> None:
    report = run(folder, "gradients", "--only", "matfac")
    assert [result["contender"] for result in report["results"]][:2] == [
        "matfac",
        "matfac with the residuals",
    ]
    for result in report["results"]:
        (sample,) = result["samples"]
        assert sample["seconds"] > 0 and sample["memory"] >= 0 and sample["cpu_seconds"] >= 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_libmf_is_timed_by_its_lines(folder: Path, mf_train: Callable[[str], str]) -> None:
    program = mf_train(MF_TRAIN.format(python=sys.executable))
    report = run(folder, *("time-to-rmse", "--libmf", program, "--only", "LIBMF", "--in-process"))
    (result,) = report["results"]
    (sample,) = result["samples"]
    seconds = [at for at, _ in sample["curve"]]
    errors = [error for _, error in sample["curve"]]
    assert errors == pytest.approx([9 - 0.1 * i for i in range(30)])
    assert seconds == sorted(seconds) and sample["prepared"] <= seconds[0]
    row = report["rows"][0]
    assert row["theirs"] == sample["seconds"] == seconds[-1] and row["ours"] is None
    assert report["skipped"]["matfac sgd"].startswith("left out")


def test_a_contender_that_fails_is_reported(folder: Path, mf_train: Callable[[str], str]) -> None:
    program = mf_train("#!/bin/sh\necho out of luck\n")
    report = run(folder, "sgd", "--libmf", program, "--only", "LIBMF")
    (name,) = [name for name in report["skipped"] if name.startswith("LIBMF")]
    assert "out of luck" in report["skipped"][name]
    assert report["results"] == []

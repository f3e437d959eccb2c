"""The command line as processes: what other programs, terminals and Ctrl-C see of it."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

import matfac as mf
from conftest import COMMANDS

posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


def start(*arguments, **how):
    return subprocess.Popen(
        [sys.executable, "-m", "matfac", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **how,
    )


def run(*arguments, **environment):
    """In a process of its own: exit code, output, messages."""
    process = start(*arguments, env={**os.environ, "PYTHONIOENCODING": "utf-8"} | environment)
    out, err = process.communicate(timeout=300)
    return process.returncode, out.decode(), err.decode()


def test_help_lists_the_commands_and_any_terminal_can_show_it():
    code, out, err = run("--help", PYTHONIOENCODING="ascii")
    assert code == 0 and not err
    assert all(re.search(rf"^    {command}\b", out, re.MULTILINE) for command in COMMANDS)
    code, out, err = run("--version")
    assert (code, out) == (0, f"matfac {mf.__version__}\n")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_terminal_that_cannot_show_a_title_is_no_reason_to_fail(encoding, model, tmp_path):
    (tmp_path / "t").write_text("".join(f"{i},日本 {i}\n" for i in range(40)), "utf-8")
    code, out, err = run(
        "recommend", model, "--users", 1, "--titles", tmp_path / "t", PYTHONIOENCODING=encoding
    )
    assert code == 0 and not err
    assert ("日本" if encoding == "utf-8" else r"\u65e5\u672c") in out


def test_from_a_file_to_recommendations_as_processes(ratings, tmp_path):
    out = tmp_path / "m.safetensors"
    code, text, err = run("train", ratings, "-o", out, "--test-fraction", 0.1, "--json")
    assert code == 0 and json.loads(text)["n_test"] == 90 and "read " in err
    code, text, err = run("recommend", out, "--users", 3, "-n", 2)
    assert code == 0 and text.startswith("user 3\n") and text.count("\n") == 3 and not err
    code, text, err = run("evaluate", out, tmp_path / "gone")
    assert code == 1 and text == "" and err.startswith("matfac: error: ")
    assert "Traceback" not in err


INTERRUPTED = """
import os, signal, sys
import matfac as mf
from matfac._cli import main
fit = mf.MatrixFactorization.fit
def press(now):
    if now["iteration"] == 3:
        os.kill(os.getpid(), signal.SIGINT)
def fit_and_press(model, ratings, held_out):
    return fit(model, ratings, held_out, callbacks=press)
mf.MatrixFactorization.fit = fit_and_press
sys.exit(main(sys.argv[1:]))
"""


def train_and_press(ratings, out):
    arguments = ["train", ratings, "-o", out, "--max-iter", "1000000", "--json"]
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@posix_only
def test_ctrl_c_keeps_the_model_so_far(ratings, tmp_path):
    out = tmp_path / "m"
    done = train_and_press(ratings, out)
    assert done.returncode == 130 and "Traceback" not in done.stderr
    assert "interrupted after 3 iterations; the model so far is kept" in done.stderr
    assert json.loads(done.stdout)["stop_reason"] == "cancelled"
    assert mf.load(out).n_iter_ == 3


@posix_only
def test_ctrl_c_leaves_a_finished_model_where_it_is(ratings, tmp_path):
    out = tmp_path / "m.st"
    assert run("train", ratings, "-o", out, "--max-iter", 2)[0] == 0
    finished = out.read_bytes()
    other = tmp_path / "m-interrupted1.st"
    (tmp_path / "m-interrupted.st").mkdir()
    done = train_and_press(ratings, out)
    assert done.returncode == 130
    assert json.loads(done.stdout)["model"] == str(other) and str(other) in done.stderr
    assert mf.load(other).n_iter_ == 3 and out.read_bytes() == finished


def open_when_it_is_read(pipe, process):
    while True:
        try:
            return os.fdopen(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK), "w")
        except OSError as error:
            if error.errno != errno.ENXIO or process.poll() is not None:
                raise
            time.sleep(0.01)


@posix_only
def test_ctrl_c_before_there_is_a_model_writes_nothing(tmp_path):
    pipe = tmp_path / "r.csv"
    os.mkfifo(pipe)
    process = start("train", pipe, "-o", tmp_path / "m", "--format", "csv")
    with open_when_it_is_read(pipe, process) as file:  # the command waits for what never comes
        print("user,item,rating", file=file, flush=True)
        err = interrupt(process)
    assert process.returncode == 130 and err == b"matfac: interrupted\n"
    assert not (tmp_path / "m").exists()


PRESSED = """
import os, runpy, signal, sys
class Press:
    def find_spec(self, name, *_):
        if name == "matfac._cli._commands":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Press())
"""
SCRIPT = "from matfac._cli import main; sys.exit(main(['info']))"
MODULE = "sys.argv[1:] = ['info']; runpy.run_module('matfac', run_name='__main__')"


@posix_only
@pytest.mark.parametrize("entry", [SCRIPT, MODULE], ids=["script", "module"])
def test_ctrl_c_while_the_command_line_is_imported(entry):
    done = subprocess.run(
        [sys.executable, "-c", PRESSED + entry],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "matfac: interrupted\n")


def interrupt(process):
    """Ctrl-C, again if need be: one just before a read that waits is noticed after it."""
    for _ in range(60):
        process.send_signal(signal.SIGINT)
        try:
            return process.communicate(timeout=5)[1]
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    raise AssertionError(f"Ctrl-C does not end it: {process.communicate()[1]}")


@posix_only
def test_a_pipe_is_read_as_a_file_is(ratings, tmp_path):
    pipe, out = tmp_path / "pipe", tmp_path / "m"
    os.mkfifo(pipe)
    process = start("train", pipe, "-o", out, "--json")
    with open_when_it_is_read(pipe, process) as file:
        file.write(ratings.read_text())
    text, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert json.loads(text)["n_ratings"] == 900 and len(mf.load(out).user_factors_) == 60


@posix_only
@pytest.mark.parametrize("how", [(), ("--json",)])
def test_a_reader_that_leaves_early_is_no_error(how, tmp_path):
    model = tmp_path / "m"
    many = mf.datasets.make_ratings(1500, 500, 60_000, random_state=0)  # more than a pipe holds
    mf.MatrixFactorization(4, max_iter=1).fit(many).save(model)
    process = start("recommend", model, "--all-users", "-n", "100", *how)
    assert process.stdout.read(4)
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(300) == 1

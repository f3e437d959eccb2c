"""How many questions a second the service answers, beside the bare call.

    python tools/service_load.py MODEL OTHER --service PROGRAM --bench PROGRAM [--python COMMAND]

Both model files lie in one folder and have users 0 to N - 1. In turns, on one core each time: the
bare C++ call (`matfac_bench --model`), the service asked by wrk from the other core, the same while
the model is exchanged ten times, and, if one is named, a Python web server: a command with {port}
in it. docs/service.md shows what came out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shlex
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

SERVER_CORE, CLIENT_CORE = "0", "1"
RELOADS = 10
MEASURES = ("by_clock", "by_processor")
REQUESTS = """
math.randomseed(1)
request = function()
  return wrk.format("GET", "/recommend?user=" .. math.random(0, {last}) .. "&n=10")
end
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs=2, type=Path)
    parser.add_argument("--service", required=True)
    parser.add_argument("--bench", required=True, help="the program matfac_bench")
    parser.add_argument("--python", help="the command of a Python web server")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def pinned(core: str, *command: str) -> list[str]:
    return ["taskset", "-c", core, *command]


@dataclass
class Result:
    """Answers a second, and a second of the server's processor time; requests without success."""

    by_clock: float
    by_processor: float
    errors: int = 0


def processor_seconds(pid: int) -> float:
    """Return what a process has used; of a machine that others use too it is the fairer measure."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bare(options: argparse.Namespace) -> Result:
    """Return the answers a second of the call itself, on one thread."""
    command = [options.bench, "--model", str(options.models[0]), "--seconds", str(options.seconds)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    printed = subprocess.run(
        pinned(SERVER_CORE, *command), check=True, text=True, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    rate = float(printed.stdout)
    return Result(rate, rate * options.seconds / used)


def wrk(options: argparse.Namespace, port: int, last_user: int, pid: int) -> Result:
    """Ask a server for some seconds."""
    before = processor_seconds(pid)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(REQUESTS.format(last=last_user))
        script.flush()
        command = ["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s"]
        command += ["-s", script.name, f"http://127.0.0.1:{port}"]
        printed = subprocess.run(
            pinned(CLIENT_CORE, *command), check=True, text=True, capture_output=True
        )
    rate = re.search(r"Requests/sec:\s+([\d.]+)", printed.stdout)
    assert rate, printed.stdout
    errors = re.findall(r"Non-2xx or 3xx responses: (\d+)", printed.stdout)
    errors += re.findall(r"(?:connect|read|write|timeout) (\d+)", printed.stdout)
    used = processor_seconds(pid) - before
    by_clock = float(rate[1])
    return Result(by_clock, by_clock * options.seconds / used, sum(map(int, errors)))


def ask(port: int, path: str, body: object = None) -> dict[str, object]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        answer: dict[str, object] = json.load(response)
    return answer


def exchange(options: argparse.Namespace, port: int) -> None:
    """Reload ten times, evenly in the time that wrk runs."""
    for i in range(RELOADS):
        time.sleep(options.seconds / (RELOADS + 1))
        ask(port, "/reload", {"file": options.models[(i + 1) % 2].name})


def of_service(options: argparse.Namespace, reloads: bool) -> Result:
    command = pinned(SERVER_CORE, options.service, str(options.models[0]), "--port", "0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        last_user = int(str(ask(port, "/model")["n_users"])) - 1
        reloading = threading.Thread(target=exchange, args=(options, port))
        if reloads:
            reloading.start()
        result = wrk(options, port, last_user, process.pid)
        if reloads:
            reloading.join()
        process.terminate()
    assert process.returncode == 0
    return result


def of_python(options: argparse.Namespace, last_user: int, port: int = 18099) -> Result:
    command = shlex.split(options.python.format(port=port))
    environment = {**os.environ, "MATFAC_MODEL": str(options.models[0]), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(pinned(SERVER_CORE, *command), env=environment) as process:
        for _ in range(100):
            time.sleep(0.1)
            try:
                ask(port, "/recommend?user=0&n=10")
                break
            except OSError:
                continue
        result = wrk(options, port, last_user, process.pid)
        process.terminate()
    return result


def main() -> None:
    options = arguments()
    results: dict[str, list[Result]] = {}
    for _ in range(options.repeats):
        results.setdefault("bare call", []).append(bare(options))
        results.setdefault("service", []).append(of_service(options, reloads=False))
        results.setdefault("service, ten reloads", []).append(of_service(options, reloads=True))
        if options.python:
            results.setdefault("Python web server", []).append(of_python(options, 1000))
    print(f"{'':22} {'/ s':>8} {'':>7} {'/ cpu s':>8} {'':>7} {'errors':>7}")
    whole: list[float] = []
    for name, runs in results.items():
        rates = [statistics.median(getattr(r, by) for r in runs) for by in MEASURES]
        whole = whole or rates
        columns = " ".join(f"{x:8.0f} {x / y:7.1%}" for x, y in zip(rates, whole, strict=True))
        print(f"{name:22} {columns} {sum(r.errors for r in runs):7}")


if __name__ == "__main__":
    main()

"""The whole command with a model that is fitted already, against a Prefect flow that does nothing.

    python benchmarks/start.py [--repeats 5] [--count 100000] [--server]

Both run as fresh processes, in turns, on one Prefect database that is there already: first each with a temporary
server of its own, then on a server that is running, which also says how long the task took that draws and writes the
names. The command makes a new data set every time. Seconds, medians with the smallest and largest.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from notebook import seconds

ROOT = Path(__file__).parents[1]
EMPTY = """
from prefect import flow, task

@task
def nothing():
    return 1

@flow
def empty():
    return [nothing() for _ in range(3)]  # as many as the command has, where the model is there

if __name__ == "__main__":
    empty()
"""


def run(environment: dict[str, str], *command: object) -> str:
    """Runs a command to its end, and gives what it prints; if it fails, so does the benchmark, with its reason."""
    done = subprocess.run(  # noqa: S603 - our own commands
        [sys.executable, *map(str, command)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


@contextmanager
def server(environment: dict[str, str]) -> Iterator[str]:
    """A running Prefect server's address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        url = f"http://127.0.0.1:{port}/api"
        try:
            while True:
                try:
                    urllib.request.urlopen(f"{url}/health", timeout=5).close()  # noqa: S310 - our own server
                    break
                except OSError:
                    time.sleep(0.2)
            yield url
        finally:
            process.terminate()


def sampling_seconds(url: str) -> float:
    """How long the last task took that drew and wrote names."""
    asked = {"sort": "END_TIME_DESC", "limit": 10}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/task_runs/filter", json.dumps(asked).encode(), headers)  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return next(float(run["total_run_time"]) for run in json.load(answer) if run["name"].startswith("sample"))


def main() -> None:
    """Times the four, and prints them with the differences of the pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--server", action="store_true", help="only on a running server")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        environment = {**kept, "PREFECT_HOME": f"{folder}/prefect", "DO_NOT_TRACK": "1"}
        empty = Path(folder) / "empty.py"
        empty.write_text(EMPTY)
        job = ["flows/generate.py", "--output", f"{folder}/outputs", "--count", arguments.count]
        run(environment, *job)  # fits the model, and makes the database
        seed = 1000

        def pair(environment: dict[str, str], what: str) -> None:
            nonlocal seed
            times: dict[str, list[float]] = {"an empty flow": [], "the command": []}
            drawn = []
            for _ in range(arguments.repeats):
                seed += 1
                times["an empty flow"].append(seconds(lambda: run(environment, empty)))
                times["the command"].append(seconds(lambda s=seed: run(environment, *job, "--seed", s)))  # type: ignore[misc]
                drawn.append(sampling_seconds(url) if (url := environment.get("PREFECT_API_URL")) else 0.0)
            print(what)
            for who, values in times.items():
                print(f"  {who:15}{statistics.median(values):6.2f} ({min(values):.2f} to {max(values):.2f})")
            more = [b - a for a, b in zip(times["an empty flow"], times["the command"], strict=True)]
            print(f"  {'difference':15}{statistics.median(more):+6.2f} ({min(more):+.2f} to {max(more):+.2f})")
            ratios = [b / a for a, b in zip(times["an empty flow"], times["the command"], strict=True)]
            print(f"  {'ratio':15}{statistics.median(ratios):6.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
            if any(drawn):
                rest = [(b - d) / a for a, b, d in zip(*times.values(), drawn, strict=True)]
                print(
                    f"  sampling {statistics.median(drawn):.2f} ({min(drawn):.2f} to {max(drawn):.2f}), without it ",
                    end="",
                )
                print(f"{statistics.median(rest):.2f} ({min(rest):.2f} to {max(rest):.2f})")

        if not arguments.server:
            pair(
                {**environment, "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120"},
                "with a temporary server each",
            )
        with server(environment) as url:
            pair({**environment, "PREFECT_API_URL": url}, "on a running server")


if __name__ == "__main__":
    main()

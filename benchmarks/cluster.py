"""20 million names from one process with two threads, and from two workers of Dask and of Ray; and what a task adds.

    python benchmarks/cluster.py [--repeats 5] [--count 20000000] [--tasks 100]

Whole commands on a Prefect server that runs, one after the other, in turns, each with a seed of its own: on clusters
that run already, and have drawn from the model before, and on clusters that each command starts and ends for itself. A
task's own time is that of tasks which only look whether their worker can do what is needed.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from notebook import seconds
from start import run, server

WAYS = ("local", "dask", "ray", "dask, its own", "ray, its own")
TASKS = """
import logging, sys, time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
sys.path.insert(0, "flows")
from engines import Engine, _cluster
from namegen.errors import SettingError
from spread import look_on_worker, spread
from prefect import flow
from namegen.ranges import Job
from namegen.manifests import versions

@flow(validate_parameters=False)
def look(job, number):
    started = time.perf_counter()
    [answer.result() for answer in [look_on_worker.submit(job) for _ in range(8)]]
    warm = time.perf_counter()
    [answer.result() for answer in [look_on_worker.submit(job) for _ in range(number)]]
    print(f"{sys.argv[1]}: {(time.perf_counter() - warm) / number * 1000:.0f} ms a task, of {number} on two workers")

if __name__ == "__main__":
    with _cluster(Engine(sys.argv[1], None, 2)) as (runner, slots):
        look.with_options(task_runner=runner)(tuple(Job(".", ".", {}, "cpu", versions(), "")), int(sys.argv[2]))
"""


def free_port() -> int:
    """One that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def clusters(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The addresses of a cluster of each engine, with two worker processes."""
    dask, ray = f"tcp://127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    at = dask.rpartition(":")[2]
    programs = [
        [sys.executable, "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", at, "--no-dashboard"],
        [sys.executable, "-m", "dask", "worker", dask, "--nworkers", "2", "--nthreads", "1", "--no-dashboard"],
    ]
    own = {**environment, "RAY_USAGE_STATS_ENABLED": "0"}
    binary = str(Path(sys.executable).parent / "ray")
    head = [binary, "start", "--head", "--num-cpus", "2", "--port", ray.rpartition(":")[2], "--include-dashboard=false"]
    silent = {"env": own, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(head, check=True, **silent)  # type: ignore[call-overload] # noqa: S603 - our own commands
    running = [subprocess.Popen(program, **silent) for program in programs]  # type: ignore[call-overload] # noqa: S603
    try:
        time.sleep(5)
        yield {"dask": dask, "ray": ray}
    finally:
        for process in running:
            process.terminate()
        subprocess.run([binary, "stop", "--force"], check=False, **silent)  # type: ignore[call-overload] # noqa: S603


def main() -> None:
    """Times them, and prints medians and the ratios of each turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--count", type=int, default=20_000_000)
    parser.add_argument("--tasks", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        environment = {**kept, "PREFECT_HOME": f"{folder}/prefect", "DO_NOT_TRACK": "1"}
        job = ["flows/generate.py", "--output", f"{folder}/outputs", "--workers", 2]
        with server(environment) as url, clusters({**environment, "PREFECT_API_URL": url}) as addresses:
            environment["PREFECT_API_URL"] = url
            run(environment, *job, "--count", 1)  # fits the model
            times: dict[str, list[float]] = {way: [] for way in WAYS}
            for turn in range(given.repeats + 1):
                for number, way in enumerate(WAYS):
                    command = [*job, "--count", given.count, "--engine", way.partition(",")[0]]
                    command += ["--seed", 100 + turn * len(WAYS) + number]
                    command += ["--address", addresses[way]] if way in addresses else []
                    taken = seconds(lambda command=command: run(environment, *command))  # type: ignore[misc]
                    if turn:  # the first warms up
                        times[way].append(taken)
            for way, values in times.items():
                ratios = [value / local for value, local in zip(values, times["local"], strict=True)]
                print(
                    f"{way:16}{statistics.median(values):6.2f} s ({min(values):.2f} to {max(values):.2f}), "
                    f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) times local"
                )
            program = Path(folder) / "tasks.py"
            program.write_text(TASKS)
            for engine in ("dask", "ray"):
                print(run(environment, program, engine, given.tasks), end="")


if __name__ == "__main__":
    main()

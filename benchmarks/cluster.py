"""20 million names from one process with two threads, and from two workers of Dask and of Ray; and what a task adds.

    python benchmarks/cluster.py [--repeats 5] [--count 20000000] [--tasks 100]

Whole commands on a Prefect server that runs, one after the other, in turns, each with a seed of its own: on clusters of
Dask and Ray that run already, and have drawn from the model before, and on clusters that each command starts and ends
for itself. A task's own time is that of tasks which only look whether their worker can do what is needed.
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
from functools import partial
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
from spread import check_on_worker, spread
from prefect import flow
from namegen.outputs.ranges import Job
from namegen.outputs.manifests import versions

@flow(validate_parameters=False)
def look(job, number):
    started = time.perf_counter()
    [answer.result() for answer in [check_on_worker.submit(job) for _ in range(8)]]
    warm = time.perf_counter()
    [answer.result() for answer in [check_on_worker.submit(job) for _ in range(number)]]
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
def dask_cluster(environment: dict[str, str]) -> Iterator[str]:
    """The address of a scheduler with two worker processes."""
    port = str(free_port())
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", "--host", "127.0.0.1", "--port", port, "--dashboard-address", "127.0.0.1:0"]
    worker = [*dask, "worker", address, "--nworkers", "2", "--nthreads", "1", "--no-dashboard"]
    with _running([scheduler, worker], environment):
        yield address


@contextmanager
def ray_cluster(environment: dict[str, str]) -> Iterator[str]:
    """The address of a Ray node with two CPUs, which wants no token."""
    environment["RAY_AUTH_MODE"] = "disabled"
    port = str(free_port())
    head = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--num-cpus", "2", "--port", port, "--block"]
    with _running([[*head, "--include-dashboard", "false"]], environment):
        yield f"127.0.0.1:{port}"


@contextmanager
def _running(commands: list[list[str]], environment: dict[str, str]) -> Iterator[None]:
    nowhere = subprocess.DEVNULL
    running = [
        subprocess.Popen(command, env=environment, stdout=nowhere, stderr=nowhere)  # noqa: S603 - our own commands
        for command in commands
    ]
    try:
        time.sleep(8)
        yield
    finally:
        for process in running:
            process.terminate()


def main() -> None:
    """Times them, and prints medians and the ratios of each turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--count", type=int, default=20_000_000)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--tasks", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        environment = {**kept, "PREFECT_HOME": f"{folder}/prefect", "DO_NOT_TRACK": "1"}
        job = ["flows/generate.py", "--output", f"{folder}/outputs", "--workers", 2]
        with server(environment) as url, dask_cluster(environment) as dask, ray_cluster(environment) as ray:
            environment["PREFECT_API_URL"] = url
            addresses = {"dask": ["--address", dask], "ray": ["--address", ray]}
            run(environment, *job, "--count", 1)  # fits the model
            times: dict[str, list[float]] = {way: [] for way in given.ways}
            for turn in range(given.repeats + 1):
                for number, way in enumerate(given.ways):
                    command = [*job, "--count", given.count, "--engine", way.partition(",")[0]]
                    command += ["--seed", 100 + turn * len(WAYS) + number]
                    command += addresses.get(way, [])
                    taken = seconds(partial(run, environment, *command))
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

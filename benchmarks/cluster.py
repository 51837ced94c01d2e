"""20 million names from one process with two threads, and from two workers of Dask and of Ray; and what a task adds.

    python benchmarks/cluster.py [--repeats 5] [--count 20000000] [--tasks 100]

Whole commands on a Prefect server that runs, one after the other, in turns, each with a seed of its own; a cluster of
two worker processes is started and ended by each command that needs one. A task's own time is that of tasks that find
their one part made already, less the start.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from notebook import seconds
from start import run, server

ENGINES = ("local", "dask", "ray")
TASKS = """
import logging, sys, time
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
        with server(environment) as url:
            environment["PREFECT_API_URL"] = url
            run(environment, *job, "--count", 1)  # fits the model
            times: dict[str, list[float]] = {engine: [] for engine in ENGINES}
            for turn in range(given.repeats):
                for number, engine in enumerate(ENGINES):
                    seed = 100 + turn * len(ENGINES) + number
                    command = [*job, "--count", given.count, "--engine", engine, "--seed", seed]
                    times[engine].append(seconds(lambda command=command: run(environment, *command)))  # type: ignore[misc]
            for engine, values in times.items():
                ratios = [value / local for value, local in zip(values, times["local"], strict=True)]
                print(
                    f"{engine:6}{statistics.median(values):6.2f} s ({min(values):.2f} to {max(values):.2f}), "
                    f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) times local"
                )
            program = Path(folder) / "tasks.py"
            program.write_text(TASKS)
            for engine in ENGINES[1:]:
                print(run(environment, program, engine, given.tasks), end="")


if __name__ == "__main__":
    main()

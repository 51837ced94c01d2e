"""The subflow that makes parts on the workers of an engine, and its tasks.

Only this file and `run_log` are sent to the workers; otherwise they need the package with the engine's extra, and the
Prefect server. The engine only decides where something runs. What is finished is recorded in the data set's folder, so
neither a worker that dies nor an engine that forgets loses anything. A task takes a range of parts, and returns a line
for each.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger

import run_log
from namegen.errors import NamegenError, WorkersError
from namegen.outputs.ranges import Job, check_worker, make_range
from run_log import logged

AHEAD = 4  # ranges per worker that are submitted at once: engines are not made to hold a million
LINE_SECONDS = 10.0
Ranges = list[tuple[int, int]]  # the first and the last part of each


@task(name="check", cache_policy=NO_CACHE)
def check_on_worker(job: tuple[Any, ...]) -> str:
    """Checks that a worker sees the job's folder and has its versions; the worker's host."""
    return check_worker(Job(*job))


@task(name="parts", task_run_name="parts {first} to {last}", cache_policy=NO_CACHE)
def make_on_worker(job: tuple[Any, ...], first: int, last: int) -> list[tuple[Any, ...]]:
    """Makes the parts `first` to `last`."""
    with logged():
        return [tuple(part) for part in make_range(Job(*job), range(first, last + 1))]


@flow(name="spread", description="Makes parts of a data set on the workers of an engine.", validate_parameters=False)
def spread(job: tuple[Any, ...], ranges: Ranges, slots: int) -> list[tuple[Any, ...]]:
    """The parts in the ranges, each as (number, rows, SHA-256, bytes).

    Args:
        slots: how many tasks the engine runs at once.

    Raises:
        OutputError: if a worker does not see the folder.
        WorkersError: if ranges failed twice, with their numbers.
        SettingError: if a worker has other versions.
    """
    log, client = get_run_logger(), getattr(FlowRunContext.get().task_runner, "client", None)  # type: ignore[union-attr]
    if client:  # Dask, whose workers do not have these files
        for file in (run_log.__file__, __file__):
            client.upload_file(file)
    hosts = {answer.result() for answer in [check_on_worker.submit(job) for _ in range(slots)]}
    log.info("%s ranges of parts on %s workers, on %s", len(ranges), slots, ", ".join(sorted(hosts)))
    parts: list[tuple[Any, ...]] = []
    failures = list(_attempt(job, ranges, slots, parts))
    if failures:
        for (first, last), error in failures:
            log.warning("Parts %s to %s failed, and are tried again: %s", first, last, error)
        failures = list(_attempt(job, [piece for piece, _ in failures], slots, parts))
    if failures:
        which = ", ".join(f"{first} to {last}" for (first, last), _ in failures)
        what = f"lacks the parts {which}, which failed twice ({failures[0][1]})"
        raise WorkersError(what, job[0], "Run the job again; it continues from here")
    return parts


def _attempt(
    job: tuple[Any, ...], ranges: Ranges, slots: int, parts: list[tuple[Any, ...]]
) -> Iterator[tuple[tuple[int, int], str]]:
    """Makes each range once; yields those that failed, and why."""
    left, total = deque(ranges), sum(last - first + 1 for first, last in ranges)
    under_way: deque[tuple[tuple[int, int], PrefectFuture[list[tuple[Any, ...]]]]] = deque()
    next_line, done = time.monotonic() + LINE_SECONDS, 0
    while left or under_way:
        while left and len(under_way) < AHEAD * slots:
            piece = left.popleft()
            under_way.append((piece, make_on_worker.submit(job, *piece)))
        piece, future = under_way.popleft()
        try:
            made = future.result()
        except NamegenError as error:
            yield piece, str(error).rstrip(".")
        except Exception as error:  # noqa: BLE001 - an engine loses a task in many ways
            yield piece, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        else:
            parts += made
            done += len(made)
        if time.monotonic() > next_line:
            next_line = time.monotonic() + LINE_SECONDS
            get_run_logger().info("%s of %s parts", f"{done:,}", f"{total:,}")

"""The subflow that makes parts on the workers of an engine, and its tasks.

This file alone is sent to them; besides it they need the package with the engine's extra, and the Prefect server. The
engine only says where something runs: what is finished stands in the data set's folder, so that neither a worker that
dies nor an engine that forgets loses anything. A task takes a range of parts, and returns a line for each.
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

from namegen.errors import NamegenError, OutputError
from namegen.outputs.ranges import Job, look, make_range

AHEAD = 4  # ranges a worker that are submitted at once: an engine is not made to hold a million
LINE_SECONDS = 10.0
Ranges = list[tuple[int, int]]  # the first part of each, and the last


@task(name="look", cache_policy=NO_CACHE)
def look_on_worker(job: tuple[Any, ...]) -> str:
    """Whether a worker sees the job's folder and has its versions; its host."""
    return look(Job(*job))


@task(name="parts", task_run_name="parts {first} to {last}", cache_policy=NO_CACHE)
def make_on_worker(job: tuple[Any, ...], first: int, last: int) -> list[tuple[Any, ...]]:
    """Makes the parts `first` to `last`."""
    return [tuple(part) for part in make_range(Job(*job), range(first, last + 1))]


@flow(name="spread", description="Makes parts of a data set on the workers of an engine.", validate_parameters=False)
def spread(job: tuple[Any, ...], ranges: Ranges, slots: int) -> list[tuple[Any, ...]]:
    """The parts in the ranges, each as (number, rows, SHA-256, bytes).

    Args:
        slots: how many tasks the engine runs at once.

    Raises:
        OutputError: where a worker does not see the folder, or ranges failed twice, with their numbers.
        SettingError: where a worker has other versions.
    """
    log, client = get_run_logger(), getattr(FlowRunContext.get().task_runner, "client", None)  # type: ignore[union-attr]
    if client:  # Dask: its workers do not have this file
        client.upload_file(__file__)
    hosts = {answer.result() for answer in [look_on_worker.submit(job) for _ in range(slots)]}
    log.info("%s ranges of parts on %s workers, on %s", len(ranges), slots, ", ".join(sorted(hosts)))
    parts: list[tuple[Any, ...]] = []
    failures = list(_attempt(job, ranges, slots, parts))
    if failures:
        for (first, last), error in failures:
            log.warning("Parts %s to %s failed, and are tried once more: %s", first, last, error)
        failures = list(_attempt(job, [piece for piece, _ in failures], slots, parts))
    if failures:
        which = ", ".join(f"{first} to {last}" for (first, last), _ in failures)
        what = f"lacks the parts {which}, which failed twice ({failures[0][1]})"
        raise OutputError(what, job[0], "Run the job again: it goes on from here")
    return parts


def _attempt(
    job: tuple[Any, ...], ranges: Ranges, slots: int, parts: list[tuple[Any, ...]]
) -> Iterator[tuple[tuple[int, int], str]]:
    """Makes each range once; gives those that failed, and why."""
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

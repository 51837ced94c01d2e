"""How far the job is: a bar on a terminal, a quiet line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_SECONDS = 10.0


@contextmanager
def progress(total: int, what: str, log: Callable[[str], None]) -> Iterator[Callable[[int], None]]:
    """Gives a function to call with each number of things done, of `total`; of nothing, nothing is shown."""
    if total and sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.advance(task, done)
        return
    so_far, next_line = 0, time.monotonic() + LINE_SECONDS

    def advance(done: int) -> None:
        nonlocal so_far, next_line
        so_far += done
        if time.monotonic() >= next_line:
            next_line = time.monotonic() + LINE_SECONDS
            log(f"{what}: {so_far:,} of {total:,}")

    yield advance

"""How far the job is: a bar on a terminal, a quiet line now and then elsewhere, and on a server a progress artifact."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

LINE_SECONDS = 10.0


class RateColumn(ProgressColumn):
    """Things a second, over the last half minute."""

    def render(self, task: Task) -> Text:
        """Empty until there is a rate."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


@contextmanager
def progress(total: int, what: str, log: Callable[[str], None]) -> Iterator[Callable[[int], None]]:
    """Gives a function to call with each number of things done, of `total`; of nothing, nothing is shown."""
    started = time.monotonic()
    so_far, next_line = 0, started + LINE_SECONDS
    artifact: UUID | None = None
    with ExitStack() as stack:
        bar = stack.enter_context(_bar(total, what)) if total and sys.stderr.isatty() else None

        def advance(done: int) -> None:
            nonlocal so_far, next_line, artifact
            so_far += done
            if bar:
                bar(done)
            now = time.monotonic()
            if now < next_line:
                return
            next_line = now + LINE_SECONDS
            rate = so_far / (now - started)
            if not bar:
                left = (total - so_far) / rate if rate else 0
                log(f"{what}: {so_far:,} of {total:,}, {rate:,.1f} a second, {left:,.0f} s left")
            artifact = _show(artifact, what, 100 * so_far / total)

        yield advance
        if artifact:
            _show(artifact, what, 100)


@contextmanager
def _bar(total: int, what: str) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


def _show(artifact: UUID | None, what: str, percent: float) -> UUID | None:
    """Makes or updates the artifact of a task's run; outside of one there is nowhere to show it."""
    if artifact:
        update_progress_artifact(artifact, percent)
    elif TaskRunContext.get():
        made = create_progress_artifact(percent, key=what.partition(",")[0].lower().replace(" ", "-"))
        return made if isinstance(made, UUID) else None
    return artifact

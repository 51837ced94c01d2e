"""How far a long piece of work is: a bar on a terminal or in a notebook, and elsewhere a log line now and then."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

log = logging.getLogger(__name__)

LINE_SECONDS = 10.0
Advance = Callable[[int], None]  # called with how many more things are done
Progress = Callable[[int, str], AbstractContextManager[Advance]]  # of how many things, and what they are


@contextmanager
def progress(total: int, what: str, *, on_line: Callable[[float], None] | None = None) -> Iterator[Advance]:
    """Yields a function to call with each number of things done, of `total`. If there is nothing to do, shows nothing.

    Args:
        on_line: called with the percentage done whenever a line is due, and at the end if one was.
    """
    started = time.monotonic()
    done, next_line, is_due = 0, started + LINE_SECONDS, False
    with ExitStack() as stack:
        bar = stack.enter_context(_bar(total, what)) if total and _is_watched() else None

        def advance(more: int) -> None:
            nonlocal done, next_line, is_due
            done += more
            if bar:
                bar(more)
            now = time.monotonic()
            if now < next_line:
                return
            next_line, is_due = now + LINE_SECONDS, True
            if not bar:
                rate = done / (now - started)
                left = (total - done) / rate if rate else 0
                log.info(
                    "%s: %s of %s, %s per second, %.0f s left", what, f"{done:,}", f"{total:,}", f"{rate:,.1f}", left
                )
            if on_line:
                on_line(100 * done / total)

        yield advance
        if on_line and is_due:
            on_line(100.0)


def _is_watched() -> bool:
    """Whether somebody sees a bar move."""
    if "IPython" in sys.modules:  # slow to import, and only then there can be a notebook
        from rich.console import Console

        if Console(stderr=True).is_jupyter:
            return True
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def _bar(total: int, what: str) -> Iterator[Advance]:
    from rich.console import Console  # slow to import
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class RateColumn(ProgressColumn):
        """Things per second over the last half minute; empty until there is a rate."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.{0 if task.speed > 10 else 1}f}/s" if task.speed else "")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda more: bar.advance(task, more)

"""Lines that namegen logs reach the log of the Prefect run in which they are logged.

This file is sent to the workers of an engine, together with `spread`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.context import FlowRunContext
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

from namegen.errors import encodable


class _ToRun(logging.Handler):
    """Passes each record on to the logger of the task's run or the flow's.

    A thread that knows neither belongs to the run that was there when this handler was made.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._run, self._logger = _flow_run(), get_run_logger()

    def emit(self, record: logging.LogRecord) -> None:
        logger: Any = self._logger
        try:
            logger = get_run_logger()
        except MissingContextError:
            pass
        else:
            if self._run not in {None, _flow_run()}:
                return  # another run in this process, which has a handler of its own
        logger.log(record.levelno, "%s", encodable(record.getMessage()))


@contextmanager
def logged() -> Iterator[None]:
    """While this lasts, what namegen logs goes to the log of this run."""
    handler, log = _ToRun(), logging.getLogger("namegen")
    log.setLevel(logging.INFO)
    log.propagate = False  # Prefect shows what reaches the root logger, and would show each line twice
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def _flow_run() -> object:
    context = FlowRunContext.get()
    return context.flow_run.id if context and context.flow_run else None

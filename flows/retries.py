"""Transient errors are retried: errors of input and output that come from outside, such as from a network disk."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.tasks import exponential_backoff

from namegen.errors import TRANSIENT


def is_transient(task: object, run: object, state: State[Any]) -> bool:  # noqa: ARG001 - as Prefect calls it
    """Whether a task failed for a reason that may be gone when it is retried."""
    error = state.data
    cause = error.__cause__ if isinstance(error, Exception) else None  # the cause of an error with a remedy
    return any(isinstance(each, OSError) and each.errno in TRANSIENT for each in (error, cause))


RETRIES: dict[str, Any] = {  # for a task that reads or writes files
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(1),  # 1, 2 and 4 s, on average
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": is_transient,
}

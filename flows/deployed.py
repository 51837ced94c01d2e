"""What a run of a deployment needs: a seed if it was given none, and a clear failure if its parameters are outdated."""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import DeploymentSchedule, FlowRun
from prefect.context import FlowRunContext
from prefect.exceptions import Abort
from prefect.states import Failed

from namegen.errors import printable


def seed_of_date() -> tuple[int, str]:
    """The seed of the current flow run, as yyyymmdd, and where it comes from.

    It is the date for which the run was first scheduled, so that each night has its own names. That date stays the same
    if the run is late, waits for another to end, or is retried. It is a date in the schedule's own time zone: Prefect
    gives the time in UTC, in which a night can lie on two dates, or on another date than the one people look for.
    """
    context = FlowRunContext.get()
    assert context
    assert context.flow_run
    expected = context.flow_run.expected_start_time
    assert expected  # the server sets it with the first state
    schedule = _schedule_of(context.flow_run)
    zone = getattr(schedule and schedule.schedule, "timezone", None) or "UTC"
    source = "the time zone of its schedule" if schedule else "because it has no schedule"
    date = expected.astimezone(ZoneInfo(zone)).date()
    return int(date.strftime("%Y%m%d")), f"the run is for {date} in {zone}, {source}"


def _schedule_of(run: FlowRun) -> DeploymentSchedule | None:
    """The schedule that made the run. If it was started by hand, the deployment's first, preferably an active one."""
    if not run.deployment_id:
        return None
    with get_client(sync_client=True) as client:
        schedules = client.read_deployment(run.deployment_id).schedules
    maker: UUID | None = run.created_by.id if run.created_by else None
    return min(schedules, key=lambda each: (each.id != maker, not each.active), default=None)


def check_run(flow: Flow[..., Any]) -> None:
    """If a worker started this process for a run of `flow`, checks that the flow has the run's parameters.

    Prefect puts a value that is out of bounds into the run's state. A parameter that the flow does not have, however,
    ends Prefect's engine before the run begins, and the state would only say that a process ended with exit code 1.

    Raises:
        Abort: if a parameter is unknown. The run has then failed, and its state says why. Prefect ends the process.
    """
    run_id = os.environ.get("PREFECT__FLOW_RUN_ID")
    if not run_id:
        return
    known = flow.parameters.properties
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(run_id))
        unknown = [name for name in run.parameters if name not in known]
        if unknown and client.read_flow(run.flow_id).name == flow.name:  # not of a flow that imports this one
            message = (
                f"The flow has no parameter {' or '.join(map(repr, unknown))}, but the run or its deployment sets it. "
                f"It has {', '.join(known)}. Correct prefect.yaml, and deploy again."
            )
            client.set_flow_run_state(run.id, Failed(message=printable(message)))
            raise Abort(message)

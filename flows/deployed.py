"""What a run of a deployment needs: a seed if it was given none, and a clear failure if its parameters are outdated."""

from __future__ import annotations

import datetime as dt
import os
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import DeploymentSchedule, FlowRun, StateType
from prefect.context import FlowRunContext
from prefect.exceptions import Abort
from prefect.states import AwaitingRetry, Crashed, Failed

from namegen.errors import printable

LOST_AFTER = dt.timedelta(minutes=20)  # a run begins sooner than that, even where an image has to be pulled first


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


def begin_run(flow: Flow[..., Any]) -> None:
    """In a process that a worker has started for a run of `flow`: checks its parameters, and reruns what was lost.

    Raises:
        Abort: if a parameter is unknown. The run has then failed, and its state says why. Prefect ends the process.
    """
    run_id = os.environ.get("PREFECT__FLOW_RUN_ID")
    if not run_id:
        return
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(run_id))
        if client.read_flow(run.flow_id).name == flow.name:  # not of a flow that imports this one
            _check_parameters(client, run, list(flow.parameters.properties))
            _rerun_lost(client, run)


def _check_parameters(client: SyncPrefectClient, run: FlowRun, known: list[str]) -> None:
    """Ends the process if the flow does not have a parameter of the run.

    Prefect puts a value that is out of bounds into the run's state. A parameter that the flow does not have, however,
    ends Prefect's engine before the run begins, and the state would only say that a process ended with exit code 1.
    """
    unknown = [name for name in run.parameters if name not in known]
    if unknown:
        message = (
            f"The flow has no parameter {' or '.join(map(repr, unknown))}, but the run or its deployment sets it. "
            f"It has {', '.join(known)}. Correct prefect.yaml, and deploy again."
        )
        client.set_flow_run_state(run.id, Failed(message=printable(message)))
        raise Abort(message)


def _rerun_lost(client: SyncPrefectClient, run: FlowRun) -> None:
    """Schedules anew the runs that a worker has taken and never begun.

    They are lost if their machine died with the server, which keeps what has just happened in memory: no automation
    hears of them.
    """
    flow = FlowFilter(id=FlowFilterId(any_=[run.flow_id]))
    taken = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING])))
    long_ago = dt.datetime.now(dt.UTC) - LOST_AFTER
    for other in client.read_flow_runs(flow_filter=flow, flow_run_filter=taken):
        if other.id != run.id and other.deployment_id and other.state and other.state.timestamp < long_ago:
            message = f"A worker took it {LOST_AFTER.seconds // 60} minutes ago or more, and it has not begun."
            client.set_flow_run_state(other.id, Crashed(message=message))
            client.set_flow_run_state(other.id, AwaitingRetry(scheduled_time=dt.datetime.now(dt.UTC)))

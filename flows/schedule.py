"""The seed of a run that was given none: the date for which it is scheduled, so that each night has its own names.

The date is that of the schedule's own time zone. Prefect gives the time in UTC, in which a night can lie on two dates,
or on another date than that on which people look for it.
"""

from __future__ import annotations

from uuid import UUID
from zoneinfo import ZoneInfo

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import DeploymentSchedule, FlowRun
from prefect.context import FlowRunContext


def seed_of_date() -> tuple[int, str]:
    """The seed of the flow run that is under way, as yyyymmdd, and what it comes from.

    It is made of the time at which the run was first expected, which stays as it is when the run is late, waits for
    another to end, or is retried.
    """
    context = FlowRunContext.get()
    assert context
    assert context.flow_run
    expected = context.flow_run.expected_start_time
    assert expected  # the server sets it with the first state
    schedule = schedule_of(context.flow_run)
    zone = getattr(schedule and schedule.schedule, "timezone", None) or "UTC"
    source = "the time zone of its schedule" if schedule else "as it has no schedule"
    date = expected.astimezone(ZoneInfo(zone)).date()
    return int(date.strftime("%Y%m%d")), f"the run is of {date} in {zone}, {source}"


def schedule_of(run: FlowRun) -> DeploymentSchedule | None:
    """The schedule that made the run; for one that was started by hand, the deployment's first, active ones before."""
    if not run.deployment_id:
        return None
    with get_client(sync_client=True) as client:
        schedules = client.read_deployment(run.deployment_id).schedules
    maker: UUID | None = run.created_by.id if run.created_by else None
    return min(schedules, key=lambda each: (each.id != maker, not each.active), default=None)

"""What becomes of a run that is given parameters which the flow does not have, or no longer.

Unlike a value out of bounds, which Prefect puts into the run's state, such a parameter ends Prefect's engine before
it has begun the run: the state would only say that a process ended with exit code 1.
"""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.exceptions import Abort
from prefect.states import Failed

from namegen.errors import printable


def check_run(flow: Flow[..., Any]) -> None:
    """Where a worker has started this process for a run of `flow`, looks whether the flow has its parameters.

    Raises:
        Abort: where it has not; the run has failed then, and its state says why. Prefect ends the process.
    """
    run_id = os.environ.get("PREFECT__FLOW_RUN_ID")
    if not run_id:
        return
    known = flow.parameters.properties
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(run_id))
        unknown = [name for name in run.parameters if name not in known]
        if unknown and client.read_flow(run.flow_id).name == flow.name:  # not of another flow that imports this one
            message = (
                f"The flow has no parameter {' or '.join(map(repr, unknown))}, which the run or its deployment sets. "
                f"It has {', '.join(known)}. Correct prefect.yaml, and deploy again."
            )
            client.set_flow_run_state(run.id, Failed(message=printable(message)))
            raise Abort(message)

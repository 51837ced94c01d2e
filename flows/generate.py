"""The entry point of the job: the Prefect flow, and the command that runs it.

    python flows/generate.py --count 100000

What the job does, stage by stage, stands in `namegen.pipeline`. Here each stage becomes a task of Prefect.
"""

import signal
import sys

from namegen.process import end_at_once, open_streams

if __name__ == "__main__":
    end_at_once(signal.SIGINT, signal.SIGTERM)
    open_streams()

from command_line import begin, finish

if __name__ == "__main__":  # before the heavy imports, which the start of the server overlaps
    beginning = begin(sys.argv[1:])

import inspect
import logging
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple, cast

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.utilities.annotations import quote

from artifacts import progress, publish, write_pages
from deployed import begin_run, seed_of_date
from engines import Engine, check_engine
from namegen import pipeline
from namegen.device import cores
from namegen.parameters import Parameters, description, types
from namegen.pipeline import Made
from retries import RETRIES
from run_log import logged

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
log = logging.getLogger("namegen.generate")

TASKS: dict[Any, Any] = {
    stage: task(name=name, cache_policy=NO_CACHE, **options)(stage)
    for stage, name, options in (
        (pipeline.plan, "plan", RETRIES),
        (pipeline.count, "count", {}),
        (pipeline.train, "train", RETRIES),
        (pipeline.tabulate, "tabulate", {}),
        (pipeline.evaluate, "evaluate", {}),
        (pipeline.save, "save", RETRIES),
        (pipeline.sample, "sample", RETRIES),
        (publish, "publish", RETRIES),
        (write_pages, "report", {}),
    )
}


def as_task(stage: Callable[[*Ts], T], /, *arguments: *Ts) -> T:
    """Runs a stage as a task. Its arguments are quoted, or Prefect would walk through every name of a corpus."""
    return cast("T", TASKS[stage](*map(quote, arguments)))


def as_task_but_sample(stage: Callable[[*Ts], T], /, *arguments: *Ts) -> T:
    """Runs a stage as a task, unless it samples: an engine would send that task along with each of its own."""
    return stage(*arguments) if cast("object", stage) is pipeline.sample else as_task(stage, *arguments)


def takes_parameters(function: Callable[..., Made]) -> Callable[..., Made]:
    """`function` with the signature of `Parameters`, and their meaning in its docstring, where Prefect looks for it."""
    fields = Parameters.model_fields.items()
    keyword = inspect.Parameter.KEYWORD_ONLY
    given = [
        inspect.Parameter(name, keyword, default=field.default, annotation=types()[name]) for name, field in fields
    ]
    function.__signature__ = inspect.Signature(given, return_annotation=Made)  # type: ignore[attr-defined]
    meanings = [f"    {name}: {description(name)}" for name, _ in fields]
    function.__doc__ = "\n".join([str(function.__doc__), "", "Args:", *meanings])
    return function


@flow(name="generate", description="Learns from a list of names and makes new ones, with the probability of each.")
@takes_parameters
def generate(**given: Any) -> Made:  # noqa: ANN401 - they have the types of `Parameters`
    """Ingests, counts, trains, evaluates and samples. What an earlier run has made is found and kept."""
    with logged():
        if given["seed"] is None:
            given["seed"], reason = seed_of_date()
            log.info("Seed %s: %s", given["seed"], reason)
        parameters = Parameters(**given)
        engine = Engine(parameters.engine, parameters.address, parameters.workers or cores())
        check_engine(engine)
        plan = as_task(pipeline.plan, parameters)
        elsewhere = engine.parts_maker(plan)
        run = as_task_but_sample if elsewhere else as_task
        made = pipeline.make(plan, run=run, progress=progress, elsewhere=elsewhere)
        as_task(publish, made)
        if parameters.report:
            as_task(write_pages, made)
    return made


if __name__ == "__main__":
    sys.exit(finish(beginning, generate))
else:  # a worker may have started this process
    begin_run(generate)

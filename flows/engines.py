"""The engines on which parts can be made: this process, or the workers of Dask or Ray, through Prefect."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import re
import secrets
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

from namegen.errors import SettingError
from namegen.outputs import dataset
from namegen.outputs.dataset import rows_of
from namegen.outputs.journal import Part
from namegen.outputs.manifests import versions
from namegen.outputs.part import Source
from namegen.outputs.ranges import Job, ranges, size_of_ranges
from namegen.outputs.writer import Survey, Written, make_parts, seal, survey
from namegen.storage.files import Location, absolute, temporaries
from namegen.storage.locks import alone_in

if TYPE_CHECKING:
    from prefect.task_runners import TaskRunner

PACKAGES = {"dask": "prefect_dask", "ray": "prefect_ray"}
EXAMPLES = {"dask": "tcp://10.0.0.1:8786", "ray": "ray://10.0.0.1:10001"}
CONNECT_SECONDS = 5.0


class Engine(NamedTuple):
    """Where parts are made.

    Args:
        name: "local" is this process.
        address: of a cluster that runs; None for one of `workers` processes on this machine that ends with the job.
    """

    name: str
    address: str | None
    workers: int


def check_engine(name: str, address: str | None) -> None:
    """Looks whether an engine can be used, before anything is made.

    Raises:
        SettingError: where it is not installed, or nothing answers at its address.
    """
    if name == "local":
        if address:
            raise SettingError(f"address {address!r} is of no engine", remedy="Name one with --engine")
        return
    if not importlib.util.find_spec(PACKAGES[name]):
        raise SettingError(f"engine {name!r} is not installed", remedy=f"pip install '.[{name}]'")
    if address is None:
        return
    if "@" in address:
        raise SettingError("an address has no user and password", remedy=f"Name one such as {EXAMPLES[name]}")
    found = re.fullmatch(r"(?:[a-z]+://)?(\[[0-9a-fA-F:]+\]|[^:/@\s]+):([0-9]{1,5})", address)
    if not found:
        raise SettingError(f"{address!r} is no address", remedy=f"Name one such as {EXAMPLES[name]}")
    try:
        with socket.create_connection((found[1].strip("[]"), int(found[2])), CONNECT_SECONDS) as connection:
            if not address.startswith("tls://") and not connection.recv(1):  # both speak first; their clients wait long
                raise ConnectionError("it closes the connection")
    except (OSError, OverflowError, UnicodeError) as error:
        remedy = "Start it, or leave out --address to have workers on this machine"
        raise SettingError(f"no {name} cluster answers at {address} ({error})", remedy=remedy) from None


def write_dataset_on(
    engine: Engine, source: Source, target: Location, count: int, log: Callable[[str], None]
) -> Written:
    """Makes `target` a data set of at least `count` rows, its full parts on the workers of an engine.

    Raises:
        SettingError: where what answers at the address is no such cluster.
        OutputError: where a worker does not see the folder, or parts could not be made.
    """
    with alone_in(target, log) as still_alone:
        found = survey(target, count, source.automaton.stream(source.seed), engine.workers)
        full = [number for number in found.missing if rows_of(number, found.count) == dataset.PART_ROWS]
        short = [number for number in found.missing if rows_of(number, found.count) < dataset.PART_ROWS]
        made = _make_parts_on(engine, found, full, source) if full else []
        for left in temporaries(target):  # of workers that died
            left.unlink(missing_ok=True)
        made += make_parts(target, short, found.count, found.stream, source.rows, still_alone=still_alone)
        still_alone()
        return seal(found, made, source.model.configuration)


def _make_parts_on(engine: Engine, found: Survey, numbers: Sequence[int], source: Source) -> list[Part]:
    from spread import spread  # Prefect, which looking whether an engine can be used does without

    folder = absolute(found.folder)
    job = Job(
        folder=str(folder),
        model=str(absolute(source.model.path)),
        stream=found.stream,
        device=source.device,
        versions=versions(),
        mark=f".job.{uuid.uuid4().hex}.tmp",
    )
    with ExitStack() as stack:
        mark = folder / job.mark  # should this job die, the next one removes it
        mark.write_bytes(b"")
        stack.callback(mark.unlink, missing_ok=True)
        runner, slots = stack.enter_context(_cluster(engine))
        pieces = [(piece.start, piece.stop - 1) for piece in ranges(numbers, size_of_ranges(len(numbers), slots))]
        made = spread.with_options(task_runner=runner)(tuple(job), pieces, slots)
    return [Part(*part) for part in made]


def start(engine: Engine) -> None:
    """Begins to start workers, or to connect to them, in the time that the job takes to come to its names."""
    if engine.name != "local":
        _started[engine] = _starter.submit(STARTS[engine.name], engine)


@contextmanager
def _cluster(engine: Engine) -> Iterator[tuple[TaskRunner[Any], int]]:
    """A task runner, and how many tasks it runs at once."""
    own = _started.pop(engine, None)
    runner, slots, close = own.result() if own else STARTS[engine.name](engine)
    try:
        if not slots:
            raise SettingError(f"the cluster at {engine.address} has no workers", remedy="Start some")
        yield runner, slots
    finally:
        Thread(target=close).start()  # it takes a second, and nothing waits for it but the end of the process


def _start_dask(engine: Engine) -> tuple[TaskRunner[Any], int, Callable[[], object]]:
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "warning")  # the workers' too
    from distributed import Client, LocalCluster
    from prefect_dask import DaskTaskRunner

    if not engine.address:
        cluster = LocalCluster(
            n_workers=engine.workers,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.WARNING,
            preload=["namegen.sampling.cpu_sampler", "prefect"],
        )
        return DaskTaskRunner(address=cluster.scheduler_address), engine.workers, cluster.close
    try:
        with Client(engine.address, timeout=CONNECT_SECONDS, set_as_default=False) as client:
            slots = sum(client.nthreads().values())
    except Exception as error:  # something else speaks there: what comes of it is of any kind
        raise SettingError(f"no dask scheduler is at {engine.address} ({error})", remedy="Start one") from error
    return DaskTaskRunner(address=engine.address), slots, lambda: None


def _start_ray(engine: Engine) -> tuple[TaskRunner[Any], int, Callable[[], object]]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report its use
    if not engine.address and "RAY_AUTH_MODE" not in os.environ:  # Ray would leave a token in the home folder
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    import ray
    from prefect_ray import RayTaskRunner

    import spread

    # "local" is a new one, whatever else runs, or has run, on this machine
    own = {"address": "local", "num_cpus": engine.workers, "include_dashboard": False}
    where = {"address": engine.address} if engine.address else own
    try:
        ray.init(**where, namespace="prefect", log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        why = str(error).partition("\n")[0]
        if not engine.address:
            raise SettingError(f"Ray does not start here ({why})", remedy="Try --engine local") from error
        remedy = "Start one, or set RAY_AUTH_MODE=token if it wants a token"
        raise SettingError(f"no ray cluster is at {engine.address} ({why})", remedy=remedy) from error
    ray.cloudpickle.register_pickle_by_value(spread)  # its workers do not have this file
    slots = int(ray.cluster_resources().get("CPU", 0))
    for module in (
        "namegen.sampling.cpu_sampler",
        "prefect",
    ) * slots:  # its processes are new to each job, and import for long
        ray.remote(importlib.import_module).remote(module)
    return RayTaskRunner(address=engine.address), slots, ray.shutdown


# Ray's processes end with the thread that started them: this one stays.
_starter = ThreadPoolExecutor(1)
STARTS = {"dask": _start_dask, "ray": _start_ray}
_started: dict[Engine, Future[tuple[TaskRunner[Any], int, Callable[[], object]]]] = {}

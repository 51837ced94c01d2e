"""The engines that can make parts: this process, or the workers of Dask or Ray, through Prefect."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import re
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

from namegen.device import sampling_device
from namegen.errors import SettingError
from namegen.outputs.journal import Part
from namegen.outputs.layout import record_folder
from namegen.outputs.manifests import versions
from namegen.outputs.ranges import Job, parts_in_range, ranges
from namegen.storage.files import absolute
from namegen.storage.locks import holder_of

if TYPE_CHECKING:
    from prefect.task_runners import TaskRunner

    from namegen.outputs.writer import Elsewhere, Survey
    from namegen.pipeline import Plan

PACKAGES = {"dask": "prefect_dask", "ray": "prefect_ray"}
EXAMPLES = {"dask": "tcp://10.0.0.1:8786", "ray": "ray://10.0.0.1:10001"}
CONNECT_SECONDS = 5.0


class Engine(NamedTuple):
    """Where parts are made.

    Args:
        name: "local" is this process.
        address: of a running cluster; None for one of `workers` processes on this machine that ends with the job.
    """

    name: str
    address: str | None
    workers: int

    def start(self) -> None:
        """Begins to start workers, or to connect to them, while the job does other things."""
        if self.name != "local":
            _started[self] = _starter.submit(STARTS[self.name], self)

    def parts_maker(self, plan: Plan) -> Elsewhere | None:
        """What makes full parts on this engine's workers; None if this process makes them."""
        if self.name == "local":
            return None
        return partial(_make_parts, self, str(absolute(plan.model.path)), sampling_device(plan.fit.device))


def check_engine(engine: Engine) -> None:
    """Checks that an engine can be used, before anything is made.

    Raises:
        SettingError: if it is not installed, or nothing answers at its address.
    """
    name, address, _ = engine
    if name == "local":
        if address:
            raise SettingError("--address needs --engine dask or ray", remedy="Add one, or leave out --address")
        return
    if not importlib.util.find_spec(PACKAGES[name]):
        raise SettingError(f"engine {name!r} is not installed", remedy=f"pip install '.[{name}]'")
    if address is None:
        return
    if "@" in address:
        raise SettingError("an address cannot hold a user and password", remedy=f"Write {EXAMPLES[name]}")
    parsed = re.fullmatch(r"(?:[a-z]+://)?(\[[0-9a-fA-F:]+\]|[^:/@\s]+):([0-9]{1,5})", address)
    if not parsed:
        raise SettingError(f"{address!r} is not an address", remedy=f"Write one such as {EXAMPLES[name]}")
    try:
        where = parsed[1].strip("[]"), int(parsed[2])
        with socket.create_connection(where, CONNECT_SECONDS) as connection:
            # both engines speak first; their own clients wait for long
            if not address.startswith("tls://") and not connection.recv(1):
                raise ConnectionError("it closes the connection")
    except (OSError, OverflowError, UnicodeError) as error:
        remedy = "Start it, or leave out --address to get workers on this machine"
        raise SettingError(f"no {name} cluster answers at {address} ({error})", remedy=remedy) from None


def _make_parts(engine: Engine, model: str, device: str, surveyed: Survey, numbers: Sequence[int]) -> list[Part]:
    """Makes the full parts `numbers` of a data set on the workers of an engine.

    Raises:
        SettingError: if there is no such cluster at the address.
        OutputError: if a worker does not see the folder, or parts could not be made.
    """
    from spread import spread  # imports Prefect, which checking an engine does without

    folder = absolute(surveyed.folder)
    holder = holder_of(record_folder(folder))
    assert holder  # this job
    job = Job(
        folder=str(folder),
        model=model,
        stream=surveyed.stream,
        device=device,
        versions=versions(),
        holder=holder.key,
    )
    with _cluster(engine) as (runner, slots):
        pieces = [(piece.start, piece.stop - 1) for piece in ranges(numbers, parts_in_range(len(numbers), slots))]
        made = spread.with_options(task_runner=runner)(tuple(job), pieces, slots)
    return [Part(*part) for part in made]


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
        Thread(target=close).start()  # it takes a second, and only the end of the process waits for it


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
    except Exception as error:  # something else answers there, and the error can be of any kind
        raise SettingError(f"there is no Dask scheduler at {engine.address} ({error})", remedy="Start one") from error
    return DaskTaskRunner(address=engine.address), slots, lambda: None


def _start_ray(engine: Engine) -> tuple[TaskRunner[Any], int, Callable[[], object]]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report its use
    if not engine.address and "RAY_AUTH_MODE" not in os.environ:  # Ray would leave a token in the home folder
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    import ray
    from prefect_ray import RayTaskRunner

    import run_log
    import spread

    # "local" is a new cluster, whatever else runs or has run on this machine
    own = {"address": "local", "num_cpus": engine.workers, "include_dashboard": False}
    where = {"address": engine.address} if engine.address else own
    try:
        ray.init(**where, namespace="prefect", log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        why = str(error).partition("\n")[0]
        if not engine.address:
            raise SettingError(f"Ray does not start here ({why})", remedy="Try --engine local") from error
        remedy = "Start one, or set RAY_AUTH_MODE=token if it wants a token"
        raise SettingError(f"there is no Ray cluster at {engine.address} ({why})", remedy=remedy) from error
    for file in (run_log, spread):  # its workers do not have these files
        ray.cloudpickle.register_pickle_by_value(file)
    slots = int(ray.cluster_resources().get("CPU", 0))
    for module in (
        "namegen.sampling.cpu_sampler",
        "prefect",
    ) * slots:  # each job gets new processes, whose imports take long
        ray.remote(importlib.import_module).remote(module)
    return RayTaskRunner(address=engine.address), slots, ray.shutdown


# Ray's processes end with the thread that started them, so this thread stays.
_starter = ThreadPoolExecutor(1)
STARTS = {"dask": _start_dask, "ray": _start_ray}
_started: dict[Engine, Future[tuple[TaskRunner[Any], int, Callable[[], object]]]] = {}

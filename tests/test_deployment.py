"""prefect.yaml and docs/automations.yaml, and what they come to on real servers with real workers.

One file, as its tests share a server, a worker and the deployments, which take ten seconds to be there.
"""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import shutil
import signal
import subprocess
import urllib.error
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import connect
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml  # type: ignore[import-untyped]
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.automations import AutomationCore
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

import namegen
from conftest import NAMES, ROOT
from generate import generate
from namegen.outputs.layout import dataset_folder
from namegen.parameters import DEFAULT, types
from servers import (
    FINAL,
    POSTGRESQL,
    PREFECT,
    Server,
    call,
    kill_all,
    needs_proc,
    postgresql,
    prefect_server,
    prefect_worker,
    tasks_of,
    wait_until,
)

DEPLOYMENTS = {each["name"]: each for each in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}
AUTOMATIONS = {
    each["name"]: each for each in yaml.safe_load((ROOT / "docs" / "automations.yaml").read_text())["automations"]
}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_deployments_fit_the_flow(name: str) -> None:
    """Each parameter of prefect.yaml is one of the flow's, within its type and bounds."""
    deployment = DEPLOYMENTS[name]
    assert deployment["entrypoint"] == "flows/generate.py:generate"
    for parameter, value in deployment.get("parameters", {}).items():
        TypeAdapter(types()[parameter]).validate_python(value, strict=True)


def test_the_nightly_deployment() -> None:
    """Each night by the clock of its time zone, with the date as its seed."""
    nightly = DEPLOYMENTS["generate-nightly"]
    assert "concurrency_limit" not in nightly  # its slots are lost with the server, and then the runs are
    assert nightly["parameters"]["seed"] is None
    (schedule,) = nightly["schedules"]
    assert CronSchedule(**schedule).timezone
    for wrong in ({"timezone": "Europe/Atlantis"}, {"cron": "30 25 * * *"}):
        with pytest.raises(ValidationError, match="Invalid"):
            CronSchedule(**{**schedule, **wrong})


@pytest.mark.parametrize("name", AUTOMATIONS)
def test_the_automations_fit_the_deployments(name: str) -> None:
    """Prefect accepts them, they know the runs of the deployments, and wait for some of their heartbeats."""
    automation = AUTOMATIONS[name]
    AutomationCore.model_validate(automation)
    for deployment in DEPLOYMENTS.values():
        (tag,) = deployment["tags"]
        assert automation["trigger"]["match_related"]["prefect.resource.id"] == f"prefect.tag.{tag}"
        frequency = int(deployment["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"])
        assert automation["trigger"]["within"] >= 10 * frequency


def prefect(environment: dict[str, str], url: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command `prefect`, in the project's folder, from a script that was somewhere else."""
    own = {**environment, "PREFECT_API_URL": url, "DO_NOT_TRACK": "1", "PWD": "/nowhere", "COLUMNS": "500"}
    command = [*PREFECT, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, timeout=120, check=False)


@dataclass(frozen=True)
class Deployed:
    """The two deployments on a server."""

    url: str

    def deployment(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = call(f"{self.url}/deployments/name/generate/{name}")
        return found

    def start(self, name: str, **parameters: object) -> str:
        """Triggers a deployment; the id of the run."""
        made = call(f"{self.url}/deployments/{self.deployment(name)['id']}/create_flow_run", {"parameters": parameters})
        return str(made["id"])

    def run(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = call(f"{self.url}/flow_runs/{run}")
        return found

    def ended(self, run: str) -> dict[str, Any]:
        """The run, once it is in a final state."""
        assert wait_until(lambda: self.run(run)["state"]["type"] in FINAL, 120, 0.2), self.run(run)["state"]
        return self.run(run)

    def states(self, run: str) -> list[str]:
        return [state["name"] for state in call(f"{self.url}/flow_run_states/?flow_run_id={run}")]

    def artifacts(self, run: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = call(f"{self.url}/artifacts/filter", {"flow_runs": {"id": {"any_": [run]}}})
        return found

    def log(self, run: str) -> str:
        """What a run has logged and sent; the last lines follow it after a moment."""
        lines = call(f"{self.url}/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "limit": 200})
        return "\n".join(line["message"] for line in lines)


@pytest.fixture(scope="module")
def deploy(environment: dict[str, str]) -> Callable[[str], Deployed]:
    """Makes the work pool and deploys."""

    def deploy_to(url: str) -> Deployed:
        done = prefect(environment, url, "--no-prompt", "deploy", "--all")
        assert done.returncode == 0, done.stdout + done.stderr
        return Deployed(url)

    return deploy_to


def make_pool(url: str) -> None:
    """An empty work pool, which the first worker completes."""
    call(f"{url}/work_pools/", {"name": "namegen", "type": "process"})


@pytest.fixture(scope="module")
def sqlite(
    environment: dict[str, str],
    first: subprocess.CompletedProcess[str],  # noqa: ARG001 - which has made a database
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """A server on SQLite of this module's own, which it can kill."""
    folder = tmp_path_factory.mktemp("sqlite")
    with (
        closing(connect(Path(environment["PREFECT_HOME"]) / "prefect.db")) as made,
        closing(connect(folder / "prefect.db")) as copied,
    ):
        made.backup(copied)
    with prefect_server({**environment, "PREFECT_HOME": str(folder)}, folder) as server:
        yield server


@pytest.fixture(scope="module")
def worker(environment: dict[str, str], sqlite: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A worker's PREFECT_HOME."""
    make_pool(sqlite.url)
    with prefect_worker(environment, sqlite.url, tmp_path_factory.mktemp("worker")) as home:
        yield home


@pytest.fixture(scope="module")
def deployed(worker: str, deploy: Callable[[str], Deployed], sqlite: Server) -> Deployed:
    """The deployments on a server that has a worker."""
    assert worker
    return deploy(sqlite.url)


@pytest.fixture
def small(output: Path, tmp_path: Path) -> dict[str, Any]:
    """Parameters of a job that takes a moment: its model is there already."""
    shutil.copytree(output / "models", tmp_path / "models")
    return {"count": 3000, "model": "kneser-ney", "output": str(tmp_path), "report": False}


def check_whole_run(deployed: Deployed, run: str, parameters: dict[str, Any], seed: int) -> None:
    """Completed, with its parameters, tasks and artifacts, and a sound data set."""
    ended = deployed.ended(run)
    assert ended["state"]["type"] == "COMPLETED", ended["state"]
    assert ended["parameters"].items() >= parameters.items()
    assert [task["state"]["type"] for task in tasks_of(deployed.url, run, 3)] == ["COMPLETED"] * 3
    artifacts = {artifact["key"]: artifact for artifact in deployed.artifacts(run)}
    assert {key: artifact["type"] for key, artifact in artifacts.items()} == {
        "evaluation": "table",
        "data-set": "markdown",
    }
    folder = Path(parameters["output"])
    (names,) = folder.glob(f"names/*/seed={seed}")
    assert f"**{parameters['count']:,} names** are in `{names}`" in artifacts["data-set"]["data"]
    assert namegen.verify(folder) == []


@needs_proc
def test_parameters_in_the_interface(deployed: Deployed) -> None:
    """The server knows the type, default, description and bounds of each, and refuses what is out of them."""
    found = deployed.deployment("generate-nightly")
    assert found["enforce_parameter_schema"]
    properties = found["parameter_openapi_schema"]["properties"]
    assert {name: each["default"] for name, each in properties.items()} == DEFAULT.model_dump()
    assert all(each["description"] and ("type" in each or "anyOf" in each) for each in properties.values())
    assert properties["seed"]["anyOf"] == [{"type": "integer", "minimum": 0, "maximum": 2**64 - 1}, {"type": "null"}]
    with pytest.raises(urllib.error.HTTPError) as caught:
        deployed.start("generate", count=0)
    assert "'count'. Failure reason: 0 is less than the minimum of 1" in caught.value.read().decode()


@needs_proc
def test_a_deployment_on_demand(deployed: Deployed, small: dict[str, Any], tmp_path: Path) -> None:
    """A worker, which was not started in the project's folder, runs it there: data/names.txt is found."""
    run = deployed.start("generate", **small, seed=7)
    missing = deployed.start("generate", **{**small, "names": "data/none.txt"})
    foreign = deployed.start("generate", **small, colour="red", shape="round")
    check_whole_run(deployed, run, small, 7)
    assert wait_until(lambda: f"{NAMES.relative_to(ROOT)}: 32,257 names" in deployed.log(run), 20, 0.2)

    # bad input: failed at once, with a line that says what to do
    ended = deployed.ended(missing)
    assert (ended["state"]["type"], ended["run_count"]) == ("FAILED", 1)
    assert "CorpusError: data/none.txt: there is no such file. Name a text file" in ended["state"]["message"]
    assert [task["run_count"] for task in tasks_of(deployed.url, missing, 1)] == [1]
    ended = deployed.ended(foreign)
    assert (ended["state"]["type"], ended["run_count"]) == ("FAILED", 0)
    assert "The flow has no parameter 'colour' or 'shape'" in ended["state"]["message"]
    assert "Correct prefect.yaml, and deploy again" in ended["state"]["message"]
    assert {path.name for path in tmp_path.glob("names/*/seed=*")} == {"seed=7"}


@pytest.fixture(scope="module")
def postgres(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Path] | None]:
    """A server on PostgreSQL, which starts while another test waits, and its folder; none where that is missing."""
    if not POSTGRESQL:
        yield None
        return
    folder = tmp_path_factory.mktemp("postgresql")
    with postgresql() as database:
        own = {"PREFECT_HOME": str(folder / "home"), "PREFECT_SERVER_DATABASE_CONNECTION_URL": database}
        with prefect_server({**environment, **own}, folder) as server:
            yield server, folder


def zone_of_another_date() -> str:
    """A time zone in which it is another date than in UTC, and will be for a while."""
    now = dt.datetime.now(dt.UTC)
    return "Pacific/Pago_Pago" if now.hour + now.minute / 60 < 10.5 else "Pacific/Kiritimati"


def seed_in(zone: str, run: dict[str, Any]) -> int:
    expected = dt.datetime.fromisoformat(run["expected_start_time"])
    return int(expected.astimezone(ZoneInfo(zone)).strftime("%Y%m%d"))


def schedule_soon(deployed: Deployed, zone: str, parameters: dict[str, Any]) -> str:
    """Changes the schedule of the nightly deployment to a moment from now, by another clock; the id of its run."""
    nightly = deployed.deployment("generate-nightly")
    (schedule,) = nightly["schedules"]
    url = f"{deployed.url}/deployments/{nightly['id']}/schedules/{schedule['id']}"
    of_nightly = {"flow_runs": {"deployment_id": {"any_": [nightly["id"]]}}}

    def runs_at(time: dt.datetime) -> list[str]:
        found = call(f"{deployed.url}/flow_runs/filter", of_nightly)
        return [str(run["id"]) for run in found if dt.datetime.fromisoformat(run["expected_start_time"]) == time]

    for _ in range(10):  # the scheduler has to come by before that moment
        soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=3)
        daily = {"interval": 86400.0, "anchor_date": soon.isoformat(), "timezone": zone}
        call(url, {"schedule": daily, "parameters": parameters}, "PATCH")
        if wait_until(lambda: bool(runs_at(soon)), 3, 0.2):  # noqa: B023 - it is called at once
            return runs_at(soon)[0]
    pytest.fail("the server's scheduler makes no run")


@pytest.mark.usefixtures("prefect_server")
def test_a_date_without_a_schedule(small: dict[str, Any]) -> None:
    """Of a run that no deployment started, the date is that of UTC."""
    before = dt.datetime.now(dt.UTC)
    made = generate(**small, seed=None, names=str(NAMES))
    seeds = {f"seed={time:%Y%m%d}" for time in (before, dt.datetime.now(dt.UTC))}
    assert made.names.name in seeds


def automate(url: str) -> list[str]:
    """Makes the automations, which do not wait longer than they must; their ids."""
    made = []
    for automation in copy.deepcopy([*AUTOMATIONS.values()]):
        if automation["trigger"]["posture"] == "Proactive":
            automation["trigger"]["within"] = 20  # Prefect takes 10, in which a busy machine does too little
        made.append(call(f"{url}/automations/", automation)["id"])
    return made


async def make_older(database: str, run: str) -> None:
    """Puts the last state of a run into the past, in the database of a server that is down."""
    engine = create_async_engine(database)
    async with engine.begin() as connection:
        last = "timestamp = '2026-01-02 03:04:05.678901' WHERE flow_run_id = :run AND name = 'Pending'"
        changed = await connection.execute(text(f"UPDATE flow_run_state SET {last}"), {"run": run})  # noqa: S608 - our own
        assert changed.rowcount == 1
    await engine.dispose()


def check_lost_nights(
    environment: dict[str, str], deployed: Deployed, server: Server, small: dict[str, Any], home: str, *, running: bool
) -> None:
    """No night is lost, whatever of worker and server dies.

    If both die, a night that was about to begin is found to be dead, leaves its place to the next, and runs again, with
    its seed. So does a run that was under way (if `running`), which keeps the parts that it had. If the server alone
    dies, a run goes on, and ends as if nothing had been.
    """
    url, folder = deployed.url, Path(small["output"])
    large = {**small, "count": 12 * 2**20, "workers": 1}
    model = next(folder.glob("models/*-*")).name

    def has(run: str, state: str) -> bool:
        return wait_until(lambda: deployed.run(run)["state"]["type"] == state, 90, 0.05)

    names = dataset_folder(folder, model, 1)
    automations, lost = [], []
    if running:
        automations = automate(url)
        lost.append(deployed.start("generate", **large, seed=1))
        assert wait_until((names / "part-000000.parquet").exists, 60)
        zone = "Europe/Berlin"
        night = deployed.start("generate-nightly", **small)
    else:
        zone = zone_of_another_date()
        night = schedule_soon(deployed, zone, small)
    seed = seed_in(zone, deployed.run(night))
    assert has(night, "PENDING")
    kill_all(home)
    server.end(signal.SIGKILL)
    asyncio.run(make_older(server.database, night))
    kept = {part: part.stat().st_mtime_ns for part in names.glob("part-*.parquet")}
    assert len(kept) < 12

    server.start()
    (folder / "worker").mkdir()
    assert server.url == url
    with prefect_worker(environment, url, folder / "worker"):
        if running:
            assert wait_until(lambda: "AwaitingRetry" in deployed.states(lost[0]), 60), deployed.states(lost[0])
        for automation in automations:  # which are too impatient for a run that takes long to begin
            call(f"{url}/automations/{automation}", method="DELETE")
        after = deployed.start("generate-nightly", **small, seed=2)
        for run in (after, night, *lost):
            assert has(run, "COMPLETED"), deployed.states(run)
        alone = deployed.start("generate-nightly", **large, seed=3)
        assert has(alone, "RUNNING")
        server.end(signal.SIGKILL)
        server.start()
        assert server.url == url
        assert has(alone, "COMPLETED"), deployed.states(alone)
        for run in (after, alone, night, *lost):
            assert ("Crashed" in deployed.states(run)) == (run in {night, *lost})
        assert {part: part.stat().st_mtime_ns for part in kept} == kept
        reason = f"the run is for {seed // 10000}-{seed // 100 % 100:02}-{seed % 100:02} in {zone}"
        wanted = f"Seed {seed}: {reason}, the time zone of its schedule"
        assert wait_until(lambda: wanted in deployed.log(night), 20, 0.2)
    seeds = {seed, 3, 2, 1} if running else {seed, 3, 2}
    assert {path.name for path in names.parent.iterdir()} == {f"seed={each}" for each in seeds}
    assert namegen.verify(folder) == []


@needs_proc
def test_lost_nights(
    environment: dict[str, str],
    deploy: Callable[[str], Deployed],
    sqlite: Server,
    postgres: tuple[Server, Path] | None,
    worker: str,
    small: dict[str, Any],
) -> None:
    """On SQLite and, where it is installed, on PostgreSQL, side by side."""

    def on_postgresql(server: Server, folder: Path) -> None:
        output = folder / "output"
        shutil.copytree(small["output"], output)
        make_pool(server.url)
        with prefect_worker(environment, server.url, folder) as home:
            own = {**small, "output": str(output)}
            check_lost_nights(environment, deploy(server.url), server, own, home, running=False)

    with ThreadPoolExecutor() as pool:
        both = [pool.submit(on_postgresql, *postgres)] if postgres else []
        here = deploy(sqlite.url), sqlite, small, worker
        both.append(pool.submit(check_lost_nights, environment, *here, running=True))
    for each in both:
        each.result()

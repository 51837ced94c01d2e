"""Real Prefect servers and workers, each in processes of its own, and questions to a server's API."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

PREFECT = [sys.executable, "-m", "prefect"]
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
# Nothing is to wait for the next turn of a loop.
SERVER = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "0.5",
    "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "0.5",
}
WORKER = {"DO_NOT_TRACK": "1", "PREFECT_WORKER_QUERY_SECONDS": "0.3"}
# initdb is not on the PATH where Debian installs it
POSTGRESQL = next(
    (folder.parent for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)),
    Path(found).resolve().parent if (found := shutil.which("initdb")) else None,
)

needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at processes in /proc")


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.05) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def call(url: str, body: object = None, method: str | None = None) -> Any:  # noqa: ANN401 - JSON
    """What a server answers: to a POST where there is a body, else to a GET."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - our own server
        url, data, {"Content-Type": "application/json"}, method=method
    )
    for _ in range(20):
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                return json.loads(response.read() or "null")
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE:  # SQLite is locked; Prefect's own client tries again, too
                raise
            time.sleep(0.2)
    raise TimeoutError(url)


def tasks_of(url: str, flow_run: str, number: int) -> list[dict[str, Any]]:
    """The tasks of a run, once that many have ended.

    A run tells of its tasks by events, which the server takes in later than the run's own state: in turns, so that a
    task is there before its state is.
    """
    of_run = {"flow_runs": {"id": {"any_": [flow_run]}}}
    found: list[dict[str, Any]] = []

    def have_ended() -> bool:
        found[:] = call(f"{url}/task_runs/filter", of_run)
        return len(found) == number and all(task["state"] and task["state"]["type"] in FINAL for task in found)

    assert wait_until(have_ended, 60, 0.2), found
    return found


def processes_with(home: str) -> dict[int, str]:
    """The processes that run with this PREFECT_HOME, and the command line of each."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended while we looked
            if f"PREFECT_HOME={home}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def kill_all(home: str) -> None:
    """Kills with -9 whatever runs with this PREFECT_HOME; each run of a worker has a process group of its own."""
    while found := processes_with(home):
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.02)


# An event that follows a lost one is kept back for a quarter of an hour. The scheduler's runs begin with such.
IMPATIENT = """
from datetime import timedelta
from prefect.server.events import ordering
ordering.PRECEDING_EVENT_LOOKBACK = timedelta(seconds=3)
"""


class Server:
    """A `prefect server start` on a port of its own, which can be killed and started again.

    Args:
        environment: of the process; PREFECT_HOME has its database, unless another is set.
        folder: for its log.
    """

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        made = f"sqlite+aiosqlite:///{environment['PREFECT_HOME']}/prefect.db"
        self.database = environment.get("PREFECT_SERVER_DATABASE_CONNECTION_URL", made)
        (folder / "sitecustomize.py").write_text(IMPATIENT)
        self._environment = {**environment, **SERVER, "PYTHONPATH": str(folder)}
        self._log = folder / "server.log"
        self.start()

    @property
    def url(self) -> str:
        """Its address, once it answers."""
        url = f"http://127.0.0.1:{self._port}/api"

        def answers() -> bool:
            try:
                return bool(call(f"{url}/health"))
            except OSError:
                return False

        assert wait_until(lambda: answers() or self._process.poll() is not None, 120)
        assert self._process.poll() is None, self._log.read_text()
        return url

    def start(self) -> None:
        command = [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(self._port)]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        os.killpg(self._process.pid, how)
        self._process.wait(60)


@contextmanager
def prefect_server(environment: dict[str, str], folder: Path) -> Iterator[Server]:
    server = Server(environment, folder)
    try:
        yield server
    finally:
        server.end()


@contextmanager
def prefect_worker(environment: dict[str, str], url: str, folder: Path) -> Iterator[str]:
    """A `prefect worker start` outside of the project's folder, killed in the end; gives its PREFECT_HOME."""
    home = str(folder / "home")
    own = {**environment, **WORKER, "PREFECT_HOME": home, "PREFECT_API_URL": url}
    log = (folder / "worker.log").open("w")
    command = [*PREFECT, "worker", "start", "--pool", "namegen"]
    with log, subprocess.Popen(command, cwd=folder, env=own, stdout=log, stderr=log, start_new_session=True):
        try:
            yield home
        finally:
            kill_all(home)


@contextmanager
def postgresql() -> Iterator[str]:
    """A cluster that nobody else can reach, by a socket in a folder of its own; gives the address of a database."""
    assert POSTGRESQL
    # Not in pytest's folder: PostgreSQL refuses to run as root, and another user may not look into that.
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    other: dict[str, Any] = {}
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        other = {"user": "postgres", "group": "postgres", "extra_groups": []}
    data = folder / "data"
    options = ["-U", "prefect", "--auth=trust", "--encoding=UTF8", "--no-sync"]
    make: list[str | Path] = [POSTGRESQL / "initdb", "-D", data, *options]
    serve: list[str | Path] = [POSTGRESQL / "postgres", "-D", data, "-k", folder, "-h", "", "-F"]
    try:
        subprocess.run(make, cwd=folder, check=True, capture_output=True, **other)
        with subprocess.Popen(serve, cwd=folder, stderr=subprocess.DEVNULL, **other) as process:
            try:
                assert wait_until((folder / ".s.PGSQL.5432").exists, 30)
                yield f"postgresql+asyncpg://prefect@/postgres?host={folder}"
            finally:
                process.send_signal(signal.SIGINT)  # which ends it without waiting for its clients
    finally:
        shutil.rmtree(folder)

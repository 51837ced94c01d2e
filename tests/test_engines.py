"""Parts that are made on the workers of real Dask and Ray clusters, some of which are killed; with those clusters.

One file, as the ranges, the addresses and the clusters are looked at with the same small jobs.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from distributed import Client
from hypothesis import given
from hypothesis import strategies as st
from prefect.task_runners import ThreadPoolTaskRunner

import command_line
import engines
import namegen
import spread as spread_module
import tiny
from conftest import NAMES, attempt, on_disk
from engines import Engine, check_engine
from generate import generate
from namegen.errors import OutputError, SettingError
from namegen.outputs import dataset
from namegen.outputs.journal import Part
from namegen.outputs.layout import dataset_folder, part_name, record_folder
from namegen.outputs.manifests import versions
from namegen.outputs.ranges import Job, check_worker, make_range, parts_in_range, ranges
from namegen.outputs.rows import Source
from namegen.outputs.wish import wish_of
from namegen.outputs.writer import write_dataset
from namegen.parameters import Parameters
from namegen.pipeline import Made
from namegen.storage.files import LOCK, entries, location, make_folder
from namegen.storage.locks import alone_in
from namegen.storage.object_store import EXTRAS
from namegen.storage.storage import Holder

PARTS = 4
COUNT = PARTS * 2**20 + 1000


@pytest.mark.parametrize(("count", "there", "starts"), [(600, 3, 0), (650, 3, 0), (650, 2, 1)])
def test_a_cluster_is_started_only_for_full_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, there: int, starts: int
) -> None:
    """The short last part is made by the job itself, and what nobody uses nobody would close."""
    monkeypatch.setattr(dataset, "PART_ROWS", tiny.PART)
    monkeypatch.setattr(command_line, "PART_ROWS", tiny.PART)
    started: list[Engine] = []

    def start(engine: Engine) -> None:
        started.append(engine)

    monkeypatch.setattr(Engine, "start", start)
    tiny.job(tmp_path / "o", count=there * tiny.PART)
    plan = tiny.plan(tmp_path / "o", count=count)
    command_line.prepare(replace(plan, automaton=plan.model.load()), Parameters(engine="dask"))
    assert len(started) == starts


@given(st.sets(st.integers(0, 300)), st.integers(1, 64))
def test_ranges_hold_each_number_once(numbers: set[int], most: int) -> None:
    """In order, none longer than asked for, and none that could be joined with its forerunner."""
    pieces = ranges(sorted(numbers), most)
    assert [number for piece in pieces for number in piece] == sorted(numbers)
    assert all(1 <= len(piece) <= most for piece in pieces)
    for one, other in pairwise(pieces):
        assert one.stop < other.start or len(one) == most


def test_the_parts_in_range() -> None:
    """Two for each worker where there are few parts, and never more than a journal's file has lines."""
    assert [parts_in_range(parts, 2) for parts in (1, 19, 512, 10**6)] == [1, 5, 64, 64]


@pytest.mark.parametrize(
    ("engine", "address", "says"),
    [
        ("local", "tcp://127.0.0.1:1", "--address needs --engine dask or ray"),
        ("dask", "tcp://127.0.0.1:1", "no dask cluster answers at tcp://127.0.0.1:1"),
        ("ray", "ray://127.0.0.1:1", "no ray cluster answers"),
        ("dask", "127.0.0.1", "is not an address. Write one such as tcp://"),
        ("ray", "user:secret@host:1", "cannot hold a user and password"),
        ("dask", "tcp://no.such.host.invalid:8786", "no dask cluster answers"),
        ("dask", "tcp://127.0.0.1:99999", "no dask cluster answers"),
    ],
)
def test_engines_that_are_refused(engine: str, address: str, says: str) -> None:
    with pytest.raises(SettingError, match=says) as caught:
        check_engine(Engine(engine, address, 1))
    assert "secret" not in str(caught.value)


def test_an_engine_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line says which extra has it."""
    monkeypatch.setitem(engines.PACKAGES, "dask", "no_such_package")
    with pytest.raises(SettingError, match=r"pip install '\.\[dask\]'"):
        check_engine(Engine("dask", None, 1))


def test_what_is_no_dask_scheduler() -> None:
    """Another protocol's greeting is a line, too."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        server.settimeout(30)

        def greet() -> None:
            for _ in range(2):
                connection, _address = server.accept()
                connection.sendall(b"220 hi there this is smtp\r\n")
                connection.close()

        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        greeted = pool.submit(greet)
        check_engine(Engine("dask", address, 1))
        with pytest.raises(SettingError, match="there is no Dask scheduler at"):
            engines.STARTS["dask"](Engine("dask", address, 1))
        greeted.result()


@pytest.mark.usefixtures("prefect_server")
def test_what_answers_and_is_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run fails with a line, before anything is made."""
    monkeypatch.setattr(engines, "CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        state = attempt(
            report=False,
            count=1,
            names=str(NAMES),
            output=str(tmp_path),
            engine="dask",
            address=address,
        )
    assert f"no dask cluster answers at {address} (timed out)" in str(state.message)
    assert not list(tmp_path.iterdir())


HOLDER = Holder(owner="somebody", generation=7, host="somewhere", process=1)


def held_in(folder: Path) -> None:
    """What a living job has in its record."""
    record = on_disk(record_folder(dataset_folder(folder, "m", 1)))
    record.mkdir(parents=True)
    (record / LOCK).write_text(HOLDER.model_dump_json())


def job_in(folder: Path, **changes: Any) -> Job:  # noqa: ANN401 - JSON
    stream = {"automaton_sha256": "0" * 64, "stream_version": 1, "seed": 1}
    job = Job(str(dataset_folder(folder, "m", 1)), str(folder), stream, "cpu", versions(), HOLDER.key)
    return job._replace(**changes)


def test_a_worker_that_does_not_see_the_folder(tmp_path: Path) -> None:
    """It says so, and where it is, before it makes anything."""
    with pytest.raises(OutputError, match=r"is not visible to the worker on .* need a shared --output"):
        make_range(job_in(tmp_path), range(3))
    assert not list(tmp_path.iterdir())
    held_in(tmp_path)
    assert check_worker(job_in(tmp_path)) == socket.gethostname()


def test_a_worker_of_a_dead_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes no part when the next job has begun, or its own has ended; on a disk and in a store."""
    monkeypatch.setattr(dataset, "PART_ROWS", tiny.PART)
    monkeypatch.setitem(EXTRAS, "memory", "")  # which nobody but this process sees
    for output in (tmp_path / "o", location("memory://bucket/dead")):
        tiny.job(output)
        model = tiny.place(output)
        automaton = model.load()
        assert automaton
        folder = output / "names" / f"model={model.path.name}" / "seed=9"
        record = record_folder(folder)
        for place in (folder, record):
            make_folder(place)
        with alone_in(record) as hold:
            job = Job(str(folder), str(model.path), automaton.stream(9), "cpu", versions(), hold.key)
            assert [part.number for part in make_range(job, range(1))] == [0]
        with pytest.raises(OutputError, match="is not visible to the worker"):
            make_range(job, range(1, 3))
        with alone_in(record), pytest.raises(OutputError, match="is not visible to the worker"):
            make_range(job, range(1, 3))
        assert sorted(name for name in entries(folder) if name.endswith("parquet")) == ["part-000000.parquet"]


def test_a_worker_of_other_versions(tmp_path: Path) -> None:
    """It might write other bytes."""
    held_in(tmp_path)
    with pytest.raises(SettingError, match=r"has pyarrow \S+ instead of 1.0"):
        check_worker(job_in(tmp_path, versions={**versions(), "pyarrow": "1.0"}))


def test_a_worker_with_another_model(tmp_path: Path) -> None:
    held_in(tmp_path)
    with pytest.raises(OutputError, match="does not hold the job's model"):
        make_range(job_in(tmp_path), range(3))


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("times", [1, 2])
def test_ranges_that_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Those that failed are made once more, and no other; if they fail again the run says which."""
    asked: list[range] = []

    def make(_: Job, numbers: range) -> list[Part]:
        asked.append(numbers)
        if numbers.start in {2, 6} and asked.count(numbers) <= times:
            raise OSError(5, "Input/output error")
        return [Part(number, 2**20, "0" * 64, 1) for number in numbers]

    held_in(tmp_path)
    monkeypatch.setattr(spread_module, "make_range", make)
    runner: Any = ThreadPoolTaskRunner(max_workers=2)
    pieces = [(first, first + 1) for first in range(0, 8, 2)]
    run = spread_module.spread.with_options(task_runner=runner)
    if times == 1:
        made = run(tuple(job_in(tmp_path)), pieces, 2)
        assert sorted(part[0] for part in made) == list(range(8))
    else:
        with pytest.raises(OutputError, match=r"lacks the parts 2 to 3, 6 to 7, which failed twice \(OSError"):
            run(tuple(job_in(tmp_path)), pieces, 2)
    assert sorted(piece.start for piece in asked) == [0, 2, 2, 4, 6, 6]


def check(made: Made) -> None:
    """The data set is whole, and has the bytes that one process makes."""
    folder, output = on_disk(made.names), on_disk(made.names).parents[2]
    assert namegen.verify(folder) == []
    parts = [part_name(number) for number in range(PARTS + 1)]
    assert sorted(path.name for path in folder.iterdir()) == parts
    wish = wish_of(folder)
    question = [] if wish.is_plain else ["question.json"]
    assert sorted(entries(record_folder(folder))) == [".lock", "manifest.copy.json", "manifest.json", *question]
    source = Source.load(made.model.path, 42, wish=wish)
    assert source
    alone = dataset_folder(output / "alone", "m", 42)
    write_dataset(alone, COUNT, source.stream, source.rows, source.configuration, workers=2)
    assert all((folder / part).read_bytes() == (alone / part).read_bytes() for part in parts)


@contextmanager
def dask_cluster(folder: Path) -> Iterator[tuple[str, Callable[[], list[int]]]]:
    """A scheduler and two workers, which know nothing of this project but that it is installed; their processes."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    options = {"cwd": folder, "start_new_session": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask = [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--dashboard-address", "127.0.0.1:0"]
    worker = [*dask, "worker", address, "--nworkers", "2", "--nthreads", "1", "--no-dashboard"]
    processes = [subprocess.Popen(command, **options) for command in (scheduler, worker)]  # type: ignore[call-overload]

    def workers() -> list[int]:
        return [pid for pid in children(processes[1].pid) if "spawn_main" in command_of(pid)]

    try:
        with Client(address, timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
        yield address, workers
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(folder.name))
        except OSError:
            continue
    return [*found, *(grandchild for child in found for grandchild in children(child))]


def kill_one_when_it_works(output: Path, workers: Callable[[], list[int]], ended: Event) -> int:
    """Kills a worker when the first part is there; which one."""
    while not ended.is_set():
        if any(output.rglob("part-*.parquet")) and (found := workers()):
            os.kill(found[0], signal.SIGKILL)
            return found[0]
        time.sleep(0.01)
    return 0


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
@pytest.mark.usefixtures("prefect_server")
def test_on_dask(tmp_path: Path) -> None:
    """On a cluster that runs already, one of whose workers is killed: the same bytes as in one process."""
    output, ended = tmp_path / "o", Event()
    with dask_cluster(tmp_path) as (address, workers), ThreadPoolExecutor(1) as pool:
        killed = pool.submit(kill_one_when_it_works, output, workers, ended)
        try:
            made = generate(
                count=COUNT,
                names=str(NAMES),
                model="bigram",
                output=str(output),
                engine="dask",
                address=address,
                report=False,
            )
        finally:
            ended.set()
    assert killed.result()
    check(made)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
@pytest.mark.usefixtures("prefect_server")
def test_on_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a cluster of the job's own, asked a question, and one of the workers is killed: the same bytes again."""
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # what was there before the job is not its own

    def workers() -> list[int]:
        return [pid for pid in children(os.getpid()) if command_of(pid).startswith("ray::parts")]

    output, ended = tmp_path / "o", Event()
    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(kill_one_when_it_works, output, workers, ended)
        try:
            made = generate(
                report=False,
                count=COUNT,
                names=str(NAMES),
                model="bigram",
                prefix="ma",
                length="4-9",
                output=str(output),
                engine="ray",
                workers=2,
            )
        finally:
            ended.set()
    assert killed.result()
    check(made)

"""Makes data sets: finds out what is there, writes the parts that are missing, and then the manifest.

Unlike `sampling`, this module knows nothing of names: rows come from a function that makes any range of them.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from namegen.errors import ArtifactError
from namegen.outputs import dataset
from namegen.outputs.dataset import DatasetManifest, State
from namegen.outputs.journal import Journal, Part, remove_journal
from namegen.outputs.layout import part_name, part_number, record_folder
from namegen.outputs.manifests import write_manifest
from namegen.storage.files import (
    LOCK,
    UNHELD,
    Hold,
    Location,
    entries,
    make_folder,
    put_in_place,
    sha256_of,
    storage_of,
    temporaries,
    temporary_beside,
)

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
A = TypeVar("A")

# Measured: see benchmarks/README.md. A byte-stream-split of log_prob would save 5 %, but Spark cannot read it.
PARQUET: dict[str, Any] = {
    "compression": "zstd",
    "row_group_size": 2**17,
    "use_dictionary": False,
    "column_encoding": {"index": "DELTA_BINARY_PACKED", "name": "DELTA_LENGTH_BYTE_ARRAY", "log_prob": "PLAIN"},
}
AHEAD = 4  # parts per worker that may be begun before the oldest is done, so that one slow part holds up no worker


@dataclass(frozen=True)
class Written:
    """The result of writing a data set.

    Args:
        rows: in the data set.
        kept, made: how many parts were there and intact, and how many were made.
        replaced: the names of the made parts that were there, but not as recorded.
        removed: files named like parts beyond the last one, which no manifest recorded.
    """

    rows: int
    kept: int
    made: int
    replaced: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Survey:
    """What a job finds in a data set's folder.

    Args:
        count: the rows that there will be: those asked for, or those that are there already if they are more.
        kept: the parts that are there and intact, by their numbers.
        missing: the numbers of the others.
        altered: those of `missing` that are there, but not as recorded.
    """

    folder: Location
    count: int
    stream: dict[str, Any]
    manifest: DatasetManifest | None
    kept: dict[int, Part]
    missing: list[int]
    altered: list[int]


# Makes the parts with these numbers, which are all full, on other processes or hosts.
Elsewhere = Callable[[Survey, Sequence[int]], list[Part]]


def survey(folder: Location, count: int, stream: dict[str, Any], *, workers: int = 1) -> Survey:
    """Finds out which parts of a data set of at least `count` rows are there and intact.

    On a disk each file is read, and must match its SHA-256. In a store, which keeps what it has and may be far away, it
    must have its size; `verify` reads it.

    Args:
        stream: what decides the rows, as JSON; the data set of another stream is refused.
        workers: how many parts are read at once.

    Raises:
        ArtifactError: if the manifest is damaged, of another stream, or of a newer format, or if a folder is in the
            way of a file.
    """
    record = record_folder(folder)
    for place in (folder, record):
        make_folder(place)
    state = State.of(folder, stream)
    manifest = state.opened.sound()
    if manifest:
        manifest.check_stream(folder, stream)
    blocked = [folder / name for name, size in state.files.items() if size is None and part_number(name) is not None]
    blocked += [record / name for name, size in entries(record).items() if size is None and name != LOCK]
    for place in sorted(blocked, key=str):
        what = "is a folder where a file of the data set belongs"
        raise ArtifactError(what, str(place), "Move it elsewhere")
    sealed = state.sealed(stream)
    if sealed:
        count = max(count, sealed.rows)  # a data set never shrinks
    numbers = range(dataset.parts_for(count))

    def expected(number: int) -> list[Part]:
        is_there = part_name(number) in state.files
        return state.recorded(number, dataset.rows_in_part(number, count)) if is_there else []

    def find(number: int) -> Part | None:
        parts = [part for part in expected(number) if part.size == state.files[part_name(number)]]
        if parts and not storage_of(folder).keeps_contents:
            actual = sha256_of(folder / part_name(number))
            parts = [part for part in parts if part.sha256 == actual]
        return parts[0] if parts else None

    with closing(in_order(find, numbers, workers)) as parts:
        kept = {part.number: part for part in parts if part}
    missing = [number for number in numbers if number not in kept]
    return Survey(folder, count, stream, manifest, kept, missing, [number for number in missing if expected(number)])


def make_parts(
    folder: Location,
    numbers: Sequence[int],
    count: int,
    stream: dict[str, Any],
    make_rows: Callable[[int, int], pa.Table],
    *,
    workers: int = 1,
    on_part: Callable[[int], None] = lambda rows: None,
    check_alone: Callable[[], None] = lambda: None,
    journal_from: int | None = None,
) -> list[Part]:
    """Makes parts of a data set of `count` rows, whatever is there of them, and records them in the journal.

    Args:
        numbers: of the parts, in order.
        make_rows: (first, rows) to those rows, equal for equal arguments; called by several threads at once.
        workers: how many parts are made at once, each of them in memory. The files are the same for any number.
        on_part: called with the rows of each part once it is in place, in order.
        check_alone: raises an error if another job may be at work by now; called before each part is put in place.
        journal_from: where this process's own range begins, if other processes make other parts.
    """
    record = record_folder(folder)
    journal = Journal(record, stream, next(iter(numbers), 0) if journal_from is None else journal_from)

    def make(number: int) -> Future[Part]:
        path, first, rows = folder / part_name(number), number * dataset.PART_ROWS, dataset.rows_in_part(number, count)
        temporary = temporary_beside(record / path.name)
        try:
            write_part(temporary, make_rows(first, rows), {**stream, "first": first})
            part = Part(number, rows, sha256_of(temporary), temporary.stat().st_size)
            return flushers.submit(finish, temporary, path, part)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def finish(temporary: Path, path: Location, part: Part) -> Part:
        try:
            check_alone()
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        put_in_place(temporary, path, check_alone)
        journal.add(part)
        return part

    parts: list[Part] = []
    # threads of their own wait for the disk, while the next part is made
    with (
        ThreadPoolExecutor(storage_of(folder).puts_at_once or workers) as flushers,
        closing(in_order(make, numbers, workers)) as made,
    ):
        for flushed in made:
            parts.append(flushed.result())
            on_part(parts[-1].rows)
    return parts


def seal(
    surveyed: Survey,
    made: Iterable[Part],
    configuration: dict[str, Any],
    hold: Hold = UNHELD,
) -> Written:
    """Writes the manifest of a data set whose parts are all there, and removes other files that are named like parts.

    Args:
        made: the parts that were missing.
        configuration: goes into the manifest.
        hold: of the record, taken before the survey.

    Raises:
        LeaseError: if another job has written the manifest since then, which can happen in a store.
    """
    folder, before = surveyed.folder, surveyed.manifest
    hold.check()
    parts = surveyed.kept | {part.number: part for part in made}
    there = entries(folder)
    removed = sorted(name for name in there if (number := part_number(name)) is not None and number not in parts)
    for name in removed:  # left by a longer job that died; nothing records it, and readers would take it for a part
        (folder / name).unlink()
    manifest = DatasetManifest(
        rows=surveyed.count,
        stream=surveyed.stream,
        configuration=configuration,
        part_sha256=tuple(parts[number].sha256 for number in range(len(parts))),
        part_bytes=tuple(parts[number].size for number in range(len(parts))),
    )
    if not before or (before.rows, before.parts()) != (surveyed.count, parts):
        write_manifest(folder, manifest, hold, copy=True)
        hold.check()
        write_manifest(folder, manifest, hold)
    remove_journal(record_folder(folder))
    replaced = tuple(map(part_name, surveyed.altered))
    return Written(surveyed.count, len(surveyed.kept), len(surveyed.missing), replaced, tuple(removed))


def write_dataset(
    folder: Location,
    count: int,
    stream: dict[str, Any],
    make_rows: Callable[[int, int], pa.Table],
    configuration: dict[str, Any],
    hold: Hold = UNHELD,
    *,
    workers: int = 1,
    on_part: Callable[[int], None] = lambda rows: None,
    elsewhere: Elsewhere | None = None,
) -> Written:
    """Makes `folder` a data set of at least `count` rows, and keeps the parts that are there and intact.

    The arguments are those of `survey`, `make_parts` and `seal`. `on_part` is called for the kept parts first.

    Args:
        hold: of the record.
        elsewhere: makes the full parts that are missing; None to make them in this process. The last part, which may
            be short, is always made here, by the job that holds the lock.
    """
    surveyed = survey(folder, count, stream, workers=workers)
    for part in surveyed.kept.values():
        on_part(part.rows)
    here, made = surveyed.missing, []
    if here:
        hold.check()
        Journal(record_folder(folder), stream).ask(surveyed.count)
    if elsewhere:
        full = [number for number in here if dataset.rows_in_part(number, surveyed.count) == dataset.PART_ROWS]
        here = [number for number in here if number not in set(full)]
        made = elsewhere(surveyed, full) if full else []
        for left in temporaries(record_folder(folder)):  # by workers that died
            left.unlink(missing_ok=True)
    made += make_parts(
        folder, here, surveyed.count, stream, make_rows, workers=workers, on_part=on_part, check_alone=hold.check
    )
    return seal(surveyed, made, configuration, hold)


def restore_parts(
    folder: Location,
    parts: Sequence[Part],
    stream: dict[str, Any],
    make_rows: Callable[[int, int], pa.Table],
    *,
    workers: int = 1,
    check_alone: Callable[[], None] = lambda: None,
) -> int:
    """Makes recorded parts again, if they become the very bytes that are recorded; returns how many did."""

    def restore(part: Part) -> bool:
        path, first = folder / part_name(part.number), part.number * dataset.PART_ROWS
        temporary = temporary_beside(record_folder(folder) / path.name)
        try:
            write_part(temporary, make_rows(first, part.rows), {**stream, "first": first})
            if sha256_of(temporary) != part.sha256:
                return False
            check_alone()
            storage_of(path).clear(path)
            put_in_place(temporary, path, check_alone)
            return True
        finally:
            temporary.unlink(missing_ok=True)

    with closing(in_order(restore, parts, workers)) as restored:
        return sum(restored)


def in_order(work: Callable[[A], T], arguments: Sequence[A], workers: int) -> Generator[T]:
    """work(argument) of each argument, in their order, with up to `workers` of them under way at once.

    If one fails, those under way are waited for, and no other begins. Log lines of `work` reach the log of the caller's
    run, because each call has a copy of the caller's context.
    """
    stopped = Event()

    def unless_stopped(argument: A) -> T:
        if stopped.is_set():
            raise CancelledError
        try:
            return work(argument)
        except BaseException:
            stopped.set()
            raise

    ahead: deque[Future[T]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for argument in arguments:
                ahead.append(pool.submit(copy_context().run, unless_stopped, argument))
                if len(ahead) > AHEAD * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            stopped.set()


def write_part(path: Path, table: pa.Table, identity: dict[str, Any]) -> None:
    """Writes rows as Parquet, with what identifies them in the file's metadata."""
    import pyarrow.parquet as pq  # not needed to find that nothing is left to do

    table = table.replace_schema_metadata({"namegen": json.dumps(identity)})
    with path.open("wb") as file:  # Arrow, given a path, expands ~ in it
        pq.write_table(table, file, **PARQUET)

"""Makes data sets: looks what is there, makes what is missing, here or in other processes, and writes the manifest.

Unlike `sampling`, this module knows nothing of names: rows come from a function that makes any range of them.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from namegen.errors import ArtifactError, LeaseError
from namegen.outputs import dataset
from namegen.outputs.dataset import MANIFEST, DatasetManifest, check_stream, number_of, part_name, read_dataset_manifest
from namegen.outputs.journal import NAME as JOURNAL
from namegen.outputs.journal import Journal, Part, remove_journal
from namegen.outputs.manifests import write_manifest
from namegen.storage.files import Location, make_folder, put_in_place, sha256_of, sizes, temporary_beside
from namegen.storage.object_store import RemotePath

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
A = TypeVar("A")

# Measured: see benchmarks/README.md. A byte-stream-split of log_prob would save a twentieth, but Spark cannot read it.
PARQUET: dict[str, Any] = {
    "compression": "zstd",
    "row_group_size": 2**17,
    "use_dictionary": False,
    "column_encoding": {"index": "DELTA_BINARY_PACKED", "name": "DELTA_LENGTH_BYTE_ARRAY", "log_prob": "PLAIN"},
}
AHEAD = 4  # parts a worker that are done or begun before the first of them is: one slow part keeps none waiting
UPLOADS = 8  # parts at once that are on their way into a store, which takes longer than a disk


@dataclass(frozen=True)
class Written:
    """What a call of `write_dataset` came to.

    Args:
        rows: in the data set.
        kept, made: parts that were there and right, and parts that were made.
        mended: of the parts made, those that were there and not as the manifest has them.
        removed: files of parts behind the last, which no manifest knew.
    """

    rows: int
    kept: int
    made: int
    mended: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Survey:
    """What a job finds in a data set's folder.

    Args:
        count: the rows that there will be: those asked for, or those that are there already, if they are more.
        kept: parts that are there and right, by their numbers.
        missing: the numbers of the others.
        altered: those of them that are there, and not what they should be.
    """

    folder: Location
    count: int
    stream: dict[str, Any]
    manifest: DatasetManifest | None
    kept: dict[int, Part]
    missing: list[int]
    altered: list[int]


def survey(
    folder: Location, count: int, stream: dict[str, Any], workers: int = 1, good: Mapping[int, Part] | None = None
) -> Survey:
    """Looks which parts of a data set of at least `count` rows are there and right.

    On a disk each file is read, and has to fit its SHA-256. In a store, which has checksums of its own and may be far
    away, it has to be of its size; `verify` reads it.

    Args:
        stream: what decides the rows, as JSON has it; a data set of another one is refused.
        workers: how many parts are read at once.
        good: the parts that are there and right, where that is known already.

    Raises:
        ArtifactError: where the manifest is damaged, of another stream, or of a newer format, or a folder is in a
            part's way.
    """
    make_folder(folder)
    manifest = read_dataset_manifest(folder)
    check_stream(folder, manifest, stream)
    there = sizes(folder)
    for name in sorted(name for name, size in there.items() if size is None):
        if name == MANIFEST or JOURNAL.fullmatch(name) or number_of(name) is not None:
            what = "is a folder where a file of the data set belongs"
            raise ArtifactError(what, str(folder / name), "Move it elsewhere")
    count = max(count, manifest.rows if manifest else 0)  # what was asked for before stays
    known = [manifest.parts() if manifest else {}, Journal(folder, stream).read(there)] if good is None else [good]

    def look(number: int) -> tuple[int, Part | None, bool]:
        name, rows = part_name(number), dataset.rows_of(number, count)
        expected = [parts[number] for parts in known if number in parts and parts[number].rows == rows]
        if name not in there:
            return number, None, False
        right = expected
        if good is None:
            right = [part for part in right if part.size == there[name]]
        if good is None and right and not isinstance(folder, RemotePath):
            found = sha256_of(folder / name)
            right = [part for part in right if part.sha256 == found]
        return number, right[0] if right else None, bool(expected)

    kept, missing, altered = {}, [], []
    with closing(in_order(look, range(dataset.parts_of(count)), workers)) as looks:
        for number, part, is_known in looks:
            if part:
                kept[number] = part
                continue
            missing.append(number)
            if is_known:
                altered.append(number)
    return Survey(folder, count, stream, manifest, kept, missing, altered)


def make_parts(
    folder: Location,
    numbers: Sequence[int],
    count: int,
    stream: dict[str, Any],
    make_rows: Callable[[int, int], pa.Table],
    workers: int = 1,
    on_part: Callable[[int], None] = lambda rows: None,
    still_alone: Callable[[], None] = lambda: None,
    journal_from: int | None = None,
) -> list[Part]:
    """Makes parts of a data set of `count` rows, whatever is there of them, and notes them in the journal.

    Args:
        numbers: of the parts, in order.
        make_rows: (first, rows) to those rows, equal for equal arguments; called by several threads at once.
        workers: how many parts are made at once. The files are the same for any number; each holds one part in memory.
        on_part: called with the rows of each part when it is there, in order.
        still_alone: raises an error where another job may be at work by now; called before each part is put in place.
        journal_from: where the range begins that is this process's own, while others make other parts.
    """
    journal = Journal(folder, stream, next(iter(numbers), 0) if journal_from is None else journal_from)

    def make(number: int) -> Future[Part]:
        path, first, rows = folder / part_name(number), number * dataset.PART_ROWS, dataset.rows_of(number, count)
        temporary = temporary_beside(path)
        try:
            _write_part(temporary, make_rows(first, rows), {**stream, "first": first})
            part = Part(number, rows, sha256_of(temporary), temporary.stat().st_size)
            return flushers.submit(finish, temporary, path, part)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def finish(temporary: Path, path: Location, part: Part) -> Part:
        try:
            still_alone()
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        put_in_place(temporary, path)
        journal.add(part)
        return part

    parts: list[Part] = []
    # what waits for the disk does so in threads of its own, while the next part is made
    with (
        ThreadPoolExecutor(UPLOADS if isinstance(folder, RemotePath) else workers) as flushers,
        closing(in_order(make, numbers, workers)) as made,
    ):
        for flushed in made:
            parts.append(flushed.result())
            on_part(parts[-1].rows)
    return parts


def seal(found: Survey, made: Iterable[Part], configuration: dict[str, Any]) -> Written:
    """Writes the manifest of a data set whose parts are all there, and removes what is none of them.

    Args:
        made: the parts that were missing.
        configuration: goes into the manifest as it is.

    Raises:
        LeaseError: where another job has written the manifest since the survey, as may be in a store.
    """
    if isinstance(found.folder, RemotePath) and read_dataset_manifest(found.folder) != found.manifest:
        what = "was finished by another job in the meantime"
        raise LeaseError(what, str(found.folder), "Run it again: it goes on from here")
    parts = found.kept | {part.number: part for part in made}
    there = sizes(found.folder)
    removed = sorted(name for name in there if (number := number_of(name)) is not None and number not in parts)
    for name in removed:  # of a longer job that died: nothing vouches for it, and readers would take it for a part
        (found.folder / name).unlink()
    manifest = DatasetManifest(
        rows=found.count,
        stream=found.stream,
        configuration=configuration,
        part_sha256=tuple(parts[number].sha256 for number in range(len(parts))),
        part_bytes=tuple(parts[number].size for number in range(len(parts))),
    )
    if not found.manifest or (found.manifest.rows, found.manifest.parts()) != (found.count, parts):
        write_manifest(found.folder / MANIFEST, manifest, only_if_none=found.manifest is None)
    remove_journal(found.folder, there)
    mended = tuple(map(part_name, found.altered))
    return Written(found.count, len(found.kept), len(found.missing), mended, tuple(removed))


def write_dataset(
    folder: Location,
    count: int,
    stream: dict[str, Any],
    make_rows: Callable[[int, int], pa.Table],
    configuration: dict[str, Any],
    workers: int = 1,
    on_part: Callable[[int], None] = lambda rows: None,
    still_alone: Callable[[], None] = lambda: None,
    good: Mapping[int, Part] | None = None,
) -> Written:
    """Makes `folder` a data set of at least `count` rows, in this process. Parts that are there and right are kept.

    Its arguments are those of `survey`, `make_parts` and `seal`; `on_part` is called for the kept parts first.
    """
    found = survey(folder, count, stream, workers, good)
    for part in found.kept.values():
        on_part(part.rows)
    made = make_parts(folder, found.missing, found.count, stream, make_rows, workers, on_part, still_alone)
    still_alone()
    written = seal(found, made, configuration)
    still_alone()  # what was sent just before may have arrived late
    return written


def in_order(work: Callable[[A], T], arguments: Sequence[A], workers: int) -> Generator[T]:
    """work(argument) of each, in their order, up to `workers` of them under way at once.

    Where one fails, those under way are waited for, and no other begins.
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
                ahead.append(pool.submit(unless_stopped, argument))
                if len(ahead) > AHEAD * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            stopped.set()


def _write_part(path: Path, table: pa.Table, identity: dict[str, Any]) -> None:
    import pyarrow.parquet as pq  # not needed to find that nothing is left to do

    table = table.replace_schema_metadata({"namegen": json.dumps(identity)})
    with path.open("wb") as file:  # Arrow, given a path, expands ~ in it
        pq.write_table(table, file, **PARQUET)

"""A data set of names: Parquet parts of 2^20 rows and a manifest, each file whole or not there.

    <output>/names/model=<model>-<id>/seed=<seed>/part-000000.parquet ... and _manifest.json

Part k holds rows [k * 2^20, (k+1) * 2^20); only the last is shorter. The manifest vouches for parts by their SHA-256,
and is what makes them a data set: it is written last, once. Until then a journal has a line for each part that is
finished, in whatever order, and a job that died is taken up behind them. Their names begin with "_", so that readers
of the folder pass them over.

Unlike `sampling`, this module knows nothing of names: rows come from a function that makes any range of them.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from namegen.errors import ArtifactError
from namegen.storage import (
    Manifest,
    make_folder,
    open_regular,
    put_in_place,
    read_manifest,
    sha256_of,
    temporary_beside,
    write_manifest,
)

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

MANIFEST = "_manifest.json"
JOURNAL = "_journal.jsonl"
PART_ROWS = 2**20
# Measured: see benchmarks/README.md. A byte-stream-split of log_prob would save a twentieth, but Spark cannot read it.
PARQUET: dict[str, Any] = {
    "compression": "zstd",
    "row_group_size": 2**17,
    "use_dictionary": False,
    "column_encoding": {"index": "DELTA_BINARY_PACKED", "name": "DELTA_LENGTH_BYTE_ARRAY", "log_prob": "PLAIN"},
}
AHEAD = 4  # parts a worker that are done or begun before the first of them is: one slow part keeps none waiting


class Part(BaseModel):
    """A part as the manifest vouches for it: rows `first` to `first + rows - 1`."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    file: str  # a name in the folder, see `part_name`, never a path out of it
    first: int
    rows: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _is_on_the_grid(self) -> Self:
        number, behind = divmod(self.first, PART_ROWS)
        if behind or number < 0 or self.rows > PART_ROWS or self.file != part_name(number):
            raise ValueError(f"{self.file!r} does not hold {self.rows} rows from {self.first} on")
        return self


class DatasetManifest(Manifest):
    """What a data set holds; `stream` decides its rows, `configuration` says where they come from."""

    rows: int = Field(ge=1)
    stream: dict[str, Any]
    configuration: dict[str, Any]
    parts: tuple[Part, ...]

    @model_validator(mode="after")
    def _has_every_row(self) -> Self:
        last = max(self.rows - 1, 0) // PART_ROWS
        sizes = [PART_ROWS] * last + [self.rows - last * PART_ROWS] if last < len(self.parts) else []
        if [(part.first, part.rows) for part in self.parts] != [(k * PART_ROWS, size) for k, size in enumerate(sizes)]:
            raise ValueError(f"its {len(self.parts)} parts do not hold {self.rows} rows, {PART_ROWS} a part")
        return self


class Journal:
    """The parts that a job has finished, before a manifest vouches for them: a line of JSON each.

    It may be cut off or have lines of any kind: a part is kept only if its file has the SHA-256 that a line has for it.
    So the lines themselves are not flushed to disk, where the parts are: a power cut costs at most some parts' time.

    Args:
        stream: what decides the rows; lines of another one are passed over.
    """

    def __init__(self, folder: Path, stream: dict[str, Any]) -> None:
        self._path = folder / JOURNAL
        self._stream = sha256(json.dumps(stream, sort_keys=True).encode()).hexdigest()[:16]
        self._lock = Lock()

    def read(self) -> dict[str, Part]:
        """The parts by their files' names; of several lines for one part the last."""
        parts: dict[str, Part] = {}
        if self._path.is_symlink() or not self._path.is_file():
            return parts
        with open_regular(self._path) as file:
            for line in iter(partial(file.readline, 4096), b""):  # none is longer, and memory is bounded
                with suppress(ValidationError):
                    entry = _Entry.model_validate_json(line)
                    if entry.stream == self._stream:
                        parts[entry.part.file] = entry.part
        return parts

    def add(self, part: Part) -> None:
        """Appends a line, behind the end of whatever half a line was left there."""
        line = f"\n{_Entry(stream=self._stream, part=part).model_dump_json()}\n".encode()
        with self._lock:
            if self._path.is_symlink() or not self._path.is_file():
                self.remove()  # a link, say, to what is not ours to write to
            with self._path.open("ab") as file:
                file.write(line)

    def remove(self) -> None:
        """Removes it, if it is there."""
        self._path.unlink(missing_ok=True)


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True)

    stream: str
    part: Part


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


def part_name(number: int) -> str:
    """The file of part `number`."""
    return f"part-{number:06d}.parquet"


def number_of(file: str) -> int | None:
    """Of which part a file's name is that; None for any other name."""
    found = re.fullmatch(r"part-([0-9]{6,15})\.parquet", file)
    return int(found[1]) if found and part_name(int(found[1])) == file else None


def dataset_folder(output: Path, model: str, seed: int) -> Path:
    """Where the names of a model folder's name and a seed belong under `output`."""
    return output / "names" / f"model={model}" / f"seed={seed}"


def read_dataset_manifest(folder: Path) -> DatasetManifest | None:
    """The manifest of a data set, or None where there is none.

    Raises:
        ArtifactError: where it is no manifest, altered, or of a newer format.
    """
    remedy = f"Mend it with namegen verify --repair {folder}, or remove the folder to have it made again"
    return read_manifest(folder / MANIFEST, DatasetManifest, remedy)


def check_stream(folder: Path, manifest: DatasetManifest | None, stream: dict[str, Any]) -> None:
    """Looks whether the manifest that was found in a folder, if any, is of a stream.

    Raises:
        ArtifactError: where it is of another.
    """
    if manifest and manifest.stream != stream:
        raise ArtifactError(
            f"holds the stream {manifest.stream}, and the job makes {stream}",
            str(folder / MANIFEST),
            "Remove the folder to have it made again, or name another output folder",
        )


def write_dataset(
    folder: Path,
    count: int,
    stream: dict[str, Any],
    make_rows: Callable[[int, int], pa.Table],
    configuration: dict[str, Any],
    workers: int = 1,
    on_part: Callable[[int], None] = lambda rows: None,
) -> Written:
    """Makes `folder` a data set of at least `count` rows. Parts that are there and right are kept.

    Args:
        stream: what decides the rows, as JSON has it; a data set of another one is refused.
        make_rows: (first, rows) to those rows, equal for equal arguments; called by several threads at once.
        configuration: goes into the manifest as it is.
        workers: how many parts are looked at or made at once. The files are the same for any number; each holds one
            part in memory.
        on_part: called with the rows of each part that is there, in order.

    Raises:
        ArtifactError: where the manifest is damaged, of another stream, or of a newer format, or a folder is in a
            part's way.
    """
    make_folder(folder)
    manifest = read_dataset_manifest(folder)
    check_stream(folder, manifest, stream)
    for path in sorted(folder.iterdir()):
        if path.is_dir() and (path.name in {MANIFEST, JOURNAL} or number_of(path.name) is not None):
            raise ArtifactError("is a folder where a file of the data set belongs", str(path), "Move it elsewhere")
    count = max(count, manifest.rows if manifest else 0)  # what was asked for before stays
    journal = Journal(folder, stream)
    known = [{part.file: part for part in manifest.parts} if manifest else {}, journal.read()]
    parts, fates = [], []
    # what waits for the disk does so in threads of its own, while the next part is made
    with ThreadPoolExecutor(workers) as flushers:
        one = _Maker(folder, count, stream, make_rows, known, journal, flushers)
        with closing(_in_order(one.see_to, -(-count // PART_ROWS), workers)) as seen_to:
            for part, fate, flushed in seen_to:
                if flushed:
                    flushed.result()
                parts.append(part)
                fates.append(fate)
                on_part(part.rows)
    ours = {part.file for part in parts}
    removed = [file for file in sorted(folder.iterdir()) if number_of(file.name) is not None and file.name not in ours]
    for file in removed:  # of a longer job that died: nothing vouches for it, and readers would take it for a part
        file.unlink()
    if not manifest or manifest.parts != tuple(parts):
        new = DatasetManifest(rows=count, stream=stream, configuration=configuration, parts=tuple(parts))
        write_manifest(folder / MANIFEST, new)
    journal.remove()
    mended = tuple(part.file for part, fate in zip(parts, fates, strict=True) if fate == "mended")
    kept = fates.count("kept")
    return Written(count, kept, len(fates) - kept, mended, tuple(file.name for file in removed))


@dataclass(frozen=True)
class _Maker:
    """Makes the parts of one data set that are not there; `known` has what vouches for those that may be."""

    folder: Path
    count: int
    stream: dict[str, Any]
    make_rows: Callable[[int, int], pa.Table]
    known: list[dict[str, Part]]
    journal: Journal
    flushers: ThreadPoolExecutor

    def see_to(self, number: int) -> tuple[Part, str, Future[None] | None]:
        """A part, what became of it, and where it was made, its way to the disk."""
        first = number * PART_ROWS
        path, rows = self.folder / part_name(number), min(PART_ROWS, self.count - first)
        known = [parts[path.name] for parts in self.known if path.name in parts and parts[path.name].rows == rows]
        if known and path.is_file():
            found = sha256_of(path)
            for part in known:
                if part.sha256 == found:
                    return part, "kept", None
        temporary = temporary_beside(path)
        try:
            _write_part(temporary, self.make_rows(first, rows), {**self.stream, "first": first})
            part = Part(file=path.name, first=first, rows=rows, sha256=sha256_of(temporary))
            return part, "mended" if known else "made", self.flushers.submit(self.finish, temporary, part)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def finish(self, temporary: Path, part: Part) -> None:
        """Puts a part in its place for good."""
        put_in_place(temporary, self.folder / part.file)
        self.journal.add(part)


def _in_order(work: Callable[[int], T], count: int, workers: int) -> Generator[T]:
    """work(0), work(1), ... work(count - 1), up to `workers` of them under way at once.

    Where one fails, those under way are waited for, and no other begins.
    """
    stopped = Event()

    def unless_stopped(number: int) -> T:
        if stopped.is_set():
            raise CancelledError
        try:
            return work(number)
        except BaseException:
            stopped.set()
            raise

    ahead: deque[Future[T]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for number in range(count):
                ahead.append(pool.submit(unless_stopped, number))
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

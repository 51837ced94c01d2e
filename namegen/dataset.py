"""A data set of names: Parquet parts of 2^20 rows and a manifest, each file whole or not there.

    <output>/names/model=<model>-<id>/seed=<seed>/part-000000.parquet ... and _manifest.json

Part k holds rows [k * 2^20, (k+1) * 2^20); only the last is shorter. The manifest vouches for parts by their SHA-256,
and is what makes them a data set; it is written behind them, at the end and every few seconds, so that a job that
died is taken up where it stopped. Its name begins with "_", so that readers of the folder pass it over.

Unlike `sampling`, this module knows nothing of names: rows come from a function that makes any range of them.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from namegen.errors import ArtifactError
from namegen.storage import Manifest, read_manifest, sha256_of, write_atomically, write_manifest

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

MANIFEST = "_manifest.json"
PART_ROWS = 2**20
# Measured: see benchmarks/README.md. A byte-stream-split of log_prob would save a twentieth, but Spark cannot read it.
PARQUET: dict[str, Any] = {
    "compression": "zstd",
    "row_group_size": 2**17,
    "use_dictionary": False,
    "column_encoding": {"index": "DELTA_BINARY_PACKED", "name": "DELTA_LENGTH_BYTE_ARRAY", "log_prob": "PLAIN"},
}
AHEAD = 4  # parts a worker that are done or begun before the first of them is: one slow part keeps none waiting
MANIFEST_SECONDS = 10.0  # how much work a job that dies may lose, but for the part in hand


class Part(BaseModel):
    """A part as the manifest vouches for it: rows `first` to `first + rows - 1`."""

    model_config = ConfigDict(strict=True, frozen=True)

    file: str = Field(pattern=r"^part-[0-9]{6,}\.parquet$")  # a name in the folder, never a path out of it
    first: int = Field(ge=0)
    rows: int = Field(ge=1)
    sha256: str


class DatasetManifest(Manifest):
    """What a data set holds; `stream` decides its rows, `configuration` says where they come from."""

    rows: int = Field(ge=1)
    stream: dict[str, Any]
    configuration: dict[str, Any]
    parts: tuple[Part, ...]


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


def dataset_folder(output: Path, model: str, seed: int) -> Path:
    """Where the names of a model folder's name and a seed belong under `output`."""
    return output / "names" / f"model={model}" / f"seed={seed}"


def read_dataset_manifest(folder: Path, stream: dict[str, Any]) -> DatasetManifest | None:
    """The manifest of the data set of a stream, or None where there is none.

    Raises:
        ArtifactError: where it is no manifest, of a newer format, or of another stream.
    """
    manifest = read_manifest(folder / MANIFEST, DatasetManifest)
    if manifest and manifest.stream != stream:
        raise ArtifactError(
            f"holds the stream {manifest.stream}, and the job makes {stream}",
            str(folder / MANIFEST),
            "Remove the folder to have it made again, or name another output folder",
        )
    return manifest


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
        ArtifactError: where the manifest is of another stream or a newer format.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = read_dataset_manifest(folder, stream)
    parts = {part.file: part for part in manifest.parts} if manifest else {}
    count = max(count, sum(part.rows for part in parts.values()))  # what was asked for before stays

    fates: dict[str, str] = {}

    def vouch() -> None:
        if all(fate == "kept" for fate in fates.values()):
            return  # the manifest is as it was
        rows = sum(part.rows for part in parts.values())
        found = DatasetManifest(rows=rows, stream=stream, configuration=configuration, parts=tuple(parts.values()))
        write_manifest(folder / MANIFEST, found)

    vouched = dict(parts)

    def see_to(number: int) -> tuple[Part, str]:
        first = number * PART_ROWS
        path, rows = folder / f"part-{number:06d}.parquet", min(PART_ROWS, count - first)
        known = vouched.get(path.name)
        fits = known is not None and (known.first, known.rows) == (first, rows)
        if known and fits and path.is_file() and sha256_of(path) == known.sha256:
            return known, "kept"
        write_atomically(path, partial(_write_part, table=make_rows(first, rows), identity={**stream, "first": first}))
        return Part(file=path.name, first=first, rows=rows, sha256=sha256_of(path)), "mended" if fits else "made"

    vouched_at = time.monotonic()
    try:
        for part, fate in _in_order(see_to, -(-count // PART_ROWS), workers):
            parts[part.file], fates[part.file] = part, fate
            on_part(part.rows)
            if time.monotonic() - vouched_at > MANIFEST_SECONDS:
                vouch()
                vouched_at = time.monotonic()
    except BaseException:
        with suppress(OSError):  # the disk may be full: then what was made is made again
            vouch()
        raise
    kept = sum(fate == "kept" for fate in fates.values())
    made, mended = len(fates) - kept, tuple(file for file, fate in fates.items() if fate == "mended")
    removed = [file for file in sorted(folder.glob("part-*.parquet")) if file.name not in parts]
    for file in removed:  # of a longer job that died: nothing vouches for it, and readers would take it for a part
        file.unlink()
    vouch()
    return Written(count, kept, made, mended, tuple(file.name for file in removed))


def verify(folder: Path | str) -> list[str]:
    """What is wrong with a data set, a line each; empty where nothing is.

    Checks that the manifest is there, that every part it lists has its SHA-256, that the parts cover the rows
    without a gap, and that no other file that a reader would take for a part lies in the folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return [f"{folder}: there is no such folder. Name one that the job printed, such as outputs/names/..."]
    try:
        manifest = read_manifest(folder / MANIFEST, DatasetManifest)
    except ArtifactError as error:
        return [str(error)]
    if manifest is None:
        return [f"{folder / MANIFEST}: is missing. Run the job again, unless this is not a data set's folder."]
    problems, first = [], 0
    for part in manifest.parts:
        path = folder / part.file
        if part.first != first:
            problems.append(f"{path}: starts at row {part.first}, not {first}.")
        first = part.first + part.rows
        try:
            if sha256_of(path) != part.sha256:
                problems.append(f"{path}: was altered: it does not fit the manifest. Run the job again.")
        except ArtifactError as error:
            problems.append(f"{path}: {error.what}. Run the job again.")
    if first != manifest.rows:
        problems.append(f"{folder / MANIFEST}: says {manifest.rows} rows, and its parts have {first}.")
    listed = {part.file for part in manifest.parts}
    strays = (f for f in sorted(folder.iterdir()) if f.name not in listed and not f.name.startswith(("_", ".")))
    return problems + [f"{file}: is none of the data set's parts. Remove it." for file in strays]


def _in_order(work: Callable[[int], T], count: int, workers: int) -> Iterator[T]:
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

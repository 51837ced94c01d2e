"""A data set of names: Parquet parts of 2^20 rows and a manifest, each file whole or not there.

    <output>/names/model=<model>-<id>/seed=<seed>/part-000000.parquet ... and _manifest.json

Part k holds rows [k * 2^20, (k+1) * 2^20); only the last is shorter. A part says in its footer which rows of which
stream it holds, so a job that died is taken up where it stopped. The manifest, written last, is what makes the
parts a data set. Its name begins with "_", so that readers of the folder pass it over.

Unlike `sampling`, this module knows nothing of names: rows come from a function that makes any range of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from namegen.errors import ArtifactError
from namegen.storage import read_manifest, sha256_of, versions, write_atomically, write_manifest

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST = "_manifest.json"
PART_ROWS = 2**20
ROW_GROUP_ROWS = 2**17
_IDENTITY = b"namegen"  # the footer's key for which rows of which stream a part holds


@dataclass(frozen=True)
class Written:
    """What a call of `write_dataset` came to: rows in the data set, parts that were kept and that were made."""

    rows: int
    kept: int
    made: int


def dataset_folder(output: Path, model: str, seed: int) -> Path:
    """Where the names of a model folder's name and a seed belong under `output`."""
    return output / "names" / f"model={model}" / f"seed={seed}"


def read_dataset_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a data set, or None where there is none; ArtifactError where it is of a newer format."""
    return read_manifest(folder / MANIFEST)


def write_dataset(
    folder: Path,
    count: int,
    stream: dict[str, Any],
    make_rows: Callable[[int, int], pa.Table],
    configuration: dict[str, Any],
    on_kept: Callable[[int], None] = lambda rows: None,
) -> Written:
    """Makes `folder` a data set of at least `count` rows. Parts that are there and right are kept.

    Args:
        stream: what decides the rows, as JSON has it; a part of another stream is replaced.
        make_rows: (first, rows) to those rows, equal for equal arguments.
        configuration: goes into the manifest as it is.
        on_kept: called with the rows of each part that is kept.

    Raises:
        ArtifactError: where the manifest is of another stream or a newer format.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = read_dataset_manifest(folder)
    _check_stream(manifest, stream, folder)
    listed = {part["file"]: part for part in manifest["parts"]} if manifest else {}
    count = max(count, sum(part["rows"] for part in listed.values()))  # what was asked for before stays
    parts, kept = [], 0
    for number, first in enumerate(range(0, count, PART_ROWS)):
        path, rows = folder / f"part-{number:06d}.parquet", min(PART_ROWS, count - first)
        identity = {**stream, "first": first, "rows": rows}
        sha256 = _sha256_of_part(path, identity, listed.get(path.name))
        if sha256 is None:
            table = make_rows(first, rows)
            write_atomically(path, lambda temporary: _write_part(temporary, table, identity))  # noqa: B023 - used at once
            sha256 = sha256_of(path)
        else:
            on_kept(rows)
            kept += 1
        parts.append({"file": path.name, "first": first, "rows": rows, "sha256": sha256})
    for file in sorted(folder.glob("part-*.parquet")):
        if file.name not in {part["file"] for part in parts}:
            file.unlink()  # of a longer job that died: nothing vouches for it
    if kept < len(parts) or not manifest:
        contents = {
            "rows": count,
            "stream": stream,
            "configuration": configuration,
            "parts": parts,
            "versions": versions(),
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_manifest(folder / MANIFEST, contents)
    return Written(count, kept, len(parts) - kept)


def verify(folder: Path | str) -> list[str]:
    """What is wrong with a data set, a line each; empty where nothing is.

    Checks that the manifest is there, that every part it lists has its rows and its SHA-256, that the parts cover
    the rows without a gap, and that no other part lies in the folder.
    """
    folder = Path(folder)
    try:
        manifest = read_dataset_manifest(folder)
    except ArtifactError as error:
        return [str(error)]
    if manifest is None:
        return [f"{folder / MANIFEST}: is missing: the job that writes it has not finished. Run it again."]
    problems, first = [], 0
    for part in manifest["parts"]:
        path = folder / Path(part["file"]).name
        identity = {**manifest["stream"], "first": part["first"], "rows": part["rows"]}
        if part["first"] != first:
            problems.append(f"{path}: starts at row {part['first']}, not {first}.")
        if not path.is_file():
            problems.append(f"{path}: is missing. Run the job again.")
        elif _sha256_of_part(path, identity, part) is None:
            problems.append(f"{path}: was altered: it does not fit the manifest. Run the job again.")
        first = part["first"] + part["rows"]
    if first != manifest["rows"]:
        problems.append(f"{folder / MANIFEST}: says {manifest['rows']} rows, and its parts have {first}.")
    listed = {part["file"] for part in manifest["parts"]}
    strays = (file for file in sorted(folder.glob("*.parquet")) if file.name not in listed)
    return problems + [f"{file}: is none of the data set's parts. Remove it." for file in strays]


def _check_stream(manifest: dict[str, Any] | None, stream: dict[str, Any], folder: Path) -> None:
    if manifest and manifest.get("stream") != stream:
        raise ArtifactError(
            f"holds the stream {manifest.get('stream')}, and the job makes {stream}",
            str(folder / MANIFEST),
            "Remove the folder to have it made again, or name another output folder",
        )


def _sha256_of_part(path: Path, identity: dict[str, Any], listed: dict[str, Any] | None) -> str | None:
    """The SHA-256 of a part that holds exactly the rows of `identity` and is as `listed`, if it is; else None."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        return None
    try:
        metadata = pq.read_metadata(path)
    except (OSError, pa.ArrowException):
        return None
    if metadata.num_rows != identity["rows"] or (metadata.metadata or {}).get(_IDENTITY) != _encode(identity):
        return None
    sha256 = sha256_of(path)
    return sha256 if listed is None or listed["sha256"] == sha256 else None


def _write_part(path: Path, table: pa.Table, identity: dict[str, Any]) -> None:
    import pyarrow.parquet as pq

    table = table.replace_schema_metadata({_IDENTITY: _encode(identity)})
    pq.write_table(table, path, compression="zstd", row_group_size=ROW_GROUP_ROWS)


def _encode(identity: dict[str, Any]) -> bytes:
    return json.dumps(identity, sort_keys=True).encode()

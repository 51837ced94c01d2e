"""A data set of names: Parquet parts of 2^20 rows and a manifest, each file whole or not there.

    <output>/names/model=<model>-<id>/seed=<seed>/part-000000.parquet ... and _manifest.json

Part k holds rows [k * 2^20, (k+1) * 2^20); only the last is shorter. The manifest vouches for parts by their SHA-256,
and is what makes them a data set: it is written last, once. Until then a journal has a line for each part that is
finished, in whatever order, and a job that died is taken up behind them. Their names begin with "_", so that readers
of the folder pass them over.

This module says what a data set is; `dataset_writer` makes one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import Field, model_validator

from namegen.errors import ArtifactError
from namegen.outputs.journal import Part, Sha256
from namegen.outputs.manifests import Manifest, read_manifest
from namegen.storage.files import Location
from namegen.storage.object_store import RemotePath

L = TypeVar("L", Path, RemotePath, Location)

MANIFEST = "_manifest.json"
PART_ROWS = 2**20


class DatasetManifest(Manifest):
    """What a data set holds; `stream` decides its rows, `configuration` says where they come from.

    Part k is the file `part_name(k)`. Of each the manifest has the SHA-256 and the bytes, and of nothing else as many:
    10^12 names are a million parts.
    """

    rows: int = Field(ge=1)
    part_rows: int = Field(default_factory=lambda: PART_ROWS)
    stream: dict[str, Any]
    configuration: dict[str, Any]
    part_sha256: tuple[Sha256, ...]
    part_bytes: tuple[int, ...]

    @model_validator(mode="after")
    def _has_every_row(self) -> Self:
        if self.part_rows != PART_ROWS:
            raise ValueError(f"parts of {self.part_rows} rows, and {PART_ROWS} is what they have")
        if not len(self.part_sha256) == len(self.part_bytes) == parts_of(self.rows):
            raise ValueError(f"its {len(self.part_sha256)} parts do not hold {self.rows} rows, {PART_ROWS} a part")
        return self

    def parts(self) -> dict[int, Part]:
        """Its parts by their numbers."""
        files = zip(self.part_sha256, self.part_bytes, strict=True)
        return {k: Part(k, rows_of(k, self.rows), sha256, size) for k, (sha256, size) in enumerate(files)}


def part_name(number: int) -> str:
    """The file of part `number`."""
    return f"part-{number:06d}.parquet"


def parts_of(count: int) -> int:
    """How many parts hold so many rows."""
    return -(-count // PART_ROWS)


def rows_of(number: int, count: int) -> int:
    """The rows of a part, where there are `count` in all."""
    return min(PART_ROWS, count - number * PART_ROWS)


def number_of(file: str) -> int | None:
    """Of which part a file's name is that; None for any other name."""
    found = re.fullmatch(r"part-([0-9]{6,15})\.parquet", file)
    return int(found[1]) if found and part_name(int(found[1])) == file else None


def dataset_folder(output: L, model: str, seed: int) -> L:
    """Where the names of a model folder's name and a seed belong under `output`."""
    return output / "names" / f"model={model}" / f"seed={seed}"


def read_dataset_manifest(folder: Location) -> DatasetManifest | None:
    """The manifest of a data set, or None where there is none.

    Raises:
        ArtifactError: where it is no manifest, altered, or of a newer format.
    """
    return read_manifest(folder / MANIFEST, DatasetManifest, remedy_for(folder))


def remedy_for(folder: Location) -> str:
    """What to do about a damaged data set."""
    return f"Mend it with namegen verify --repair {folder}, or remove the folder to have it made again"


def check_stream(folder: Location, manifest: DatasetManifest | None, stream: dict[str, Any]) -> None:
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

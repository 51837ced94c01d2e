"""A data set of names: Parquet parts of 2^20 rows and a manifest. Each file is whole or not there.

Part k holds rows [k * 2^20, (k+1) * 2^20); only the last part is shorter. The manifest is written once, last, and
records the SHA-256 of every part: it is what makes the parts a data set. Until then a journal has a line for each
finished part, in any order, and a job that died resumes from there. The names of both begin with "_", so that most
readers of the folder skip them.

This module says what a data set is; `writer` makes one.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from namegen.errors import ArtifactError
from namegen.outputs import layout
from namegen.outputs.journal import Part, Sha256
from namegen.outputs.manifests import Manifest
from namegen.storage.files import Location

PART_ROWS = 2**20


class DatasetManifest(Manifest):
    """What a data set holds: `stream` decides its rows, and `configuration` says which model they come from.

    Part k is the file `layout.part_name(k)`. The manifest has no more for each than its SHA-256 and its size in
    bytes, because 10^12 names are a million parts.
    """

    FILE: ClassVar[str] = layout.DATASET_MANIFEST

    rows: int = Field(ge=1)
    part_rows: int = Field(default_factory=lambda: PART_ROWS)
    stream: dict[str, Any]
    configuration: dict[str, Any]
    part_sha256: tuple[Sha256, ...]
    part_bytes: tuple[int, ...]

    @model_validator(mode="after")
    def _has_every_row(self) -> Self:
        if self.part_rows != PART_ROWS:
            raise ValueError(f"its parts have {self.part_rows} rows, and they should have {PART_ROWS}")
        if not len(self.part_sha256) == len(self.part_bytes) == parts_for(self.rows):
            raise ValueError(f"{len(self.part_sha256)} parts of {PART_ROWS} rows do not hold {self.rows} rows")
        return self

    def parts(self) -> dict[int, Part]:
        """Its parts by their numbers."""
        files = zip(self.part_sha256, self.part_bytes, strict=True)
        return {k: Part(k, rows_in_part(k, self.rows), sha256, size) for k, (sha256, size) in enumerate(files)}

    def check_stream(self, folder: Location, stream: dict[str, Any]) -> None:
        """Checks that this manifest, found in `folder`, belongs to a stream.

        Raises:
            ArtifactError: if it belongs to another.
        """
        if self.stream != stream:
            raise ArtifactError(
                f"holds the stream {self.stream}, but this job makes {stream}",
                str(folder / self.FILE),
                "Remove the folder to have it made again, or name another output folder",
            )


def parts_for(rows: int) -> int:
    """How many parts hold `rows` rows."""
    return -(-rows // PART_ROWS)


def rows_in_part(number: int, rows: int) -> int:
    """How many rows part `number` has in a data set of `rows` rows."""
    return min(PART_ROWS, rows - number * PART_ROWS)

"""A data set of names: Parquet parts of 2^20 rows and a manifest. Each file is whole or not there.

Part k holds rows [k * 2^20, (k+1) * 2^20); only the last part is shorter. The manifest is written once, last, and
records the SHA-256 of every part: it is what makes the parts a data set. Until then a journal has a line for each
finished part, in any order, and a job that died resumes from there. Both lie in the data set's record, a folder of
their own, so that the folder of the parts holds nothing else. The manifest has a copy, which is written just before
it: without either of them nobody could say how many rows there were.

This module says what a data set is; `writer` makes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from pydantic import Field, model_validator

from namegen.errors import ArtifactError
from namegen.outputs import layout
from namegen.outputs.journal import Journal, Part, Sha256, journals_in
from namegen.outputs.manifests import Manifest, Opened, open_manifest
from namegen.storage.files import Location, entries

PART_ROWS = 2**20


class DatasetManifest(Manifest):
    """What a data set holds: `stream` decides its rows, and `configuration` says which model they come from.

    Part k is the file `layout.part_name(k)`. The manifest has no more for each than its SHA-256 and its size in
    bytes, because 10^12 names are a million parts.
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
            raise ValueError(f"its parts have {self.part_rows} rows, and they should have {PART_ROWS}")
        if not len(self.part_sha256) == len(self.part_bytes) == parts_for(self.rows):
            raise ValueError(f"{len(self.part_sha256)} parts of {PART_ROWS} rows do not hold {self.rows} rows")
        return self

    @classmethod
    def path(cls, folder: Location, *, copy: bool = False) -> Location:
        """In the record of the data set, apart from its parts."""
        return super().path(layout.record_folder(folder), copy=copy)

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
                str(self.path(folder)),
                "Remove the folder to have it made again, or name another output folder",
            )


@dataclass(frozen=True)
class State:
    """What is recorded of a data set, and what lies in its folder. Jobs, checks and repairs all begin with this.

    Args:
        opened, copy: the manifest, and the copy of it.
        journal: the parts that a job has finished since.
        asked: how many rows that job was asked for, if the journal says so.
        has_journal: whether there is a journal, of whatever stream.
        files: the names in the folder of the parts, with their sizes.
    """

    folder: Location
    opened: Opened[DatasetManifest]
    copy: Opened[DatasetManifest]
    journal: Mapping[int, Part]
    asked: int | None
    has_journal: bool
    files: Mapping[str, int | None]

    @classmethod
    def of(cls, folder: Location, stream: dict[str, Any] | None) -> State:
        """The state of the data set in a folder.

        Args:
            stream: decides the rows; the journal's lines of another stream are ignored. None for what a manifest says.

        Raises:
            NewerFormatError: if its format is newer.
        """
        opened, copy = (open_manifest(folder, DatasetManifest, copy=is_copy) for is_copy in (False, True))
        said = next((each.trusted.stream for each in (opened, copy) if each.trusted), {})
        record = layout.record_folder(folder)
        journal = Journal(record, said if stream is None else stream)
        try:
            files = entries(folder)
        except FileNotFoundError:
            files = {}
        recorded, has_journal = journal.read(), bool(journals_in(record))
        return cls(folder, opened, copy, recorded.parts, recorded.asked, has_journal, files)

    def is_begun(self, rows: int) -> bool:
        """Whether a job has begun to make more rows than so many."""
        made = max((number * PART_ROWS + part.rows for number, part in self.journal.items()), default=0)
        return max(made, self.asked or 0) > rows

    def sealed(self, stream: dict[str, Any] | None) -> DatasetManifest | None:
        """Of the manifest and its copy the one with more rows, if it can be trusted and is of this stream, or of any.

        The copy is written first, when all parts are there, so it may be ahead.
        """
        both = [each.trusted for each in (self.opened, self.copy) if each.trusted]
        known = [manifest for manifest in both if stream is None or manifest.stream == stream]
        return max(known, key=lambda manifest: manifest.rows, default=None)

    @cached_property
    def _vouched(self) -> list[Mapping[int, Part]]:
        manifest, copy = self.opened.trusted, self.copy.trusted
        manifests = filter(None, [manifest, copy if copy != manifest else None])  # mostly they are the same
        return [*(each.parts() for each in manifests), self.journal]

    def recorded(self, number: int, rows: int) -> list[Part]:
        """What is recorded of part `number` with so many rows, by the manifest, its copy, and the journal."""
        return [parts[number] for parts in self._vouched if number in parts and parts[number].rows == rows]


def parts_for(rows: int) -> int:
    """How many parts hold `rows` rows."""
    return -(-rows // PART_ROWS)


def rows_in_part(number: int, rows: int) -> int:
    """How many rows part `number` has in a data set of `rows` rows."""
    return min(PART_ROWS, rows - number * PART_ROWS)

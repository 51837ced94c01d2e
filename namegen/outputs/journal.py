"""The parts that a job has finished before there is a manifest: one line of JSON for each.

A line may be cut off or be garbage: a part is kept only if its file has the SHA-256 of its line. So the parts are
flushed to disk and the lines are not; a power cut costs the time of a few parts at most.

There is one file for every 64 parts, named after the first of them. So several processes can each have their own, and
a store, which cannot append to an object, only rewrites a short one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from namegen.storage.files import Location, entries, open_regular, storage_of

BLOCK = 64  # parts in a file
NAME = re.compile(r"journal-[0-9]{6,15}\.jsonl")
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Part(NamedTuple):
    """A finished part: its number, its rows, and the SHA-256 and size in bytes of its file."""

    number: int
    rows: int
    sha256: str
    size: int


class Recorded(NamedTuple):
    """What a journal says: the parts by their numbers, and the most rows that a job was asked for, if it says so."""

    parts: dict[int, Part]
    asked: int | None


class Journal:
    """The journal of a data set.

    Args:
        folder: the folder of the data set's record.
        stream: what decides the rows; lines of another stream are ignored.
        first: the part with which the writer's own range begins.
    """

    def __init__(self, folder: Location, stream: dict[str, Any], first: int = 0) -> None:
        self._folder, self._first = folder, first
        self._stream = sha256(json.dumps(stream, sort_keys=True).encode()).hexdigest()[:16]
        self._lock = Lock()

    def read(self, *files: str) -> Recorded:
        """What it says. The last of several lines for one part counts.

        Args:
            files: the names of those to read; by default all that there are.
        """
        parts: dict[int, Part] = {}
        asked: list[int] = []
        for name in sorted(files or journals_in(self._folder)):
            for line in _lines(self._folder / name):
                with suppress(ValidationError):
                    entry = _LINE.validate_json(line)
                    if entry.stream != self._stream:
                        continue
                    if isinstance(entry, _Asked):
                        asked.append(entry.asked)
                    else:
                        parts[entry.number] = Part(entry.number, entry.rows, entry.sha256, entry.size)
        return Recorded(parts, max(asked, default=None))

    def read_block(self) -> dict[int, Part]:
        """The parts of the writer's own range, which has to lie in one file."""
        return self.read(self.name_for(self._first)).parts

    def name_for(self, number: int) -> str:
        """The name of the file that has the line of a part."""
        return f"journal-{number - (number - self._first) % BLOCK:06d}.jsonl"

    def add(self, part: Part) -> None:
        """Records a finished part."""
        self._append(self.name_for(part.number), _Entry(stream=self._stream, **part._asdict()))

    def _append(self, name: str, entry: BaseModel) -> None:
        """Adds a line. It begins with a line break, in case half a line was left before it."""
        line = f"\n{entry.model_dump_json()}\n".encode()
        path = self._folder / name
        with self._lock:
            storage_of(path).append(path, line)

    def ask(self, count: int) -> None:
        """Records how many rows the job was asked for, so that somebody else can say how to finish it."""
        self._append(self.name_for(self._first), _Asked(stream=self._stream, asked=count))


def journals_in(record: Location) -> list[str]:
    """The names of the journal's files in the folder of a data set's record, which may not exist."""
    try:
        return list(filter(NAME.fullmatch, entries(record)))
    except FileNotFoundError:
        return []


def remove_journal(record: Location) -> None:
    """Removes the journal, if there is one."""
    for name in journals_in(record):
        (record / name).unlink(missing_ok=True)  # a network disk may do it twice


class _Asked(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    stream: str
    asked: int = Field(ge=1)


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    stream: str
    number: int = Field(ge=0)
    rows: int = Field(ge=1)
    sha256: Sha256
    size: int = Field(ge=0)


_LINE: TypeAdapter[_Entry | _Asked] = TypeAdapter(_Entry | _Asked)


def _lines(path: Location) -> Iterator[bytes]:
    if isinstance(path, Path) and (path.is_symlink() or not path.is_file()):
        return
    with suppress(FileNotFoundError), open_regular(path) as file:
        yield from iter(partial(file.readline, 4096), b"")  # no line is longer, and this bounds the memory

"""What a disk and an object store each do in their own way: two classes, `Disk` and `Store`, of one protocol.

This module says what they have in common. `files` and `locks` have the functions that the rest of the project calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from namegen.storage.object_store import RemotePath

Location = Path | RemotePath
P = TypeVar("P", Path, RemotePath, Location)
LOCK = ".lock"  # in each folder that can be held

Walk = Iterator[tuple[P, list[str], list[str]]]


class Holder(BaseModel):
    """Who holds a folder, as its lock says.

    Args:
        owner: different for each holding.
        generation: grows with each holding, as long as the folder is there.
    """

    owner: str
    generation: int
    host: str
    process: int
    is_released: bool = False

    @property
    def key(self) -> str:
        """Tells this holding from all others. The workers of a job carry it."""
        return f"{self.generation}-{self.owner}"


H = TypeVar("H", bound=Holder)


def parse_holder(text: bytes, kind: type[H]) -> H | None:
    """What a lock says; None if we do not understand it."""
    try:
        return kind.model_validate_json(text)
    except ValidationError:
        return None


class Hold(Protocol):
    """A folder that this job holds. Nobody else writes to it, as far as the storage can tell."""

    @property
    def key(self) -> str:
        """Tells this holding from all others."""

    def check(self) -> None:
        """Looks whether the folder is still held.

        Raises:
            LeaseError: if another job may have taken it over.
        """

    def put(self, temporary: Path, path: Any) -> None:  # noqa: ANN401 - of the storage's own kind
        """Moves a finished file into the folder, and replaces only what was there when the folder was taken.

        Raises:
            LeaseError: if somebody else has written there since.
        """


class Storage(Protocol[P]):
    """A disk or an object store."""

    # whether a file that has its size has its contents, so that reading it would show nothing more
    keeps_contents: bool
    puts_at_once: int | None  # how many files are worth writing at once; None for one a worker

    def make_folder(self, folder: P) -> None:
        """Makes a folder and its missing parents, and flushes them to disk."""

    def remove_empty(self, folder: P) -> None:
        """Removes a folder if there is nothing in it."""

    def entries(self, folder: P) -> dict[str, int | None]:
        """The names in a folder, with their sizes in bytes; None for a folder; -1 for a link that leads nowhere.

        Raises:
            OSError: if there is no such folder on the disk; in a store it is just empty.
        """

    def walk(self, folder: P, on_error: Callable[[OSError], None]) -> Walk[P]:
        """Each folder from `folder` down, with the folders and files in it.

        If the list of folders is emptied, nothing below that folder follows.
        """

    def changed(self, folder: P) -> datetime | None:
        """When something was last added to a folder, in UTC; None if it is not there."""

    def free(self, folder: P) -> int | None:
        """The bytes that are free where a folder is or will be; None if there is no limit."""

    def absolute(self, path: P) -> P:
        """The absolute path, without following links: it tells what the folders above are called."""

    def open(self, path: P) -> BinaryIO:
        """Opens a file for reading. Pipes and devices, which could keep the reader waiting for ever, are refused.

        An object in a store is read whole, in one request.
        """

    def local_copy(self, path: P) -> AbstractContextManager[Path]:
        """The file on this machine's disk: itself, or a temporary copy."""

    def temporary_beside(self, path: P) -> Path:
        """A new name for what will be `path`, hidden from readers of the folder; for a store, on this machine."""

    def temporaries(self, folder: P) -> list[Path]:
        """The files that `temporary_beside` named. If nobody else holds the folder, dead jobs have left them."""

    def put(self, temporary: Path, path: P, check: Callable[[], None]) -> None:
        """Moves a finished file to `path`; on any failure it is removed.

        Args:
            check: raises an error if this job no longer holds the folder. It is called before something is replaced
                that came into a store in the meantime.
        """

    def append(self, path: P, line: bytes) -> None:
        """Adds a line to a file. It begins with a line break, in case half a line was left before it."""

    def clear(self, path: P) -> None:
        """Removes a link or a pipe where a file belongs; what a link leads to stays."""

    def discard(self, folders: Sequence[P], away: P, hold: Hold, turn: Callable[[str], int]) -> None:
        """Makes folders disappear for readers, with everything in them, and then removes it.

        Args:
            away: on a disk, a new name for them, out of the readers' sight; they are then still to be removed.
            turn: a store has to remove one object after the other; this says of each name when its turn is.
        """

    def check_writable(self, output: P, made: Sequence[str], readable: str) -> None:
        """Makes the output folder and those in it, and tries what every write of a job does.

        Args:
            made: the folders in which files are made; from there they go to the folder `readable`, too.

        Raises:
            OutputError: if a file cannot be written, or not replaced atomically.
        """

    def hold(self, folder: P) -> AbstractContextManager[Hold]:
        """Makes `folder`, waits until nobody else holds it, and removes the unfinished files of dead jobs.

        Raises:
            OutputError: if the file system has no locks.
        """

    def holder(self, folder: P) -> Holder | None:
        """Who holds a folder, or last held it, if it says so. Workers ask this, and compare it with their job's."""

    def is_held(self, folder: P) -> bool:
        """Whether a living job holds a folder. Nothing is written, so the folder may be read-only."""

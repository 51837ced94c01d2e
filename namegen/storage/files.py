"""Files that are whole or not there, on a disk or in an object store: atomic writes, reads, and checksums.

Models and data sets are written through this module. Only `storage_of` asks whether a place is on a disk or in a store.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from namegen.errors import ArtifactError, SettingError, unreadable
from namegen.storage.disk import TEMPORARY, Disk
from namegen.storage.object_store import EXTRAS, URL, RemotePath
from namegen.storage.storage import LOCK, Hold, Location, Storage
from namegen.storage.store import Store

if TYPE_CHECKING:
    import polars as pl

__all__ = ["LOCK", "TEMPORARY", "UNHELD", "Anywhere", "Hold", "Location"]
Anywhere = str | Location  # as users name a place

DISK, STORE = Disk(), Store()


def storage_of(place: Location) -> Storage[Any]:
    """The disk or the store that a place is on."""
    return STORE if isinstance(place, RemotePath) else DISK


def location(text: Anywhere) -> Location:
    """The place that a path or a URL leads to.

    Raises:
        SettingError: for a URL of an unknown kind, or whose package is not installed, and for what is not a path.
    """
    if not isinstance(text, str | Path | RemotePath) or not str(text):
        raise SettingError(f"{text!r} is not a path or a URL", remedy="Name a file or a folder")
    if isinstance(text, str) and (start := re.match(r"([A-Za-z][A-Za-z0-9+.-]+):(/+)", text)):
        if start[2] != "/":
            text = start[0].lower() + text[start.end() :]
        elif start[1].lower() in EXTRAS:
            raise SettingError(f"{start[1]}:/ is not a URL", remedy=f"Write {start[1].lower()}://, with two slashes")
    url = URL.fullmatch(text) if isinstance(text, str) else None
    if url and url[1] in {"file", "local"}:
        return Path(url[2])
    if isinstance(text, str) and "::" in text and "://" in text:
        raise SettingError("chained URLs (with ::) cannot be written to", remedy="Name only the store")
    return RemotePath(str(text)) if url else Path(text) if isinstance(text, str) else text


def make_folder(folder: Location) -> None:
    """See `Storage.make_folder`."""
    storage_of(folder).make_folder(folder)


def entries(folder: Location) -> dict[str, int | None]:
    """See `Storage.entries`."""
    return storage_of(folder).entries(folder)


def absolute(path: Location) -> Location:
    """See `Storage.absolute`."""
    return storage_of(path).absolute(path)  # type: ignore[no-any-return] # of the same kind


def open_regular(path: Location) -> BinaryIO:
    """See `Storage.open`."""
    return storage_of(path).open(path)


def local_copy(path: Location) -> AbstractContextManager[Path]:
    """See `Storage.local_copy`."""
    return storage_of(path).local_copy(path)


def temporary_beside(path: Location) -> Path:
    """See `Storage.temporary_beside`."""
    return storage_of(path).temporary_beside(path)


def temporaries(folder: Location) -> list[Path]:
    """See `Storage.temporaries`."""
    return storage_of(folder).temporaries(folder)


def put_in_place(temporary: Path, path: Location, check: Callable[[], None] = lambda: None) -> None:
    """See `Storage.put`."""
    storage_of(path).put(temporary, path, check)


class _Unheld:
    key = ""

    def check(self) -> None:
        pass

    def put(self, temporary: Path, path: Location) -> None:
        put_in_place(temporary, path)


UNHELD: Hold = _Unheld()  # where nobody else is expected


def write_atomically(path: Location, write: Callable[[Path], object], hold: Hold = UNHELD) -> None:
    """Calls `write` with a temporary path on a disk, flushes the file, and moves it to `path`.

    A reader sees the old file or the new one, never half of either. On any failure the temporary file is removed.

    Args:
        hold: of the folder; what somebody else has written since it was taken is not replaced.
    """
    temporary = temporary_beside(path)
    try:
        write(temporary)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    hold.put(temporary, path)


def write_frame(path: Path, frame: pl.DataFrame, metadata: dict[str, str] | None = None) -> None:
    """Writes a frame as Parquet to exactly `path`; polars, given a path itself, expands ~ and wildcards in it."""
    with path.open("wb") as file:
        frame.write_parquet(file, metadata=metadata)


def sha256_of(path: Location, remedy: str = "Restore it, or remove its folder and run the job again") -> str:
    """SHA-256 of a file's bytes, in hex.

    Raises:
        ArtifactError: if the file cannot be read.
    """
    with _read_from(path, remedy) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type] # any readable will do


def read_checked(path: Location, sha256: str, remedy: str) -> bytes:
    """The bytes of a file whose SHA-256 a manifest records.

    Raises:
        ArtifactError: if they cannot be read, or do not match.
    """
    with _read_from(path, remedy) as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ArtifactError("was altered: its checksum does not match", str(path), remedy)
    return data


@contextmanager
def _read_from(path: Location, remedy: str) -> Iterator[BinaryIO]:
    """The open file. A missing file is an ArtifactError with the remedy; one that cannot be read, one without."""
    try:
        with open_regular(path) as file:
            yield file
    except FileNotFoundError as error:
        raise ArtifactError("is missing", str(path), remedy) from error
    except OSError as error:
        raise unreadable(error, path) from error

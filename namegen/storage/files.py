"""Files that are whole or not there, on a disk or in an object store: atomic writes, reads, and checksums.

Models and data sets are written through this module. It and `locks` are where disks and stores are told apart.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from namegen.errors import ArtifactError, SettingError, unreadable
from namegen.storage.object_store import EXTRAS, URL, RemotePath

if TYPE_CHECKING:
    import polars as pl

Location = Path | RemotePath
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")


def location(text: str | Path | RemotePath) -> Location:
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
    """Makes a folder and its missing parents, and flushes them to disk."""
    if isinstance(folder, RemotePath):
        return  # a store has no folders
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        _flush_folder(path.parent)


def write_atomically(path: Location, write: Callable[[Path], object]) -> None:
    """Calls `write` with a temporary path on a disk, flushes the file, and moves it to `path`.

    A reader sees the old file or the new one, never half of either. On any failure the temporary file is removed.
    """
    temporary = temporary_beside(path)
    try:
        write(temporary)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    put_in_place(temporary, path)


def put_in_place(temporary: Path, path: Location) -> None:
    """Flushes a file to disk and renames it, or uploads it to a store; on any failure it is removed."""
    try:
        if isinstance(path, RemotePath):
            path.put(temporary)
        else:
            _flush(temporary, os.O_RDWR)
            temporary.replace(path)
            _flush_folder(path.parent)  # which makes the rename durable
    finally:
        temporary.unlink(missing_ok=True)


def absolute(path: Location) -> Location:
    """The absolute path, without following links: it tells what the folders above are called."""
    if isinstance(path, RemotePath):
        return path
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps ".."


def temporary_beside(path: Location) -> Path:
    """A new name for what will be `path`, hidden from readers of the folder; for a store, on this machine's disk."""
    name = f".{path.name}.{uuid.uuid4().hex}.tmp"
    return Path(tempfile.gettempdir()) / f"namegen{name}" if isinstance(path, RemotePath) else path.with_name(name)


def temporaries(folder: Location) -> list[Path]:
    """The files that `temporary_beside` named. If no job is working in the folder, dead ones have left them."""
    if isinstance(folder, RemotePath) or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if TEMPORARY.fullmatch(path.name) and not path.is_dir())


def entries(folder: Location) -> dict[str, int | None]:
    """The names in a folder, with their sizes in bytes; None for a folder; -1 for a link that leads nowhere.

    Raises:
        OSError: if there is no such folder on the disk; in a store it is just empty.
    """
    if isinstance(folder, RemotePath):
        return folder.entries()
    sizes: dict[str, int | None] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                sizes[entry.name] = None if entry.is_dir() else entry.stat().st_size
            except OSError as error:
                if error.errno not in {errno.ENOENT, errno.ELOOP}:
                    raise
                sizes[entry.name] = -1
    return sizes


def write_frame(path: Path, frame: pl.DataFrame, metadata: dict[str, str] | None = None) -> None:
    """Writes a frame as Parquet to exactly `path`; polars, given a path itself, expands ~ and wildcards in it."""
    with path.open("wb") as file:
        frame.write_parquet(file, metadata=metadata)


def open_regular(path: Location) -> BinaryIO:
    """Opens a file for reading. Pipes and devices, which could keep the reader waiting for ever, are refused at once.

    An object in a store is read whole, in one request.
    """
    if isinstance(path, RemotePath):
        return BytesIO(path.read_bytes())
    return open(path, "rb", opener=_open_regular)  # Path.open has no opener


def _open_regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", path)
    return descriptor


@contextmanager
def local_copy(path: Location) -> Iterator[Path]:
    """The file on this machine's disk: itself, or a temporary copy."""
    if not isinstance(path, RemotePath):
        yield path
        return
    copy = temporary_beside(path)
    try:
        path.fetch(copy)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


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


def _flush_folder(folder: Path) -> None:
    if os.name == "posix":  # Windows cannot open folders
        _flush(folder, os.O_RDONLY)


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

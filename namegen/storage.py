"""Files that are whole or not there: atomic writes, checksums, and JSON manifests.

Both folders that a run leaves, the model's and the data set's, are written through this module.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from namegen.errors import ArtifactError

if TYPE_CHECKING:
    import polars as pl

FORMAT_VERSION = 1  # of the manifests and of what they describe
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")
LARGEST_MANIFEST = 2**30  # bytes: some million parts have a quarter of it; more is no manifest


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it where they are missing, and flushes them to disk."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        _flush_folder(path.parent)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` with a temporary path beside `path`, flushes the file to disk, and renames it to `path`.

    A reader sees the old file or the new one, never a part of either. On any failure the temporary file is removed.
    """
    temporary = temporary_beside(path)
    try:
        write(temporary)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    put_in_place(temporary, path)


def put_in_place(temporary: Path, path: Path) -> None:
    """Flushes a file to disk and renames it; on any failure it is removed."""
    try:
        _flush(temporary, os.O_RDWR)
        temporary.replace(path)
        _flush_folder(path.parent)  # with it the rename itself is durable
    finally:
        temporary.unlink(missing_ok=True)


def absolute(path: Path) -> Path:
    """Where a path leads as it is written, links not followed: what the folders above it are called."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - unlike Path.absolute it takes out what is ".."


def temporary_beside(path: Path) -> Path:
    """A new name for what will be `path`, hidden from readers of the folder."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


def temporaries(folder: Path) -> list[Path]:
    """The files that `temporary_beside` named: where nobody is at work, those of a process that died."""
    return sorted(path for path in folder.iterdir() if _TEMPORARY.fullmatch(path.name) and not path.is_dir())


def write_frame(path: Path, frame: pl.DataFrame, metadata: dict[str, str] | None = None) -> None:
    """Writes a frame as Parquet to exactly `path`; polars, given a path itself, expands ~ and wildcards in it."""
    with path.open("wb") as file:
        frame.write_parquet(file, metadata=metadata)


def open_regular(path: Path) -> BufferedReader:
    """Opens a file to be read, and refuses at once what could keep the reader waiting for ever: a pipe, a device."""
    return open(path, "rb", opener=_open_regular)  # Path.open has no opener


def _open_regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", path)
    return descriptor


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex.

    Raises:
        ArtifactError: where the file cannot be read.
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        what = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise ArtifactError(what, str(path), "Restore it, or remove its folder to have it made again") from error


def versions() -> dict[str, str]:
    """The versions that decide a file's bytes."""
    return {package: version(package) for package in ("namegen", "numpy", "polars", "pyarrow", "torch")}


class Writing(BaseModel):
    """How a manifest came to be written: all in it that may differ between two runs that made the same.

    Args:
        at: when.
        notes: what changes nothing, such as the seconds that a training took.
        sha256: of the manifest's text with this field left empty.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    at: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    notes: dict[str, Any] = Field(default_factory=dict)
    sha256: str = ""


class Manifest(BaseModel):
    """What every manifest has; the kinds add to it. What is not of the right type is refused, not converted."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    versions: dict[str, str] = Field(default_factory=versions)
    written: Writing = Field(default_factory=Writing)


M = TypeVar("M", bound=Manifest)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Writes a manifest with its checksum, as JSON that a person can read, with the format version first."""
    text = _text(_sealed(manifest))
    write_atomically(path, lambda temporary: temporary.write_bytes(text))


def read_manifest(path: Path, kind: type[M], remedy: str = "Remove the folder to have it made again") -> M | None:
    """The manifest at `path`, or None where there is none.

    Raises:
        ArtifactError: where it cannot be read, is no manifest of this kind, is not as it was written, or is of a
            newer format.
    """
    try:
        manifest, is_whole = parse_manifest(path, kind)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArtifactError(f"cannot be read ({error.strerror})", str(path), "Check its permissions") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "JSON"
        raise ArtifactError(f"is not a manifest ({where}: {first['msg']})", str(path), remedy) from None
    if not is_whole:
        raise ArtifactError("was altered: it does not fit its checksum", str(path), remedy)
    return manifest


def parse_manifest(path: Path, kind: type[M]) -> tuple[M, bool]:
    """What a manifest says, and whether every byte of it is as it was written.

    Raises:
        OSError: where it cannot be read.
        ValidationError: where it is no manifest of this kind.
        ArtifactError: where it is of a newer format.
    """
    with open_regular(path) as file:
        data = file.read(LARGEST_MANIFEST + 1)
    if len(data) > LARGEST_MANIFEST:
        raise OSError(errno.EFBIG, f"it has more than {LARGEST_MANIFEST:,} bytes", str(path))
    found = _Versioned.model_validate_json(data).format_version
    if found > FORMAT_VERSION:
        what = f"has format version {found}, and this version of namegen reads up to {FORMAT_VERSION}"
        raise ArtifactError(what, str(path), "Upgrade namegen, or name another output folder")
    manifest = kind.model_validate_json(data)
    return manifest, data == _text(_sealed(manifest))


class _Versioned(BaseModel):
    """Only the format version, which says whether the rest can be read."""

    model_config = ConfigDict(strict=True)

    format_version: int


def _sealed(manifest: M) -> M:
    """The manifest with the SHA-256 of its text in its place."""

    def with_sha256(sha256: str) -> M:
        return manifest.model_copy(update={"written": manifest.written.model_copy(update={"sha256": sha256})})

    return with_sha256(hashlib.sha256(_text(with_sha256(""))).hexdigest())


def _text(manifest: Manifest) -> bytes:
    return f"{manifest.model_dump_json(indent=2)}\n".encode()


def _flush_folder(folder: Path) -> None:
    if os.name == "posix":  # Windows cannot open folders
        _flush(folder, os.O_RDONLY)


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

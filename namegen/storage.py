"""Files that are whole or not there: atomic writes, checksums, and JSON manifests.

Both folders that a run leaves, the model's and the data set's, are written through this module.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from namegen.errors import ArtifactError, OutputError

if TYPE_CHECKING:
    import polars as pl

FORMAT_VERSION = 1  # of the manifests and of what they describe


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` with a temporary path beside `path`, flushes the file to disk, and renames it to `path`.

    A reader sees the old file or the new one, never a part of either. On any failure the temporary file is removed.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        write(temporary)
        _flush(temporary, os.O_RDWR)
        temporary.replace(path)
        if os.name == "posix":  # the rename itself is durable once the folder is; Windows cannot open folders
            _flush(path.parent, os.O_RDONLY)
    finally:
        temporary.unlink(missing_ok=True)


def write_frame(path: Path, frame: pl.DataFrame, metadata: dict[str, str] | None = None) -> None:
    """Writes a frame as Parquet to exactly `path`; polars, given a path itself, expands ~ and wildcards in it."""
    with path.open("wb") as file:
        frame.write_parquet(file, metadata=metadata)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex.

    Raises:
        ArtifactError: where the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        what = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise ArtifactError(what, str(path), "Restore it, or remove its folder to have it made again") from None


def versions() -> dict[str, str]:
    """The versions that decide a file's bytes."""
    return {package: version(package) for package in ("namegen", "numpy", "polars", "pyarrow", "torch")}


class Manifest(BaseModel):
    """What every manifest has; the kinds add to it. What is not of the right type is refused, not converted."""

    model_config = ConfigDict(strict=True, frozen=True)

    format_version: int = FORMAT_VERSION
    versions: dict[str, str] = Field(default_factory=versions)
    created_at: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


M = TypeVar("M", bound=Manifest)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Writes a manifest as JSON that a person can read, with the format version first."""
    text = manifest.model_dump_json(indent=2) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline="\n"))


def read_manifest(path: Path, kind: type[M]) -> M | None:
    """The manifest at `path`, or None where there is none.

    Raises:
        ArtifactError: where it cannot be read, is no manifest of this kind, or is of a newer format.
    """
    remedy = "Remove the folder to have it made again"
    try:
        data = path.read_bytes()
        found = _Versioned.model_validate_json(data).format_version
        if found > FORMAT_VERSION:
            what = f"has format version {found}, and this version of namegen reads up to {FORMAT_VERSION}"
            raise ArtifactError(what, str(path), "Upgrade namegen, or name another output folder")
        return kind.model_validate_json(data)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArtifactError(f"cannot be read ({error.strerror})", str(path), "Check its permissions") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "JSON"
        raise ArtifactError(f"is not a manifest ({where}: {first['msg']})", str(path), remedy) from None


class _Versioned(BaseModel):
    """Only the format version, which says whether the rest can be read."""

    model_config = ConfigDict(strict=True)

    format_version: int


def check_writable(folder: Path) -> None:
    """Makes `folder` where it is missing, and tries to write a file in it.

    Raises:
        OutputError: where that fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{uuid.uuid4().hex}.tmp"
        probe.touch()
        probe.unlink()
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise OutputError(
            f"cannot be written ({reason})", str(folder), "Name a folder that can be written with --output"
        ) from None


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

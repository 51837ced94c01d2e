"""Files that are whole or not there: atomic writes, checksums, and JSON manifests.

Both folders that a run leaves, the model's and the data set's, are written through this module.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from namegen.errors import ArtifactError, OutputError

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


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    """Writes a manifest as JSON that a person can read, with the format version first."""
    text = json.dumps({"format_version": FORMAT_VERSION, **manifest}, indent=2) + "\n"
    write_atomically(path, lambda temporary: _write_text(temporary, text))


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest at `path`, or None where there is none.

    Raises:
        ArtifactError: where it is no manifest, or of a newer format.
    """
    remedy = "Remove the folder to have it made again"
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"is not a manifest ({error})", str(path), remedy) from None
    found = manifest.get("format_version") if isinstance(manifest, dict) else None
    if not isinstance(found, int):
        raise ArtifactError("is not a manifest (it has no format_version)", str(path), remedy)
    if found > FORMAT_VERSION:
        raise ArtifactError(
            f"has format version {found}, and this version of namegen reads up to {FORMAT_VERSION}",
            str(path),
            "Upgrade namegen, or name another output folder",
        )
    return manifest


def versions() -> dict[str, str]:
    """The versions that decide a file's bytes."""
    return {package: version(package) for package in ("namegen", "numpy", "polars", "pyarrow", "torch")}


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


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Manifests: JSON that says what a folder holds, and that shows if a byte of it was altered."""

from __future__ import annotations

import errno
import hashlib
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from namegen.errors import ArtifactError, LeaseError, unreadable
from namegen.storage.files import Location, open_regular, write_atomically
from namegen.storage.object_store import RemotePath

FORMAT_VERSION = 1  # of the manifests and of what they describe
LARGEST_MANIFEST = 2**30  # bytes: a million parts have a tenth of it; more is no manifest


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


def write_manifest(path: Location, manifest: Manifest, *, only_if_none: bool = False) -> None:
    """Writes a manifest with its checksum, as JSON that a person can read, with the format version first.

    Args:
        only_if_none: in a store, where a request may arrive late, it takes the place of no other.

    Raises:
        LeaseError: where there is one all the same.
    """
    text = _text(_sealed(manifest))
    if only_if_none and isinstance(path, RemotePath):
        try:
            path.create(text)
        except FileExistsError:
            if path.read_bytes() != text:  # else the answer was lost, and the store was asked again
                what = "was written by another job in the meantime"
                raise LeaseError(what, str(path), "Run it again: it goes on from here") from None
        return
    write_atomically(path, lambda temporary: temporary.write_bytes(text))


def read_manifest(path: Location, kind: type[M], remedy: str = "Remove the folder to have it made again") -> M | None:
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
        raise unreadable(error, path) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "JSON"
        raise ArtifactError(f"is not a manifest ({where}: {first['msg']})", str(path), remedy) from None
    if not is_whole:
        raise ArtifactError("was altered: it does not fit its checksum", str(path), remedy)
    return manifest


def parse_manifest(path: Location, kind: type[M]) -> tuple[M, bool]:
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

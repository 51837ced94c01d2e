"""Manifests: JSON that says what a folder holds, and that shows whether any byte of it was altered."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from namegen.errors import ArtifactError, NewerFormatError, encodable, unreadable
from namegen.outputs.layout import COPY, MANIFEST
from namegen.storage.files import UNHELD, Hold, Location, open_regular, write_atomically

FORMAT_VERSION = 4  # of the manifests and of what they describe
LARGEST_MANIFEST = 2**30  # bytes; the manifest of a million parts has a tenth of this


def versions() -> dict[str, str]:
    """The versions that decide the bytes of a file."""
    return {package: version(package) for package in ("namegen", "numpy", "polars", "pyarrow", "torch")}


class Writing(BaseModel):
    """How a manifest came to be written. Only this may differ between two runs that made the same.

    Args:
        at: when.
        origin: what a repair may need to make the same again, such as the device of the training, and what a person
            may want to know, such as the seconds it took.
        sha256: of the manifest's text with this field empty.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    at: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    origin: dict[str, Any] = Field(default_factory=dict)
    sha256: str = ""

    @field_validator("origin", mode="after")
    @classmethod
    def _as_unicode(cls, origin: dict[str, Any]) -> dict[str, Any]:
        return {name: encodable(value) if isinstance(value, str) else value for name, value in origin.items()}

    @property
    def time(self) -> str:
        """`at` in UTC, so that later times compare greater as text; empty if it is not a time."""
        try:
            return datetime.fromisoformat(self.at).astimezone(UTC).isoformat(timespec="seconds")
        except ValueError:
            return ""


class Manifest(BaseModel):
    """What every manifest has; each kind adds to it. A value of the wrong type is refused, not converted."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    FILE: ClassVar[str] = MANIFEST

    format_version: int = FORMAT_VERSION
    versions: dict[str, str] = Field(default_factory=versions)
    written: Writing = Field(default_factory=Writing)

    @classmethod
    def path(cls, folder: Location, *, copy: bool = False) -> Location:
        """Where the manifest of a model or a data set belongs, or the copy of it."""
        return folder / (COPY if copy else cls.FILE)


M = TypeVar("M", bound=Manifest)


@dataclass(frozen=True)
class Opened(Generic[M]):
    """What lies where a manifest belongs.

    Args:
        manifest: what it says; None if it is missing, or cannot be understood.
        fault: why it cannot be trusted; None if it is missing, or exactly as it was written.
    """

    manifest: M | None
    fault: ArtifactError | None

    @property
    def trusted(self) -> M | None:
        """The manifest if it is exactly as it was written."""
        return None if self.fault else self.manifest

    def sound(self) -> M | None:
        """The manifest, or None if it is missing.

        Raises:
            ArtifactError: if it cannot be trusted.
        """
        if self.fault:
            raise self.fault
        return self.manifest


def open_manifest(folder: Location, kind: type[M], *, copy: bool = False) -> Opened[M]:
    """Opens the manifest of a folder.

    Args:
        copy: open the copy of the manifest, which only a data set has.

    Raises:
        NewerFormatError: if its format is newer than this version of namegen.
    """
    path = kind.path(folder, copy=copy)
    try:
        manifest, data = _parse(path, kind)
    except FileNotFoundError:
        return Opened(None, None)
    except OSError as error:
        return Opened(None, unreadable(error, path))
    except ValidationError as error:
        first = error.errors()[0]
        what = f"is not a manifest ({'.'.join(map(str, first['loc'])) or 'JSON'}: {first['msg']})"
        return Opened(None, ArtifactError(what, str(path), remedy_for(folder)))
    except _OldFormatError as error:
        return Opened(None, error)
    is_whole = data == _text(_sealed(manifest))
    what = "was altered: its checksum does not match"
    return Opened(manifest, None if is_whole else ArtifactError(what, str(path), remedy_for(folder)))


class _OldFormatError(ArtifactError):
    """A manifest of an older format."""


def _parse(path: Location, kind: type[M]) -> tuple[M, bytes]:
    with open_regular(path) as file:
        data = file.read(LARGEST_MANIFEST + 1)
    if len(data) > LARGEST_MANIFEST:
        raise OSError(errno.EFBIG, f"it has more than {LARGEST_MANIFEST:,} bytes", str(path))
    version = _Versioned.model_validate_json(data).format_version
    if version > FORMAT_VERSION:
        what = f"has format version {version}, but this version of namegen only reads up to {FORMAT_VERSION}"
        raise NewerFormatError(what, str(path), "Upgrade namegen, or name another output folder")
    if version < FORMAT_VERSION:
        what = f"has the old format version {version}, and this version of namegen only reads {FORMAT_VERSION}"
        raise _OldFormatError(what, str(path), "Remove the output folder, and run the job again")
    return kind.model_validate_json(data), data


def write_manifest(folder: Location, manifest: Manifest, hold: Hold = UNHELD, *, copy: bool = False) -> None:
    """Writes a folder's manifest with its checksum, as JSON that people can read, with the format version first.

    Args:
        hold: of the folder in which the manifest lies.
        copy: write the copy.

    Raises:
        LeaseError: if another job has written it since the folder was taken.
    """
    text = _text(_sealed(manifest))
    write_atomically(manifest.path(folder, copy=copy), lambda temporary: temporary.write_bytes(text), hold)


def remedy_for(folder: Location) -> str:
    """What to do about a damaged model or data set."""
    return f"Repair it with namegen verify --repair {folder}, or remove the folder and run the job again"


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

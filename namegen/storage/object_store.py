"""Files in an object store, by the part of `pathlib.Path` that this project uses.

Unlike a disk, a store has no folders, no rename and no append. It has objects that are whole or not there, and writes
that fail if there is an object already, which is how two jobs are kept apart. fsspec supports the stores, each through
a package of its own. It was chosen over pyarrow.fs for those conditional writes, and because Prefect depends on it.
Whatever a store's package raises becomes an OSError here, so the code that handles the faults of disks handles those of
stores as well.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

from namegen.errors import SettingError

# protocol: the extra that it needs. Each of these uploads objects whole, and can create one only if there is none.
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az"}
URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)
# Seconds. Without them a request that is never answered blocks its job for ever.
OPTIONS: dict[str, dict[str, Any]] = {"s3": {"config_kwargs": {"connect_timeout": 10, "read_timeout": 60}}}
REFUSED = re.compile(r"Credential|Auth|Token|Forbidden|Denied")  # in the names of the packages' exceptions


class Status(NamedTuple):
    """What `Path.stat` would say."""

    st_size: int
    st_mtime_ns: int


class RemotePath:
    """The place of an object, or of what looks like a folder of them: a URL such as s3://bucket/prefix.

    Raises:
        SettingError: for an unknown store, one whose package is not installed, and a URL with credentials in it.
    """

    def __init__(self, url: str) -> None:
        protocol, _, key = url.partition("://")
        self.protocol, self.key = protocol, key.strip("/")
        if self.protocol not in EXTRAS:
            known = ", ".join(sorted(EXTRAS))
            raise SettingError(f"{protocol}:// is not supported (supported: {known})", remedy="Name another output")
        if not self.key or re.search(r"(^|/)\.{0,2}(/|$)", self.key):
            raise SettingError(f"{protocol}://{self.key} has no bucket and prefix", remedy="Write s3://bucket/prefix")
        if re.search(r"@|\?|#|:", self.key):  # credentials, which would be in every log and manifest
            remedy = "Put credentials in the environment or the store's own configuration"
            raise SettingError("a store's URL cannot contain @, ?, # or :", remedy=remedy)
        file_system(self.protocol)

    def __str__(self) -> str:
        return f"{self.protocol}://{self.key}"

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __truediv__(self, name: str | Path) -> RemotePath:
        return self._at(f"{self.key}/{name}")

    def _at(self, key: str) -> RemotePath:
        """Another place in the same store, whose name may have any character: it is no URL that a person has typed."""
        place = object.__new__(RemotePath)
        place.protocol, place.key = self.protocol, key.strip("/")
        return place

    @property
    def name(self) -> str:
        """The text after the last slash."""
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> RemotePath:
        """The text before the last slash; a bucket is its own parent."""
        return self._at(self.key.rpartition("/")[0] or self.key)

    @property
    def parts(self) -> tuple[str, ...]:
        """The bucket, and the texts between the slashes."""
        return tuple(self.key.split("/"))

    @property
    def suffix(self) -> str:
        """The end of the name, from its last dot."""
        return Path(self.name).suffix

    def with_name(self, name: str) -> RemotePath:
        """The place beside it with another name."""
        return self.parent / name

    def is_file(self) -> bool:
        """Whether there is an object of this name."""
        try:
            return bool(self._info()["type"] == "file")
        except FileNotFoundError:
            return False

    def is_dir(self) -> bool:
        """Whether there are objects whose names begin with this one and a slash."""
        return next(self.iterdir(), None) is not None

    def exists(self) -> bool:
        """Whether it is a file or a folder."""
        return self.is_file() or self.is_dir()

    def is_symlink(self) -> bool:
        """Never: a store has no links."""
        return False

    def stat(self) -> Status:
        """Its size in bytes, and a number that changes with the time of its writing."""
        info = self._info()
        modified = next((info[key] for key in ("LastModified", "mtime", "last_modified", "created") if key in info), 0)
        return Status(int(info["size"]), hash(modified))  # of any type: another time is another number

    def iterdir(self) -> Iterator[RemotePath]:
        """The places in it."""
        return (self / name for name in self.entries())

    def entries(self) -> dict[str, int | None]:
        """The names in it, with their sizes in bytes; None for what looks like a folder."""
        with _errors(self):
            try:
                listed = file_system(self.protocol).ls(self.key, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return {}
        rows = [(str(row["name"]).rstrip("/").rpartition("/"), row) for row in listed]
        return {
            name: row["size"] if row["type"] == "file" else None
            for (folder, _, name), row in rows
            if folder.strip("/") == self.key and name  # or it is the object itself, or an empty folder
        }

    def files_below(self) -> Iterator[tuple[RemotePath, list[str]]]:
        """Every folder from here down that has objects in it, and their names."""
        with _errors(self):
            keys = [str(path).strip("/") for path in file_system(self.protocol).find(self.key)]
        folders: dict[str, list[str]] = {}
        for path in sorted(keys):
            folder, _, name = path.rpartition("/")
            folders.setdefault(folder, []).append(name)
        return ((self._at(folder), names) for folder, names in sorted(folders.items()))

    def read_bytes(self) -> bytes:
        """Its contents."""
        with _errors(self):
            return bytes(file_system(self.protocol).cat_file(self.key))

    def fetch(self, local: Path) -> None:
        """Downloads it to a disk."""
        with _errors(self):
            file_system(self.protocol).get_file(self.key, str(local))

    def write_bytes(self, data: bytes) -> None:
        """Writes it whole, replacing what is there."""
        with _errors(self):
            file_system(self.protocol).pipe_file(self.key, data)

    def put(self, local: Path) -> None:
        """Uploads a file whole, replacing what is there."""
        with _errors(self):
            file_system(self.protocol).put_file(str(local), self.key)

    def create(self, data: bytes) -> None:
        """Writes it, unless there is one.

        Raises:
            FileExistsError: if there is one.
        """
        with _errors(self):
            file_system(self.protocol).pipe_file(self.key, data, mode="create")

    def unlink(self, missing_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - as Path has it
        """Removes it."""
        with _errors(self):
            try:
                file_system(self.protocol).rm_file(self.key)
            except FileNotFoundError:
                if not missing_ok:
                    raise

    def rename(self, target: Self) -> None:
        """Copies it and then removes it. This is not atomic."""
        with _errors(self):
            file_system(self.protocol).cp_file(self.key, target.key)
        self.unlink()

    def _info(self) -> dict[str, Any]:
        with _errors(self):
            return dict(file_system(self.protocol).info(self.key))


@lru_cache
def file_system(protocol: str) -> Any:  # noqa: ANN401 - fsspec has no types
    """The connection to a kind of store, shared by all threads.

    Raises:
        SettingError: if its package is not installed.
    """
    import fsspec  # slow to import, and not needed for a disk

    try:
        return fsspec.filesystem(protocol, use_listings_cache=False, **OPTIONS.get(EXTRAS[protocol], {}))
    except ImportError as error:
        remedy = f"pip install 'namegen[{EXTRAS[protocol]}]'"
        raise SettingError(f"{protocol}:// needs a package that is not installed ({error})", remedy=remedy) from None


@contextmanager
def _errors(path: RemotePath) -> Iterator[None]:
    """Turns whatever a store's package raises into an OSError with a number and a line that says what happened."""
    try:
        yield
    except Exception as error:
        number, text = _number(error), " ".join(str(error).split()) or type(error).__name__
        raise OSError(number, text, str(path)) from error


def _number(error: Exception) -> int:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    by_type = {
        FileNotFoundError: errno.ENOENT,
        FileExistsError: errno.EEXIST,
        PermissionError: errno.EACCES,
        TimeoutError: errno.ETIMEDOUT,
        ConnectionError: errno.ECONNRESET,
        ValueError: errno.EINVAL,
    }
    name = type(error).__name__
    if REFUSED.search(name):
        return errno.EACCES
    return next((number for kind, number in by_type.items() if isinstance(error, kind)), errno.EIO)

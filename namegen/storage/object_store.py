"""Files in an object store, by the part of `pathlib.Path` that this project uses.

Unlike a disk, a store has no folders, no rename and no append. It has objects that are whole or not there. Each version
of an object has a tag, and a write can be made to fail unless the object still has the tag that the writer knows. That
is how two jobs are kept apart, and how a request that arrives late replaces nothing. `obstore` can do that in S3,
Google Cloud Storage and Azure, and needs no other package; fsspec and s3fs, which it replaced, can only create an
object. Whatever it raises becomes an OSError here, so the code that handles the faults of disks handles those of stores
as well.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from time import sleep
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from namegen.errors import SettingError

# protocol: the extra that it needs
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az"}
URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)
# Without them a request that is never answered blocks its job for ever. A part has some 20 MB.
CLIENT: dict[str, Any] = {"connect_timeout": timedelta(seconds=10), "timeout": timedelta(seconds=300)}
PAUSES = (0.1, 1.0, 5.0)  # seconds before a request that was cut off is sent again
RETRIES: dict[str, Any] = {"max_retries": 8, "retry_timeout": timedelta(seconds=120)}

T = TypeVar("T")


class Tag(NamedTuple):
    """A version of an object. S3 and Azure tell versions apart by `e_tag`, and Google by `version`."""

    e_tag: str
    version: str | None = None


class Found(NamedTuple):
    """What a store says of an object: its size in bytes, the time of its last change in UTC, and its version."""

    size: int
    modified: datetime
    tag: Tag


class Bucket(Protocol):
    """A bucket of a store. The keys of its objects have no slash at either end."""

    def read(self, key: str) -> tuple[bytes, Tag]:
        """The contents of an object, and their version."""

    def find(self, key: str) -> Found:
        """What is known of an object."""

    def list(self, key: str) -> tuple[list[str], dict[str, Found]]:
        """The keys that begin with this one and a slash: up to the next slash, and those without one."""

    def list_below(self, key: str) -> dict[str, Found]:
        """All keys that begin with this one and a slash."""

    def write(self, key: str, data: bytes | Path, known: Tag | None) -> Tag:
        """Writes an object whole, if it still has a version; None if there must not be one yet.

        Raises:
            FileExistsError: if it has another version, or is gone.
        """

    def remove(self, key: str) -> None:
        """Removes an object, if it is there."""

    def copy(self, key: str, target: str) -> None:
        """Copies an object."""


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
        bucket(self.protocol, self.parts[0])

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
            self._found()
        except FileNotFoundError:
            return False
        return True

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
        """Its size in bytes, and a number that changes whenever it is written."""
        found = self._found()
        return Status(found.size, hash((found.modified, found.tag.e_tag)))

    def iterdir(self) -> Iterator[RemotePath]:
        """The places in it."""
        return (self / name for name in self.entries())

    def entries(self) -> dict[str, int | None]:
        """The names in it, with their sizes in bytes; None for what looks like a folder."""
        with _errors(self) as there:
            folders, objects = there.list(self._inside)
        sizes = {key.rpartition("/")[2]: found.size for key, found in objects.items()}
        return sizes | {key.rpartition("/")[2]: None for key in folders}

    def objects(self) -> Mapping[str, Found]:
        """The names of the objects in it, and what is known of them."""
        with _errors(self) as there:
            return {key.rpartition("/")[2]: found for key, found in there.list(self._inside)[1].items()}

    def files_below(self) -> Iterator[tuple[RemotePath, list[str]]]:
        """Every folder from here down that has objects in it, and their names."""
        with _errors(self) as there:
            keys = list(there.list_below(self._inside))
        folders: dict[str, list[str]] = {}
        for key in sorted(f"{self.parts[0]}/{key}" for key in keys):
            folder, _, name = key.rpartition("/")
            folders.setdefault(folder, []).append(name)
        return ((self._at(folder), names) for folder, names in sorted(folders.items()))

    def read(self) -> tuple[bytes, Tag]:
        """Its contents, and their version."""
        with _errors(self) as there:
            return there.read(self._inside)

    def read_bytes(self) -> bytes:
        """Its contents."""
        return self.read()[0]

    def write(self, data: bytes | Path, known: Tag | None) -> Tag:
        """Writes it whole, if it still has the version that is known; None if there must be no object yet.

        An answer may be lost, and the request sent again. So a write that fails has succeeded all the same if what is
        there now is what was written.

        Raises:
            FileExistsError: if somebody else has written or removed it.
        """
        with _errors(self) as there:
            try:
                return there.write(self._inside, data, known)
            except FileExistsError as error:
                try:
                    contents, tag = there.read(self._inside)
                except FileNotFoundError:
                    raise error from None
                if contents != (data.read_bytes() if isinstance(data, Path) else data):
                    raise
                return tag

    def write_bytes(self, data: bytes) -> None:
        """Writes it whole, replacing what is there."""
        self.write(data, self.tag())

    def tag(self) -> Tag | None:
        """Its version; None if there is no object."""
        try:
            return self._found().tag
        except FileNotFoundError:
            return None

    def unlink(self, missing_ok: bool = False) -> None:  # noqa: FBT001, FBT002, ARG002 - as Path has it; none is missed
        """Removes it, if it is there."""
        with _errors(self) as there:
            there.remove(self._inside)

    def rename(self, target: Self) -> None:
        """Copies it and then removes it. This is not atomic."""
        with _errors(self) as there:
            there.copy(self._inside, target._inside)
        self.unlink()

    def _found(self) -> Found:
        with _errors(self) as there:
            return there.find(self._inside)

    @property
    def _inside(self) -> str:
        """The key in the bucket."""
        return self.key.partition("/")[2]


class _Obstore:
    """A bucket, through obstore."""

    def __init__(self, protocol: str, name: str) -> None:
        import obstore  # not needed for a disk

        self._api, self._store = obstore, _connect(protocol, name)
        # of Google a listing does not tell the version, and of Azure not quite the tag
        self._asks_again = EXTRAS[protocol] in {"gs", "az"}

    def _ask(self, request: Callable[..., T], *arguments: Any, **options: Any) -> T:  # noqa: ANN401 - obstore's own
        """Sends a request, and again if the network cuts it off: obstore itself does not do that where it writes."""
        from obstore.exceptions import GenericError

        for pause in PAUSES:
            try:
                return request(self._store, *arguments, **options)
            except GenericError as error:
                if "HTTP error" not in str(error) or "Connect" in str(error):
                    raise
                sleep(pause)
        return request(self._store, *arguments, **options)

    def read(self, key: str) -> tuple[bytes, Tag]:
        def whole(store: Any, key: str) -> tuple[bytes, Tag]:  # noqa: ANN401
            result = self._api.get(store, key)
            return bytes(result.bytes()), _tag(result.meta)

        return self._ask(whole, key)

    def find(self, key: str) -> Found:
        if not key:
            raise FileNotFoundError(errno.ENOENT, "a bucket is not an object")
        return _found(self._ask(self._api.head, key))

    def list(self, key: str) -> tuple[list[str], dict[str, Found]]:
        listed = self._ask(self._api.list_with_delimiter, key or None)
        return list(listed["common_prefixes"]), {each["path"]: _found(each) for each in listed["objects"]}

    def list_below(self, key: str) -> dict[str, Found]:
        listed = self._ask(lambda store: self._api.list(store, key or None).collect())
        return {each["path"]: _found(each) for each in listed}

    def write(self, key: str, data: bytes | Path, known: Tag | None) -> Tag:
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            if known and self._asks_again:
                now = self.find(key).tag
                if now.e_tag != known.e_tag:
                    raise FileExistsError(errno.EEXIST, "was changed by somebody else")
                known = now
            mode: Any = {name: value for name, value in known._asdict().items() if value} if known else "create"
            return _tag(self._ask(self._api.put, key, data, mode=mode))
        except (AlreadyExistsError, PreconditionError) as error:
            raise FileExistsError(errno.EEXIST, "was changed by somebody else") from error
        except FileNotFoundError as error:
            if known:
                raise FileExistsError(errno.EEXIST, "was removed by somebody else") from error
            raise

    def remove(self, key: str) -> None:
        try:
            self._ask(self._api.delete, key)
        except FileNotFoundError:
            return

    def copy(self, key: str, target: str) -> None:
        self._ask(self._api.copy, key, target)


def _connect(protocol: str, name: str) -> Any:  # noqa: ANN401 - each kind of store has a type of its own
    from obstore import store

    if protocol == "memory":
        return store.MemoryStore()
    own: dict[str, Any] = {}
    if EXTRAS[protocol] == "s3":
        # boto3 finds every kind of credentials that there is; obstore itself does not look into ~/.aws
        from boto3 import Session
        from obstore.auth.boto3 import Boto3CredentialProvider

        session = Session()
        if not session.get_credentials():
            raise ValueError("there are no credentials")
        own["credential_provider"] = Boto3CredentialProvider(session)
    is_plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    client = CLIENT | ({"allow_http": True} if is_plain else {})
    return store.from_url(f"{protocol}://{name}", client_options=client, retry_config=RETRIES, **own)  # type: ignore[call-overload]


@lru_cache
def bucket(protocol: str, name: str) -> Bucket:
    """The connection to a bucket, shared by all threads.

    Raises:
        SettingError: if the package for its store is not installed, or there are no credentials.
    """
    try:
        return _Obstore(protocol, name)
    except ImportError as error:
        remedy = f"pip install 'namegen[{EXTRAS[protocol]}]'"
        raise SettingError(f"{protocol}:// needs a package that is not installed ({error})", remedy=remedy) from None
    except Exception as error:  # obstore and boto3 have many kinds
        remedy = "Set the credentials and the region in the environment or the store's own configuration"
        raise SettingError(f"{protocol}://{name} cannot be used ({_text(error)})", remedy=remedy) from error


def _found(meta: Mapping[str, Any]) -> Found:
    return Found(int(meta["size"]), meta["last_modified"], _tag(meta))


def _tag(meta: Mapping[str, Any]) -> Tag:
    return Tag(str(meta["e_tag"]), meta["version"])


@contextmanager
def _errors(path: RemotePath) -> Iterator[Bucket]:
    """The bucket of a path. Whatever it raises becomes an OSError with a number and a line that says what happened."""
    try:
        yield bucket(path.protocol, path.parts[0])
    except SettingError:
        raise
    except Exception as error:
        raise OSError(_number(error), _text(error), str(path)) from error


def _number(error: Exception) -> int:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    by_type = {
        FileNotFoundError: errno.ENOENT,
        PermissionError: errno.EACCES,
        TimeoutError: errno.ETIMEDOUT,
        ConnectionError: errno.ECONNRESET,
        ValueError: errno.EINVAL,
    }
    if re.search(r"Credential|Unauthenticated|Permission|Denied", type(error).__name__):
        return errno.EACCES
    return next((number for kind, number in by_type.items() if isinstance(error, kind)), errno.EIO)


def _text(error: BaseException) -> str:
    """What a store's error says: the message in the answer, or why there was none."""
    text, _, debug = str(error).partition("\n\nDebug source")
    answer = re.search(r"<Message>(.*?)</Message>", text, re.DOTALL)
    where = re.search(r"[a-z]+://[^/\s]+", text)
    cause = re.search(r'(?:message|error): "(.*?)"|(TimedOut)', debug)
    if where and cause and not answer:
        return f"no answer from {where[0]} ({cause[1] or 'timed out'})"
    return " ".join((answer[1] if answer else text).split()) or type(error).__name__

"""Files and folders on a disk: written whole, flushed, and moved into place. `flocks` has its locks."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from namegen.errors import OutputError
from namegen.storage import flocks
from namegen.storage.storage import LOCK, Hold, Holder, Walk, parse_holder

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")
# File systems in front of an object store, where a rename is a copy and a deletion: readers see unfinished files, and
# two files may be left.
COPYING = re.compile(r"fuse\.(s3fs|yas3fs|goofys|geesefs|gcsfuse|blobfuse2?|rclone|mount-s3)|mountpoint-s3")


class Disk:
    """A file system. The protocol documents the methods."""

    keeps_contents: bool = False
    puts_at_once: int | None = None

    def make_folder(self, folder: Path) -> None:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for path in missing:
            _flush_folder(path.parent)

    def remove_empty(self, folder: Path) -> None:
        with suppress(OSError):  # it is not empty, or not there
            folder.rmdir()

    def entries(self, folder: Path) -> dict[str, int | None]:
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

    def walk(self, folder: Path, on_error: Callable[[OSError], None]) -> Walk[Path]:
        seen: set[tuple[int, int]] = set()
        for name, folders, files in os.walk(folder, onerror=on_error, followlinks=True):
            path = Path(name)
            status = path.stat()
            if (status.st_dev, status.st_ino) in seen:  # a link led back here
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            folders.sort()
            yield path, folders, files

    def changed(self, folder: Path) -> datetime | None:
        with suppress(FileNotFoundError):
            return datetime.fromtimestamp(folder.stat().st_mtime, UTC)
        return None

    def free(self, folder: Path) -> int | None:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        return shutil.disk_usage(existing).free

    def absolute(self, path: Path) -> Path:
        return Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps ".."

    def open(self, path: Path) -> BinaryIO:
        return open(path, "rb", opener=_open_regular)  # Path.open has no opener

    @contextmanager
    def local_copy(self, path: Path) -> Iterator[Path]:
        yield path

    def temporary_beside(self, path: Path) -> Path:
        return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")

    def temporaries(self, folder: Path) -> list[Path]:
        if not folder.is_dir():
            return []
        return sorted(path for path in folder.iterdir() if TEMPORARY.fullmatch(path.name) and not path.is_dir())

    def put(self, temporary: Path, path: Path, check: Callable[[], None]) -> None:  # noqa: ARG002 - a lock that holds
        try:
            _flush(temporary, os.O_RDWR)
            temporary.replace(path)
            _flush_folder(path.parent)  # which makes the rename durable
        finally:
            temporary.unlink(missing_ok=True)

    def append(self, path: Path, line: bytes) -> None:
        self.clear(path)
        with path.open("ab") as file:
            file.write(line)

    def clear(self, path: Path) -> None:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            path.unlink()

    def discard(self, folders: Sequence[Path], away: Path, hold: Hold, turn: Callable[[str], int]) -> None:  # noqa: ARG002
        for folder in folders:
            if folder.is_dir():
                folder.rename(away.with_name(f"{away.name}{uuid.uuid4().hex}"))

    def check_writable(self, output: Path, made: Sequence[str], readable: str) -> None:
        elsewhere = "Name another folder with --output"
        try:
            replaces = [self._replaces(output / name) for name in made]  # all, as each makes its folder
            file_system, place = file_system_of(output / made[-1]), output / readable
            self.make_folder(place)
            is_one = place.stat().st_dev == (output / made[-1]).stat().st_dev
        except (OSError, ValueError) as error:  # ValueError: the path has a null character
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise OutputError(f"cannot be written ({reason})", str(output), elsewhere) from error
        if not all(replaces) or COPYING.fullmatch(file_system):
            what = f"is on a file system without atomic renames (type: {file_system or 'unknown'})"
            raise OutputError(what, str(output), elsewhere)
        if not is_one:
            what = f"is not on one file system with {output / made[-1]}"
            raise OutputError(what, str(place), "Move them to one, without links")

    def _replaces(self, folder: Path) -> bool:
        """Whether a rename in a folder replaces a file. What a dead job left there is removed first."""
        with self.hold(folder):
            new, old = (self.temporary_beside(folder / "probe") for _ in range(2))
            try:
                new.write_bytes(b"new")
                old.touch()
                new.replace(old)
                return old.read_bytes() == b"new" and not new.exists()
            finally:
                new.unlink(missing_ok=True)
                old.unlink(missing_ok=True)

    @contextmanager
    def hold(self, folder: Path) -> Iterator[Hold]:
        with flocks.locked(folder, self.make_folder) as holder:
            for left in self.temporaries(folder):
                left.unlink(missing_ok=True)
            yield _DiskHold(self, holder.key)

    def holder(self, folder: Path) -> Holder | None:
        with suppress(OSError):
            return parse_holder((folder / LOCK).read_bytes(), Holder)
        return None

    def is_held(self, folder: Path) -> bool:
        return flocks.is_locked(folder)


class _DiskHold:
    """A folder whose lock the kernel keeps, until this process ends."""

    def __init__(self, disk: Disk, key: str) -> None:
        self._disk, self.key = disk, key

    def check(self) -> None:
        pass

    def put(self, temporary: Path, path: Path) -> None:
        self._disk.put(temporary, path, self.check)


def file_system_of(folder: Path) -> str:
    """The type of the file system of a folder, such as "ext4"; empty if it cannot be told."""
    device = folder.stat().st_dev
    mounts = Path("/proc/self/mountinfo")  # see proc(5): the third field is the device, the type follows a dash
    for line in mounts.read_text(errors="replace").splitlines() if mounts.exists() else ():
        fields = line.split()
        if fields[2] == f"{os.major(device)}:{os.minor(device)}":
            return fields[fields.index("-", 6) + 1]
    return ""


def _open_regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", path)
    return descriptor


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":  # Windows cannot open folders
        return
    try:
        _flush(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some mounts cannot flush a folder, and need not
            raise


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Whether an output folder can take what a job is about to write. This is checked before anything is made."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from namegen.errors import OutputError
from namegen.outputs import layout
from namegen.storage.files import Location, make_folder, temporary_beside
from namegen.storage.leases import term
from namegen.storage.locks import alone_in
from namegen.storage.object_store import RemotePath

ELSEWHERE = "Name another folder with --output"
# File systems in front of an object store, where a rename is a copy and a deletion: readers see unfinished files, and
# two files may be left.
COPYING = re.compile(r"fuse\.(s3fs|yas3fs|goofys|geesefs|gcsfuse|blobfuse2?|rclone|mount-s3)|mountpoint-s3")


def check_writable(output: Location) -> None:
    """Makes the output folder and those in it, and tries what every write of a job does.

    Raises:
        OutputError: if a file cannot be written, or a rename does not replace a file atomically.
    """
    if isinstance(output, RemotePath):
        _check_store(output)
        return
    names, record = output / layout.NAMES, output / layout.RECORDS
    try:
        is_atomic = all([_replaces(output / layout.MODELS), _replaces(record)])
        file_system = file_system_of(record)
        make_folder(names)
        is_one = names.stat().st_dev == record.stat().st_dev
    except (OSError, ValueError) as error:  # ValueError: the path has a null character
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise OutputError(f"cannot be written ({reason})", str(output), ELSEWHERE) from error
    if not is_atomic or COPYING.fullmatch(file_system):
        what = f"is on a file system without atomic renames (type: {file_system or 'unknown'})"
        raise OutputError(what, str(output), ELSEWHERE)
    if not is_one:
        raise OutputError(f"is not on one file system with {record}", str(names), "Move them to one, without links")


def _replaces(folder: Path) -> bool:
    """Whether a rename in a folder replaces a file. What a dead job left there is removed first."""
    with alone_in(folder):
        new, old = (temporary_beside(folder / "probe") for _ in range(2))
        try:
            new.write_bytes(b"new")
            old.touch()
            new.replace(old)
            return old.read_bytes() == b"new" and not new.exists()
        finally:
            new.unlink(missing_ok=True)
            old.unlink(missing_ok=True)


def _check_store(folder: RemotePath) -> None:
    """Creates an object twice. The second time has to fail, or two jobs could not be kept apart."""
    term()  # refuses a bad setting; later would be too late
    probe = folder / f".probe-{uuid.uuid4().hex}"
    try:
        probe.create(b"first")
        try:
            with suppress(FileExistsError):
                probe.create(b"second")
            is_kept = probe.read_bytes() == b"first"
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        remedy = "Check the credentials, its permissions and the network, or name another folder with --output"
        raise OutputError(f"cannot be written ({error.strerror})", str(folder), remedy) from error
    if not is_kept:
        what = "is in a store that overwrites an object when asked only to create one, and locks need that"
        raise OutputError(what, str(folder), ELSEWHERE)


def check_room(folder: Location, count: int, names: Sequence[str]) -> None:
    """Checks that the disk has room for a data set of `count` names, apart from the parts that are there already.

    Args:
        folder: of the data set; it may not exist yet.
        names: what the names will be like. With zstd a row takes less than eight bytes and its name.

    Raises:
        OutputError: if there is not enough room.
    """
    if isinstance(folder, RemotePath):
        return  # stores have no limit
    there = 0
    for part in folder.glob("part-*.parquet"):
        with suppress(FileNotFoundError):  # another job may be removing it
            there += part.lstat().st_size
    needed = count * (8 + sum(len(name.encode()) for name in names) / len(names)) - there
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        what = f"has {readable_size(free)} free, but {count:,} names need about {readable_size(needed)}"
        remedy = "Free some space, ask for fewer names with --count, or name another folder with --output"
        raise OutputError(what, str(folder), remedy)


def readable_size(count: float) -> str:
    """A number of bytes as people read it, such as 1.5 GB."""
    for unit in ("bytes", "kB", "MB", "GB", "TB", "PB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} EB"


def file_system_of(folder: Path) -> str:
    """The type of the file system of a folder, such as "ext4"; empty if it cannot be told."""
    device = folder.stat().st_dev
    mounts = Path("/proc/self/mountinfo")  # see proc(5): the third field is the device, the type follows a dash
    for line in mounts.read_text(errors="replace").splitlines() if mounts.exists() else ():
        fields = line.split()
        if fields[2] == f"{os.major(device)}:{os.minor(device)}":
            return fields[fields.index("-", 6) + 1]
    return ""

"""Locks on a disk. The lock is the kernel's own, on the open file `.lock`, and not the existence of that file.

So a process that dies, in whatever way, releases it, on this host or, over NFS, on another, and a process that is
stopped keeps it. No lock is ever stale. The file says who holds it: people and a job's workers read that. A folder may
be removed, with its lock, by whoever holds the lock: a job that waited for it notices, and makes the folder again.

A network mount that keeps its locks to one host (NFS with `nolock`) lets two hosts work at once. Each file is still
written whole and with the same bytes, but one host may remove what the other is still writing; that job fails and can
be run again.
"""

from __future__ import annotations

import logging
import os
import platform
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import portalocker
from portalocker.exceptions import AlreadyLocked, LockException

from namegen.errors import OutputError
from namegen.storage.storage import LOCK, Holder, parse_holder

PAUSE = 0.05  # seconds between two tries to lock: the kernel's own waiting cannot be interrupted on every system
log = logging.getLogger(__name__)


@contextmanager
def locked(folder: Path, make_folder: Callable[[Path], None]) -> Iterator[Holder]:
    """Makes a folder and holds its lock; yields what the lock says.

    Raises:
        OutputError: if the file system has no locks.
    """
    is_logged = False
    while True:
        make_folder(folder)
        try:
            file = os.fdopen(os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        except FileNotFoundError:  # removed again, by whoever held the lock
            continue
        with file:  # the end of the block releases the lock
            while not _try(file, folder, portalocker.LockFlags.EXCLUSIVE):
                if not is_logged:
                    is_logged = True
                    log.info("Another job is working in %s: waiting for it to end", folder)
                time.sleep(PAUSE)
            if not _is_at(file, folder / LOCK):
                continue
            before = parse_holder(file.read(), Holder)
            generation = before.generation + 1 if before else 1
            holder = Holder(owner=uuid.uuid4().hex, generation=generation, host=platform.node(), process=os.getpid())
            _write(file, holder)
            try:
                yield holder
            finally:
                _write(file, holder.model_copy(update={"is_released": True}))
            return


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock of a folder. Nothing is written.

    Raises:
        OSError: if we are not allowed to know.
    """
    deadline = time.monotonic() + 1  # another process that only checks is gone by then
    try:
        with (folder / LOCK).open("rb") as file:
            while not _try(file, folder, portalocker.LockFlags.SHARED):
                if time.monotonic() > deadline:
                    return True
                time.sleep(PAUSE)
    except (FileNotFoundError, NotADirectoryError, OutputError):  # no job was ever here, or could be
        return False
    return False


def _write(file: IO[bytes], holder: Holder) -> None:
    """Says who holds the lock. Of a disk that is full, which a prune may be about to mend, the lock holds as well."""
    with suppress(OSError):
        file.seek(0)
        file.write(holder.model_dump_json().encode())
        file.truncate()
        file.flush()


def _try(file: IO[bytes], folder: Path, kind: portalocker.LockFlags) -> bool:
    try:
        portalocker.lock(file, kind | portalocker.LockFlags.NON_BLOCKING)
    except AlreadyLocked:
        return False
    except LockException as error:
        remedy = "Name another folder with --output, on a file system with flock"
        raise OutputError(f"is on a file system without locks ({error})", str(folder), remedy) from error
    return True


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether an open file is still the one at its path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False

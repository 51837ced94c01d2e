"""One job at a time in a folder. Two jobs that want the same files take turns; the second finds what the first made.

On a disk the lock is the kernel's own, on the open file `.lock`, and not the existence of that file. So a process that
dies, in whatever way, releases it, on this host or, over NFS, on another, and a process that is stopped keeps it. No
lock is ever stale. The file says who holds it, for people. A folder may be removed, with its lock, by whoever holds the
lock: a job that waited for it notices, and makes the folder again.

A network mount that keeps its locks to one host (NFS with `nolock`) lets two hosts work at once. Each file is still
written whole and with the same bytes, but one host may remove what the other is still writing; that job fails and can
be run again.

An object store has no such locks; see `leases`.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import portalocker
from portalocker.exceptions import AlreadyLocked, LockException

from namegen.errors import OutputError
from namegen.storage.files import Location, make_folder, temporaries
from namegen.storage.leases import LOCK, is_leased, lease_on
from namegen.storage.object_store import RemotePath

MARK = re.compile(r"\.job\.[0-9a-f]{32}\.tmp")  # the workers of a job look for it; see `outputs.ranges`
PAUSE = 0.05  # seconds between two tries to lock: the kernel's own waiting cannot be interrupted on every system
log = logging.getLogger(__name__)


@contextmanager
def alone_in(folder: Location) -> Iterator[Callable[[], None]]:
    """Makes `folder`, waits until no other job is in it, and removes the unfinished files of dead jobs.

    Yields a function that raises LeaseError if another job may be in the folder all the same, which can happen only in
    a store.

    Raises:
        OutputError: if the file system has no locks.
    """
    if isinstance(folder, RemotePath):
        with lease_on(folder) as check:
            for name in filter(MARK.fullmatch, folder.entries()):
                (folder / name).unlink(missing_ok=True)
            yield check
        return
    with _locked(folder):
        for left in temporaries(folder):
            left.unlink(missing_ok=True)
        yield lambda: None


def is_busy(folder: Location) -> bool:
    """Whether a job is working in `folder`. Nothing is written, so the folder may be read-only."""
    if isinstance(folder, RemotePath):
        return is_leased(folder)
    deadline = time.monotonic() + 1  # another process that only checks is gone by then
    try:
        with (folder / LOCK).open("rb") as file:
            while not _try(file, folder, portalocker.LockFlags.SHARED):
                if time.monotonic() > deadline:
                    return True
                time.sleep(PAUSE)
    except (OSError, OutputError):  # no job was ever here, or we are not allowed to know
        return False
    return False


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    is_logged = False
    while True:
        make_folder(folder)
        try:
            file = os.fdopen(os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        except FileNotFoundError:  # removed again, by whoever held the lock
            continue
        with file:
            while not _try(file, folder, portalocker.LockFlags.EXCLUSIVE):
                if not is_logged:
                    is_logged = True
                    log.info("Another job is working in %s: waiting for it to end", folder)
                time.sleep(PAUSE)
            if not _is_at(file, folder / LOCK):
                continue
            file.truncate()
            file.write(json.dumps({"host": platform.node(), "process": os.getpid()}).encode())
            file.flush()
            yield  # the end of the file's block releases the lock
            return


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

"""One job at a time in a folder. Two jobs that want the same files take turns; the second finds what the first made.

The lock is the operating system's own, on an open file (flock, or LockFileEx on Windows), and not the existence of the
file. So a process that dies, in whatever way, releases it, on this host or, over NFS, on another. No lock is ever
stale, and the file `.lock` may stay. Its name begins with ".", so that readers of the folder skip it.

A network mount that keeps its locks to one host (NFS with `nolock`) lets two hosts work at once. Each file is still
written whole and with the same bytes, but one host may remove what the other is still writing; that job fails and can
be run again.

An object store has no such locks; see `leases`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from namegen.errors import OutputError
from namegen.storage.files import Location, make_folder, temporaries
from namegen.storage.leases import LOCK, is_leased, lease_on
from namegen.storage.object_store import RemotePath

MARK = re.compile(r"\.job\.[0-9a-f]{32}\.tmp")  # the workers of a job look for it; see `outputs.ranges`
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
    make_folder(folder)
    lock = FileLock(folder / LOCK)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("Another job is working in %s: waiting for it to end", folder)
            lock.acquire()
    except NotImplementedError:
        raise OutputError("is on a file system without locks", str(folder), "Name another with --output") from None
    try:
        for left in temporaries(folder):
            left.unlink(missing_ok=True)
        yield lambda: None
    finally:
        lock.release()


def is_busy(folder: Location) -> bool:
    """Whether a job is working in `folder`. Nothing is written, so the folder may be read-only."""
    if isinstance(folder, RemotePath):
        return is_leased(folder)
    if not (folder / LOCK).exists():  # no job was ever here
        return False
    try:
        with FileLock(folder / LOCK, timeout=1):  # another process that only checks is gone by then
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False  # we are not allowed to lock it

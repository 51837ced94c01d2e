"""One job at a time in a folder: two that want the same files take turns, and the second finds what the first made.

The lock is the operating system's own on an open file (flock; LockFileEx on Windows), not the file's being there. So a
process that dies, in whatever way, holds none any more, on this host or, over NFS, on another: no lock is ever stale,
and the file `.lock` may stay. Its name begins with ".", so that readers of the folder pass it over.

Where a network mount keeps its locks to one host (NFS with `nolock`), two hosts may be at work at once. Then each file
is still written whole and with the same bytes, but one host may remove what the other has half-written, whose job fails
and is run again.

An object store has no such locks: see `lease`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from namegen.errors import OutputError
from namegen.storage.files import Location, make_folder, temporaries
from namegen.storage.leases import LOCK, is_leased, lease_on
from namegen.storage.object_store import RemotePath

MARK = re.compile(r"\.job\.[0-9a-f]{32}\.tmp")  # which the workers of a job look for; see `ranges`


@contextmanager
def alone_in(folder: Location, log: Callable[[str], None] = lambda line: None) -> Iterator[Callable[[], None]]:
    """Makes `folder`, waits until no other job is in it, and removes what those that died there left half-written.

    Gives a function that raises LeaseError where another job may be in it all the same, as only a store's may.

    Args:
        log: called with a line, if there is another job to wait for.

    Raises:
        OutputError: where the file system has no locks.
    """
    if isinstance(folder, RemotePath):
        with lease_on(folder, log) as check:
            for name in filter(MARK.fullmatch, folder.sizes()):
                (folder / name).unlink(missing_ok=True)
            yield check
        return
    make_folder(folder)
    lock = FileLock(folder / LOCK)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log(f"Another job is at work in {folder}: waiting for it to end")
            lock.acquire()
    except NotImplementedError:
        raise OutputError("is on a file system without locks", str(folder), "Name another with --output") from None
    try:
        for left in temporaries(folder):
            left.unlink(missing_ok=True)
        yield lambda: None
    finally:
        lock.release()


def is_at_work(folder: Location) -> bool:
    """Whether a job is in `folder`. Writes nothing there, so that it can be one that is only read."""
    if isinstance(folder, RemotePath):
        return is_leased(folder)
    if not (folder / LOCK).exists():  # no job was ever here
        return False
    try:
        with FileLock(folder / LOCK, timeout=1):  # another look takes no time
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False  # not ours to lock

"""One job at a time in a folder: two that want the same files take turns, and the second finds what the first made.

The lock is the operating system's own on an open file (flock; LockFileEx on Windows), not the file's being there. So a
process that dies, in whatever way, holds none any more, on this host or, over NFS, on another: no lock is ever stale,
and the file `.lock` may stay. Its name begins with ".", so that readers of the folder pass it over.

Where a network mount keeps its locks to one host (NFS with `nolock`), two hosts may be at work at once. Then each file
is still written whole and with the same bytes, but one host may remove what the other has half-written, whose job fails
and is run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from namegen.errors import ArtifactError, OutputError
from namegen.storage import make_folder

LOCK = ".lock"


@contextmanager
def alone_in(folder: Path, log: Callable[[str], None] = lambda line: None) -> Iterator[None]:
    """Makes `folder`, waits until no other job is in it, and removes what those that died there left half-written.

    Args:
        log: called with a line, if there is another job to wait for.

    Raises:
        OutputError: where the file system has no locks.
    """
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
        for left in folder.glob(".*.tmp"):  # as `storage.write_atomically` names them
            if not left.is_dir():
                left.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


@contextmanager
def check_nobody_in(folder: Path) -> Iterator[None]:
    """Keeps jobs out of `folder` for a while, and writes nothing in it, so that it can be one that is only read.

    Raises:
        ArtifactError: where a job is at work in it.
    """
    with ExitStack() as stack:
        if (folder / LOCK).exists():  # else no job was ever here
            try:
                stack.enter_context(FileLock(folder / LOCK, timeout=0))
            except Timeout:
                raise ArtifactError("a job is at work in it", str(folder), "Verify it when the job has ended") from None
            except (OSError, NotImplementedError):
                pass  # not ours to lock
        yield

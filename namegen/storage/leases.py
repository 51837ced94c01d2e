"""Locks in an object store, which has none of its own: one object, `.lock`, that says who holds the folder.

It is written by compare-and-swap: a write succeeds only if the lock is still the version that the writer has read. A
job creates it, or takes it over when it was released, and renews it every few seconds as long as it lives. Another job
watches it. If it stays the same for a whole term, on the watcher's own clock, the first job is dead, and the watcher
takes it over; of several watchers only one succeeds. Each holding has a number, and the numbers grow. What a job that
was frozen does to the lock fails, because the lock has changed. No clocks are compared, and the term is that of the job
that holds the lock.

Before each file a job looks whether it still holds the lock. It also stops by itself if it could not renew it for two
thirds of a term. A request that a network held back may still arrive after another job has begun; so a file is only
written if it is what the job knew when it took the lock. A store cannot remove on such a condition: a removal that
arrives late may take a file away, and `verify` finds that.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic, sleep
from typing import NamedTuple

from namegen.errors import LeaseError, SettingError
from namegen.storage.object_store import RemotePath, Tag
from namegen.storage.storage import LOCK, Holder, parse_holder

AGAIN = "Run the job again; it continues from here"
log = logging.getLogger(__name__)


def term() -> float:
    """Seconds after which a lock that nobody renews has expired.

    Raises:
        SettingError: if NAMEGEN_LEASE_SECONDS is not a number of seconds.
    """
    given = os.environ.get("NAMEGEN_LEASE_SECONDS", "60")
    if not re.fullmatch(r"[1-9][0-9]{0,4}", given):
        raise SettingError(f"NAMEGEN_LEASE_SECONDS is {given!r}", remedy="Set it to 1 to 99999 whole seconds")
    return float(given)


class Leaseholder(Holder):
    """What a lock says: who holds it, for how long without a renewal, and how often it was renewed."""

    term: float
    renewals: int = 0


class Seen(NamedTuple):
    """A lock, and when we were told of it. Without a tag there is none; without a holder it cannot be understood."""

    tag: Tag | None
    holder: Leaseholder | None
    at: float

    @classmethod
    def now(cls, folder: RemotePath) -> Seen:
        """The lock of a folder, as it is now."""
        try:
            contents, tag = (folder / LOCK).read()
        except FileNotFoundError:
            return cls(None, None, monotonic())
        return cls(tag, parse_holder(contents, Leaseholder), monotonic())

    @property
    def is_free(self) -> bool:
        """Whether nobody holds the folder."""
        return self.tag is None or (self.holder is not None and self.holder.is_released)

    @property
    def term(self) -> float:
        """The longest that it may go without a renewal. Of one that cannot be read nobody knows, so ours counts."""
        return self.holder.term if self.holder else term()


def is_leased(folder: RemotePath) -> bool:
    """Whether a living job holds a folder: its lock is there and is being renewed."""
    before = Seen.now(folder)
    if before.is_free:
        return False
    while monotonic() - before.at < before.term / 2:
        sleep(min(term(), before.term) / 60)
        now = Seen.now(folder)
        if now.tag != before.tag:
            return not now.is_free
    return False


@contextmanager
def leased(folder: RemotePath) -> Iterator[Lease]:
    """Waits until nobody else holds a folder, and holds it."""
    lease = Lease(folder)
    lease.acquire()
    beat = Thread(target=lease.keep, daemon=True)
    beat.start()
    try:
        yield lease
    finally:
        lease.ended.set()
        beat.join()
        lease.release()


class Lease:
    """A folder that this job holds, or waits for."""

    def __init__(self, folder: RemotePath) -> None:
        self._folder, self.ended, self._writing = folder, Event(), Lock()
        self._holder = Leaseholder(
            owner=uuid.uuid4().hex, generation=0, host=platform.node(), process=os.getpid(), term=term()
        )
        self._tag: Tag | None = None
        self._written = monotonic()
        self._known: dict[str, Tag] = {}
        self._sent: set[tuple[str, bytes]] = set()

    @property
    def key(self) -> str:
        """Tells this holding from all others."""
        return self._holder.key

    def acquire(self) -> None:
        """Waits until the lock is ours."""
        first, is_logged = Seen.now(self._folder), False
        while True:
            begun = monotonic()
            seen = Seen.now(self._folder)
            if seen.tag != first.tag:
                first = seen
            # asked a whole term after we were first told of it, the store still has the same
            if seen.is_free or begun - first.at > seen.term:
                self._tag = seen.tag
                if self._write(generation=seen.holder.generation + 1 if seen.holder else 1):
                    break
                continue
            if not is_logged:
                is_logged = True
                log.info("Another job is working in %s: waiting for it to end", self._folder)
            sleep(min(term(), seen.term) / 60)
        self._known = {name: found.tag for name, found in self._folder.objects().items()}

    def keep(self) -> None:
        """Renews the lock until the job has ended, or another job has taken it over."""
        while not self.ended.wait(self._holder.term / 6):
            with suppress(OSError):
                if not self.renew():
                    return

    def renew(self) -> bool:
        """Shows the others that we live; False if another job has taken over."""
        return self._write(renewals=self._holder.renewals + 1)

    def check(self) -> None:
        """Looks whether the lock is still ours.

        Raises:
            LeaseError: if another job may have taken over.
        """
        seconds, holder = monotonic() - self._written, Seen.now(self._folder).holder
        if seconds > self._holder.term * 2 / 3:
            what = f"could not be locked for {seconds:.0f} s, so another job may be working in it by now"
            raise LeaseError(what, str(self._folder), AGAIN)
        if not holder or holder.key != self.key:
            what = "was taken over by another job, as this one had stopped for a while"
            raise LeaseError(what, str(self._folder), AGAIN)

    def put(self, temporary: Path, path: RemotePath) -> None:
        """Uploads a file in place of what was there when the lock was taken, or what we have written since.

        Raises:
            LeaseError: if somebody else has written there.
        """
        assert path.parent == self._folder
        data = temporary.read_bytes()
        temporary.unlink()
        try:
            self._known[path.name] = self._write_file(path, data)
        except FileExistsError as error:
            raise LeaseError("was written by another job in the meantime", str(path), AGAIN) from error

    def _write_file(self, path: RemotePath, data: bytes) -> Tag:
        self._sent.add((path.name, sha256(data).digest()))
        try:
            return path.write(data, self._known.get(path.name))
        except FileExistsError:  # unless it was a write of ours, which we believed had failed
            there, tag = path.read()
            if (path.name, sha256(there).digest()) not in self._sent:
                raise
            return path.write(data, tag)

    def release(self) -> None:
        """Lets the next job begin at once; if the store does not answer, that job waits for the term to end.

        The lock of a folder with nothing else in it goes as well.
        """
        with suppress(OSError):
            if self._write(is_released=True) and set(self._folder.entries()) == {LOCK}:
                (self._folder / LOCK).unlink()

    def _write(self, **changes: object) -> bool:
        """Changes what our lock says, if it is still the one that we know."""
        holder = self._holder.model_copy(update=changes)
        with self._writing:
            for _ in range(2):
                begun = monotonic()
                with suppress(FileExistsError):
                    self._tag = (self._folder / LOCK).write(holder.model_dump_json().encode(), self._tag)
                    self._holder, self._written = holder, begun
                    return True
                seen = Seen.now(self._folder)
                if not seen.holder or seen.holder.owner != holder.owner:
                    return False
                self._tag = seen.tag  # of a write of ours, which we believed had failed
        return False

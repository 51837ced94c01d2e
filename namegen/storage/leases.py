"""One job at a time below a prefix of an object store, which has no locks of its own.

A job creates `.lock/000001`, which succeeds only if nobody else has, and renews it every few seconds as long as it
lives. A second job watches it. If it does not change for a whole term, on the watcher's own clock, the first job is
dead, and the watcher creates `.lock/000002`; of several watchers only one succeeds. A job that ends says so in its
lock, which stays, so the numbers only grow: what a job that was frozen does to its own lock touches no other's. Before
each part and manifest a job looks whether its lock is still the newest. It also stops by itself if it could not renew
its lock for two thirds of a term, because its network was gone. No clocks are compared, the term is that of the job
that holds the lock, and no lock is stale for longer than that.

A request that a network held back may still arrive after another job has begun. So a manifest never replaces one that
its job does not know, and `verify` finds a part that came too late.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread
from time import monotonic, sleep

from pydantic import BaseModel, ValidationError

from namegen.errors import LeaseError, SettingError
from namegen.storage.object_store import RemotePath

LOCK = ".lock"
NAME = re.compile(r"[0-9]{6,9}")
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


class _Held(BaseModel):
    """What a lock says: who holds it, for how long without a renewal, and how often it was renewed."""

    owner: str
    host: str
    process: int
    term: float
    renewals: int = 0
    is_released: bool = False


@dataclass(frozen=True)
class _Seen:
    """The newest lock, and when we were told of it."""

    name: str
    held: _Held | None
    at: float

    @property
    def is_free(self) -> bool:
        return self.held is not None and self.held.is_released

    @property
    def term(self) -> float:
        """The longest that it may go without a renewal. Of one that cannot be read nobody knows, so ours counts."""
        return self.held.term if self.held else term()

    def is_same(self, other: _Seen | None) -> bool:
        return other is not None and (self.name, self.held) == (other.name, other.held)


@contextmanager
def lease_on(folder: RemotePath) -> Iterator[Callable[[], None]]:
    """Waits until no other job is working in `folder`; yields a function that raises LeaseError if one may be."""
    lease = _Lease(folder)
    lease.acquire()
    beat = Thread(target=lease.keep, daemon=True)
    beat.start()
    try:
        yield lease.check
    finally:
        lease.ended.set()
        beat.join()
        lease.release()


def is_leased(folder: RemotePath) -> bool:
    """Whether a job is working in `folder`: its lock is there and is being renewed."""
    before = _newest(folder / LOCK)
    if not before or before.is_free:
        return False
    while monotonic() - before.at < before.term / 2:
        sleep(min(term(), before.term) / 60)
        now = _newest(folder / LOCK)
        if not before.is_same(now):
            return now is not None and not now.is_free
    return False


class _Lease:
    def __init__(self, folder: RemotePath) -> None:
        self._folder, self._locks = folder, folder / LOCK
        self._held = _Held(owner=uuid.uuid4().hex, host=platform.node(), process=os.getpid(), term=term())
        self._path = self._locks / "000001"
        self._written = monotonic()
        self.ended = Event()

    def acquire(self) -> None:
        """Waits until the lock is ours."""
        first, is_logged = None, False
        while True:
            begun = monotonic()
            newest = _newest(self._locks)
            if not newest or not newest.is_same(first):
                first = newest
            # asked a whole term after we were first told of it, the store still has the same
            is_dead = newest and first and begun - first.at > newest.term
            if not newest or newest.is_free or is_dead:
                if self._create(newest):
                    return
                continue
            if not is_logged:
                is_logged = True
                log.info("Another job is working in %s: waiting for it to end", self._folder)
            sleep(min(term(), newest.term) / 60)

    def _create(self, before: _Seen | None) -> bool:
        """Takes the lock in place of one that is dead or released; False if another job was faster."""
        self._path = self._locks / f"{int(before.name) + 1 if before else 1:06d}"
        self._written = monotonic()
        try:
            self._path.create(self._content())
        except FileExistsError:
            if _read(self._path) != self._held:  # otherwise it is ours: the answer was lost, and s3fs asked again
                return False
        names = _names(self._locks)
        if names[-1:] != [self._path.name]:  # what we watched was removed with its folder, and another job has begun
            self._path.unlink(missing_ok=True)
            return False
        for name in names[:-1]:
            (self._locks / name).unlink(missing_ok=True)
        return True

    def keep(self) -> None:
        """Renews the lock until the job has ended, or another job has taken it over."""
        while not self.ended.wait(self._held.term / 6):
            with suppress(OSError):
                if not self.renew():
                    return

    def renew(self) -> bool:
        """Shows the others that we live; False if another job has taken over."""
        begun = monotonic()
        if not self._is_ours():
            return False
        self._held = self._held.model_copy(update={"renewals": self._held.renewals + 1})
        self._path.write_bytes(self._content())
        self._written = begun
        return True

    def check(self) -> None:
        """Raises LeaseError if another job may have taken over."""
        seconds = monotonic() - self._written
        again = "Run the job again; it continues from here"
        if seconds > self._held.term * 2 / 3:
            what = f"could not be locked for {seconds:.0f} s, so another job may be working in it by now"
            raise LeaseError(what, str(self._folder), again)
        if not self._is_ours():
            raise LeaseError(
                "was taken over by another job, as this one had stopped for a while", str(self._folder), again
            )

    def _is_ours(self) -> bool:
        return _names(self._locks)[-1:] == [self._path.name]

    def release(self) -> None:
        """Lets the next job begin at once; if the store does not answer, that job waits for the term to end.

        The lock of a folder with nothing else in it goes as well.
        """
        with suppress(OSError):
            if set(self._folder.entries()) == {LOCK} and self._is_ours():
                self._path.unlink(missing_ok=True)
            else:
                self._held = self._held.model_copy(update={"is_released": True})
                self._path.write_bytes(self._content())

    def _content(self) -> bytes:
        return self._held.model_dump_json().encode()


def _names(locks: RemotePath) -> list[str]:
    return sorted(filter(NAME.fullmatch, locks.entries()))


def _newest(locks: RemotePath) -> _Seen | None:
    """The lock that counts; None if there is none."""
    names = _names(locks)
    return _Seen(names[-1], _read(locks / names[-1]), monotonic()) if names else None


def _read(path: RemotePath) -> _Held | None:
    """What a lock says; None if it is gone, or says nothing that we understand."""
    with suppress(FileNotFoundError, ValidationError):
        return _Held.model_validate_json(path.read_bytes())
    return None

"""One job at a time below a prefix of an object store, which has no locks of its own.

A job creates `.lock/000001`, which succeeds only if nobody else has, and renews it every few seconds as long as it
lives. A second job watches it. If it does not change for a whole term, on the watcher's own clock, the first job is
dead, and the watcher creates `.lock/000002`; of several watchers only one succeeds. A job that could not renew its lock
for two thirds of a term, because its network was gone or its machine asleep, stops by itself before another begins. No
clocks are compared, and no lock is stale for longer than a term. A request that a network held back may still arrive
after another job has begun. So a manifest never replaces one that its job does not know, and `verify` finds a part that
came too late.
"""

from __future__ import annotations

import logging
import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from time import monotonic, sleep

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
    before = _newest(folder / LOCK, _names(folder / LOCK))
    deadline = monotonic() + term() / 2
    while before and monotonic() < deadline:
        sleep(term() / 60)
        now = _newest(folder / LOCK, _names(folder / LOCK))
        if now != before:
            return now is not None
    return False


class _Lease:
    def __init__(self, folder: RemotePath) -> None:
        self._folder, self._locks, self._owner = folder, folder / LOCK, uuid.uuid4().hex
        self._path = self._locks / "000001"
        self._written = monotonic()
        self.ended = Event()

    def acquire(self) -> None:
        """Waits until the lock is ours."""
        seen: tuple[str, bytes | None] | None = None
        since, is_logged = monotonic(), False
        while True:
            names = _names(self._locks)
            newest = _newest(self._locks, names)
            if newest != seen:
                seen, since = newest, monotonic()
            if not newest or monotonic() - since > term():
                if self._create(names):
                    return
                continue
            if not is_logged:
                is_logged = True
                log.info("Another job is working in %s: waiting for it to end", self._folder)
            sleep(term() / 60)

    def _create(self, stale: list[str]) -> bool:
        """Takes the lock in place of those of dead jobs; False if another job was faster."""
        self._path = self._locks / f"{int(stale[-1]) + 1 if stale else 1:06d}"
        self._written = monotonic()
        try:
            self._path.create(self._content())
        except FileExistsError:
            if _read(self._path) != self._content():  # otherwise it is ours: the answer was lost, and s3fs asked again
                return False
        others = set(_names(self._locks)) - {self._path.name}
        if others - set(stale):  # of a job that began after what we watched was gone
            self._path.unlink(missing_ok=True)
            return False
        for name in others:
            (self._locks / name).unlink(missing_ok=True)
        return True

    def keep(self) -> None:
        """Renews the lock until the job has ended, or another job has taken it over."""
        while not self.ended.wait(term() / 6):
            begun = monotonic()
            with suppress(OSError):
                if _names(self._locks)[-1:] != [self._path.name]:
                    return
                self._path.write_bytes(self._content(begun))
                self._written = begun

    def check(self) -> None:
        """Raises LeaseError if another job may have taken over."""
        seconds = monotonic() - self._written
        if seconds > term() * 2 / 3:
            what = f"could not be locked for {seconds:.0f} s, so another job may be working in it by now"
            raise LeaseError(what, str(self._folder), "Run the job again; it continues from here")

    def release(self) -> None:
        """Lets the next job begin at once; if the store does not answer, that job waits for the term to end."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _content(self, now: float = 0.0) -> bytes:
        return f"{self._owner} {now}".encode()


def _names(locks: RemotePath) -> list[str]:
    return sorted(filter(NAME.fullmatch, locks.entries()))


def _newest(locks: RemotePath, names: list[str]) -> tuple[str, bytes | None] | None:
    """The lock that counts, and its contents; None if there is none."""
    return (names[-1], _read(locks / names[-1])) if names else None


def _read(path: RemotePath) -> bytes | None:
    with suppress(FileNotFoundError):
        return path.read_bytes()
    return None

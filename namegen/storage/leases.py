"""One job at a time below a prefix of an object store, which has no locks of its own.

A job creates `.lock/000001`, which a store does only if nobody else has, and writes it anew every few seconds for as
long as it lives. Another job that finds it watches it: once it has not changed for a whole term, by the watcher's own
clock, its job is dead, and the watcher creates `.lock/000002`; of several watchers only one succeeds. A job that could
not write its lock for two thirds of a term (its network is gone, say, or its machine was asleep) stops by itself,
before any other begins. No clocks are compared, and no lock is stale for longer than a term. What it had sent last may
still arrive when another has begun, if a network holds it back for so long: so a manifest takes the place of none that
it does not know, and `verify` finds a part that came too late.
"""

from __future__ import annotations

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


def term() -> float:
    """Seconds after which a lock that nobody writes anew is none any more.

    Raises:
        SettingError: where NAMEGEN_LEASE_SECONDS is no number of seconds.
    """
    given = os.environ.get("NAMEGEN_LEASE_SECONDS", "60")
    if not re.fullmatch(r"[1-9][0-9]{0,4}", given):
        raise SettingError(f"NAMEGEN_LEASE_SECONDS is {given!r}", remedy="Set it to whole seconds, 1 to 99999")
    return float(given)


@contextmanager
def lease_on(folder: RemotePath, log: Callable[[str], None] = lambda line: None) -> Iterator[Callable[[], None]]:
    """Waits until no other job is at work in `folder`; gives a function that raises LeaseError where one may be."""
    lease = _Lease(folder)
    lease.acquire(log)
    beat = Thread(target=lease.keep, daemon=True)
    beat.start()
    try:
        yield lease.check
    finally:
        lease.ended.set()
        beat.join()
        lease.release()


def is_leased(folder: RemotePath) -> bool:
    """Whether a job is at work in `folder`: its lock is there, and is written anew."""
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

    def acquire(self, log: Callable[[str], None]) -> None:
        """Waits until the lock is ours."""
        seen: tuple[str, bytes | None] | None = None
        since, is_told = monotonic(), False
        while True:
            names = _names(self._locks)
            found = _newest(self._locks, names)
            if found != seen:
                seen, since = found, monotonic()
            if not found or monotonic() - since > term():
                if self._create(names):
                    return
                continue
            if not is_told:
                is_told = True
                log(f"Another job is at work in {self._folder}: waiting for it to end")
            sleep(term() / 60)

    def _create(self, stale: list[str]) -> bool:
        """Takes the lock, in place of those of jobs that are dead; whether no other job was faster."""
        self._path = self._locks / f"{int(stale[-1]) + 1 if stale else 1:06d}"
        self._written = monotonic()
        try:
            self._path.create(self._content())
        except FileExistsError:
            if _read(self._path) != self._content():  # else it is ours: the answer was lost, and s3fs asked again
                return False
        others = set(_names(self._locks)) - {self._path.name}
        if others - set(stale):  # of a job that began when what we watched was gone already
            self._path.unlink(missing_ok=True)
            return False
        for name in others:
            (self._locks / name).unlink(missing_ok=True)
        return True

    def keep(self) -> None:
        """Writes the lock anew until the job has ended, or another has taken it over."""
        while not self.ended.wait(term() / 6):
            begun = monotonic()
            with suppress(OSError):
                if _names(self._locks)[-1:] != [self._path.name]:
                    return
                self._path.write_bytes(self._content(begun))
                self._written = begun

    def check(self) -> None:
        """Raises an error where another job may have taken over."""
        seconds = monotonic() - self._written
        if seconds > term() * 2 / 3:
            what = f"could not be kept to this job alone for {seconds:.0f} s, and may be another's by now"
            raise LeaseError(what, str(self._folder), "Run it again: it goes on from here")

    def release(self) -> None:
        """Lets the next one begin at once; where the store does not answer, it waits out the term."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _content(self, now: float = 0.0) -> bytes:
        return f"{self._owner} {now}".encode()


def _names(locks: RemotePath) -> list[str]:
    return sorted(filter(NAME.fullmatch, locks.sizes()))


def _newest(locks: RemotePath, names: list[str]) -> tuple[str, bytes | None] | None:
    """The lock that counts, and what it says; None where there is none."""
    return (names[-1], _read(locks / names[-1])) if names else None


def _read(path: RemotePath) -> bytes | None:
    with suppress(FileNotFoundError):
        return path.read_bytes()
    return None

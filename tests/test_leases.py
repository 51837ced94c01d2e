"""Who holds a lock in a store, on a clock that only moves when somebody sleeps."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

import tiny
from namegen import pipeline
from namegen.errors import LeaseError
from namegen.outputs import dataset
from namegen.storage import leases
from namegen.storage.files import Hold, Location, entries, location, write_atomically
from namegen.storage.leases import Lease, Seen, is_leased, leased
from namegen.storage.locks import alone_in
from namegen.storage.object_store import EXTRAS, RemotePath, Tag


@dataclass
class Clock:
    """Seconds; `on_sleep` is what others do in the meantime."""

    now: float = 0.0
    is_ours: bool = False
    on_sleep: Callable[[], object] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.on_sleep()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(leases, "monotonic", lambda: clock.now)
    monkeypatch.setattr(leases, "sleep", clock.sleep)
    return clock


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> RemotePath:
    monkeypatch.setitem(EXTRAS, "memory", "")  # which nobody but this process sees
    monkeypatch.delenv("NAMEGEN_LEASE_SECONDS", raising=False)
    folder = location(f"memory://bucket/{request.node.name}")
    assert isinstance(folder, RemotePath)
    (folder / "x").write_bytes(b"")  # the lock of an empty folder is not kept
    return folder


def held(folder: RemotePath) -> Lease:
    """A lock that was waited for."""
    lease = Lease(folder)
    lease.acquire()
    return lease


def put(lease: Lease, place: RemotePath, data: bytes) -> None:
    write_atomically(place, lambda path: path.write_bytes(data), lease)


def test_a_frozen_job_touches_nothing_of_its_successor(folder: RemotePath, clock: Clock) -> None:
    """Whatever it does when it wakes up, also where its own clock stood still, and whatever arrives late."""
    frozen = held(folder)
    successor = held(folder)
    assert clock.now > 60
    frozen._written = clock.now
    with pytest.raises(LeaseError, match="was taken over by another job"):
        frozen.check()
    assert not frozen.renew()
    with pytest.raises(FileExistsError):
        (folder / ".lock").write(b"a renewal that a network held back", frozen._tag)
    frozen.release()
    assert successor.renew()
    successor.check()
    assert successor.key.startswith("2-")
    before = clock.now
    successor.release()
    third = held(folder)  # at once, and nobody's number is used again
    assert clock.now == before
    assert third.key.startswith("3-")
    assert third.key != successor.key != frozen.key


def test_the_term_is_the_holder_s(folder: RemotePath, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with a shorter one takes nothing from it."""
    first = held(folder)
    monkeypatch.setenv("NAMEGEN_LEASE_SECONDS", "1")
    lives = 5 * 60
    renewed = 0.0

    def renew() -> None:
        nonlocal renewed
        if renewed + 10 <= clock.now < lives:
            renewed = clock.now
            first.check()
            assert first.renew()

    clock.on_sleep = renew
    held(folder)
    assert clock.now > renewed + 60
    assert renewed > lives - 11


def test_a_slow_answer_is_no_death(folder: RemotePath, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other answer takes longer than a term, and the holder renews its lock all the while."""
    first, read, answers = held(folder), RemotePath.read, 0

    def slow(path: RemotePath) -> tuple[bytes, Tag]:
        nonlocal answers
        answer = read(path)
        if clock.is_ours:
            return answer
        answers += 1
        if answers % 2:
            return answer
        clock.is_ours = True
        clock.now += 100
        if answers < 6:
            assert first.renew()
            first.check()
        elif answers == 6:
            first.release()
        clock.is_ours = False
        return answer

    monkeypatch.setattr(RemotePath, "read", slow)
    held(folder)
    assert answers == 7


def test_who_is_busy(folder: RemotePath, clock: Clock) -> None:
    """Whoever renews the lock; neither who has released it, nor who is dead."""
    assert not is_leased(folder)
    first = held(folder)
    assert not is_leased(folder)
    clock.on_sleep = first.renew
    assert is_leased(folder)
    clock.on_sleep = first.release
    assert not is_leased(folder)
    assert not is_leased(folder)


@pytest.mark.parametrize(("ours", "pause"), [("60", 1), ("6", 0.1), ("600", 1)])
def test_how_long_a_look_takes(
    folder: RemotePath, clock: Clock, monkeypatch: pytest.MonkeyPatch, ours: str, pause: float
) -> None:
    """Half the holder's term where it is dead, and no longer than its next renewal where it lives."""
    lease, looks = held(folder), list[float]()
    monkeypatch.setenv("NAMEGEN_LEASE_SECONDS", ours)
    clock.on_sleep = lambda: looks.append(clock.now)
    assert not is_leased(folder)
    assert looks[0] == pause
    assert 30 <= looks[-1] < 30 + 2 * pause
    clock.on_sleep = lambda: clock.now < 40 or lease.renew()
    assert is_leased(folder)
    assert 40 <= clock.now < 40 + 2 * pause


def test_a_lock_that_nobody_understands(folder: RemotePath, clock: Clock) -> None:
    """It may be of a newer version, so it is respected for a term of ours; then the numbers begin anew."""
    (folder / ".lock").write_bytes(b"?")
    clock.on_sleep = lambda: (folder / ".lock").write_bytes(b"%d" % clock.now) if clock.now < 20 else None
    assert is_leased(folder)
    lease = held(folder)
    assert clock.now == 19 + 61
    assert lease.key.startswith("1-")


def test_what_a_lock_says(folder: RemotePath) -> None:
    """Who holds it, where, and for how long; afterwards, that it is free. That of an empty folder goes."""
    for generation, place in ((1, folder), (2, folder), (1, folder / "empty")):
        with leased(place) as lease:
            holder = Seen.now(place).holder
            assert holder
            assert holder.key == lease.key == f"{generation}-{holder.owner}"
            assert (holder.host, holder.process) == (platform.node(), os.getpid())
            assert (holder.term, holder.renewals, holder.is_released) == (60, 0, False)
            assert not Seen.now(place).is_free
        assert Seen.now(place).is_free
    assert list(folder.entries()) == [".lock", "x"]


def test_a_lock_that_came_in_between(folder: RemotePath, clock: Clock) -> None:
    """Who believed that there was none, or that it was free, gives way to it."""
    first = held(folder)
    late = Lease(folder)
    assert not late._write(generation=1)
    first.release()
    late._tag = Seen.now(folder).tag
    second = held(folder)
    assert not late._write(generation=2)
    second.check()
    assert clock.now == 0


def test_an_answer_that_was_lost(folder: RemotePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """A renewal that seemed to fail is our own, and so is a file that seemed not to be written."""
    lease, write = held(folder), RemotePath.write

    def lost(path: RemotePath, data: bytes, known: Tag | None) -> Tag:
        write(path, data, known)
        raise TimeoutError

    for number in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(RemotePath, "write", lost)
            with pytest.raises(TimeoutError):
                lease.renew()
            with pytest.raises(TimeoutError):
                put(lease, folder / "file", b"%d" % number)
        assert lease.renew()
        lease.check()
        put(lease, folder / "file", b"again %d" % number)
        assert (folder / "file").read_bytes() == b"again %d" % number


def test_what_came_in_between(folder: RemotePath) -> None:
    """A file is written only where nobody else has written since the folder was taken."""
    (folder / "old").write_bytes(b"old")
    lease = held(folder)
    for name in ("old", "new"):
        put(lease, folder / name, b"ours")
        (folder / name).write_bytes(b"late")
        with pytest.raises(LeaseError, match="was written by another job in the meantime"):
            put(lease, folder / name, b"ours again")
        assert (folder / name).read_bytes() == b"late"


@pytest.mark.usefixtures("clock")
def test_a_job_that_lost_its_model_s_lock(folder: RemotePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it waited for that of its data set: it draws no names, as the model may be gone."""
    monkeypatch.setattr(dataset, "PART_ROWS", tiny.PART)
    plan = tiny.plan(folder)
    assert isinstance(plan.model.path, RemotePath)
    lock = plan.model.path / ".lock"

    @contextmanager
    def lost(place: Location) -> Iterator[Hold]:
        with alone_in(place) as hold:
            if place != plan.model.path:
                lock.write_bytes(b"of another job")
            yield hold

    monkeypatch.setattr(pipeline, "alone_in", lost)
    with pytest.raises(LeaseError, match="was taken over by another job"):
        pipeline.make(plan)
    assert not entries(folder / "names")


def test_when_a_job_may_no_longer_work(folder: RemotePath, clock: Clock) -> None:
    """Two thirds of a term after its last renewal, counted from when that was sent; a renewal begins it anew."""
    lease = held(folder)
    term = lease._holder.term
    assert term == 60
    clock.now += 39
    lease.check()
    assert lease.renew()
    clock.now += 40
    lease.check()
    clock.now += 0.125
    with pytest.raises(LeaseError, match=r"could not be locked for 40 s, so another job may"):
        lease.check()
    assert lease.renew()
    lease.check()


def test_a_job_that_waits_says_so_once(folder: RemotePath, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """And looks again soon: 60 times in a term."""
    caplog.set_level("INFO", "namegen")
    first, sleeps = held(folder), 0
    assert caplog.messages == []

    def on_sleep() -> None:
        nonlocal sleeps
        sleeps += 1
        if sleeps == 30:
            first.release()

    clock.on_sleep = on_sleep
    held(folder)
    assert (sleeps, clock.now) == (30, 30)
    assert caplog.messages == [f"Another job is working in {folder}: waiting for it to end"]


def test_the_thread_that_renews(folder: RemotePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """It renews six times in a term, goes on where the store does not answer, and ends when the lock is another's."""
    lease, waits = held(folder), list[float]()
    outcomes: Iterator[bool | OSError] = iter([True, OSError(), True, False])

    class Ended:
        def wait(self, seconds: float) -> bool:
            waits.append(seconds)
            return False

    def renew() -> bool:
        outcome = next(outcomes)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    lease.ended = Ended()  # type: ignore[assignment]
    monkeypatch.setattr(lease, "renew", renew)
    lease.keep()
    assert waits == [10] * 4
    assert next(outcomes, None) is None


def test_a_renewal_counts(folder: RemotePath) -> None:
    """Each is another content, so that whoever watches the lock sees that it lives."""
    lease = held(folder)
    before = Seen.now(folder)
    assert lease.renew()
    after = Seen.now(folder)
    assert before.holder
    assert after.holder
    assert after.holder.renewals == before.holder.renewals + 1
    assert after.tag != before.tag
    assert after.holder.key == before.holder.key

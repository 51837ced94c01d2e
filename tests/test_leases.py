"""Who holds a lock in a store, on a clock that only moves when somebody sleeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

import tiny
from namegen import pipeline
from namegen.errors import LeaseError
from namegen.outputs import dataset
from namegen.storage import leases
from namegen.storage.files import Location, entries, location
from namegen.storage.leases import _Lease, is_leased
from namegen.storage.locks import alone_in
from namegen.storage.object_store import EXTRAS, RemotePath


@dataclass
class Clock:
    """Seconds; `on_sleep` is what others do in the meantime."""

    now: float = 0.0
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
    monkeypatch.setitem(EXTRAS, "memory", "")  # fsspec's own, which nobody but this process sees
    monkeypatch.delenv("NAMEGEN_LEASE_SECONDS", raising=False)
    folder = location(f"memory://bucket/{request.node.name}")
    assert isinstance(folder, RemotePath)
    (folder / "x").write_bytes(b"")  # the lock of an empty folder is not kept
    return folder


def held(folder: RemotePath) -> _Lease:
    """A lock that was waited for."""
    lease = _Lease(folder)
    lease.acquire()
    return lease


def test_a_frozen_job_touches_nothing_of_its_successor(folder: RemotePath, clock: Clock) -> None:
    """Whatever it does when it wakes up, also where its own clock stood still, and whatever arrives late."""
    frozen = held(folder)
    successor = held(folder)
    assert clock.now > 60
    frozen._written = clock.now
    with pytest.raises(LeaseError, match="was taken over by another job"):
        frozen.check()
    assert not frozen.renew()
    frozen._path.write_bytes(frozen._content())  # a renewal that a network held back
    successor.check()
    frozen.release()
    assert successor.renew()
    successor.check()
    assert successor._path.name == "000002"
    before = clock.now
    successor.release()
    third = held(folder)  # at once, and nobody's number is used again
    assert clock.now == before
    assert list(entries(folder / ".lock")) == [third._path.name] == ["000003"]


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
    first, read, answers = held(folder), leases._read, 0

    def slow(path: RemotePath) -> leases._Held | None:
        nonlocal answers
        answers += 1
        answer = read(path)
        if answers % 2:
            return answer
        clock.now += 100
        if answers < 6:
            assert first.renew()
            first.check()
        elif answers == 6:
            first.release()
        return answer

    monkeypatch.setattr(leases, "_read", slow)
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


def test_a_lock_that_came_in_between(folder: RemotePath) -> None:
    """Who believed that there was none gives way to it, and leaves nothing."""
    (folder / ".lock" / "000004").create(b"of another job")
    assert not _Lease(folder)._create(None)
    assert list(entries(folder / ".lock")) == ["000004"]


@pytest.mark.usefixtures("clock")
def test_a_job_that_lost_its_model_s_lock(folder: RemotePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it waited for that of its data set: it draws no names, as the model may be gone."""
    monkeypatch.setattr(dataset, "PART_ROWS", tiny.PART)
    plan = tiny.plan(folder)
    assert isinstance(plan.model.path, RemotePath)
    taken = plan.model.path / ".lock" / "000009"

    @contextmanager
    def lost(place: Location) -> Iterator[Callable[[], None]]:
        with alone_in(place) as check_alone:
            if place != plan.model.path:
                taken.create(b"of another job")
            yield check_alone

    monkeypatch.setattr(pipeline, "alone_in", lost)
    with pytest.raises(LeaseError, match="was taken over by another job"):
        pipeline.make(plan)
    assert not entries(folder / "names")

"""A small world: a store, a clock and some actors whose steps a seed interleaves. The actors run the project's code.

Each request to the store is a step. Between two steps an actor may be frozen for minutes, or die; a request may be
slow, its answer may be lost, and a write may arrive minutes after its sender has given up. Locks are renewed in time,
except by actors that are frozen or dead. Each actor has a thread, and only one runs at a time, so that a seed always
gives the same course.
"""

from __future__ import annotations

import errno
import io
import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from functools import cache
from pathlib import Path
from threading import Semaphore, Thread
from typing import Any, Self

import pyarrow.parquet as pq
import pytest

import tiny
from namegen import pipeline, verify
from namegen.errors import NamegenError
from namegen.outputs import dataset, layout, manifests, model_folder, writer
from namegen.outputs.dataset import DatasetManifest
from namegen.outputs.model_folder import Contents
from namegen.storage import leases, object_store
from namegen.storage.object_store import EXTRAS, Found, RemotePath, Tag
from namegen.upkeep import prune

OUTPUT = "memory://bucket/o"
FAULTS = {"none": 0.955, "freeze": 0.015, "die": 0.005, "slow": 0.015, "lost": 0.004, "late": 0.006}


class Died(BaseException):
    """The process was killed: nothing that it would still do is done."""


class Now:
    """An executor that does everything at once."""

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:  # noqa: ANN401
        """A future that is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(work(*arguments))
        except BaseException as error:  # noqa: BLE001 - a future holds whatever was raised
            future.set_exception(error)
        return future


@dataclass(eq=False)
class Actor:
    """Somebody who does something once."""

    name: str
    does: Callable[[], object]
    turn: Semaphore = field(default_factory=lambda: Semaphore(0))
    wakes: float = 0.0
    frozen: float = 0.0  # until when; until then it renews no lock
    behind: float = 0.0  # how far its own clock is, as its machine was paused
    is_dead: bool = False
    is_done: bool = False
    error: BaseException | None = None
    locks: dict[leases.Lease, float] = field(default_factory=dict)  # held, and when each is renewed next


class World:
    """A store that actors share. `faults` says how often each thing happens to a request."""

    def __init__(self, seed: int, faults: dict[str, float] = FAULTS) -> None:
        self.draw, self.faults = random.Random(seed), faults  # noqa: S311 - the same each time
        self.now, self.late = 0.0, []  # type: ignore[var-annotated]
        self.objects: dict[str, tuple[bytes, Tag]] = {}
        self.written: dict[str, float] = {}
        self.actors: list[Actor] = []
        self.broken: list[str] = []
        self._main = Semaphore(0)
        self._running: Actor | None = None
        self._renewing: Actor | None = None
        self._tags = 0

    # --- the course of things

    def run(self, *actors: Actor) -> None:
        """Runs actors until all are done or dead, and everything that was on its way has arrived."""
        self.actors = list(actors)
        threads = [Thread(target=self._act, args=(actor,), daemon=True) for actor in actors]
        for thread in threads:
            thread.start()
        while living := [actor for actor in self.actors if not actor.is_done]:
            ready = [actor for actor in living if actor.wakes <= self.now]
            if not ready:
                self._advance(min(actor.wakes for actor in living) - self.now)
                continue
            self._running = self.draw.choice(ready)
            self._running.turn.release()
            self._main.acquire()
            self._running = None
            self._advance(self.draw.choice([0.01, 0.1, 0.5]))
        self._advance(1000)
        for thread in threads:
            thread.join()

    def _act(self, actor: Actor) -> None:
        actor.turn.acquire()
        try:
            actor.does()
        except (NamegenError, OSError, Died) as error:
            actor.error = error
        except BaseException as error:  # noqa: BLE001 - a bug, which the caller reports
            actor.error = error
            self.broken.append(f"{actor.name}: {error!r}")
        actor.is_done = True
        actor.locks.clear()
        self._main.release()

    def _advance(self, seconds: float) -> None:
        """Lets time pass. What is late arrives, and whoever is alive renews its locks."""
        end = self.now + seconds
        while True:
            beats = [
                (max(due, actor.frozen), actor, lock)
                for actor in self.actors
                if not actor.is_dead
                for lock, due in actor.locks.items()
                if max(due, actor.frozen) <= end
            ]
            arriving = [(at, None, change) for at, change in self.late if at <= end]
            events = sorted([*beats, *arriving], key=lambda event: event[0])
            if not events:
                break
            at, whose, what = events[0]
            self.now = max(self.now, at)
            if whose is None:
                self.late = [entry for entry in self.late if entry[1] is not what]
                what()
            else:
                whose.locks[what] = self.now + 10
                self._renewing = whose
                with suppress(OSError):
                    if not what.renew():
                        del whose.locks[what]
                self._renewing = None
        self.now = max(self.now, end)

    def monotonic(self) -> float:
        """The clock of whoever runs."""
        actor = self._renewing or self._running
        return self.now - (actor.behind if actor else 0)

    def sleep(self, seconds: float) -> None:
        """The actor that runs sleeps."""
        actor = self._running
        assert actor
        actor.wakes = self.now + seconds
        self._pause(actor)

    def _pause(self, actor: Actor) -> None:
        self._main.release()
        actor.turn.acquire()

    def _step(self, change: Callable[[], None] | None = None) -> None:
        """A request of the actor that runs; what the scheduler does for it, renewals, are none."""
        actor = self._running
        if actor is None or self._renewing:
            if change:
                change()
            return
        if actor.is_dead:
            raise Died
        kinds = list(self.faults)
        fault = self.draw.choices(kinds, [self.faults[kind] for kind in kinds])[0]
        if fault == "freeze":
            seconds = self.draw.uniform(10, 300)
            actor.wakes = actor.frozen = self.now + seconds
            actor.behind += self.draw.choice([0, seconds])
        elif fault == "slow":
            actor.wakes = self.now + self.draw.uniform(1, 30)
        self._pause(actor)
        if fault == "die":
            actor.is_dead = True
            raise Died
        if fault == "late" and change:
            self.late.append((self.now + self.draw.uniform(1, 300), _quietly(change)))
            raise OSError(errno.ETIMEDOUT, "no answer")
        if change:
            change()
        if fault == "lost":
            raise OSError(errno.ECONNRESET, "the answer was lost")

    # --- the store

    def find(self, key: str) -> Found:
        self._step()
        self._there(key)
        return self._found(key)

    def list(self, key: str) -> tuple[list[str], dict[str, Found]]:
        self._step()
        below = {name: name[len(key) + 1 :] for name in sorted(self.objects) if name.startswith(f"{key}/")}
        folders = {f"{key}/{rest.partition('/')[0]}" for rest in below.values() if "/" in rest}
        return sorted(folders), {name: self._found(name) for name, rest in below.items() if "/" not in rest}

    def list_below(self, key: str) -> dict[str, Found]:
        self._step()
        return {name: self._found(name) for name in sorted(self.objects) if name.startswith(f"{key}/")}

    def read(self, key: str) -> tuple[bytes, Tag]:
        self._step()
        return self._there(key)

    def write(self, key: str, data: bytes | Path, known: Tag | None) -> Tag:
        contents = data if isinstance(data, bytes) else data.read_bytes()

        def change() -> None:
            there = self.objects.get(key)
            if known != (there[1] if there else None):
                raise FileExistsError(errno.EEXIST, "it is another", key)
            self._put(key, contents)

        self._step(change)
        return self.objects[key][1]  # nobody else has run since

    def remove(self, key: str) -> None:
        self._step(lambda: self._drop(key))

    def copy(self, key: str, target: str) -> None:
        self._step(lambda: self._put(target, self._there(key)[0]))

    def _there(self, key: str) -> tuple[bytes, Tag]:
        if key not in self.objects:
            raise FileNotFoundError(errno.ENOENT, "no such object", key)
        return self.objects[key]

    def _found(self, key: str) -> Found:
        data, tag = self.objects[key]
        return Found(len(data), datetime.fromtimestamp(1.7e9 + self.written[key], UTC), tag)

    def _drop(self, key: str) -> None:
        self.objects.pop(key, None)

    def _put(self, key: str, data: bytes) -> None:
        before = self.objects.get(key)
        self._tags += 1
        self.objects[key], self.written[key] = (data, Tag(str(self._tags))), self.now
        if key.startswith("o/datasets/") and key.endswith("/manifest.json"):
            rows = DatasetManifest.model_validate_json(data).rows
            if before and DatasetManifest.model_validate_json(before[0]).rows > rows:
                self.broken.append(f"{key}: fewer rows than before, {rows}")
            model = layout.model_of(RemotePath(f"memory://bucket/{key}").parent)
            if f"o/models/{model}/manifest.json" not in self.objects:
                self.broken.append(f"{key}: there is no model")


def _quietly(change: Callable[[], None]) -> Callable[[], None]:
    def arrive() -> None:
        with suppress(OSError):
            change()

    return arrive


class _Beat:
    """What renews a lock: the world does it."""

    def __init__(self, world: World, target: Callable[[], None]) -> None:
        self._world, self._lock = world, target.__self__  # type: ignore[attr-defined]

    def start(self) -> None:
        if self._world._running:
            self._world._running.locks[self._lock] = self._world.now + 10

    def join(self) -> None:
        if self._world._running:
            self._world._running.locks.pop(self._lock, None)


def _clock_of(world: World) -> type[datetime]:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Clock:
            return cls.fromtimestamp(1.7e9 + world.now, tz)

    return Clock


@cache
def _contents(names: Path) -> Contents:
    names.write_text("\n".join(tiny.corpus().names))
    contents = pipeline.learn(tiny.plan(RemotePath(OUTPUT)).fit)
    return replace(contents, origin={**contents.origin, "names": str(names)})


@contextmanager
def world(names: Path, seed: int, faults: dict[str, float] = FAULTS) -> Iterator[World]:
    """A world whose store takes the place of every other.

    Args:
        names: where the list may lie.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "PART_ROWS", 50)
        patch.setitem(EXTRAS, "memory", "")
        contents = _contents(names)
        made = World(seed, faults)
        patch.setattr(object_store, "bucket", lambda *_: made)
        patch.setattr(leases, "monotonic", made.monotonic)
        patch.setattr(leases, "sleep", made.sleep)
        patch.setattr(leases, "Thread", lambda target, daemon: _Beat(made, target))
        for module in (manifests, prune):
            patch.setattr(module, "datetime", _clock_of(made))
        patch.setattr(writer, "ThreadPoolExecutor", Now)
        patch.setattr(pipeline, "learn", lambda *_, **__: contents)
        patch.setenv("NAMEGEN_LEASE_SECONDS", "60")
        model_folder._load_once.cache_clear()
        yield made


def job(seed: int, count: int) -> Callable[[], object]:
    """What makes a data set, or lets it grow."""
    return lambda: pipeline.make(tiny.plan(RemotePath(OUTPUT), count=count, seed=seed))


def cleaner(keep: int) -> Callable[[], object]:
    """What removes old data sets."""

    def clean() -> None:
        found = prune.find_old(OUTPUT, keep)
        list(prune.remove(OUTPUT, found))

    return clean


def repairer() -> Callable[[], object]:
    """What repairs everything."""
    return lambda: verify(OUTPUT, repair=True)


def reader(world: World) -> Callable[[], object]:
    """What reads all names, as an engine does: it lists the parts, and then reads each."""

    def read() -> None:
        seen: set[tuple[str, int]] = set()
        for key in world.list_below("o/names"):
            try:
                rows = pq.read_table(io.BytesIO(world.read(key)[0]))["index"].to_pylist()
            except FileNotFoundError:
                continue
            folder = key.rpartition("/")[0]
            if not seen.isdisjoint((folder, row) for row in rows):
                world.broken.append(f"{key}: a reader saw a row twice")
            seen.update((folder, row) for row in rows)

    return read


def tree(world: World) -> dict[str, bytes]:
    """Every object but locks and what was put aside; of manifests all but how they came to be written."""
    return {
        key: tiny.without_time(key, data)
        for key, (data, _) in sorted(world.objects.items())
        if not key.endswith("/.lock") and "/aside/" not in key
    }


@cache
def undisturbed(names: Path, seed: int, count: int) -> dict[str, bytes]:
    """What one job leaves that is alone and meets no faults."""
    with world(names, 0, {"none": 1.0}) as alone:
        alone.run(Actor("job", job(seed, count)))
        return tree(alone)


def play(names: Path, seed: int) -> list[str]:
    """What goes wrong in the course of a seed: nothing, it is hoped.

    Args:
        names: where the list may lie.
    """
    draw = random.Random(seed)  # noqa: S311 - the same each time
    with world(names, seed) as there:
        counts = [draw.choice([40, 120, 210]) for _ in range(3)]
        choice = [
            Actor("job", job(1, counts[0])),
            Actor("growth", job(1, counts[1])),
            Actor("other", job(2, counts[2])),
            Actor("prune", cleaner(draw.choice([0, 1]))),
            Actor("repair", repairer()),
            Actor("reader", reader(there)),
        ]
        first, *others = draw.sample(choice, draw.choice([3, 4, 5]))
        if draw.random() < 0.5:  # something is there already
            there.run(Actor("first", job(1, draw.choice([40, 120]))))
        there.run(first, *others)
        wanted = max([counts[0], counts[1]])
        there.faults = {"none": 1.0}
        mend = [Actor("mend", repairer()), Actor("last", job(1, wanted))]
        for actor in mend:
            there.run(actor)
        if mend[1].error:
            there.broken.append(f"the last job failed: {mend[1].error!r}")
        else:
            (manifest,) = (data for key, (data, _) in there.objects.items() if key.endswith("/seed=1/manifest.json"))
            expected = undisturbed(names, 1, DatasetManifest.model_validate_json(manifest).rows)
            left = {key: data for key, data in tree(there).items() if "/seed=2/" not in key}
            if differ := [key for key in left.keys() | expected.keys() if left.get(key) != expected.get(key)]:
                there.broken.append(f"in the end {sorted(differ)} differ")
        return there.broken

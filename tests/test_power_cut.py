"""A power cut at any instant, simulated: what was not flushed to disk may be there, or cut short, or not."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

import pytest

from namegen import verify
from namegen.errors import NamegenError
from namegen.outputs import dataset
from namegen.storage import disk
from namegen.storage.files import LOCK
from tiny import PART, job, tree

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks /proc for the names of open files")


@dataclass(frozen=True)
class Instant:
    """What is on the disk for sure, and what only may be.

    Args:
        files: all files, as a program sees them.
        flushed: those of them that are on the disk, with what was in them then.
        pending: (folder, undo) of each change of a folder that was not flushed yet.
    """

    files: dict[Path, bytes]
    flushed: dict[Path, bytes]
    pending: list[tuple[Path, Callable[[dict[Path, bytes]], None]]]

    def after_a_cut(self, draw: random.Random) -> dict[Path, bytes]:
        """The files that somebody may find when the power is back."""
        found = dict(self.files)
        for path, data in self.files.items():
            if self.flushed.get(path) != data:
                fate = draw.choice(["whole", "cut", "zeros", "gone"])
                found[path] = {"whole": data, "cut": data[: draw.randrange(len(data) + 1)]}.get(fate, bytes(len(data)))
                if fate == "gone":
                    del found[path]
        for _, undo in reversed(self.pending):
            if draw.random() < 0.5:
                undo(found)
        return found


class Disk:
    """Watches all that is flushed, renamed, removed and made below a folder."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.flushed: dict[Path, bytes] = {}
        self.pending: list[tuple[Path, Callable[[dict[Path, bytes]], None]]] = []
        self.instants: list[Instant] = []
        self.lock = RLock()
        for name, watched in (
            ("fsync", self.fsync),
            ("replace", self.replace),
            ("unlink", self.unlink),
            ("mkdir", self.mkdir),
        ):
            patch.setattr(os, name, self.watch(getattr(os, name), watched))

    def watch(self, call: Callable[..., Any], watched: Callable[..., None]) -> Callable[..., Any]:
        def both(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - those of `os`
            if self.inside(arguments[0]) is None:
                return call(*arguments, **options)
            with self.lock:
                self.now()
                watched(*arguments)
                return call(*arguments, **options)

        return both

    def now(self) -> None:
        self.instants.append(Instant(self.files(), dict(self.flushed), list(self.pending)))

    def files(self) -> dict[Path, bytes]:
        found = {}
        for path in self.root.rglob("*"):
            if path.is_file():
                found[path.relative_to(self.root)] = path.read_bytes()
        return found

    def inside(self, path: Any) -> Path | None:  # noqa: ANN401 - a path of some kind, or an open file
        path = Path(f"/proc/self/fd/{path}").readlink() if isinstance(path, int) else Path(path)
        return path.relative_to(self.root) if path.is_relative_to(self.root) else None

    def fsync(self, descriptor: int) -> None:
        path = self.inside(descriptor)
        if path is not None and (self.root / path).is_dir():
            self.pending = [(folder, undo) for folder, undo in self.pending if folder != path]
        elif path is not None:
            self.flushed[path] = (self.root / path).read_bytes()

    def replace(self, source: Any, target: Any) -> None:  # noqa: ANN401
        one, other = self.inside(source), self.inside(target)
        if one is None or other is None:
            return
        before = self.flushed.get(other)
        if one in self.flushed:
            self.flushed[other] = self.flushed.pop(one)

        def undo(files: dict[Path, bytes]) -> None:
            if other in files:
                files[one] = files.pop(other)
            if before is not None:
                files[other] = before

        self.pending.append((other.parent, undo))
        if one.parent != other.parent:  # the old name may outlive the flush of the new one's folder
            data = self.flushed.get(other, b"")
            self.pending.append((one.parent, lambda files: files.update({one: data})))

    def unlink(self, path: Any) -> None:  # noqa: ANN401
        gone = self.inside(path)
        if gone is not None and gone in self.flushed:
            data = self.flushed.pop(gone)

            def undo(files: dict[Path, bytes]) -> None:
                files.setdefault(gone, data)

            self.pending.append((gone.parent, undo))

    def mkdir(self, path: Any, *_: object) -> None:  # noqa: ANN401
        made = self.inside(path)

        def undo(files: dict[Path, bytes]) -> None:
            for file in [file for file in files if made in file.parents]:
                del files[file]

        if made is not None and not (self.root / made).exists() and (self.root / made).parent.exists():
            self.pending.append((made.parent, undo))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "PART_ROWS", PART)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Instant]]:
    """An output folder that was filled, then added to, and every instant at which something was about to happen."""
    folder, instants = watch(tmp_path_factory.mktemp("watched"))
    assert len(instants) > 100
    return folder, instants


def watch(folder: Path) -> tuple[Path, list[Instant]]:
    """The same, in a folder. The last instant is when the job has said that it is done."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "PART_ROWS", PART)
        disk = Disk(folder, patch)
        job(folder / "o", "mlp", 500)
        job(folder / "o", "mlp", 900)
        disk.now()
    return folder / "o", disk.instants


def restore(files: dict[Path, bytes], folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def test_after_a_power_cut_the_job_is_run_again(
    watched: tuple[Path, list[Instant]], tmp_path: Path, times: int
) -> None:
    """Whatever was lost, it ends with the bytes of a job that nothing happened to."""
    whole, instants = watched
    expected = tree(whole)
    for number in range(20 * times):
        draw = random.Random(number)  # noqa: S311 - the same each time
        at = draw.randrange(len(instants))
        restore(instants[at].after_a_cut(draw), tmp_path)
        job(tmp_path / "o", "mlp", 900)
        assert tree(tmp_path / "o") == expected, f"{number}: before step {at} of {len(instants)}"
        assert verify(tmp_path / "o") == [], number


def stays(instant: Instant, folder: Path) -> bool:
    """Whether a power cut takes no byte of what is there then; what was removed before may come back."""
    made = {path: data for path, data in instant.files.items() if path.parts[0] == "o" and path.name != LOCK}
    for number in range(20):
        found = instant.after_a_cut(random.Random(number))  # noqa: S311
        if not made.items() <= found.items():
            return False
        restore(found, folder)
        assert all("was left by a job that died" in problem for problem in verify(folder / "o"))
    return True


def test_what_is_finished_stays(watched: tuple[Path, list[Instant]], tmp_path: Path) -> None:
    """When the job has said that it is done, no power cut takes a byte of it."""
    _, instants = watched
    assert stays(instants[-1], tmp_path)


@pytest.mark.parametrize("flush", ["_flush_folder", "_flush"])
def test_what_is_not_flushed_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flush: str) -> None:
    """Without the flushes of folders, or without any, the test above would fail."""
    monkeypatch.setattr(disk, flush, lambda *_: None)
    _, instants = watch(tmp_path)
    assert not stays(instants[-1], tmp_path)


def test_without_flushing_it_would_not_hold(watched: tuple[Path, list[Instant]], tmp_path: Path) -> None:
    """The simulation finds what it is for: had nothing been flushed, manifests would be cut short."""
    _, instants = watched
    refused = 0
    for number in range(20):
        unflushed = Instant(instants[-1].files, {}, [])
        restore(unflushed.after_a_cut(random.Random(number)), tmp_path)  # noqa: S311
        try:
            job(tmp_path / "o", "mlp", 900)
        except NamegenError:
            refused += 1
    assert refused > 10

"""Removes old data sets, and the models of which no data set is left.

A removed data set disappears for readers at once: on a disk its folder is renamed first, in a store its manifest goes
first. If that is interrupted, the next call continues with what is left.
"""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from namegen.errors import ArtifactError, SettingError
from namegen.outputs import layout
from namegen.outputs.dataset import DatasetManifest
from namegen.outputs.journal import NAME as JOURNAL
from namegen.outputs.layout import part_number
from namegen.outputs.manifests import Manifest, open_manifest
from namegen.outputs.model_folder import FILES, ModelManifest
from namegen.outputs.room import readable_size
from namegen.report.folder import remove_report
from namegen.storage.files import Location, absolute, entries, location
from namegen.storage.leases import LOCK
from namegen.storage.locks import alone_in, is_busy
from namegen.storage.object_store import RemotePath

BETWEEN_STEPS = timedelta(minutes=10)  # how long a job may hold no lock after it has made a data set's folder
REMOVED = re.compile(r"\.removed-[0-9a-f]{32}")  # left by a call that died
OURS = re.compile(r"\..+\.[0-9a-f]{32}\.tmp|_part-[0-9]+\.parquet\.aside[0-9]*|checkpoint\.safetensors")


@dataclass(frozen=True)
class Candidate:
    """A data set or a model in an output folder.

    Args:
        model: the name of its model's folder.
        written: when it was finished, in UTC, by its manifest; empty if it is not.
        size: in bytes.
    """

    path: Location
    model: str
    written: str
    size: int
    rows: int = 0

    def __str__(self) -> str:
        what = f"{self.rows:,} names" if self.rows else "unfinished" if not self.written else "a model"
        return f"{self.path} ({what}, {readable_size(self.size)}{', ' + self.written if self.written else ''})"


@dataclass
class Pruned:
    """What is old.

    Args:
        removable: can be removed, data sets first.
        busy: left alone, because a job is working there.
        foreign: left alone, because something else lies in them.
        failed: could not be removed, and why.
    """

    removable: list[Candidate] = field(default_factory=list)
    busy: list[Candidate] = field(default_factory=list)
    foreign: list[Candidate] = field(default_factory=list)
    failed: list[tuple[Candidate, str]] = field(default_factory=list)

    def sort(self, old: Candidate) -> None:
        """Puts an old folder into the list where it belongs."""
        which = self.busy if is_busy(old.path) else self.removable if _is_ours(old.path) else self.foreign
        which.append(old)


def find_old(output: str | Path | RemotePath, keep: int) -> Pruned:
    """Finds all data sets of an output folder but the newest, and the models that go with them.

    Args:
        output: what a job was given as its `--output`.
        keep: how many data sets stay, the latest finished ones. An unfinished one, and a model without a data set, stay
            if they are newer than the oldest of those, or if there are fewer.

    Raises:
        SettingError: for a negative number.
        ArtifactError: if the folder is not a job's, or something in it is of a newer format.
    """
    where = location(output)
    if keep < 0:
        raise SettingError(f"the number of data sets to keep cannot be negative: {keep}")
    if not where.is_dir():
        raise ArtifactError("there is no such folder", str(output), "Name what a job was given as --output")
    if not any((where / folder).is_dir() for folder in (layout.NAMES, layout.MODELS)):
        raise ArtifactError("holds no models and no names", str(output), "Name what a job was given as --output")
    datasets = sorted(_datasets(where), key=lambda dataset: dataset.written, reverse=True)
    finished = [dataset for dataset in datasets if dataset.written]
    # what was made before this time is old
    time = "9999" if keep == 0 else finished[keep - 1].written if len(finished) >= keep else ""
    begun = min(time, (datetime.now(UTC) - BETWEEN_STEPS).isoformat(timespec="seconds"))
    pruned = Pruned()
    for dataset in datasets:
        is_old = dataset.written <= time if dataset.written else _changed(dataset.path) <= begun
        if dataset not in finished[:keep] and is_old:
            pruned.sort(dataset)
    going = {absolute(dataset.path) for dataset in pruned.removable}
    for model in _models(where):
        if model.written <= time and not _drawn_from(model, going):
            pruned.sort(model)
    return pruned


def remove(output: str | Path | RemotePath, pruned: Pruned) -> Iterator[Candidate]:
    """Removes what `find_old` found removable, one by one, and yields each when it is gone.

    What a job has changed in the meantime stays. What cannot be removed is added to `pruned.failed`.
    """
    for old in pruned.removable:
        try:
            is_removed = _remove(old)
            if is_removed:
                remove_report(old.path)
        except OSError as error:
            pruned.failed.append((old, error.strerror or str(error)))
            continue
        if is_removed:
            yield old
    where = location(output)
    models = _own(layout.folders_in(where / layout.NAMES))
    for folder in (*models, where / layout.NAMES, where / layout.MODELS):
        _finish(folder)


def _drawn_from(model: Candidate, going: Collection[Location] = ()) -> bool:
    """Whether anything, even a link, lies where the data sets of a model belong, apart from those that are `going`."""
    folder = layout.datasets_folder(layout.output_of(model.path), model.model)
    if isinstance(folder, RemotePath):
        return any(path not in going and path.name != LOCK for path, _ in folder.files_below())
    if not folder.is_dir():
        return False
    return any(folder / name not in going and not REMOVED.fullmatch(name) for name in entries(folder))


def _datasets(output: Location) -> list[Candidate]:
    return [_candidate(folder, _left_of(folder, DatasetManifest)) for folder in _own(layout.datasets_in(output))]


def _models(output: Location) -> list[Candidate]:
    """The finished ones; a job may be about to resume an unfinished one."""
    models = [(folder, _left_of(folder, ModelManifest)) for folder in _own(layout.models_in(output))]
    return [_candidate(folder, manifest) for folder, manifest in models if manifest]


def _own(folders: list[Location]) -> list[Location]:
    """Without those that a link leads to, which may be somebody else's."""
    return [folder for folder in folders if not (folder.is_symlink() or folder.parent.is_symlink())]


def _candidate(folder: Location, manifest: Manifest | None) -> Candidate:
    rows = manifest.rows if isinstance(manifest, DatasetManifest) else 0
    model = (layout.model_of(folder) or "") if layout.has_seed(folder) else folder.name
    size = sum(size or 0 for size in entries(folder).values())
    return Candidate(folder, model, manifest.written.time if manifest else "", size, rows)


def _left_of(folder: Location, kind: type[DatasetManifest | ModelManifest]) -> Manifest | None:
    return open_manifest(folder, kind).manifest


def _changed(folder: Location) -> str:
    """When a folder on a disk was last added to. A store does not tell, so what is unfinished there counts as new."""
    if isinstance(folder, RemotePath):
        return "9999"
    return datetime.fromtimestamp(folder.stat().st_mtime, UTC).isoformat(timespec="seconds")


def _is_ours(folder: Location) -> bool:
    """Whether a folder holds nothing but what a job or a repair puts there."""
    own = {DatasetManifest.FILE, ModelManifest.FILE, LOCK, *FILES}
    return all(
        # in a store the lock is a folder, and nothing else of ours is
        (size is not None or (name == LOCK and isinstance(folder, RemotePath)))
        and (name in own or part_number(name) is not None or JOURNAL.fullmatch(name) or OURS.fullmatch(name))
        for name, size in entries(folder).items()
    )


def _remove(old: Candidate) -> bool:
    """Removes a folder, unless a job has added to it, or has begun to draw from it, in the meantime."""
    folder, is_dataset = old.path, layout.has_seed(old.path)
    with alone_in(folder):
        manifest = _left_of(folder, DatasetManifest if is_dataset else ModelManifest)
        written = manifest.written.time if manifest else ""
        if written != old.written or (not is_dataset and _drawn_from(old)):
            return False
        if isinstance(folder, Path):
            folder.rename(folder.parent / f".removed-{uuid.uuid4().hex}")
        else:
            manifests = {DatasetManifest.FILE, ModelManifest.FILE}
            for name in sorted(entries(folder), key=lambda name: name not in manifests):
                if name != LOCK:
                    (folder / name).unlink(missing_ok=True)
    return True


def _finish(folder: Location) -> None:
    """Deletes what was renamed, and the folder of a model's data sets if none is left."""
    if isinstance(folder, Path) and folder.is_dir():
        for name in filter(REMOVED.fullmatch, entries(folder)):
            shutil.rmtree(folder / name, ignore_errors=True)
        if folder.name.startswith("model="):
            with suppress(OSError):  # it is not empty
                folder.rmdir()

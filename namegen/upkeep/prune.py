"""Removes old data sets, and the models of which no data set is left.

What is removed disappears at once for readers: on a disk its folder is first moved out of their sight, into
`<output>/.removed-<hex>`. In a store the manifest goes first, and its copy, by which the next call knows the data set,
last. Locks are held in the order of all jobs, the model's and then the data set's, so nothing is removed that a job is
about to use. If a call is interrupted, the next one continues with what is left.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from namegen.errors import ArtifactError, LeaseError, SettingError
from namegen.outputs import layout
from namegen.outputs.dataset import DatasetManifest
from namegen.outputs.journal import NAME as JOURNAL
from namegen.outputs.layout import part_number
from namegen.outputs.manifests import Manifest, open_manifest
from namegen.outputs.model_folder import FILES, ModelManifest
from namegen.outputs.room import readable_size
from namegen.outputs.wish import FILE as QUESTION
from namegen.report.folder import remove_report
from namegen.storage.files import LOCK, TEMPORARY, Anywhere, Hold, Location, absolute, entries, location, storage_of
from namegen.storage.locks import alone_in, is_busy
from namegen.training.checkpoint import FILE as CHECKPOINT

BETWEEN_STEPS = timedelta(minutes=10)  # an unfinished data set that is newer is left to whoever runs its job again
REMOVED = ".removed-"  # and 32 hex digits: moved out of the readers' sight, and perhaps left by a call that died


@dataclass(frozen=True)
class Candidate:
    """A data set or a model in an output folder.

    Args:
        path: the folder of the model, or of the data set's parts.
        lock: the folder whose lock a job holds: the model's, or that of the data set's record.
        model: the name of its model's folder.
        written: when it was finished, in UTC, by its manifest; empty if it is not.
        size: in bytes.
    """

    path: Location
    lock: Location
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
        try:
            which = self.busy if is_busy(old.lock) else self.removable if _is_ours(old) else self.foreign
            which.append(old)
        except OSError as error:
            self.failed.append((old, error.strerror or str(error)))


def find_old(output: Anywhere, keep: int) -> Pruned:
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
    if not any((where / folder).is_dir() for folder in (layout.NAMES, layout.MODELS, layout.RECORDS)):
        raise ArtifactError("holds no models and no names", str(output), "Name what a job was given as --output")
    datasets = sorted(_datasets(where), key=lambda dataset: dataset.written, reverse=True)
    finished = [dataset for dataset in datasets if dataset.written]
    # what was made before this time is old
    time = "9999" if keep == 0 else finished[keep - 1].written if len(finished) >= keep else ""
    begun = min(time, (datetime.now(UTC) - BETWEEN_STEPS).isoformat(timespec="seconds"))
    pruned = Pruned()
    for dataset in datasets:
        is_old = dataset.written <= time if dataset.written else _changed(dataset) <= begun
        if dataset not in finished[:keep] and is_old:
            pruned.sort(dataset)
    going = {absolute(dataset.path) for dataset in pruned.removable}
    for model in _models(where):
        if model.written <= time and not _has_datasets(where, model.model, going):
            pruned.sort(model)
    return pruned


def remove(output: Anywhere, pruned: Pruned) -> Iterator[Candidate]:
    """Removes what `find_old` found removable, one by one, and yields each when it is gone.

    What a job has changed in the meantime stays. What cannot be removed is added to `pruned.failed`.
    """
    where = location(output)
    for old in pruned.removable:
        try:
            is_removed = _remove(where, old)
            if is_removed:
                remove_report(old.path)
        except (OSError, LeaseError) as error:
            why = error.what if isinstance(error, LeaseError) else error.strerror or str(error)
            pruned.failed.append((old, why))
            continue
        if is_removed:
            yield old
    if isinstance(where, Path):
        for name in filter(re.compile(rf"{re.escape(REMOVED)}[0-9a-f]{{32}}").fullmatch, entries(where)):
            shutil.rmtree(where / name, ignore_errors=True)


def _remove(output: Location, old: Candidate) -> bool:
    """Removes a folder, unless a job has added to it, or has begun to draw from it, in the meantime."""
    model = layout.model_folder(output, old.model)
    if not layout.has_seed(old.path):
        with alone_in(model) as hold:
            if _written(old.path) != old.written or _has_datasets(output, old.model):
                return False
            _discard(output, [model], hold)
        return True
    is_model_there = model.is_dir()
    with alone_in(model) as hold:  # no job is between the two locks
        with alone_in(old.lock) as record:
            if _written(old.path) != old.written:
                return False
            hold.check()
            _discard(output, [old.path, old.lock], record)
        if not is_model_there:
            _discard(output, [model], hold)
    return True


def _discard(output: Location, folders: list[Location], hold: Hold) -> None:
    turn = {layout.MANIFEST: 0, layout.COPY: 2}
    storage = storage_of(output)
    storage.discard(folders, output / REMOVED, hold, lambda name: turn.get(name, 1))
    for folder in filter(layout.has_seed, folders):
        storage.remove_empty(folder.parent)


def _has_datasets(output: Location, model: str, going: Collection[Location] = ()) -> bool:
    """Whether there is a data set of a model, or anything else in its place, apart from those that are `going`."""
    for top in (layout.NAMES, layout.RECORDS):
        for folder in layout.folders_in(output / top):
            is_its = layout.model_of(folder / "seed=0") == model
            if is_its and any(absolute(layout.dataset_of(folder / name)) not in going for name in entries(folder)):
                return True
    return False


def _datasets(output: Location) -> list[Candidate]:
    """Those that have parts or a record; what a link leads to may be somebody else's."""
    parts = {absolute(folder) for folder in _own(layout.datasets_in(output, layout.NAMES))}
    records = {layout.dataset_of(folder) for folder in _own(layout.datasets_in(output, layout.RECORDS))}
    datasets = sorted(parts | records, key=str)
    return [_dataset(folder) for folder in datasets if not folder.is_symlink()]


def _dataset(folder: Location) -> Candidate:
    record = layout.record_folder(folder)
    manifest, size = _manifest(folder), _size(folder) + _size(record)
    rows, written = (manifest.rows, manifest.written.time) if manifest else (0, "")
    return Candidate(folder, record, layout.model_of(folder) or "", written, size, rows)


def _models(output: Location) -> list[Candidate]:
    """The finished ones; a job may be about to resume an unfinished one."""
    models = [(folder, _written(folder)) for folder in _own(layout.models_in(output))]
    return [Candidate(folder, folder, folder.name, written, _size(folder)) for folder, written in models if written]


def _own(folders: list[Location]) -> list[Location]:
    """Without those that a link leads to, which may be somebody else's."""
    return [folder for folder in folders if not (folder.is_symlink() or folder.parent.is_symlink())]


def _size(folder: Location) -> int:
    with suppress(FileNotFoundError):
        return sum(size or 0 for size in entries(folder).values())
    return 0


def _written(folder: Location) -> str:
    """When a model or a data set was finished, by its manifest or the copy; empty if it is not."""
    if not layout.has_seed(folder):
        manifest: Manifest | None = open_manifest(folder, ModelManifest).manifest
    else:
        manifest = _manifest(folder)
    return manifest.written.time if manifest else ""


def _manifest(dataset: Location) -> DatasetManifest | None:
    both = (open_manifest(dataset, DatasetManifest, copy=is_copy).manifest for is_copy in (False, True))
    return next(filter(None, both), None)


def _changed(dataset: Candidate) -> str:
    """When it was last added to."""
    times = filter(None, (storage_of(folder).changed(folder) for folder in (dataset.path, dataset.lock)))
    return max((time.isoformat(timespec="seconds") for time in times), default="")


def _is_ours(old: Candidate) -> bool:
    """Whether nothing lies in its folders but what a job puts there."""
    if not layout.has_seed(old.path):
        return _holds_only(old.path, lambda name: name in {ModelManifest.FILE, LOCK, CHECKPOINT, *FILES})
    is_part = _holds_only(old.path, lambda name: part_number(name) is not None)
    own = {DatasetManifest.FILE, layout.COPY, LOCK, QUESTION}
    return is_part and _holds_only(old.lock, lambda name: name in own or JOURNAL.fullmatch(name) is not None)


def _holds_only(folder: Location, is_own: Callable[[str], bool]) -> bool:
    try:
        there = entries(folder)
    except FileNotFoundError:
        return True
    is_known = (is_own(name) or TEMPORARY.fullmatch(name) is not None for name in there)
    return None not in there.values() and all(is_known)

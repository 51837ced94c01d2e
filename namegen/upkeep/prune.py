"""Removes old data sets, and the models that no data set is left of.

A data set that is removed is gone for readers at once: on a disk its folder is renamed first, in a store its manifest
goes first. Should that be interrupted, the next call goes on with what is left.
"""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from namegen.errors import ArtifactError, SettingError
from namegen.outputs.dataset import MANIFEST, DatasetManifest, number_of
from namegen.outputs.journal import NAME as JOURNAL
from namegen.outputs.manifests import Manifest, parse_manifest
from namegen.outputs.model_folder import FILES, ModelManifest
from namegen.outputs.model_folder import MANIFEST as MODEL_MANIFEST
from namegen.outputs.room import size
from namegen.report.folder import remove_report
from namegen.storage.files import Location, location, sizes
from namegen.storage.leases import LOCK
from namegen.storage.locks import alone_in, is_at_work
from namegen.storage.object_store import RemotePath

M = TypeVar("M", bound=Manifest)
BETWEEN_STEPS = timedelta(minutes=10)  # that a job may have no lock for, having begun a data set
SEED = re.compile(r"seed=[0-9]+")
REMOVED = re.compile(r"\.removed-[0-9a-f]{32}")  # what a call that died has left
OURS = re.compile(r"\..+\.[0-9a-f]{32}\.tmp|_part-[0-9]+\.parquet\.aside[0-9]*|checkpoint\.safetensors")


@dataclass(frozen=True)
class Found:
    """A data set or a model that lies in an output folder.

    Args:
        model: the name of its model's folder.
        written: when it was finished, in UTC, as its manifest has it; empty where it is not.
        size: bytes.
    """

    path: Location
    model: str
    written: str
    size: int
    rows: int = 0

    def __str__(self) -> str:
        what = f"{self.rows:,} names" if self.rows else "unfinished" if not self.written else "a model"
        return f"{self.path} ({what}, {size(self.size)}{', ' + self.written if self.written else ''})"


@dataclass
class Pruned:
    """What a call came to.

    Args:
        removed: or what would be.
        busy: left alone, as a job is at work there.
        foreign: left alone, as something else lies in them.
        failed: could not be removed, and why.
    """

    removed: list[Found]
    busy: list[Found]
    foreign: list[Found]
    failed: list[tuple[Found, str]]

    def sort(self, found: Found) -> None:
        """Puts what is old where it belongs."""
        which = self.busy if is_at_work(found.path) else self.removed if _is_ours(found.path) else self.foreign
        which.append(found)


def prune(
    output: str | Path | RemotePath,
    keep: int,
    *,
    remove: bool = False,
    log: Callable[[str], None] = lambda line: None,
) -> Pruned:
    """Finds all data sets of an output folder but the newest, and removes them if told to.

    Args:
        output: what a job was given as its `--output`.
        keep: how many data sets stay, the latest finished ones. One that is not finished, and a model that no data set
            is of, stay if they are newer than the oldest of those, or if there are fewer.
        remove: False only says what would be.
        log: called with a line for each that is removed.

    Raises:
        SettingError: for a negative number.
        ArtifactError: where the folder is not that of a job, or something in it is of a newer format.
    """
    where = location(output)
    if keep < 0:
        raise SettingError(f"{keep} data sets cannot be kept")
    names, models = where / "names", where / "models"
    if not (names.is_dir() or models.is_dir()):
        raise ArtifactError("holds no models and no names", str(output), "Name what a job was given as --output")
    datasets = sorted(_datasets(names), key=lambda found: found.written, reverse=True)
    finished = [found for found in datasets if found.written]
    # what was made before this time is old
    time = "9999" if keep == 0 else finished[keep - 1].written if len(finished) >= keep else ""
    begun = min(time, (datetime.now(UTC) - BETWEEN_STEPS).isoformat(timespec="seconds"))
    pruned = Pruned([], [], [], [])
    for found in datasets:
        if found not in finished[:keep] and (found.written <= time if found.written else _changed(found.path) <= begun):
            pruned.sort(found)
    going = {found.path for found in pruned.removed}
    for found in _models(models):
        if found.written <= time and not _drawn_from(found, going):
            pruned.sort(found)
    if remove:
        _remove_all(pruned, log)
        for folder in (*_folders(names), names, models):
            _finish(folder)
    return pruned


def _remove_all(pruned: Pruned, log: Callable[[str], None]) -> None:
    planned, pruned.removed = pruned.removed, []
    for found in planned:
        try:
            is_removed = _remove(found)
            if is_removed:
                remove_report(found.path)
        except OSError as error:
            pruned.failed.append((found, error.strerror or str(error)))
            continue
        if is_removed:
            pruned.removed.append(found)
            log(f"removed {found}")


def _drawn_from(model: Found, going: Collection[Location] = ()) -> bool:
    """Whether anything lies where the names of a model belong, a link, say, but what is `going`."""
    folder = model.path.parent.parent / "names" / f"model={model.model}"
    if isinstance(folder, RemotePath):
        return any(path not in going and path.name != LOCK for path, _ in folder.files_below())
    if not folder.is_dir():
        return False
    return any(folder / name not in going and not REMOVED.fullmatch(name) for name in sizes(folder))


def _datasets(names: Location) -> list[Found]:
    models = [folder for folder in _folders(names) if folder.name.startswith("model=")]
    folders = [folder for model in models for folder in _folders(model) if SEED.fullmatch(folder.name)]
    return [_found(folder, _manifest(folder / MANIFEST, DatasetManifest)) for folder in folders]


def _models(models: Location) -> list[Found]:
    """The finished ones: what is not may be one that a job is about to go on with."""
    found = [(folder, _manifest(folder / MODEL_MANIFEST, ModelManifest)) for folder in _folders(models)]
    return [_found(folder, manifest) for folder, manifest in found if manifest]


def _found(folder: Location, manifest: Manifest | None) -> Found:
    rows = manifest.rows if isinstance(manifest, DatasetManifest) else 0
    model = folder.parent.name.removeprefix("model=") if SEED.fullmatch(folder.name) else folder.name
    return Found(folder, model, _written(manifest), sum(size or 0 for size in sizes(folder).values()), rows)


def _manifest(path: Location, kind: type[M]) -> M | None:
    """What is left of it; None where there is none.

    Raises:
        ArtifactError: where it is of a newer format, which is not ours to judge.
    """
    with suppress(OSError, ValidationError):
        return parse_manifest(path, kind)[0]
    return None


def _written(manifest: Manifest | None) -> str:
    """When a folder was finished, such that later times are greater as text; empty where it was not."""
    try:
        at = datetime.fromisoformat(manifest.written.at) if manifest else None
        return at.astimezone(UTC).isoformat(timespec="seconds") if at else ""
    except ValueError:
        return ""


def _folders(folder: Location) -> list[Location]:
    """The folders in a folder; links are none, as what they lead to may be another's."""
    try:
        found = [folder / name for name, size in sorted(sizes(folder).items()) if size is None]
    except OSError:
        return []
    return [path for path in found if not path.is_symlink()]


def _changed(folder: Location) -> str:
    """When a folder on a disk was last added to; of a store nothing is known, and what is unfinished there is new."""
    if isinstance(folder, RemotePath):
        return "9999"
    return datetime.fromtimestamp(folder.stat().st_mtime, UTC).isoformat(timespec="seconds")


def _is_ours(folder: Location) -> bool:
    """Whether nothing lies in a folder but what a job or a repair puts there."""
    own = {MANIFEST, MODEL_MANIFEST, LOCK, *FILES}
    return all(
        # a store's lock is a folder, and nothing else of ours is
        (size is not None or (name == LOCK and isinstance(folder, RemotePath)))
        and (name in own or number_of(name) is not None or JOURNAL.fullmatch(name) or OURS.fullmatch(name))
        for name, size in sizes(folder).items()
    )


def _remove(found: Found) -> bool:
    """Removes a folder, unless a job has added to it in the meantime, or has begun to draw from it."""
    folder = found.path
    with alone_in(folder):
        manifests = _manifest(folder / MANIFEST, DatasetManifest), _manifest(folder / MODEL_MANIFEST, ModelManifest)
        is_model = not SEED.fullmatch(folder.name)
        if _written(manifests[0] or manifests[1]) != found.written or (is_model and _drawn_from(found)):
            return False
        if isinstance(folder, Path):
            folder.rename(folder.parent / f".removed-{uuid.uuid4().hex}")
        else:
            for name in sorted(sizes(folder), key=lambda name: name not in {MANIFEST, MODEL_MANIFEST}):
                if name != LOCK:
                    (folder / name).unlink(missing_ok=True)
    return True


def _finish(folder: Location) -> None:
    """Deletes what was renamed, and a folder of a model of which no data set is left."""
    if isinstance(folder, Path) and folder.is_dir():
        for name in filter(REMOVED.fullmatch, sizes(folder)):
            shutil.rmtree(folder / name, ignore_errors=True)
        if folder.name.startswith("model="):
            with suppress(OSError):  # it is not empty
                folder.rmdir()

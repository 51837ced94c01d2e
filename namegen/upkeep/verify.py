"""Finds out whether the models and data sets in a folder are what they claim to be, and repairs those that are not."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from namegen.errors import ArtifactError, NamegenError, OutputError, printable, unreadable
from namegen.outputs import layout
from namegen.storage.files import Location, location
from namegen.storage.locks import is_busy
from namegen.storage.object_store import RemotePath
from namegen.upkeep.dataset_check import DatasetCheck, is_dataset
from namegen.upkeep.model_check import ModelCheck, is_model

Check = DatasetCheck | ModelCheck  # checks, and repairs, one folder
log = logging.getLogger(__name__)


def verify(
    folder: str | Path | RemotePath,
    *,
    deep: bool = False,
    repair: bool = False,
    model: str | Path | RemotePath | None = None,
) -> list[str]:
    """What is wrong with a model, a data set, or all of them below a folder: a line for each fault, with its remedy.

    If there is neither a model nor a data set, a line says that. What was checked, and what is being repaired, is
    logged to the logger "namegen".

    Args:
        deep: compare every row with what the model draws, not a sample of each part.
        repair: make again what is wrong; what is still wrong after that is returned.
        model: the folder of the model of a data set that lies apart from it.
    """
    try:
        return find_faults(folder, deep=deep, repair=repair, model=model)
    except NamegenError as error:
        return [str(error)]


def find_faults(
    folder: str | Path | RemotePath, *, deep: bool, repair: bool, model: str | Path | RemotePath | None
) -> list[str]:
    """As `verify`.

    Raises:
        SettingError: for a URL of an unknown kind.
        ArtifactError: if there is no such folder, or neither a model nor a data set in it.
    """
    where, of = location(folder), location(model) if model else None
    is_folder = is_there = False
    try:
        is_folder, is_there = where.is_dir(), where.exists()
    except (OSError, ValueError) as error:  # a name that is too long, or has a null character
        if isinstance(where, RemotePath) and isinstance(error, OSError):
            raise unreadable(error, folder) from error
    if not is_folder:
        what = "is not a folder" if is_there else "there is no such folder"
        raise ArtifactError(what, str(folder), "Name one that a job has printed")
    checks, faults = checks_below(where, deep=deep, model=of)
    if not checks and not faults:
        raise ArtifactError("holds no model and no data set", str(folder), "Name a folder that a job has printed")
    return [str(fault) for check in checks for fault in _check(check, repair=repair)] + list(map(str, faults))


def checks_below(folder: Location, *, deep: bool, model: Location | None) -> tuple[list[Check], list[NamegenError]]:
    """A check for each model and data set in a folder and below it, models first; and the faults of what is neither."""
    models: list[Check] = []
    datasets: list[Check] = []
    faults: list[NamegenError] = []
    for path, folders, files in _walk(folder, faults):
        if is_model(path, files):
            models.append(ModelCheck(path))
        elif is_dataset(path):
            if not layout.is_record(path):
                datasets.append(DatasetCheck(path, deep=deep, model=model))
            elif not layout.dataset_of(path).is_dir():
                datasets.append(DatasetCheck(layout.dataset_of(path), deep=deep, model=model))
            folders.clear()  # the check looks at everything in it
        elif layout.is_below_names(path):
            what = "belongs to no data set, and lies where readers expect parts only"
            strays = [path / file for file in sorted(files)]
            faults += [ArtifactError(what, str(stray), "Move it elsewhere, or remove it") for stray in strays]
    return models + datasets, faults


def _walk(folder: Location, faults: list[NamegenError]) -> Iterator[tuple[Location, list[str], list[str]]]:
    """Each folder from `folder` down, with the folders and files in it. A folder taken from the list is skipped."""
    if isinstance(folder, RemotePath):
        yield from _walk_store(folder)
        return
    seen: set[tuple[int, int]] = set()

    def not_read(error: OSError) -> None:
        faults.append(unreadable(error, folder))

    for name, folders, files in os.walk(folder, onerror=not_read, followlinks=True):
        path = Path(name)
        status = path.stat()
        if (status.st_dev, status.st_ino) in seen:  # a link led back here
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        yield path, folders, files


def _walk_store(folder: RemotePath) -> Iterator[tuple[Location, list[str], list[str]]]:
    skipped: set[str] = set()
    for path, files in folder.files_below():
        above = [path.key[:end] for end, letter in enumerate(path.key) if letter == "/"]
        if skipped.isdisjoint(above):
            folders = ["whatever is in it"]
            yield path, folders, files
            if not folders:
                skipped.add(path.key)


def _check(check: Check, *, repair: bool) -> list[NamegenError]:
    """The faults of one folder, or those that are left after its repair."""
    faults = _faults(check)
    if faults and repair:
        for fault in faults:
            log.info("repairing %s: %s", fault.where, fault.what)
        try:
            check.repair()
        except NamegenError as error:
            return [error]
        except OSError as error:
            return [OutputError(f"could not be repaired ({error.strerror})", str(error.filename or check.path))]
        faults = _faults(check)
    counted = f"{len(faults)} fault{'s' * (len(faults) > 1)}"
    log.info("%s: %s", printable(str(check.path)), counted if faults else check.summary)
    return faults


def _faults(check: Check) -> list[NamegenError]:
    busy = ArtifactError("a job is working in it", str(check.path), "Verify it again when the job has ended")
    if is_busy(check.lock):
        return [busy]
    try:
        faults = check.faults()
    except NamegenError as error:
        faults = [error]
    except OSError as error:
        faults = [unreadable(error, check.path)]
    return [busy] if faults and is_busy(check.lock) else faults  # a job may have begun in the meantime

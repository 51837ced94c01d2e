"""Finds out whether the models and data sets in a folder are what they claim to be, and repairs those that are not."""

from __future__ import annotations

import errno
import logging

from namegen.errors import ArtifactError, NamegenError, OutputError, printable, unreadable
from namegen.outputs import layout
from namegen.storage.files import Anywhere, Location, location, storage_of
from namegen.storage.locks import is_busy
from namegen.upkeep.dataset_check import DatasetCheck, is_dataset
from namegen.upkeep.model_check import ModelCheck, is_model

Check = DatasetCheck | ModelCheck  # checks, and repairs, one folder
log = logging.getLogger(__name__)


def verify(
    folder: Anywhere,
    *,
    deep: bool = False,
    repair: bool = False,
    model: Anywhere | None = None,
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


def find_faults(folder: Anywhere, *, deep: bool, repair: bool, model: Anywhere | None) -> list[str]:
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
        if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
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
    unread: list[OSError] = []
    for path, folders, files in storage_of(folder).walk(folder, unread.append):
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
    return models + datasets, [*faults, *(unreadable(error, folder) for error in unread)]


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
    try:
        if is_busy(check.lock):
            return [busy]
        try:
            faults = check.faults()
        except NamegenError as error:
            faults = [error]
        return [busy] if faults and is_busy(check.lock) else faults  # a job may have begun in the meantime
    except OSError as error:
        return [unreadable(error, check.path)]

"""Finds out whether the models and data sets in a folder are what they say, and mends those that are not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from namegen.errors import ArtifactError, NamegenError, OutputError, printable, unreadable
from namegen.storage.files import Location, absolute, location
from namegen.storage.locks import is_at_work
from namegen.storage.object_store import RemotePath
from namegen.upkeep import dataset_check, model_check

# What finds out, and mends, one folder.
Check = dataset_check.DatasetCheck | model_check.ModelCheck


def verify(
    folder: str | Path | RemotePath,
    *,
    deep: bool = False,
    repair: bool = False,
    model: str | Path | RemotePath | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """What is wrong with a data set, a model, or all of them below a folder: a line each, with what to do about it.

    Where there is none of them, a line says that.

    Args:
        deep: compares every row with what the model's automaton draws, not a sample of each part.
        repair: makes again what is at fault; what is still wrong then is returned.
        model: the model's folder of a data set that lies apart from it.
        log: called with a line on each model or data set, and on each fault that is being mended.
    """
    try:
        return look(folder, deep, repair, model, log)
    except NamegenError as error:
        return [str(error)]


def look(
    folder: str | Path | RemotePath,
    deep: bool,  # noqa: FBT001
    repair: bool,  # noqa: FBT001
    model: str | Path | RemotePath | None,
    log: Callable[[str], None],
) -> list[str]:
    """As `verify`.

    Raises:
        SettingError: for a URL of a kind that is not known.
        ArtifactError: where there is no such folder, or neither a model nor a data set in it.
    """
    where, of = location(folder), location(model) if model else None
    try:
        is_folder = where.is_dir()
    except (OSError, ValueError) as error:  # a name that is too long, or has a null character in it
        if isinstance(where, RemotePath) and isinstance(error, OSError):
            raise unreadable(error, folder) from error
        is_folder = False
    if not is_folder:
        raise ArtifactError("there is no such folder", str(folder), "Name one that the job printed")
    checks, faults = checks_below(where, deep, of)
    if not checks and not faults:
        raise ArtifactError("holds no model and no data set", str(folder), "Name a folder that the job printed")
    return [str(fault) for check in checks for fault in _see_to(check, log, repair)] + list(map(str, faults))


def checks_below(
    folder: Location,
    deep: bool,  # noqa: FBT001
    model: Location | None,
) -> tuple[list[Check], list[NamegenError]]:
    """A check of each model and each data set in a folder and below it, the models first; and what is in neither."""
    models: list[Check] = []
    datasets: list[Check] = []
    faults: list[NamegenError] = []
    for path, folders, files in _walk(folder, faults):
        if model_check.is_model(path, files):
            models.append(model_check.ModelCheck(path))
        elif dataset_check.is_dataset(path, files):
            datasets.append(dataset_check.DatasetCheck(path, deep, model))
            folders.clear()  # whatever is in it is looked at by the check
        elif any(part == "names" or part.startswith("model=") for part in absolute(path).parts):
            what = "is in no data set, and readers of the folders above take it for a part"
            strays = [path / file for file in sorted(files) if file.endswith(".parquet")]
            faults += [ArtifactError(what, str(stray), "Move it elsewhere, or remove it") for stray in strays]
    return models + datasets, faults


def _walk(folder: Location, faults: list[NamegenError]) -> Iterator[tuple[Location, list[str], list[str]]]:
    """Each folder from `folder` down, with the folders and files in it; one that is taken from the list is left out."""
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
    left_out: set[str] = set()
    for path, files in folder.files_below():
        above = [path.key[:end] for end, letter in enumerate(path.key) if letter == "/"]
        if left_out.isdisjoint(above):
            folders = ["whatever is in it"]
            yield path, folders, files
            if not folders:
                left_out.add(path.key)


def _see_to(check: Check, log: Callable[[str], None], repair: bool) -> list[NamegenError]:  # noqa: FBT001
    """The faults of one folder, or those that are left when it has been repaired."""
    faults = _faults(check)
    if faults and repair:
        for fault in faults:
            log(f"to mend: {fault}")
        try:
            check.repair(lambda line: log(printable(line)))
        except NamegenError as error:
            return [error]
        except OSError as error:
            return [OutputError(f"could not be mended ({error.strerror})", str(error.filename or check.path))]
        faults = _faults(check)
    log(printable(f"{check.path}: {len(faults)} faults" if faults else f"{check.path}: {check.summary}"))
    return faults


def _faults(check: Check) -> list[NamegenError]:
    busy = ArtifactError("a job is at work in it", str(check.path), "Verify it when the job has ended")
    if is_at_work(check.path):
        return [busy]
    try:
        faults = check.faults()
    except NamegenError as error:
        faults = [error]
    except OSError as error:
        faults = [unreadable(error, check.path)]
    return [busy] if faults and is_at_work(check.path) else faults  # one may have begun in the meantime

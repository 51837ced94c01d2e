"""Finds out whether the models and data sets in a folder are what they say, and mends those that are not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from namegen import dataset_check, model_check
from namegen.errors import ArtifactError, NamegenError, OutputError, printable

# What finds out, and mends, one folder.
Check = dataset_check.DatasetCheck | model_check.ModelCheck


def verify(
    folder: Path | str,
    *,
    deep: bool = False,
    repair: bool = False,
    model: Path | str | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """What is wrong with a data set, a model, or all of them below a folder: a line each, with what to do about it.

    Args:
        deep: compares every row with what the model's automaton draws, not a sample of each part.
        repair: makes again what is at fault; what is still wrong then is returned.
        model: the model's folder of a data set that lies apart from it.
        log: called with a line on each model or data set, and on each fault that is being mended.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return [
            printable(f"{folder}: there is no such folder. Name one that the job printed, such as outputs/names/...")
        ]
    checks = checks_below(folder, deep, Path(model) if model else None)
    if not checks:
        return [printable(f"{folder}: holds no model and no data set. Name a folder that the job printed.")]
    return [str(fault) for check in checks for fault in _see_to(check, log, repair)]


def checks_below(folder: Path, deep: bool, model: Path | None) -> list[Check]:  # noqa: FBT001
    """A check of each model and each data set in a folder and below it, the models first."""
    models: list[Check] = []
    datasets: list[Check] = []
    for path, folders, files in os.walk(folder):
        folders.sort()
        if model_check.is_model(Path(path), files):
            models.append(model_check.ModelCheck(Path(path)))
        elif dataset_check.is_dataset(Path(path), files):
            datasets.append(dataset_check.DatasetCheck(Path(path), deep, model))
            folders.clear()  # whatever is in it is looked at by the check
    return models + datasets


def _see_to(check: Check, log: Callable[[str], None], repair: bool) -> list[NamegenError]:  # noqa: FBT001
    """The faults of one folder, or those that are left when it has been repaired."""
    faults = _faults(check)
    if faults and repair:
        for fault in faults:
            log(f"to mend: {fault}")
        try:
            check.repair(lambda line: log(printable(line)))
        except (NamegenError, OSError) as error:
            remedy = "What could not be mended is still as it was"
            return [error if isinstance(error, NamegenError) else OutputError(str(error), str(check.path), remedy)]
        faults = _faults(check)
    log(printable(f"{check.path}: {len(faults)} faults" if faults else f"{check.path}: {check.summary}"))
    return faults


def _faults(check: Check) -> list[NamegenError]:
    try:
        return check.faults()
    except NamegenError as error:
        return [error]
    except OSError as error:
        return [ArtifactError(f"cannot be read ({error.strerror})", str(error.filename or check.path))]

"""The layout of an output folder. It is spelt here and nowhere else.

    <output>/models/<model>-<id>/                             a model
    <output>/names/model=<model>-<id>/seed=<seed>/            a data set: part-000000.parquet ... and _manifest.json
    <output>/reports/model=<model>-<id>/report.html           the page about a model, and its pictures as SVG
    <output>/reports/model=<model>-<id>/seed-<seed>/          the page about a data set

The folders under `names` are Hive partitions: readers of the tree get the columns `model` and `seed` from them. Pages
are kept apart, because readers take everything in a data set's folder for its rows.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

from namegen.storage.files import Location, absolute, entries
from namegen.storage.object_store import RemotePath

L = TypeVar("L", Path, RemotePath, Location)

MODELS, NAMES, REPORTS = "models", "names", "reports"
MODEL_MANIFEST, DATASET_MANIFEST, PAGE = "manifest.json", "_manifest.json", "report.html"
_MODEL = re.compile(r"[a-z0-9-]+-[0-9a-f]{12}")
_SEED = re.compile(r"seed=(0|[1-9][0-9]{0,19})")
_PART = re.compile(r"part-([0-9]{6,15})\.parquet")


def model_folder(output: L, model: str) -> L:
    """The folder of a model, whose name is <model>-<id>."""
    return output / MODELS / model


def datasets_folder(output: L, model: str) -> L:
    """The folder that holds the data sets drawn from a model."""
    return output / NAMES / f"model={model}"


def dataset_folder(output: L, model: str, seed: int) -> L:
    """The folder of the data set drawn from a model with a seed."""
    return datasets_folder(output, model) / f"seed={seed}"


def report_folder(folder: Location) -> Location:
    """The folder of the page about a model or a data set."""
    place = absolute(folder)
    if has_seed(place):
        return place.parent.parent.parent / REPORTS / place.parent.name / place.name.replace("=", "-", 1)
    if place.parent.name == MODELS and has_model_name(place):
        return place.parent.parent / REPORTS / f"model={place.name}"
    return place / "report"  # of a model that was saved elsewhere


def part_name(number: int) -> str:
    """The file name of part `number`."""
    return f"part-{number:06d}.parquet"


def part_number(name: str) -> int | None:
    """The number of the part with this file name; None if no part is called that."""
    match = _PART.fullmatch(name)
    return int(match[1]) if match and part_name(int(match[1])) == name else None


def models_in(output: Location) -> list[Location]:
    """The folders under `models`."""
    return folders_in(output / MODELS)


def datasets_in(output: Location) -> list[Location]:
    """The folders of data sets under `names`."""
    models = [folder for folder in folders_in(output / NAMES) if folder.name.startswith("model=")]
    return [folder for model in models for folder in datasets_among(model)]


def datasets_among(folder: Location) -> list[Location]:
    """The folders of data sets in the folder of a model's data sets."""
    return [dataset for dataset in folders_in(folder) if seed_of(dataset) is not None]


def folders_in(folder: Location) -> list[Location]:
    """The folders in a folder, links to folders among them; none if it is not there or cannot be read."""
    try:
        return [folder / name for name, size in sorted(entries(folder).items()) if size is None]
    except OSError:
        return []


def has_model_name(folder: Location) -> bool:
    """Whether a folder is called <model>-<id>."""
    return _MODEL.fullmatch(absolute(folder).name) is not None


def has_seed(folder: Location) -> bool:
    """Whether a folder's name begins with `seed=`, as that of a data set does."""
    return absolute(folder).name.startswith("seed=")


def seed_of(dataset: Location) -> int | None:
    """The seed in the name of a data set's folder; None if it has no valid one."""
    match = _SEED.fullmatch(absolute(dataset).name)
    return int(match[1]) if match and int(match[1]) < 2**64 else None


def model_of(dataset: Location) -> str | None:
    """The model in the name of the folder around a data set's folder; None if there is none."""
    place = absolute(dataset).parent
    return place.name.removeprefix("model=") if place.name.startswith("model=") else None


def output_of(folder: Location) -> Location:
    """The output folder in which a model's folder or a data set's folder lies, if it is in its place."""
    place = absolute(folder)
    return place.parent.parent.parent if has_seed(place) else place.parent.parent


def is_below_names(folder: Location) -> bool:
    """Whether readers of a folder above would take every Parquet file in this one for a part."""
    return any(part == NAMES or part.startswith("model=") for part in absolute(folder).parts)

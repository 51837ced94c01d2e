"""The layout of an output folder. It is spelt here and nowhere else.

    <output>/models/<model>-<id>/                             a model
    <output>/names/model=<model>-<id>/seed=<seed>/            a data set: part-000000.parquet ... and nothing else
    <output>/datasets/model=<model>-<id>/seed=<seed>/         its record: manifest, journal and lock
    <output>/names/model=<model>-<id>+<key>/seed=<seed>/      one that was asked for more; see `wish`
    <output>/reports/model=<model>-<id>/report.html           the page about a model, and its pictures as SVG
    <output>/reports/model=<model>-<id>/seed-<seed>/          the page about a data set

The folders under `names` are Hive partitions: readers of the tree get the columns `model` and `seed` from them. They
hold parts and nothing else, at any time, so that every reader takes them as they are. A file that does not belong there
is put aside by a repair, into `<output>/aside` with the same folders; what is being removed is first moved to
`<output>/.removed-<hex>`.
"""

from __future__ import annotations

import re

from namegen.storage.files import Location, absolute, entries
from namegen.storage.storage import P

MODELS, NAMES, RECORDS, REPORTS, ASIDE = "models", "names", "datasets", "reports", "aside"
MANIFEST, COPY, PAGE = "manifest.json", "manifest.copy.json", "report.html"
_MODEL = re.compile(r"[a-z0-9-]+-[0-9a-f]{12}")
_QUESTION = re.compile(r"model=(.*?)(?:\+([0-9a-f]{8}))?")
_SEED = re.compile(r"seed=(0|[1-9][0-9]{0,19})")
_PART = re.compile(r"part-([0-9]{6,15})\.parquet")


def model_folder(output: P, model: str) -> P:
    """The folder of a model, whose name is <model>-<id>."""
    return output / MODELS / model


def dataset_folder(output: P, model: str, seed: int, key: str = "") -> P:
    """The folder of the data set drawn from a model with a seed.

    Args:
        key: of what it is asked for; empty for a plain stream.
    """
    return output / NAMES / f"model={model}{'+' if key else ''}{key}" / f"seed={seed}"


def record_folder(dataset: Location) -> Location:
    """The folder of the record of a data set: its manifest, journal and lock."""
    place = absolute(dataset)
    return place.parent.parent.parent / RECORDS / place.parent.name / place.name


def is_record(folder: Location) -> bool:
    """Whether a folder that is named like a data set's is that of its record."""
    return absolute(folder).parent.parent.name == RECORDS


def dataset_of(record: Location) -> Location:
    """The folder of the parts of a data set, from that of its record."""
    place = absolute(record)
    return place.parent.parent.parent / NAMES / place.parent.name / place.name


def aside_folder(dataset: Location) -> Location:
    """The folder for what lay in a data set's folder and did not belong there."""
    place = absolute(dataset)
    return place.parent.parent.parent / ASIDE / place.parent.name / place.name


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


def datasets_in(output: Location, top: str) -> list[Location]:
    """The folders of data sets under `names`, or of their records under `datasets`."""
    models = [folder for folder in folders_in(output / top) if folder.name.startswith("model=")]
    return [folder for model in models for folder in datasets_among(model)]


def datasets_among(folder: Location) -> list[Location]:
    """The folders of data sets in the folder of a model's data sets."""
    return [dataset for dataset in folders_in(folder) if seed_of(dataset) is not None]


def _above(place: Location) -> list[Location]:
    """The folders above one, or in a store the prefixes, down to the root or the bucket."""
    above = [place.parent]
    while above[-1].parent != above[-1]:
        above.append(above[-1].parent)
    return above


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
    match = _QUESTION.fullmatch(absolute(dataset).parent.name)
    return match[1] if match else None


def key_of(dataset: Location) -> str:
    """The key of what a data set was asked for, in the name of the folder around its own; empty for a plain stream."""
    match = _QUESTION.fullmatch(absolute(dataset).parent.name)
    return (match[2] or "") if match else ""


def output_of(folder: Location) -> Location:
    """The output folder in which a model's folder or a data set's folder lies, if it is in its place."""
    place = absolute(folder)
    return place.parent.parent.parent if has_seed(place) else place.parent.parent


def is_below_names(folder: Location) -> bool:
    """Whether a folder is `names` of an output folder, or below it, where readers take everything for a part."""
    place = absolute(folder)
    names = [above for above in (place, *_above(place)) if above.name == NAMES]
    return any((above.parent / beside).is_dir() for above in names for beside in (MODELS, RECORDS))

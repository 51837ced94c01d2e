"""Where the page of a model or a data set lies, which `report` writes: told without drawing anything.

    outputs/reports/model=<model>-<id>/report.html               and its pictures as SVG beside it: the model
    outputs/reports/model=<model>-<id>/seed-<seed>/report.html   a data set

Pages lie apart from what they are of, as readers take all of a data set's folder for its rows.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from namegen.outputs.manifests import Manifest
from namegen.storage.files import Location, absolute

PAGE = "report.html"
PICTURES = {
    *("bigrams.svg", "one-hot.svg", "counted-and-learnt.svg", "training.svg", "nll.svg"),
    *("list-and-drawn.svg", "growth.svg"),
}


def place_of(folder: Location) -> Location:
    """Where the report of a model's folder or a data set's belongs, in the same output folder."""
    place = absolute(folder)
    if place.name.startswith("seed="):
        return place.parent.parent.parent / "reports" / place.parent.name / place.name.replace("=", "-", 1)
    return place.parent.parent / "reports" / f"model={place.name}"


def stamp_of(manifest: Manifest) -> str:
    """What a page says of itself, so that one that is there already can be told to be the right one."""
    return f"{manifest.versions.get('namegen')} {manifest.written.sha256}"


def is_written(folder: Location, manifest: Manifest) -> bool:
    """Whether the page of a folder is there, and of this manifest."""
    page = place_of(folder) / PAGE
    return page.is_file() and f'content="{stamp_of(manifest)}"'.encode() in page.read_bytes()[:1000]


def remove_report(folder: Location) -> None:
    """Removes the page of a folder that was removed, and its pictures; what else lies there stays."""
    place = place_of(folder)
    for name in sorted({PAGE, *PICTURES}):
        (place / name).unlink(missing_ok=True)
    if isinstance(place, Path):
        with suppress(OSError):  # it is not there, or not empty
            place.rmdir()

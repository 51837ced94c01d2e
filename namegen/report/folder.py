"""What lies in the folder of a page about a model or a data set. Nothing is drawn to tell.

`layout` says where the folder is, and `pages` writes it.
"""

from __future__ import annotations

from namegen.outputs.layout import PAGE, report_folder
from namegen.outputs.manifests import Manifest
from namegen.storage.files import Location, storage_of

PICTURES = {
    *("bigrams.svg", "one-hot.svg", "counted-and-learnt.svg", "training.svg", "nll.svg"),
    *("list-and-drawn.svg", "growth.svg"),
}


def stamp_of(manifest: Manifest) -> str:
    """What a page says of itself, so that an existing page can be recognised as up to date."""
    return f"{manifest.versions.get('namegen')} {manifest.written.sha256}"


def is_written(folder: Location, manifest: Manifest) -> bool:
    """Whether the page about a folder is there and up to date with its manifest."""
    page = report_folder(folder) / PAGE
    return page.is_file() and f'content="{stamp_of(manifest)}"'.encode() in page.read_bytes()[:1000]


def remove_report(folder: Location) -> None:
    """Removes the page about a folder, and its pictures. Anything else there stays."""
    place = report_folder(folder)
    for name in sorted({PAGE, *PICTURES}):
        (place / name).unlink(missing_ok=True)
    storage_of(place).remove_empty(place)

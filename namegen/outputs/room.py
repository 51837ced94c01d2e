"""Whether an output folder can take what a job is about to write. This is checked before anything is made."""

from __future__ import annotations

from collections.abc import Sequence

from namegen.errors import OutputError
from namegen.outputs import layout
from namegen.storage.files import Location, entries, storage_of


def check_writable(output: Location) -> None:
    """Makes the output folder and those in it, and tries what every write of a job does.

    Raises:
        OutputError: if a file cannot be written, or not replaced atomically.
    """
    storage_of(output).check_writable(output, (layout.MODELS, layout.RECORDS), layout.NAMES)


def check_room(folder: Location, count: int, names: Sequence[str]) -> None:
    """Checks that the disk has room for a data set of `count` names, apart from the parts that are there already.

    Args:
        folder: of the data set; it may not exist yet.
        names: what the names will be like. With zstd a row takes less than eight bytes and its name.

    Raises:
        OutputError: if there is not enough room.
    """
    free = storage_of(folder).free(folder)
    if free is None:
        return
    try:
        there = sum(size or 0 for name, size in entries(folder).items() if layout.part_number(name) is not None)
    except FileNotFoundError:
        there = 0
    needed = count * (8 + sum(len(name.encode()) for name in names) / len(names)) - there
    if needed > free:
        what = f"has {readable_size(free)} free, but {count:,} names need about {readable_size(needed)}"
        remedy = "Free some space, ask for fewer names with --count, or name another folder with --output"
        raise OutputError(what, str(folder), remedy)


def readable_size(count: float) -> str:
    """A number of bytes as people read it, such as 1.5 GB."""
    for unit in ("bytes", "kB", "MB", "GB", "TB", "PB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} EB"

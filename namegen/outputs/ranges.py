"""A range of a data set's parts, made in another process or on another host: all that it needs to know is a `Job`.

A job is small and plain, so that any engine can carry it. The automaton and the names come from the model's folder,
and are loaded once a process. Of the range only full parts are made here, which are the same bytes whatever the count.
The last, short part is made by the job itself, which holds the lock. The job has a mark in the folder, which the next
one removes: a worker whose job is dead ends before its next part.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from namegen.errors import ArtifactError, OutputError, SettingError
from namegen.outputs import dataset
from namegen.outputs.dataset import part_name
from namegen.outputs.journal import BLOCK, Journal, Part
from namegen.outputs.manifests import versions
from namegen.outputs.model_folder import ModelFolder, read_model_manifest
from namegen.outputs.part import Source
from namegen.outputs.writer import make_parts
from namegen.storage.files import location, sha256_of


class Job(NamedTuple):
    """What a worker has to know.

    Args:
        folder, model: of the data set and of the model, as text; absolute.
        stream: what decides the rows.
        device: where to draw.
        versions: those with which the job runs: others might write other bytes.
        mark: the name of a file that the job has put into `folder`; empty for a store, which all see.
    """

    folder: str
    model: str
    stream: dict[str, Any]
    device: str
    versions: dict[str, str]
    mark: str


def ranges(numbers: Iterable[int], most: int) -> list[range]:
    """Runs of consecutive numbers, cut into pieces of up to `most`.

    Args:
        numbers: ascending.
        most: up to 64, so that a piece has its lines in one file of the journal.
    """
    found: list[range] = []
    for number in numbers:
        last = found[-1] if found else range(0)
        if last and number == last.stop and len(last) < most:
            found[-1] = range(last.start, number + 1)
        else:
            found.append(range(number, number + 1))
    return found


def size_of_ranges(parts: int, slots: int) -> int:
    """How many parts a worker is given at once.

    Up to 64, which take 10 to 60 seconds; fewer where there would not be two ranges for each worker, as the last to
    end keeps the others waiting.
    """
    return max(1, min(BLOCK, -(-parts // (2 * slots))))


def look(job: Job) -> str:
    """Looks whether this worker can do what the job needs, and says where it is.

    Raises:
        OutputError: where it does not see the job's folder.
        SettingError: where it has other versions.
    """
    host = platform.node()
    if not (location(job.folder) / job.mark).is_file():
        remedy = "Workers on other hosts need a shared --output: a network mount, or an object store"
        raise OutputError(f"is not the job's own folder on the worker {host}", job.folder, remedy)
    own = versions()
    other = [
        f"{name} {own.get(name)} in place of {ours}" for name, ours in job.versions.items() if own.get(name) != ours
    ]
    if other:
        raise SettingError(f"the worker {host} has {', '.join(other)}", remedy="Install the job's own versions there")
    return host


def make_range(job: Job, numbers: range) -> list[Part]:
    """Makes the full parts `numbers`, but for those that a worker which died had finished.

    Raises:
        OutputError, SettingError: as `look` does.
        ArtifactError: where the model is damaged.
    """
    look(job)
    folder = location(job.folder)
    finished = Journal(folder, job.stream, numbers.start).read_block()
    kept = [part for number, part in finished.items() if number in numbers and _is_there(job, part)]
    missing = [number for number in numbers if number not in {part.number for part in kept}]
    if not missing:
        return kept
    rows = _source(job.model, job.stream["seed"], job.device, job.stream["automaton_sha256"]).rows

    def still_alone() -> None:
        look(job)  # the next job removes the mark of one that is dead

    most = numbers.stop * dataset.PART_ROWS
    made = make_parts(folder, missing, most, job.stream, rows, still_alone=still_alone, journal_from=numbers.start)
    return sorted(kept + made)


def _is_there(job: Job, part: Part) -> bool:
    try:
        found = sha256_of(location(job.folder) / part_name(part.number))
    except ArtifactError:
        return False
    return part.rows == dataset.PART_ROWS and found == part.sha256


@lru_cache(maxsize=1)
def _source(model: str, seed: int, device: str, automaton_sha256: str) -> Source:
    folder = location(model)
    manifest = read_model_manifest(folder)
    own = ModelFolder(folder, manifest.configuration) if manifest else None
    automaton = own.load() if own else None
    if not own or not automaton or automaton.sha256 != automaton_sha256:
        raise OutputError("holds another model than the job's, or none", model, "Run the job again")
    return Source(own, automaton, own.names(), seed, device)

"""A range of a data set's parts, made in another process or on another host. All it needs to know is a `Job`.

A job is small and plain, so that any engine can carry it. The automaton and the names come from the model's folder,
and are loaded once per process. Only full parts are made here, which have the same bytes whatever the count is; the
job itself, which holds the lock, makes the short last one. The job leaves a mark in the record, and the next job
removes it, so that a worker whose job is dead stops before its next part.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from namegen.errors import ArtifactError, OutputError, SettingError
from namegen.outputs import dataset
from namegen.outputs.journal import BLOCK, Journal, Part
from namegen.outputs.layout import part_name, record_folder
from namegen.outputs.manifests import versions
from namegen.outputs.rows import Source
from namegen.outputs.wish import wish_of
from namegen.outputs.writer import make_parts
from namegen.storage.files import location, sha256_of
from namegen.storage.locks import holder_of


class Job(NamedTuple):
    """What a worker has to know.

    Args:
        folder, model: the folders of the data set and of the model, as text; absolute.
        stream: what decides the rows.
        device: where to draw.
        versions: those of the job; a worker with others might write other bytes.
        holder: the key of the job's holding of the data set's record.
    """

    folder: str
    model: str
    stream: dict[str, Any]
    device: str
    versions: dict[str, str]
    holder: str


def ranges(numbers: Iterable[int], most: int) -> list[range]:
    """Runs of consecutive numbers, cut into pieces of up to `most`.

    >>> ranges([0, 1, 2, 3, 7], most=3)
    [range(0, 3), range(3, 4), range(7, 8)]

    Args:
        numbers: ascending.
        most: up to 64, so that the journal has a piece's lines in one file.
    """
    pieces: list[range] = []
    for number in numbers:
        last = pieces[-1] if pieces else range(0)
        if last and number == last.stop and len(last) < most:
            pieces[-1] = range(last.start, number + 1)
        else:
            pieces.append(range(number, number + 1))
    return pieces


def parts_in_range(parts: int, slots: int) -> int:
    """How many parts a worker is given at once.

    Up to 64, which take 10 to 60 seconds, but few enough that each worker gets two ranges: the last worker to finish
    keeps the others waiting.
    """
    return max(1, min(BLOCK, -(-parts // (2 * slots))))


def check_worker(job: Job) -> str:
    """Checks that this worker can do what the job needs; the name of its host.

    Raises:
        OutputError: if it does not see the job's folder.
        SettingError: if it has other versions.
    """
    host = platform.node()
    holder = holder_of(record_folder(location(job.folder)))
    if not holder or holder.is_released or holder.key != job.holder:
        remedy = "Workers on other hosts need a shared --output: a network mount, or an object store"
        raise OutputError(f"is not visible to the worker on {host}, or its job has ended", job.folder, remedy)
    own = versions()
    other = [
        f"{name} {own.get(name)} instead of {ours}" for name, ours in job.versions.items() if own.get(name) != ours
    ]
    if other:
        raise SettingError(f"the worker on {host} has {', '.join(other)}", remedy="Install the job's versions there")
    return host


def make_range(job: Job, numbers: range) -> list[Part]:
    """Makes the full parts `numbers`, except those that a worker which died had finished.

    Raises:
        OutputError, SettingError: as `check_worker` does.
        ArtifactError: if the model is damaged.
    """
    check_worker(job)
    folder = location(job.folder)
    finished = Journal(record_folder(folder), job.stream, numbers.start).read_block()
    kept = [part for number, part in finished.items() if number in numbers and _is_intact(job, part)]
    missing = [number for number in numbers if number not in {part.number for part in kept}]
    if not missing:
        return kept
    rows = _source(job.folder, job.model, job.stream["seed"], job.device, job.stream["automaton_sha256"]).rows

    def check_alone() -> None:
        check_worker(job)

    most = numbers.stop * dataset.PART_ROWS
    made = make_parts(folder, missing, most, job.stream, rows, check_alone=check_alone, journal_from=numbers.start)
    return sorted(kept + made)


def _is_intact(job: Job, part: Part) -> bool:
    try:
        actual = sha256_of(location(job.folder) / part_name(part.number))
    except ArtifactError:
        return False
    return part.rows == dataset.PART_ROWS and part.sha256 == actual


@lru_cache(maxsize=1)
def _source(folder: str, model: str, seed: int, device: str, automaton_sha256: str) -> Source:
    source = Source.load(location(model), seed, device, wish_of(location(folder)))
    if not source or source.automaton.sha256 != automaton_sha256:
        raise OutputError("does not hold the job's model", model, "Run the job again")
    return source

"""What it costs that nothing is lost: flushes, renames, checksums and the journal, of a job and of a look at its files.

    python benchmarks/durability.py OUTPUT_FOLDER [--count 20000000] [--workers 2] [--repeats 5]

OUTPUT_FOLDER is one that a job has made a model in. The same data set is written as the job writes it, and without
flushing, renaming or hashing anything; then `verify` looks at one, in turns with plain code that reads and hashes its
files one after the other. Every other turn goes backwards.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from namegen import verify
from namegen.outputs import writer as dataset_writer
from namegen.outputs.journal import Journal
from namegen.outputs.layout import NAMES, RECORDS, dataset_folder
from namegen.outputs.rows import Source
from namegen.outputs.writer import write_dataset


def seconds(work: Callable[[], object]) -> float:
    """The wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def spread(values: list[float], unit: str = "") -> str:
    """Median (smallest to largest)."""
    return f"{statistics.median(values):.2f}{unit} ({min(values):.2f} to {max(values):.2f})"


def carelessly(work: Callable[[], object]) -> float:
    """The time of `work` where nothing is flushed, renamed or hashed, and no journal is kept."""
    with (
        patch.object(dataset_writer, "temporary_beside", lambda path: path),
        patch.object(dataset_writer, "put_in_place", lambda *_: None),
        patch.object(dataset_writer, "sha256_of", lambda path: "0" * 64),
        patch.object(Journal, "add", lambda self, part: None),
        patch.object(Journal, "ask", lambda self, count: None),
    ):
        return seconds(work)


def in_turns(ways: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """The times of each way. Every other turn goes backwards, so that none is always the first."""
    times: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(repeats):
        for way in list(ways)[:: -1 if turn % 2 else 1]:
            times[way].append(ways[way]())
    return times


def hash_all(folder: Path) -> None:
    """Reads and hashes the parts, one after the other."""
    for path in sorted(folder.glob("*.parquet")):
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    """Runs everything in turns, and prints medians with their spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--count", type=int, default=20_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()

    path = next(iter(sorted((given.output / "models").glob("*-*"))))
    source = Source.load(path, 42)
    if not source:
        raise SystemExit(f"{path} has no model in it")
    source.rows(0, 1000)  # once, to load the compiled code
    root = Path(tempfile.mkdtemp(dir=given.output))
    (root / "models").symlink_to(path.parent.absolute(), target_is_directory=True)
    folder = dataset_folder(root, path.name, 42)

    def write() -> None:
        write_dataset(folder, given.count, source.stream, source.rows, source.configuration, workers=given.workers)

    def written(timed: Callable[[Callable[[], object]], float]) -> float:
        for top in (NAMES, RECORDS):
            shutil.rmtree(root / top)
        return timed(write)

    looks: dict[str, Callable[[], float]] = {
        "hash": lambda: seconds(lambda: hash_all(folder)),
        "verify": lambda: seconds(lambda: verify(folder)),
        "deep": lambda: seconds(lambda: verify(folder, deep=True)),
    }
    writes = {"as it is": lambda: written(seconds), "carelessly": lambda: written(carelessly)}
    try:
        write()
        size = sum(file.stat().st_size for file in folder.glob("*.parquet"))
        assert verify(folder) == []
        times = in_turns(looks, given.repeats) | in_turns(writes, given.repeats)
    finally:
        shutil.rmtree(root)

    print(f"{path.name}, {given.count:,} names, {given.workers} workers, {size / 1e6:,.0f} MB; {given.repeats} times")
    for what, values in times.items():
        print(f"{what}: {spread(values)} s")
    pairs = zip(times["as it is"], times["carelessly"], strict=True)
    print(f"durability: {spread([100 * (one / other - 1) for one, other in pairs], ' %')} more time")
    for what in ("verify", "deep"):
        pairs = zip(times["hash"], times[what], strict=True)
        print(f"{what}: {spread([one / other for one, other in pairs])} times the speed of reading and hashing")


if __name__ == "__main__":
    main()

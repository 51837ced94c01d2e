"""From a fitted model to Parquet, end to end: names a second, peak memory, and what bounds them.

    python benchmarks/dataset.py MODEL_FOLDER [--counts 1000000 10000000 100000000] [--workers 2] [--repeats 5]

Each count is made by the job's own code in a process of its own, on a folder that is removed again. In between, in
turns with it, pyarrow alone writes parts that lie in memory already, with the same settings and as many threads, and
the stages of one part are timed one by one on one core. The shares are of the time of the stages.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
from notebook import NAMES, seconds

import namegen
from namegen.automaton.automaton import Automaton
from namegen.corpus.corpus import read_corpus
from namegen.outputs.dataset import PART_ROWS
from namegen.outputs.layout import dataset_folder
from namegen.outputs.writer import write_dataset, write_part
from namegen.sampling.stream import arrow_strings, sample, with_novelty

IN_MEMORY = 8  # parts that pyarrow alone writes
MOST_MEMORY = 1000  # MB, whatever the count: more is a failure


def end_to_end(model: str, count: int, workers: int) -> dict[str, float]:
    """Seconds and peak memory, in MB, of a data set that this process makes."""
    automaton, known = namegen.load(model).automaton, arrow_strings(read_corpus(NAMES).names)
    root = Path(tempfile.mkdtemp(dir=Path.cwd() / "outputs"))

    def make_rows(first: int, rows: int) -> pa.Table:
        return with_novelty(sample(automaton, 42, first, rows), known, automaton.vocabulary)

    try:
        make_rows(0, 1000)  # once, to load the compiled code
        folder = dataset_folder(root, Path(model).name, 42)
        taken = seconds(lambda: write_dataset(folder, count, automaton.stream(42), make_rows, {}, workers=workers))
    finally:
        shutil.rmtree(root)
    # not getrusage: its peak includes what the parent had when this process was forked
    peak = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return {"seconds": taken, "memory": int(peak[1]) / 1024 if peak else float("nan")}


def in_a_process(model: str, count: int, workers: int) -> dict[str, float]:
    """The same in a fresh process, so that its peak is its own."""
    command = [sys.executable, __file__, model, "--workers", str(workers), "--one", str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - ourselves
    found: dict[str, float] = json.loads(done.stdout)
    return found


def stages(automaton: Automaton, known: pa.Array, folder: Path) -> dict[str, float]:
    """Seconds of each stage of one part on one core."""
    found: dict[str, Any] = {}
    taken = {"sample": seconds(lambda: found.update(rows=sample(automaton, 42, 0, PART_ROWS)))}
    taken["is_novel"] = seconds(lambda: found.update(rows=with_novelty(found["rows"], known, automaton.vocabulary)))
    taken["write"] = seconds(lambda: write_part(folder / "part.parquet", found["rows"], {}))
    return taken


def spread(values: list[float]) -> str:
    """Median (smallest to largest)."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Runs everything in turns, and prints medians with their spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model's folder")
    parser.add_argument("--counts", type=int, nargs="+", default=[10**6, 10**7, 10**8])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(end_to_end(arguments.model, arguments.one, arguments.workers)))
        return

    automaton, known = namegen.load(arguments.model).automaton, arrow_strings(read_corpus(NAMES).names)
    tables = [
        with_novelty(sample(automaton, 42, k * PART_ROWS, PART_ROWS), known, automaton.vocabulary)
        for k in range(IN_MEMORY)
    ]
    made: dict[int, list[dict[str, float]]] = {count: [] for count in arguments.counts}
    rates: list[float] = []
    parts: list[dict[str, float]] = []
    folder = Path(tempfile.mkdtemp(dir=Path.cwd() / "outputs"))

    def write_all() -> None:
        with ThreadPoolExecutor(arguments.workers) as pool:
            list(pool.map(lambda k: write_part(folder / f"{k}.parquet", tables[k], {}), range(IN_MEMORY)))

    try:
        for _ in range(arguments.repeats):
            for count in arguments.counts:
                rates.append(IN_MEMORY * PART_ROWS / seconds(write_all) / 1e6)
                parts.append(stages(automaton, known, folder))
                made[count].append(in_a_process(arguments.model, count, arguments.workers))
        size = sum((folder / f"{k}.parquet").stat().st_size for k in range(IN_MEMORY)) / IN_MEMORY / PART_ROWS
    finally:
        shutil.rmtree(folder)

    print(f"{automaton.states:,} states, {arguments.workers} workers, {size:.2f} bytes a name")
    print("medians (smallest to largest)\n")
    print(f"pyarrow alone: {spread(rates)} million names a second")
    for count, runs in made.items():
        own = [count / run["seconds"] / 1e6 for run in runs]
        share = statistics.median(own) / statistics.median(rates)
        memory = max(run["memory"] for run in runs)
        print(f"{count:,} names: {spread(own)} million a second, {share:.0%} of pyarrow alone; peak {memory:,.0f} MB")
    whole = statistics.median(sum(part.values()) for part in parts)
    for stage in parts[0]:
        values = [1e3 * part[stage] for part in parts]
        print(f"one part, one core, {stage}: {spread(values)} ms, {statistics.median(values) / 1e3 / whole:.0%}")
    if max(run["memory"] for runs in made.values() for run in runs) > MOST_MEMORY:
        sys.exit(f"a run took more than {MOST_MEMORY} MB")


if __name__ == "__main__":
    main()

"""Many parts: what a start, a resumed job and a verification cost as their number grows, with parts of ten rows.

    python benchmarks/scale.py [--parts 25000 50000 100000] [--folder FOLDER]

Each is a process of its own, so that its memory is its own. The rows are of the +1 bigram table of data/names.txt.
FOLDER should lie on a disk that a flush does not wait for, such as a tmpfs: what it costs is measured elsewhere.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa

from namegen import pipeline, verify
from namegen.corpus.corpus import read_corpus
from namegen.outputs import dataset
from namegen.outputs.layout import RECORDS, dataset_folder, model_folder
from namegen.outputs.model_folder import ModelFolder, model_name
from namegen.outputs.rows import Source
from namegen.outputs.writer import write_dataset
from namegen.parameters import Parameters

ROOT = Path(__file__).parents[1]
ROWS = 10  # a part, in place of 2^20
STEPS = ("make half", "resume", "start", "verify")


def fit(output: Path) -> None:
    """Puts the model there."""
    fitting = pipeline.plan_fit(read_corpus(ROOT / "data/names.txt"), Parameters(model="bigram", device="cpu"), {})
    ModelFolder(model_folder(output, model_name(fitting.configuration))).save(pipeline.learn(fitting))


def step(output: Path, parts: int, name: str) -> None:
    """Does one step, and prints its seconds and the largest memory of the process, in MB."""
    dataset.PART_ROWS = ROWS
    (path,) = (output / "models").glob("bigram-*")
    source = Source.load(path, parts)
    assert source
    folder = dataset_folder(output, path.name, parts)
    made = 0

    def rows(first: int, count: int) -> pa.Table:
        nonlocal made
        made += 1
        if name == "make half" and made > parts // 2:
            raise KeyboardInterrupt
        return source.rows(first, count)

    started = time.perf_counter()
    if name == "verify":
        assert verify(folder) == []
    else:
        try:
            write_dataset(folder, parts * ROWS, source.stream, rows, source.configuration, workers=2)
        except KeyboardInterrupt:
            assert name == "make half"
    seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    sizes = [file.stat().st_size for file in output.glob(f"{RECORDS}/*/seed={parts}/[mj]*")]
    print(json.dumps({"seconds": seconds, "MB": memory, "made": made, "manifest": sum(sizes)}))


def main() -> None:
    """Runs every step for every number of parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, nargs="+", default=[25_000, 50_000, 100_000])
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder unless given")
    parser.add_argument("--step", nargs=2, metavar=("PARTS", "STEP"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        step(given.folder, int(given.step[0]), given.step[1])
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        fit(Path(folder))
        print("| parts | step | seconds | peak memory, MB | parts made | manifest and journal, MB |")
        print("|---|---|---|---|---|---|")
        for parts in given.parts:
            for name in STEPS:
                command = [sys.executable, __file__, "--folder", folder, "--step", str(parts), name]
                done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)  # noqa: S603
                figures = f"{done['seconds']:.1f} | {done['MB']:.0f} | {done['made']:,} | {done['manifest'] / 1e6:.1f}"
                print(f"| {parts:,} | {name} | {figures} |", flush=True)


if __name__ == "__main__":
    main()

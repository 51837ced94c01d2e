"""Time and peak memory of a fit to large made-up lists.

    python benchmarks/large_lists.py [--preset default] [LIST ...]

The lists: a million names over 26 characters (`letters`), a million over 250 (`many`), and 230,000 of 5 to 30
characters over 240 (`long`). The names are random walks over the characters, each of which is followed by some ten
others most of the time. Each list is fitted in a process of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

LISTS = {"letters": (1_000_000, 26, (3, 12)), "many": (1_000_000, 250, (2, 10)), "long": (230_000, 240, (5, 30))}

FIT = """
import logging, resource, sys, time
import namegen

logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
started = time.perf_counter()
model = namegen.fit(sys.argv[1], preset=sys.argv[2])
seconds = time.perf_counter() - started
nll = model.evaluation.filter(source="automaton", split="test", subset="all", model="blend")["nll"][0]
exact = model.evaluation.filter(source="exact", split="test", subset="all", model="blend")["nll"][0]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(f"{seconds:.0f} s | {peak:.2f} GB | {model.automaton.states:,} | {nll:.4f} | {exact:.4f}")
"""


def made_up(count: int, characters: int, lengths: tuple[int, int]) -> list[str]:
    """So many different names."""
    generator = np.random.default_rng(1)
    alphabet = [chr(0x61 + i) if i < 26 else chr(0x4E00 + i) for i in range(characters)]
    often = generator.permuted(np.tile(np.arange(characters), (characters, 1)), axis=1)[:, :10]
    names: dict[str, None] = {}
    while len(names) < count:
        length = generator.integers(lengths[0], lengths[1] + 1, 100_000)
        walk = np.empty((len(length), lengths[1]), np.int64)
        walk[:, 0] = generator.integers(0, characters, len(length))
        for place in range(1, lengths[1]):
            likely = often[walk[:, place - 1], np.minimum(generator.geometric(0.3, len(length)) - 1, 9)]
            rare = generator.random(len(length)) < 0.05
            walk[:, place] = np.where(rare, generator.integers(0, characters, len(length)), likely)
        for row, size in zip(walk.tolist(), length.tolist(), strict=True):
            names["".join(alphabet[i] for i in row[:size])] = None
    return [*names][:count]


def main() -> None:
    """Prints a row for each list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", nargs="*", metavar="LIST", help=", ".join(LISTS))
    parser.add_argument("--preset", default="default")
    arguments = parser.parse_args()
    print("| list | time | peak memory | states | NLL of test | of the model itself |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.lists or LISTS:
            path = Path(folder) / "names.txt"
            path.write_text("\n".join(made_up(*LISTS[name])))
            command = [sys.executable, "-c", FIT, str(path), arguments.preset]
            started = time.perf_counter()
            found = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
            row = found.stdout.strip() or f"ended with {found.returncode} after {time.perf_counter() - started:.0f} s"
            print(f"| {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()

"""Jobs, repairs, prunes and readers in one store, in many orders, with crashes, frozen processes and late requests.

    python benchmarks/schedules.py [--schedules 20000] [--seed 0] [--processes 2]

A schedule is the seed of a course of `tests/simulation.py`.
It prints the schedules in which something was lost, and exits with 1 if there was one.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "flows")]


def play(folder: str, seed: int) -> list[str]:
    """What went wrong in one schedule."""
    import os

    import simulation

    logging.getLogger("namegen").setLevel(logging.ERROR)
    return simulation.play(Path(folder) / f"names-{os.getpid()}.txt", seed)


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    seeds, started, broken = range(given.seed, given.seed + given.schedules), time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(given.processes) as pool:
        for seed, wrong in zip(seeds, pool.map(partial(play, folder), seeds, chunksize=20), strict=True):
            broken += bool(wrong)
            for line in wrong:
                print(f"{seed}: {line}", flush=True)
    print(f"{broken} of {len(seeds):,} schedules went wrong, {time.monotonic() - started:.0f} s")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())

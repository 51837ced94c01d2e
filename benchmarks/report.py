"""What the pages with pictures cost a job, and what `namegen` costs a person: whole processes, one after the other.

    python benchmarks/report.py OUTPUT [--repeats 5]

OUTPUT is that of a job, with one model and one data set. The pages are timed inside a process, the import of what
draws them included, as a job writes them; the commands from their start to their end. Seconds, medians with the
smallest and largest.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from notebook import seconds

PAGES = """
import sys, time
import polars, pyarrow, namegen.outputs.model_folder
started = time.perf_counter()
from namegen.report.pages import write_report
for folder in sys.argv[2:]:
    write_report(folder, sys.argv[1])
print(time.perf_counter() - started)
"""


def main() -> None:
    """Times them, and prints a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    (model,), (names,) = (given.output / "models").glob("*-*"), (given.output / "names").glob("*/seed=*")
    with tempfile.TemporaryDirectory() as folder:
        million = Path(folder) / "names.txt"
        namegen = [sys.executable, "-m", "namegen"]

        def run(*command: object) -> bytes:
            return subprocess.run([*map(str, command)], capture_output=True, check=True).stdout  # noqa: S603 - our own

        million.write_bytes(run(*namegen, "sample", model, "--count", 1_000_000, "--format", "names"))
        commands: dict[str, list[object]] = {
            "sample, 10 names": ["sample", model],
            "sample, 1,000,000 names as CSV": ["sample", model, "--count", 1_000_000],
            "score, 1,000,000 names from text": ["score", model, million],
            "explain": ["explain", model, "emma"],
            "inspect": ["inspect", model],
        }
        pages = [float(run(sys.executable, "-c", PAGES, folder, model, names)) for _ in range(given.repeats)]
        times = {"the pages of a job": pages}
        for what, command in commands.items():
            times[what] = [seconds(lambda c=command: run(*namegen, *c)) for _ in range(given.repeats)]  # type: ignore[misc]
        for what, values in times.items():
            print(f"{what:34}{statistics.median(values):6.2f} ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()

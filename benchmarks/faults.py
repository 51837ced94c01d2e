"""Real jobs that are killed, run out of disk, or meet each other, and are simply run again.

    python benchmarks/faults.py [--kills 200] [--writing 100] [--full 50] [--pairs 20] [--lanes 2] [--seed 1]

Each job is the real command, on a Prefect server that this script starts, with a list short enough for a network to
be trained in seconds. A kill is SIGKILL at a random instant, and the next run may be killed, too; `writing` are those
while parts are written, where no part that was finished may be written again. A full disk is a
tmpfs that another file fills at a random instant, where mounting is allowed, or RLIMIT_FSIZE. What counts is the tree
at the end: every file has to have the bytes of an undisturbed run, but for the one field of the manifests that says
when they were written, and no other file may be there.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from start import ROOT, server

import namegen
from namegen.outputs.layout import NAMES as PARTS
from namegen.outputs.layout import RECORDS, part_name

NAMES = ROOT / "data" / "names.txt"
WRITING = ["--model", "kneser-ney", "--count", "12000000"]
JOB = ["--preset", "quick", "--cells", "3000000", "--count", "3500000"]
NAMES_USED = 3000
TMPFS_MB = 200


class Jobs:
    """Runs the command on one list of names and one server."""

    def __init__(self, folder: Path, api: str) -> None:
        self.folder = folder
        self.names = folder / "names.txt"
        self.names.write_text("\n".join(NAMES.read_text().split()[:NAMES_USED]))
        self.environment = {**os.environ, "PREFECT_API_URL": api}

    def start(self, output: Path, *arguments: str, limit: int | None = None) -> subprocess.Popen[str]:
        """Starts a job; `limit` is the most bytes that a file may have."""
        command = [sys.executable, "flows/generate.py", "--names", str(self.names), "--output", str(output)]
        command.append("--no-report")  # a page shows when what it is of was made
        limited = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit)) if limit else None
        return subprocess.Popen(  # noqa: S603 - our own command
            [*command, *(arguments or JOB)],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limited,  # noqa: PLW1509 - it only sets a limit
        )

    def finish(self, output: Path, *arguments: str) -> None:
        """Runs a job to its end, which has to be a good one."""
        with self.start(output, *arguments) as process:
            log = process.communicate()[1]
        if process.returncode:
            raise AssertionError(f"exit code {process.returncode}\n{log}")


def tree(output: Path) -> dict[str, bytes]:
    """Every file but the locks; of manifests all but the one field that may differ."""
    files = {}
    for file in sorted(output.rglob("*")):
        if file.is_file() and file.name != ".lock":
            data = file.read_bytes()
            if file.suffix == ".json":
                manifest = json.loads(data)
                manifest["written"] = None
                data = json.dumps(manifest).encode()
            files[str(file.relative_to(output))] = data
    return files


def stage(output: Path) -> str:
    """How far a job came, by what it left."""
    if any(output.glob(f"{RECORDS}/*/*/manifest.json")):
        return "all written"
    if any(output.glob(f"{RECORDS}/*/*/journal-*.jsonl")):
        return "parts"
    if any(output.glob("models/*/manifest.json")):
        return "model written"
    if any(output.glob("models/*/*.parquet")):
        return "model files"
    return "training" if any(output.rglob("checkpoint.safetensors")) else "start and counts"


def kill(jobs: Jobs, expected: dict[str, bytes], seconds: float, number: int, seed: int) -> str:
    """One job, killed once or more often, and run to its end."""
    draw = random.Random(f"{seed} kill {number}")  # noqa: S311 - reproducible is the point
    output = jobs.folder / f"kill-{number}"
    reached = "ended before"
    while True:
        with jobs.start(output) as process:
            time.sleep(draw.uniform(0.1, 1.0) * seconds)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                reached = stage(output)
        if draw.random() < 0.7:
            break
    jobs.finish(output)
    assert tree(output) == expected, f"{output} differs"
    shutil.rmtree(output)
    return reached


def kill_writing(jobs: Jobs, expected: dict[str, bytes], number: int, seed: int) -> str:
    """One job whose model is there, killed up to three times while it writes, and run to its end."""
    draw = random.Random(f"{seed} writing {number}")  # noqa: S311 - as above
    output = jobs.folder / f"writing-{number}"
    shutil.copytree(jobs.folder / "writing" / "models", output / "models")
    finished: dict[Path, int] = {}
    for _ in range(draw.choice([1, 1, 2, 3])):
        with jobs.start(output, *WRITING) as process:
            while process.poll() is None and not any(output.rglob("part-*")):
                time.sleep(0.01)
            time.sleep(draw.uniform(0, 1.5))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        for journal in output.glob(f"{RECORDS}/*/*/journal-*.jsonl"):
            lines = [json.loads(line) for line in journal.read_bytes().split(b"\n") if line.endswith(b"}")]
            folder = output / PARTS / journal.parent.relative_to(output / RECORDS)
            parts = [folder / part_name(line["number"]) for line in lines if "number" in line]
            finished |= {path: path.stat().st_mtime_ns for path in parts}
    jobs.finish(output, *WRITING)
    assert tree(output) == expected, f"{output} differs"
    assert {path: path.stat().st_mtime_ns for path in finished} == finished, "a finished part was written again"
    shutil.rmtree(output)
    return f"{len(finished)} parts were finished" if finished else "none was finished, or all"


def fill(jobs: Jobs, expected: dict[str, bytes], seconds: float, number: int, seed: int, mount: bool) -> str:  # noqa: FBT001 - called in one place
    """One job whose disk fills up, and which is run to its end when there is room."""
    draw = random.Random(f"{seed} full {number}")  # noqa: S311 - as above
    output = jobs.folder / f"full-{number}"
    output.mkdir()
    with ExitStack() as stack:
        if mount and number % 2:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m", "tmpfs", output], check=True)  # noqa: S603, S607 - ours, from the PATH
            stack.callback(lambda: subprocess.run(["umount", output], check=True))  # noqa: S603, S607 - ours, from the PATH
            filler = output / "filler"
            process = stack.enter_context(jobs.start(output / "o"))
            time.sleep(draw.uniform(0.3, 1.0) * seconds)
            left = draw.choice([0, draw.uniform(0, 30e6)])
            with filler.open("wb", buffering=0) as file, suppress_full():
                while shutil.disk_usage(output).free > left:
                    file.write(bytes(2**16))
            log = process.communicate()[1]
            filler.unlink()
        else:
            with jobs.start(output / "o", limit=int(10 ** draw.uniform(4, 7.1))) as process:
                log = process.communicate()[1]
        last = log.splitlines()[-1] if log else ""
        if process.returncode:
            assert process.returncode in {1, 2}, log  # 2 where the disk was full before it began
            assert "No space left" in last or "File too large" in last or "of room left" in last, log
            assert not list(output.rglob("*.tmp")), "a temporary file is left"
            made = output / "o" / "names"
            assert not any(made.glob("*/*/part-*")) or namegen.verify(made), "a part of a data set passes for it"
        jobs.finish(output / "o")
        assert tree(output / "o") == expected, f"{output} differs"
    shutil.rmtree(output)
    return f"exit code {process.returncode} {last.partition('failed: ')[2]}"


@contextmanager
def suppress_full() -> Iterator[None]:
    """A disk that is full is what is asked for."""
    try:
        yield
    except OSError as error:
        print(f"filled: {error.strerror}", file=sys.stderr)


COUNTED = ["--model", "kneser-ney", "--count"]
TRAINED = ["--preset", "quick", "--cells", "3000000", "--count"]
PAIRS = [
    ([*COUNTED, "2500000"], [*COUNTED, "2500000"]),
    ([*COUNTED, "1200000"], [*COUNTED, "2500000"]),
    ([*COUNTED, "1100000", "--seed", "1"], [*COUNTED, "1100000", "--seed", "2"]),
    ([*COUNTED, "1100000"], ["--model", "bigram", "--count", "1100000"]),
    ([*TRAINED, "1100000"], [*TRAINED, "1100000"]),
]


def pair(jobs: Jobs, expected: list[dict[str, bytes]], number: int, seed: int) -> str:
    """Two jobs at the same time."""
    draw = random.Random(f"{seed} pair {number}")  # noqa: S311 - as above
    output = jobs.folder / f"pair-{number}"
    which = number % len(PAIRS)
    processes = []
    for arguments in PAIRS[which]:
        processes.append(jobs.start(output, *arguments))
        time.sleep(draw.choice([0, draw.uniform(0, 3)]))
    logs = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(logs)
    assert tree(output) == expected[which], f"{output} differs"
    shutil.rmtree(output)
    return "one waited" if any("Another job is working" in log for log in logs) else "they did not meet"


def references(jobs: Jobs) -> list[dict[str, bytes]]:
    """What each pair comes to, one after the other."""
    found = []
    for number, both in enumerate(PAIRS):
        output = jobs.folder / f"reference-{number}"
        for arguments in both:
            jobs.finish(output, *arguments)
        found.append(tree(output))
        shutil.rmtree(output)
    return found


def may_mount(folder: Path) -> bool:
    """Whether this process may mount a tmpfs."""
    place = folder / "mount"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=False, capture_output=True)  # noqa: S603, S607 - ours, from the PATH
    if not done.returncode:
        subprocess.run(["umount", place], check=True)  # noqa: S603, S607 - ours, from the PATH
    return not done.returncode


def main() -> None:
    """Runs all three, and prints how many were right, and where they had been stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--writing", type=int, default=100)
    parser.add_argument("--full", type=int, default=50)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--lanes", type=int, default=2, help="how many run side by side")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()

    folder = Path(tempfile.mkdtemp())
    environment = {**os.environ, "PREFECT_HOME": str(folder / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "0"}
    with server(environment) as api, ThreadPoolExecutor(given.lanes) as pool:
        jobs = Jobs(folder, api)
        jobs.finish(folder / "warm")
        started = time.monotonic()
        jobs.finish(folder / "reference")
        seconds = (time.monotonic() - started) * (1 + given.lanes) / 2
        expected, mount = tree(folder / "reference"), may_mount(folder)
        pairs = references(jobs) if given.pairs else []

        def report(what: str, count: int, one: Callable[[int], str]) -> None:
            before = time.monotonic()
            outcomes: Counter[str] = Counter()
            for future in [pool.submit(one, number) for number in range(count)]:
                try:
                    outcomes[f"right: {future.result()}"] += 1
                except AssertionError as error:
                    outcomes[f"WRONG: {error}"] += 1
            right = sum(number for outcome, number in outcomes.items() if outcome.startswith("right"))
            print(f"{what}: {right} of {count} right, {time.monotonic() - before:,.0f} s")
            for outcome, number in outcomes.most_common():
                print(f"    {number:4}  {outcome}", flush=True)

        report("kill -9", given.kills, lambda number: kill(jobs, expected, seconds, number, given.seed))
        jobs.finish(folder / "writing", *WRITING)
        written = tree(folder / "writing")
        report("kill -9 while writing", given.writing, lambda number: kill_writing(jobs, written, number, given.seed))
        report("full disk", given.full, lambda number: fill(jobs, expected, seconds, number, given.seed, mount))
        report("pairs", given.pairs, lambda number: pair(jobs, pairs, number, given.seed))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()

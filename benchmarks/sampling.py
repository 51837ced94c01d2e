"""Names a second, on one core and on two, against the notebook's own sampling loop.

    python flows/generate.py
    python benchmarks/sampling.py outputs/models/blend-* outputs/models/kneser-ney-* [--repeats 7]

Each repeat runs all of them, one after the other, in one process; medians are compared, and the spread (smallest to
largest) is shown. The notebook's loop draws from the table of data/names.txt's pairs, which is also drawn from as an
automaton; the other automata are those of the folders. The torch sampler, which draws on a GPU, is timed on a core,
too. Tables are laid out before, and a core is a thread, so that two need two idle ones.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import torch
from notebook import notebook_sample, seconds

import namegen
from namegen.automaton.automaton import Automaton
from namegen.corpus.corpus import read_corpus
from namegen.corpus.ngrams import count_ngrams
from namegen.models import bigram
from namegen.sampling.stream import BATCH, sample_batches
from namegen.sampling.torch_sampler import TorchSampler
from namegen.training.quantise import quantise

NAMES = Path(__file__).parents[1] / "data" / "names.txt"
BY_NOTEBOOK, BY_TORCH, BY_KERNEL = 2_000, 2**18, 2**21  # names a core


def main() -> None:
    """Times every automaton and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    corpus = read_corpus(NAMES)
    counts = count_ngrams(corpus.names, corpus.vocabulary, 2)
    table = bigram.fit(counts)
    P = torch.from_numpy(table).float()
    automata = {"bigram": quantise(table, counts)}
    automata |= {folder.name.rpartition("-")[0]: namegen.load(folder).automaton for folder in arguments.folders}

    versions = ", ".join(f"{package} {version(package)}" for package in ("numba", "torch", "numpy"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}")
    print(f"names a second, medians of {arguments.repeats} (smallest to largest)\n")
    print(f"{'':27}{'names a second':>38}{'x notebook':>12}{'x one core':>12}")
    with ThreadPoolExecutor(2) as pool:
        for name, automaton in automata.items():
            ways = ways_to_sample(automaton, "".join(corpus.vocabulary.symbols), P, pool)
            for _, work in ways.values():
                work()  # once, to warm up
            rates: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(arguments.repeats):
                for way, (names, work) in ways.items():
                    rates[way].append(names / seconds(work))
            print(f"{name}, {automaton.states:,} states")
            for way, values in rates.items():
                spread = f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"
                print(f"  {way:25}{spread:>38}{ratio(values, rates['notebook']):12,.0f}", end="")
                print(f"{ratio(values, rates['one core']):12.2f}" if way == "two cores" else "")


def ways_to_sample(
    automaton: Automaton, itos: str, P: torch.Tensor, pool: ThreadPoolExecutor
) -> dict[str, tuple[int, Callable[[], object]]]:
    """Each way's names and what draws them."""
    by_torch = TorchSampler(automaton, "cpu")

    def draw(first: int) -> None:
        for _ in sample_batches(automaton, 42, first, BY_KERNEL):
            pass

    def torch_draw() -> None:
        for first in range(0, BY_TORCH, BATCH["cpu"]):
            by_torch.draw(42, first, BATCH["cpu"])

    return {
        "notebook": (BY_NOTEBOOK, lambda: notebook_sample(BY_NOTEBOOK, itos, P)),
        "torch, one core": (BY_TORCH, torch_draw),
        "one core": (BY_KERNEL, lambda: draw(0)),
        "two cores": (2 * BY_KERNEL, lambda: list(pool.map(draw, (0, BY_KERNEL)))),
    }


def ratio(values: list[float], others: list[float]) -> float:
    """How many times faster, as the median over the repeats."""
    return statistics.median(value / other for value, other in zip(values, others, strict=True))


if __name__ == "__main__":
    main()

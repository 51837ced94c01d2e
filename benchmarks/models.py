"""How well each preset predicts names, and what it costs: NLL on dev and test, training time, states, names a second.

    python benchmarks/models.py [--names FILE] [--models kneser-ney quick default best]

Names are split as the job splits them; the NLL is that of the automaton, nats per character, end of name included.
Training is everything from the counts to the table: the network, the blend's weight, and the contexts that are added.
The notebook's own loop, 100 steps on all names, is timed before each model and behind it, and training is given as a
multiple of the median of all these times.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import polars as pl
import torch
from notebook import NAMES, notebook_train, seconds, spread

from namegen.automaton.automaton import Automaton
from namegen.corpus.corpus import Corpus, Split, read_corpus, split
from namegen.corpus.ngrams import count_ngrams
from namegen.models import kneser_ney
from namegen.report.text import losses
from namegen.sampling.stream import sample_batches
from namegen.training.evaluate import evaluate
from namegen.training.fit import Fitted, fit_models
from namegen.training.quantise import quantise
from namegen.training.recipe import PRESETS, choose

SAMPLED = 1_000_000  # names
REPEATS = 5  # of the sampling


def make(corpus: Corpus, parts: Split, name: str) -> tuple[float, Automaton, pl.DataFrame]:
    """Training time in seconds, the automaton, and its evaluation."""
    model, preset = ("blend", name) if name in PRESETS else (name, "default")
    recipe = choose(corpus, model, preset, 0.2)
    counts = count_ngrams(parts.train, corpus.vocabulary, recipe.order)
    start = time.perf_counter()
    if name in PRESETS:
        fitted: Fitted = fit_models(counts, parts.dev, recipe, "cpu")
        table = fitted.tables[model]
        probabilities, contexts, exact = table.probabilities, table.contexts, table.exact
        training = time.perf_counter() - start
    else:
        probabilities, contexts, exact = kneser_ney.fit(counts).table, counts, None
        training = time.perf_counter() - start
    automaton = quantise(probabilities, contexts)
    return training, automaton, evaluate(model, probabilities, automaton, parts, exact)


def rate(automaton: Automaton) -> float:
    """Names a second, one core, median of `REPEATS`."""

    def draw() -> None:
        for _ in sample_batches(automaton, 42, 0, SAMPLED):
            pass

    draw()  # once, to warm up
    return SAMPLED / statistics.median(seconds(draw) for _ in range(REPEATS))


def main() -> None:
    """Makes and measures each model, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=Path, default=NAMES)
    parser.add_argument("--models", nargs="+", choices=["kneser-ney", *PRESETS], default=["kneser-ney", *PRESETS])
    arguments = parser.parse_args()

    corpus = read_corpus(arguments.names)
    parts, words = split(corpus), list(corpus.names)
    stoi = {symbol: i for i, symbol in enumerate(corpus.vocabulary.symbols)}
    loops, rows = [], []
    make(corpus, parts, "kneser-ney")  # once, to warm up
    for name in arguments.models:
        loops.append(seconds(lambda: notebook_train(words, stoi, 100)))
        training, automaton, evaluation = make(corpus, parts, name)
        loops.append(seconds(lambda: notebook_train(words, stoi, 100)))
        own = evaluation.filter(source="automaton")
        nll = [f"{own.filter(split=s, subset=u)['nll'].item():.4f}" for s in ("dev", "test") for u in ("all", "unseen")]
        lost = " / ".join(f"{loss:.4f}" for _, _, loss in losses(evaluation)) or "0"
        rows.append([name, *nll, lost, training, f"{automaton.states:,}", f"{rate(automaton) / 1e6:.1f} M"])
        print(f"{name} made in {training:.1f} s", flush=True)

    versions = ", ".join(f"{package} {version(package)}" for package in ("torch", "polars", "numpy"))
    print(f"\n{arguments.names.name}: {len(words):,} names; Python {platform.python_version()}, {versions}")
    print(f"{platform.machine()}, {torch.get_num_threads()} threads")
    print(f"notebook's loop, 100 steps: {spread(tuple(loops))} s\n")
    loop = statistics.median(loops)
    titles = ["", "dev", "dev, unseen", "test", "test, unseen", "forgetting", "training, s", "of the loop", "states"]
    lines = [[*titles, "names a second"]]
    lines += [[*row[:6], f"{row[6]:.2f}", f"{row[6] / loop:.2f}", *row[7:]] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print("\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines))


if __name__ == "__main__":
    main()

"""How well each preset predicts names, and what it costs: NLL on dev and test, training time, states, names a second.

    python benchmarks/models.py [--names FILE] [--models kneser-ney quick default best] [--seeds 1]

Names are split as the job splits them; the NLL is that of the automaton, nats per character, end of name included.
Training is the networks and the blend's weights, and compiling everything from there to the table. Beside the NLL
stands how like the list the drawn names are. `--seeds 3` trains each preset from other starting values, too.
The notebook's own loop, 100 steps on all names, is timed before each model and behind it, and training is given as a
multiple of the median of all these times.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import polars as pl
import torch
from notebook import NAMES, notebook_train, seconds, spread

from namegen.automaton.automaton import Automaton
from namegen.corpus.corpus import Corpus, Split, read_corpus, split
from namegen.corpus.ngrams import count_ngrams
from namegen.report.text import losses
from namegen.sampling.stream import sample_batches
from namegen.training.evaluate import of_model, of_table
from namegen.training.fit import fit_models, tables_of
from namegen.training.likeness import measure
from namegen.training.quantise import quantise
from namegen.training.recipe import PRESETS, choose

SAMPLED = 1_000_000  # names
REPEATS = 5  # of the sampling


def make(corpus: Corpus, parts: Split, name: str, seed: int = 0) -> tuple[float, float, Automaton, pl.DataFrame]:
    """The seconds of training and of compiling, the automaton, and its evaluation."""
    model, preset = ("blend", name) if name in PRESETS else (name, "default")
    recipe = choose(corpus, model, preset, 0.2)
    recipe = replace(recipe, networks=tuple(replace(each, seed=each.seed + 100 * seed) for each in recipe.networks))
    counts = count_ngrams(parts.train, corpus.vocabulary, recipe.order)
    start = time.perf_counter()
    fitted = fit_models(parts.train, counts, parts.dev, recipe, "cpu")
    trained = time.perf_counter()
    table = tables_of(fitted, counts, recipe)[model]
    compiled = time.perf_counter()
    automaton = quantise(table.probabilities, table)
    own = of_table(model, table.probabilities, automaton, parts)
    exact = of_model(model, fitted.others[model], corpus.vocabulary, parts)
    return trained - start, compiled - trained, automaton, pl.concat([own, exact])


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
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()

    corpus = read_corpus(arguments.names)
    parts, words = split(corpus), list(corpus.names)
    stoi = {symbol: i for i, symbol in enumerate(corpus.vocabulary.symbols)}
    loops, rows = [], []
    make(corpus, parts, "kneser-ney")  # once, to warm up
    for name, seed in ((name, seed) for name in arguments.models for seed in range(arguments.seeds)):
        loops.append(seconds(lambda: notebook_train(words, stoi, 100)))
        training, compiling, automaton, evaluation = make(corpus, parts, name, seed)
        loops.append(seconds(lambda: notebook_train(words, stoi, 100)))
        own = evaluation.filter(source="automaton")
        nll = [f"{own.filter(split=s, subset=u)['nll'].item():.4f}" for s in ("dev", "test") for u in ("all", "unseen")]
        lost = " / ".join(f"{loss:.4f}" for _, _, loss in losses(evaluation)) or "0"
        like = measure(name, automaton, corpus, parts).row(0, named=True)
        likeness = [f"{like[what]:.3f}" for what in ("length_distance", "detectability", "membership")]
        speed = f"{rate(automaton) / 1e6:.1f} M"
        rows.append([name, *nll, lost, *likeness, training, f"{compiling:.1f}", f"{automaton.states:,}", speed])
        print(f"{name} made in {training + compiling:.1f} s", flush=True)

    versions = ", ".join(f"{package} {version(package)}" for package in ("torch", "polars", "numpy"))
    print(f"\n{arguments.names.name}: {len(words):,} names; Python {platform.python_version()}, {versions}")
    print(f"{platform.machine()}, {torch.get_num_threads()} threads")
    print(f"notebook's loop, 100 steps: {spread(tuple(loops))} s\n")
    loop = statistics.median(loops)
    titles = ["", "dev", "dev, unseen", "test", "test, unseen", "lost by compiling", "lengths", "told apart"]
    lines = [[*titles, "membership", "training, s", "of the loop", "compiling, s", "states", "names a second"]]
    lines += [[*row[:9], f"{row[9]:.2f}", f"{row[9] / loop:.2f}", *row[10:]] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print("\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines))


if __name__ == "__main__":
    main()

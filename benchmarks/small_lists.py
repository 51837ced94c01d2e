"""How well short lists with capitals are learnt: NLL by five-fold cross-validation, and what the drawn names are like.

    NAMEGEN_SMALL_LISTS=FOLDER python benchmarks/small_lists.py [LIST ...]

The folder has tolkien.txt, towns.txt, norwegian-surnames.txt and dinosaurs.txt. A list is its different names, shuffled
by `random.Random(1)`, and fold f is names[f::5]. `tolkien-50` is 50 of them, by `random.Random(3).sample`. Each fold is
predicted by a default model of the others, in nats a character, end included; every character of the list is known.
The columns are the default model (its automaton, and the model itself), Kneser-Ney of order 6 alone, and the pool
without the background. Then, of 20,000 names drawn from a model of the whole list, the share that begins with a kind of
character with which no listed name begins, that has a capital where no listed one has, that has one letter (beyond what
is listed), and that is longer than the longest listed name by more than two; and the same of a plain Markov chain,
markovify over characters.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import markovify
import numpy as np

import namegen
from namegen.corpus.corpus import corpus_of
from namegen.corpus.ngrams import count_ngrams
from namegen.corpus.pairs import allowed_pairs
from namegen.models import kneser_ney
from namegen.models.predictor import Predictor
from namegen.parameters import Parameters
from namegen.pipeline import plan_fit
from namegen.training import few
from namegen.training.exact import log_prob
from namegen.training.fit import fit_models, tables_of
from namegen.training.quantise import quantise

LISTS = {
    "tolkien-50": 2.63,
    "towns-50": 2.43,
    "norwegian-surnames-200": 2.02,
    "tolkien": 2.01,
    "towns": 1.90,
    "norwegian-surnames": 1.81,
    "dinosaurs": 1.52,
}  # and what each should reach
FOLDS = 5
DRAWN = 20_000
TEN = ["Aldren", "Brynna", "Corvath", "Delmira", "Eskil", "Fenwick", "Galdor", "Hestia", "Ilvane", "Jorund"]


def names_of(title: str) -> list[str]:
    """The names of a list, shuffled."""
    if title == "ten":
        return TEN
    name, _, count = title.rpartition("-")
    name, count = (name, count) if count.isdigit() else (title, "")
    text = (Path(os.environ["NAMEGEN_SMALL_LISTS"]) / f"{name}.txt").read_text("utf-8")
    names = list(dict.fromkeys(line for line in text.split("\n") if line))
    if count:
        names = random.Random(3).sample(names, int(count))  # noqa: S311 - reproducible
    random.Random(1).shuffle(names)  # noqa: S311 - reproducible
    return names


def cross_validated(names: Sequence[str]) -> list[float]:
    """The NLL of the default model's automaton, of itself, and of what it is made of."""
    corpus = corpus_of(names)
    plan = plan_fit(corpus, Parameters(), {})
    allowed, symbols = allowed_pairs(corpus), sum(map(len, names)) + len(names)
    nats = np.zeros(4)
    for k in range(FOLDS):
        held = names[k::FOLDS]
        rest = [name for i, name in enumerate(names) if i % FOLDS != k]
        counts = count_ngrams(rest, corpus.vocabulary, plan.recipe.order)
        fitted = fit_models(rest, counts, (), plan.recipe, "cpu", allowed=allowed, background=plan.background)
        table = tables_of(fitted, counts, plan.recipe)["blend"]
        automaton = quantise(table.probabilities, table)
        own = few.members_without_case(rest, corpus.vocabulary, None)
        members: list[Predictor] = [
            fitted.others["blend"],
            kneser_ney.fit(counts),
            few.fit(rest, counts, [*own.values()], None, allowed).blend,
        ]
        found = [automaton.log_prob(held), *(log_prob(each, corpus.vocabulary, held) for each in members)]
        nats -= [each.sum() for each in found]
    return [*(nats / symbols)]


def kind(character: str) -> str:
    """Of a symbol, for `oddities`."""
    if character.isspace():
        return "space"
    if character.isalpha():
        return "upper" if character != character.lower() else "lower"
    return "digit" if character.isdigit() else "sign"


def oddities(drawn: Sequence[str], listed: Sequence[str]) -> list[float]:
    """Four shares of drawn names that look like no listed one; see above."""

    def capitals(names: Iterable[str]) -> list[set[str]]:
        return [{kind(a) for a, b in pairwise(name) if kind(b) == "upper"} for name in names]

    begins, after = {kind(name[0]) for name in listed}, set[str]().union(*capitals(listed))
    longest = max(map(len, listed)) + 2
    one = sum(len(name) == 1 for name in listed) / len(listed)
    return [
        sum(kind(name[0]) not in begins for name in drawn) / len(drawn),
        sum(bool(found - after) for found in capitals(drawn)) / len(drawn),
        sum(len(name) == 1 for name in drawn) / len(drawn) - one,
        sum(len(name) > longest for name in drawn) / len(drawn),
    ]


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", nargs="*", metavar="LIST", help=", ".join([*LISTS, "ten"]))
    parser.add_argument("--show", type=int, default=0, help="how many of the drawn names to print")
    parser.add_argument("--no-folds", action="store_true", help="leave the cross-validation out")
    arguments = parser.parse_args()
    lists = arguments.lists or [*LISTS, "ten"]
    if not arguments.no_folds:
        print("| list | names | to reach | automaton | model | Kneser-Ney 6 | without background |")
        print("|---|---|---|---|---|---|---|", flush=True)
        for title in lists:
            names = names_of(title)
            figures = " | ".join(f"{nll:.3f}" for nll in cross_validated(names))
            print(f"| {title} | {len(names):,} | {LISTS.get(title, '')} | {figures} |", flush=True)
        print()
    print("| list | | begins oddly | capital inside | one letter | too long | time, s |\n|---|---|---|---|---|---|---|")
    for title in lists:
        names = names_of(title)
        started = time.perf_counter()
        model = namegen.fit(names)
        drawn = model.sample(DRAWN, into="list")
        seconds = time.perf_counter() - started
        random.seed(1)
        chain = markovify.Chain([[*name] for name in names], 2)
        plain = ["".join(chain.walk()) for _ in range(DRAWN)]
        for what, found, took in (("namegen", drawn, f"{seconds:.1f}"), ("markovify, order 2", plain, "")):
            shares = " | ".join(f"{100 * share:.2f} %" for share in oddities(found, names))
            print(f"| {title} | {what} | {shares} | {took} |", flush=True)
        if arguments.show:
            print("\n" + ", ".join(drawn[: arguments.show]) + "\n", flush=True)


if __name__ == "__main__":
    main()

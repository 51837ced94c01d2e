"""Questions: how long they take to be ready, whether answers ever violate them, and other ways to the same wish.

    pip install -e '.[bench]'
    python benchmarks/questions.py MODEL_FOLDER [--repeats 3] [--rows 1e9]

The wish of the second table is 1,000 different new names of 5 to 8 letters that begin with "mar". Masking is what
generators do that leave out the symbols which cannot lead to an answer and scale up the rest: its distance from the
conditional law is the total variation, estimated from 100,000 conditional names.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import markovify
import numpy as np
import pyarrow.compute as pc
from faker import Faker
from faker.exceptions import UniquenessException

import namegen
from namegen.automaton.automaton import Automaton
from namegen.automaton.walk import walk
from namegen.questions.graph import Graph, _narrowed
from namegen.questions.question import Question

NAMES = Path(__file__).parents[1] / "data" / "names.txt"
TWENTY: list[dict[str, Any]] = [
    {"prefix": "mar"},
    {"prefix": "x"},
    {"suffix": "a"},
    {"suffix": "ella"},
    {"contains": "xy"},
    {"contains": "zz"},
    {"length": (5, 8)},
    {"length": 3},
    {"length": (5, None)},
    {"length": (12, None)},
    {"novel": True},
    {"block": ["ass", "sex", "tit", "hell"]},
    {"without": NAMES},
    {"pattern": "(jo|ma).*[aeiou]n?"},
    {"pattern": "([^aeiouy][aeiouy])+"},
    {"prefix": "qx", "suffix": "zq"},
    {"prefix": "mar", "length": (5, 8), "novel": True},
    {"length": (5, 8), "novel": True},
    {"suffix": "ella", "length": (5, 8), "novel": True},
    {"novel": True, "block": ["ass", "sex", "tit", "hell"], "contains": "x", "length": (4, 10)},
]
WISH: dict[str, Any] = {"prefix": "mar", "length": (5, 8), "novel": True}
COUNT, GIVE_UP = 1000, 60.0  # names; seconds


def main() -> None:
    """Prints all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=float, default=1e7)
    arguments = parser.parse_args()
    model = namegen.load(arguments.model)
    print(f"{model!r}; {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    time_questions(model, arguments.repeats)
    time_rivals(model, arguments.repeats)
    print(f"\nmasking: total variation {masked(model.automaton, WISH):.4f} of the wish without novel")
    look_for_violations(model, int(arguments.rows))


def time_questions(model: namegen.Model, repeats: int) -> None:
    """How long each of the twenty takes, and what it is."""
    model.where(prefix="a")  # the compiled code is loaded
    for question in TWENTY:
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            asked = model.where(**question)
            seconds.append(time.perf_counter() - start)
        spread = f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
        states = f"{asked.automaton.states:,} states"
        print(f"{spread:26}{states:>16}  {asked.probability:.3g}  {', '.join(asked.asked)}", flush=True)
    print(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB at its peak")


def time_rivals(model: namegen.Model, repeats: int) -> None:
    """The wish, in several ways."""
    listed = set(NAMES.read_text().split())
    text = "\n".join(" ".join(name) for name in sorted(listed))  # characters as words
    chain = markovify.NewlineText(text, state_size=4, well_formed=False, retain_original=False)
    random.seed(1)
    ways: dict[str, Callable[[], list[str]]] = {
        "namegen: where and distinct": lambda: model.where(**WISH).distinct(COUNT, into="list"),
        "namegen: filtering its own stream": lambda: collected(own_stream(model), listed),
        "markovify, filtered": lambda: collected(
            ((chain.make_sentence(test_output=False) or "").replace(" ", "") for _ in count()), listed
        ),
        "Faker with unique, filtered": lambda: collected(unique_names(), listed),
    }
    print(f"\n{COUNT:,} such names, or as many as come in {GIVE_UP:.0f} s")
    for way, work in ways.items():
        seconds, names = [], list[str]()
        for _ in range(repeats if "namegen" in way else 1):
            start = time.perf_counter()
            names = work()
            seconds.append(time.perf_counter() - start)
        spread = f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
        print(f"{way:36}{spread:28}{len(names):>6,} names", flush=True)


def collected(names: Iterator[str], listed: set[str]) -> list[str]:
    """Those that are wanted, each once, until there are enough or it takes too long."""
    found: dict[str, None] = {}
    end = time.perf_counter() + GIVE_UP
    for name in names:
        if name.startswith("mar") and 5 <= len(name) <= 8 and name not in listed:
            found[name] = None
        if len(found) == COUNT or time.perf_counter() > end:
            break
    return list(found)


def own_stream(model: namegen.Model) -> Iterator[str]:
    """The names of a plain stream that begin with mar; finding those takes little of the time."""
    for first in count(0, 2**18):
        table = model.sample(2**18, first=first, into="arrow")["name"]
        yield from table.filter(pc.starts_with(table, "mar")).to_pylist()


def unique_names() -> Iterator[str]:
    """Faker's first names, each once."""
    faker = Faker("en_US")
    try:
        while True:
            yield faker.unique.first_name().lower()
    except UniquenessException:
        return


def masked(automaton: Automaton, wish: dict[str, Any]) -> float:
    """The total variation between the conditional law and that of masking."""
    question = Question.of(**{name: value for name, value in wish.items() if name != "novel"})
    conditions = question.conditions(automaton.vocabulary, [])
    part = _narrowed(Graph.whole(automaton), conditions)
    allowed = part.successor >= 0
    allowed[:, 0] = part.ends
    table = np.where(allowed, part.weights, 0).astype(float)
    table /= table.sum(axis=1, keepdims=True)
    asked = namegen.Model(automaton).asking(question)
    names = asked.sample(100_000, into="list")
    with np.errstate(divide="ignore"):
        other = walk(names, automaton.vocabulary, np.maximum(part.successor, 0), np.log(table))
    return float(np.maximum(0, 1 - np.exp(other - asked.automaton.log_prob(names))).mean())


def look_for_violations(model: namegen.Model, rows: int) -> None:
    """So many rows over 200 random questions: each has a prefix, a suffix or a piece, and often a length and blocks."""
    draw = random.Random(1)  # noqa: S311 - no secret
    names, done, violations, asked_times = NAMES.read_text().split(), 0, 0, 0
    start = time.perf_counter()
    while asked_times < 200:
        name = draw.choice(names)
        kind = draw.choice(["prefix", "suffix", "contains"])
        size = draw.randint(1, min(3, len(name)))
        text = name[:size] if kind == "prefix" else name[-size:] if kind == "suffix" else name[1 : 1 + size] or name
        question: dict[str, Any] = {kind: text}
        if draw.random() < 0.5:
            first = draw.randint(3, 8)
            question["length"] = (first, first + draw.randint(0, 4))
        if draw.random() < 0.3:
            question["block"] = draw.sample(["ee", "an", "x", "ly"], 2)
        try:
            asked = model.where(**question)
        except namegen.NamegenError:
            continue
        asked_times += 1
        for at in range(0, rows // 200, 2**20):
            column = asked.sample(min(2**20, rows // 200 - at), seed=asked_times, first=at, into="arrow")["name"]
            pattern = {"prefix": f"^{text}", "suffix": f"{text}$", "contains": text}[kind]
            fine = pc.match_substring_regex(column, pattern)
            if "length" in question:
                sizes = pc.utf8_length(column)
                shortest, longest = question["length"]
                fine = pc.and_(fine, pc.and_(pc.greater_equal(sizes, shortest), pc.less_equal(sizes, longest)))
            if "block" in question:
                fine = pc.and_(fine, pc.invert(pc.match_substring_regex(column, "|".join(question["block"]))))
            violations += len(column) - pc.sum(fine).as_py()
            done += len(column)
    took = time.perf_counter() - start
    print(f"{violations} violations in {done:,} rows of {asked_times} random questions ({took:.0f} s)")


if __name__ == "__main__":
    main()

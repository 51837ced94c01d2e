"""How similar the drawn names are to the list: the share of new names, distances, and whether they can be told apart.

Unlike `evaluate`, which looks at the probabilities of real names, it looks at the names that a model draws. Distances
are total variation: half the sum of the differences between two distributions, from 0 to 1. This is the most that the
probabilities of any event differ. For `detectability` and `membership`, see `detect`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from namegen.automaton.automaton import Automaton
from namegen.characters import lengths_and_ends
from namegen.corpus.corpus import Corpus, Split
from namegen.questions.count import names_up_to
from namegen.questions.temperature import temper
from namegen.questions.top import top
from namegen.sampling.stream import sample
from namegen.training.detect import auc, detectability

SAMPLED = 100_000
SEED = 42  # whatever seed the job draws with: these figures describe the model
EXAMPLES = 20
LIKELIEST, AMONG = 50, 20_000  # how many new names, and among how many of the most probable ones they are looked for
TOLD_APART = 3_000  # names of each kind, and at least so many are needed:
FEW = 50
TEMPERATURES = (0.7, 1.3)
LONG = 12  # characters
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "model": pl.String,
    "names": pl.Int64,  # how many were drawn
    "novel": pl.Float64,  # the share that is not in the names file
    "distinct": pl.Float64,  # the number of different names, divided by `names`
    "mean_length": pl.Float64,  # characters
    "corpus_mean_length": pl.Float64,
    "long": pl.Float64,  # the share of names with 12 characters or more
    "corpus_long": pl.Float64,
    "length_distance": pl.Float64,  # total variation between the drawn names and the names file
    "first_letter_distance": pl.Float64,
    "last_letter_distance": pl.Float64,
    "detectability": pl.Float64,  # AUC, 0.5 is best; null if too few names are held out
    "detectability_cold": pl.Float64,  # at temperature 0.7; null but for the model that is drawn from
    "detectability_hot": pl.Float64,  # at temperature 1.3
    "membership": pl.Float64,  # AUC, 0.5 tells nothing of the list; null as `detectability`
    "examples": pl.List(pl.String),  # the first names that were drawn
    "likeliest": pl.List(pl.String),  # the most probable names that are not on the list; as `detectability_cold`
}


def measure(
    model: str, automaton: Automaton, corpus: Corpus, split: Split, count: int = SAMPLED, *, whole: bool = False
) -> pl.DataFrame:
    """The row of `SCHEMA` for a model: draws `count` names and compares them with those of the corpus.

    Args:
        whole: whether to measure also what takes a second more.
    """
    drawn = _drawn(automaton, count)
    row = compare(model, drawn, pl.Series(corpus.names))
    train = set(split.train)
    held_out = [name for name in dict.fromkeys((*split.dev, *split.test)) if name not in train]
    more: dict[str, float | list[str] | None] = {}
    if len(held_out) >= FEW:
        more["detectability"] = _told_apart(drawn, held_out, train)
        known = automaton.log_prob([*train])
        more["membership"] = auc(known[np.isfinite(known)], automaton.log_prob(held_out))
        if whole:
            tempered = (_drawn(temper(automaton, t), count) for t in TEMPERATURES)
            cold, hot = (_told_apart(each, held_out, train) for each in tempered)
            more |= {"detectability_cold": cold, "detectability_hot": hot}
    if whole:
        more["likeliest"] = _likeliest(automaton, corpus)
    return row.with_columns(pl.lit(value, SCHEMA[name]).alias(name) for name, value in more.items()).select(*SCHEMA)


def compare(model: str, drawn: pl.Series, corpus: pl.Series) -> pl.DataFrame:
    """The row of `SCHEMA` for drawn names, compared with those of the corpus; null where that is not enough."""
    (length, first, last), (listed_length, listed_first, listed_last) = map(lengths_and_ends, (drawn, corpus))
    row = {
        "model": model,
        "names": len(drawn),
        "novel": 1 - float(drawn.str.normalize("NFC").is_in(corpus.unique().implode()).mean()),  # type: ignore[arg-type] # a mean of booleans is a number
        "distinct": drawn.n_unique() / len(drawn),
        "mean_length": length.mean(),
        "corpus_mean_length": listed_length.mean(),
        "long": (length >= LONG).mean(),
        "corpus_long": (listed_length >= LONG).mean(),
        "length_distance": total_variation(length, listed_length),
        "first_letter_distance": total_variation(first, listed_first),
        "last_letter_distance": total_variation(last, listed_last),
        "examples": drawn.head(EXAMPLES).to_list(),
    }
    return pl.DataFrame([row], SCHEMA, orient="row")


def _drawn(automaton: Automaton, count: int) -> pl.Series:
    return pl.Series(pl.from_arrow(sample(automaton, SEED, 0, count)["name"]))


def _told_apart(drawn: pl.Series, held_out: Sequence[str], train: set[str]) -> float | None:
    """The detectability of the first different drawn names that are not in train; None if there are too few."""
    new = [name for name in drawn.unique(maintain_order=True).to_list() if name not in train]
    size = min(len(new), len(held_out), TOLD_APART)
    return detectability(new[:size], held_out[:size]) if size >= FEW else None


def _likeliest(automaton: Automaton, corpus: Corpus) -> list[str]:
    """The most probable names that are not on the list, as far as they are found."""
    listed = set(corpus.names)
    there = min(AMONG, names_up_to(automaton, AMONG))
    return [name for name in top(automaton, there)["name"].to_pylist() if name not in listed][:LIKELIEST]


def total_variation(one: pl.Series, other: pl.Series) -> float:
    """Half the sum of |p(x) - q(x)| over all values x of two samples."""
    p, q = (pl.DataFrame({"x": s}).group_by("x").agg(p=pl.len() / len(s)) for s in (one, other))
    both = p.join(q, on="x", how="full")
    differences = (both["p"].fill_null(0) - both["p_right"].fill_null(0)).abs()
    return math.fsum(differences) / 2  # exact, so the order of the groups does not matter

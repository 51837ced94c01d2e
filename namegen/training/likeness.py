"""How similar the drawn names are to the list: the share of new names, and the distances of lengths and letters.

Unlike `evaluate`, which looks at the probabilities of real names, it looks at the names that a model draws. Distances
are total variation: half the sum of the differences between two distributions, from 0 to 1. This is the most that the
probabilities of any event differ.
"""

from __future__ import annotations

import math

import polars as pl

from namegen.automaton.automaton import Automaton
from namegen.corpus.corpus import Corpus
from namegen.sampling.stream import sample

SAMPLED = 100_000
SEED = 42  # whatever seed the job draws with: these figures describe the model
EXAMPLES = 20
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "model": pl.String,
    "names": pl.Int64,  # how many were drawn
    "novel": pl.Float64,  # the share that is not in the names file
    "distinct": pl.Float64,  # the number of different names, divided by `names`
    "mean_length": pl.Float64,  # characters
    "corpus_mean_length": pl.Float64,
    "length_distance": pl.Float64,  # total variation between the drawn names and the names file
    "first_letter_distance": pl.Float64,
    "last_letter_distance": pl.Float64,
    "examples": pl.List(pl.String),  # the first names that were drawn
}


def measure(model: str, automaton: Automaton, corpus: Corpus, count: int = SAMPLED) -> pl.DataFrame:
    """The row of `SCHEMA` for a model: draws `count` names and compares them with those of the corpus."""
    drawn = sample(automaton, SEED, 0, count)["name"]
    return compare(model, pl.Series(pl.from_arrow(drawn)), pl.Series(corpus.names))


def compare(model: str, drawn: pl.Series, corpus: pl.Series) -> pl.DataFrame:
    """The row of `SCHEMA` for drawn names, compared with those of the corpus."""
    row = (
        model,
        len(drawn),
        1 - float(drawn.str.normalize("NFC").is_in(corpus.unique().implode()).mean()),  # type: ignore[arg-type] # a mean of booleans is a number
        drawn.n_unique() / len(drawn),
        drawn.str.len_chars().mean(),
        corpus.str.len_chars().mean(),
        total_variation(drawn.str.len_chars(), corpus.str.len_chars()),
        total_variation(drawn.str.head(1), corpus.str.head(1)),
        total_variation(drawn.str.tail(1), corpus.str.tail(1)),
        drawn.head(EXAMPLES).to_list(),
    )
    return pl.DataFrame([row], SCHEMA, orient="row")


def total_variation(one: pl.Series, other: pl.Series) -> float:
    """Half the sum of |p(x) - q(x)| over all values x of two samples."""
    p, q = (pl.DataFrame({"x": s}).group_by("x").agg(p=pl.len() / len(s)) for s in (one, other))
    both = p.join(q, on="x", how="full")
    differences = (both["p"].fill_null(0) - both["p_right"].fill_null(0)).abs()
    return math.fsum(differences) / 2  # exact, so the order of the groups does not matter

"""How well a model predicts names: its negative log-likelihood, per split, with seen and unseen names apart.

Measured by the model's own table and by the automaton made from it, so that the integers can be seen to cost nothing;
and, for a model that knows more contexts than its table has, by the model itself, to see what forgetting them costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from namegen.automaton.automaton import Automaton
from namegen.automaton.logarithm import ln
from namegen.automaton.walk import walk
from namegen.corpus.corpus import Split

SCHEMA = {
    "model": pl.String,
    "source": pl.String,  # "table", "automaton", and "exact" for a model that knows more contexts
    "split": pl.String,  # "train", "dev" or "test"
    "subset": pl.String,  # "all", or "seen" and "unseen": whether the name also stands in train
    "names": pl.Int64,
    "symbols": pl.Int64,  # characters, and an end for each name
    "nll": pl.Float64,  # nats a symbol
    "standard_error": pl.Float64,  # of nll, over names
    "perplexity": pl.Float64,  # e^nll
}


def evaluate(
    model: str,
    probabilities: NDArray[np.float64],
    automaton: Automaton,
    split: Split,
    exact: Callable[[Sequence[str]], NDArray[np.float64]] | None = None,
) -> pl.DataFrame:
    """The rows of `SCHEMA` for one model: every source, split and subset that has names.

    Args:
        probabilities: float64[S, V]: the table that the automaton was made from.
        exact: gives the log-probabilities of names by the model itself, if they can differ from the table's.
    """
    table = ln(probabilities)
    sources: dict[str, Callable[[Sequence[str]], NDArray[np.float64]]] = {
        "table": lambda names: walk(names, automaton.vocabulary, automaton.successor, table),
        "automaton": automaton.log_prob,
    }
    if exact:
        sources["exact"] = exact
    rows = [
        (model, source, name, subset, len(names), *nll(names, score(names)))
        for source, score in sources.items()
        for name, subset, names in _subsets(split)
    ]
    return pl.DataFrame(rows, SCHEMA, orient="row")


def nll(names: Sequence[str], log_prob: NDArray[np.float64]) -> tuple[int, float, float, float]:
    """Symbols, NLL in nats a symbol (end of name included), its standard error, and perplexity.

    The names are the independent draws, not their symbols, so the NLL is a ratio of two sums over names and has a
    ratio estimator's error: se^2 = n/(n-1) sum (nll_i - R symbols_i)^2 / (sum symbols)^2 (Cochran 1977, eq. 2.39).
    """
    symbols = np.fromiter(map(len, names), np.int64, len(names)) + 1
    total = int(symbols.sum())
    mean = -math.fsum(log_prob) / total  # fsum: exact, so the order of the names does not matter
    n = len(names)
    if n == 1 or not math.isfinite(mean):
        return total, mean, math.nan, math.exp(mean)
    deviations = -log_prob - mean * symbols
    error = math.sqrt(n / (n - 1) * math.fsum(deviations**2)) / total
    return total, mean, error, math.exp(mean)


def _subsets(split: Split) -> Iterator[tuple[str, str, Sequence[str]]]:
    train = frozenset(split.train)
    for name in ("train", "dev", "test"):
        names = getattr(split, name)
        seen = names if name == "train" else [n for n in names if n in train]
        unseen = [] if name == "train" else [n for n in names if n not in train]
        for subset, part in (("all", names), ("seen", seen), ("unseen", unseen)):
            if part:
                yield name, subset, part

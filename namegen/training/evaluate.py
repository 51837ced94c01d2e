"""How well a model predicts names: its negative log-likelihood (NLL) per split, for seen and unseen names.

Unlike `likeness`, which looks at drawn names, it looks at the probabilities of real ones. It measures the model's table
and the automaton made from it, which shows that rounding to integers costs nothing. If the model remembers more
than its table, it also measures the model itself, which shows what compiling costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from namegen.automaton.automaton import Automaton
from namegen.automaton.logarithm import ln
from namegen.automaton.walk import walk
from namegen.corpus.corpus import Split
from namegen.models.predictor import Predictor
from namegen.training.exact import log_prob
from namegen.vocabulary import Vocabulary

SCHEMA = {
    "model": pl.String,
    "source": pl.String,  # "table", "automaton", or "exact": the model itself
    "split": pl.String,  # "train", "dev", "test", or "folds": each name by what was fitted without it
    "subset": pl.String,  # "all", "seen" or "unseen": whether the names are also in train
    "names": pl.Int64,
    "symbols": pl.Int64,  # characters, and one end per name
    "nll": pl.Float64,  # nats per symbol
    "standard_error": pl.Float64,  # of nll, over names
    "perplexity": pl.Float64,  # e^nll
}


def of_table(model: str, probabilities: NDArray[np.float64], automaton: Automaton, split: Split) -> pl.DataFrame:
    """The rows of `SCHEMA` for a table and its automaton: every split and subset that has names.

    Args:
        probabilities: float64[S, V]: the table that the automaton was made from.
    """
    table = ln(probabilities)
    by_table = partial(walk, vocabulary=automaton.vocabulary, successor=automaton.successor, log_probabilities=table)
    return pl.concat([_rows(model, "table", by_table, split), _rows(model, "automaton", automaton.log_prob, split)])


def of_model(model: str, itself: Predictor, vocabulary: Vocabulary, split: Split) -> pl.DataFrame:
    """The rows of `SCHEMA` for a model that remembers more than its table: of dev and test."""
    held_out = replace(split, train=())
    return _rows(model, "exact", partial(log_prob, itself, vocabulary), held_out, frozenset(split.train))


def of_folds(model: str, names: Sequence[str], log_prob: NDArray[np.float64]) -> pl.DataFrame:
    """The row of `SCHEMA` for names that were scored by cross-validation; none for no names."""
    rows = [(model, "exact", "folds", "all", len(names), *nll(names, log_prob))] if names else []
    return pl.DataFrame(rows, SCHEMA, orient="row")


def _rows(
    model: str,
    source: str,
    score: Callable[[Sequence[str]], NDArray[np.float64]],
    split: Split,
    train: frozenset[str] | None = None,
) -> pl.DataFrame:
    train = frozenset(split.train) if train is None else train
    rows = []
    for part in ("train", "dev", "test"):
        names = getattr(split, part)
        if not names:
            continue
        scored = score(names)
        is_seen = np.fromiter((name in train for name in names), bool, len(names))
        subsets = {"all": np.ones(len(names), bool), "seen": is_seen, "unseen": ~is_seen}
        for subset, inside in subsets.items():
            if inside.any():
                chosen = [names[i] for i in np.flatnonzero(inside)]
                rows.append((model, source, part, subset, len(chosen), *nll(chosen, scored[inside])))
    return pl.DataFrame(rows, SCHEMA, orient="row")


def nll(names: Sequence[str], log_prob: NDArray[np.float64]) -> tuple[int, float, float, float]:
    """The number of symbols (ends included), the NLL in nats per symbol, its standard error, and the perplexity.

    The independent draws are the names, not their symbols. So the NLL is a ratio of two sums over names, with the error
    of a ratio estimator: se^2 = n/(n-1) sum (nll_i - R symbols_i)^2 / (sum symbols)^2 (Cochran 1977, eq. 2.39).
    The error is nan for a single name, and for names of probability 0.

    Of two names with 3 + 2 symbols and probabilities 2^-4 and 2^-1, the perplexity is 2:

    >>> symbols, nats, error, perplexity = nll(["ab", "c"], np.log([2**-4, 2**-1]))
    >>> symbols, round(nats, 3), round(error, 3), round(perplexity, 3)
    (5, 0.693, 0.277, 2.0)
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

"""How well a model predicts names: its negative log-likelihood (NLL) per split, for seen and unseen names.

Unlike `likeness`, which looks at drawn names, it looks at the probabilities of real ones. It measures the model's table
and the automaton made from it, which shows that rounding to integers costs nothing. If the model knows more contexts
than its table has, it also measures the model itself, which shows what forgetting them costs.
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
    "source": pl.String,  # "table", "automaton", or "exact" for a model that knows more contexts
    "split": pl.String,  # "train", "dev" or "test"
    "subset": pl.String,  # "all", "seen" or "unseen": whether the names are also in train
    "names": pl.Int64,
    "symbols": pl.Int64,  # characters, and one end per name
    "nll": pl.Float64,  # nats per symbol
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
        exact: names to their log-probabilities by the model itself, if they can differ from the table's.
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


def _subsets(split: Split) -> Iterator[tuple[str, str, Sequence[str]]]:
    train = frozenset(split.train)
    for name in ("train", "dev", "test"):
        names = getattr(split, name)
        seen = names if name == "train" else [n for n in names if n in train]
        unseen = [] if name == "train" else [n for n in names if n not in train]
        for subset, part in (("all", names), ("seen", seen), ("unseen", unseen)):
            if part:
                yield name, subset, part

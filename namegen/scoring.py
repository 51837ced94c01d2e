"""Names become log-probabilities: a walk through a table, whether an automaton's integers or a model's floats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from namegen.vocabulary import MAX_LENGTH, Vocabulary


def walk(
    names: Sequence[str],
    vocabulary: Vocabulary,
    successor: NDArray[np.int32],
    log_probabilities: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The sum of log-probabilities along each name, boundary included, added in step order; float64[len(names)].

    Args:
        successor, log_probabilities: int32[S, V] and float64[S, V], of an automaton or of a model's table.
    """
    ids, lengths = vocabulary.encode(names)
    starts = np.cumsum(lengths) - lengths
    total = np.zeros(len(names))
    total[lengths > MAX_LENGTH] = -np.inf
    active = np.flatnonzero(lengths <= MAX_LENGTH)
    state = np.zeros(len(active), np.int32)
    for step in range(MAX_LENGTH):  # behind the 64th symbol the boundary is certain
        inside = lengths[active] > step
        symbol = np.zeros(len(active), np.int64)
        symbol[inside] = ids[starts[active[inside]] + step]
        known = symbol >= 0
        total[active] += np.where(known, log_probabilities[state, symbol], -np.inf)
        goes_on = inside & known
        state = successor[state, symbol][goes_on]
        active = active[goes_on]
        if not active.size:
            break
    return total


def score_column(names: Any, log_prob: Callable[[Sequence[str]], NDArray[np.float64]]) -> Any:  # noqa: ANN401 - what came in goes out
    """Scores a column of polars or Arrow; nulls stay."""
    import pyarrow as pa

    if hasattr(names, "to_arrow"):
        import polars as pl

        return pl.Series(names.name, score_column(names.cast(pl.String).to_arrow(), log_prob), pl.Float64)
    if not isinstance(names, pa.Array | pa.ChunkedArray):
        raise TypeError(f"names are text, or a list, a polars Series or an Arrow array of it, not {type(names)}")
    texts = names.cast(pa.string()).to_pylist()
    scores = log_prob([text or "" for text in texts])
    return pa.array(scores, pa.float64(), mask=np.fromiter((text is None for text in texts), bool, len(texts)))

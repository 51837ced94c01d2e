"""Names become log-probabilities: a walk through a table, whether an automaton's integers or a model's floats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from namegen.vocabulary import MAX_LENGTH, Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa


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

    if type(names).__module__.startswith("polars.series"):  # then it has been imported
        import polars as pl

        if names.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
            raise TypeError(f"names are text, not {names.dtype}")
        return pl.Series(names.name, score_column(names.to_arrow(), log_prob), pl.Float64)
    if not isinstance(names, pa.Array | pa.ChunkedArray):
        raise TypeError(f"names are text, or a list, a polars Series or an Arrow array of it, not {type(names)}")
    if not is_text(names.type):
        raise TypeError(f"names are text, not {names.type}")
    texts = names.cast(pa.string()).to_pylist()
    scores = log_prob([text or "" for text in texts])
    return pa.array(scores, pa.float64(), mask=np.fromiter((text is None for text in texts), bool, len(texts)))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of Arrow is of text, however it is laid out, or of nothing but nulls."""
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    of_text = pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null
    return any(is_kind(kind) for is_kind in of_text)

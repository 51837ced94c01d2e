"""Counts plus one, normalised: the notebook's first model.

Unlike `kneser_ney` and `mlp`, it keeps the notebook's smoothing as it is, so the boundary may follow the boundary. With
N training names, about one in N drawn names is empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from namegen.corpus.ngrams import NgramCounts

SMOOTHING = 1  # "The more you add, the more uniform your distribution will be."


def fit(counts: NgramCounts) -> NDArray[np.float64]:
    """float64[V, V]: (counts + 1) / row sum of the bigram counts (order 2)."""
    smoothed = (counts.lower(2).counts + SMOOTHING).astype(np.float64)
    table: NDArray[np.float64] = smoothed / smoothed.sum(axis=1, keepdims=True)
    return table

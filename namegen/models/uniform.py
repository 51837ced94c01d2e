"""Every symbol equally likely: the baseline that the notebook leaves commented out. Its NLL is ln V."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from namegen.corpus.ngrams import NgramCounts


def fit(counts: NgramCounts) -> NDArray[np.float64]:
    """float64[S, V], all 1/V. Only the shape of the counts matters."""
    return np.full((counts.states, len(counts.vocabulary)), 1 / len(counts.vocabulary))

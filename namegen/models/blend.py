"""Linear interpolation of two models' tables: each knows what the other does not.

Unlike the other models, it takes tables, not counts: which two is not its concern.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GRID = 100  # the weight is a multiple of 1/100: dev cannot tell finer ones apart
USUAL = 0.6  # of a network and Kneser-Ney, where there is no dev to choose it on


def best_weight(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The weight of `first` at which the mix has the lowest NLL.

    Args:
        first, second: float64[E]: what each model gave to the symbols of names that neither was trained on; never
            those of test.
    """
    with np.errstate(divide="ignore"):  # a model may have given 0
        nll = [-float(np.log(mix(first, second, i / GRID)).sum()) for i in range(GRID + 1)]
    return int(np.argmin(nll)) / GRID


def mix(first: NDArray[np.float64], second: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Weight * first + (1 - weight) * second; at 0 and 1 exactly the one or the other."""
    return weight * first + (1 - weight) * second

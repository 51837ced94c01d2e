"""Linear interpolation of two models' tables: each knows what the other does not.

Unlike the other models, it takes tables, not counts: which two is not its concern.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

GRID = 100  # the weight is a multiple of 1/100: dev cannot tell finer ones apart
USUAL = 0.6  # of a network and Kneser-Ney, where there is no dev to choose it on


def best_weight(
    first: NDArray[np.float64], second: NDArray[np.float64], dev_nll: Callable[[NDArray[np.float64]], float]
) -> float:
    """The weight of `first` at which the mix has the lowest NLL on dev.

    The NLL is convex in the weight, as the logarithm is concave, so a ternary search of the grid finds the lowest.

    Args:
        first, second: float64[S, V].
        dev_nll: the NLL of a table on names that neither was trained on; never those of test.
    """

    def at(i: int) -> float:
        return dev_nll(mix(first, second, i / GRID))

    low, high = 0, GRID
    while high - low > 2:
        third = (high - low) // 3
        if at(low + third) <= at(high - third):
            high -= third
        else:
            low += third
    return min(range(low, high + 1), key=at) / GRID


def mix(first: NDArray[np.float64], second: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Weight * first + (1 - weight) * second; at 0 and 1 exactly the one or the other."""
    return weight * first + (1 - weight) * second

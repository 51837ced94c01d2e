"""Linear interpolation of two models' tables, which beats either model if the two make different mistakes.

Unlike the other models, it takes tables instead of counts, and works for any two models.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GRID = 100  # the weight is a multiple of 1/100: dev cannot resolve finer steps
USUAL = 0.6  # of a network against Kneser-Ney, if there is no dev to choose it on


def best_weight(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The weight of `first` that gives the mix the lowest NLL.

    Args:
        first, second: float64[E]: the probability that each model gives to each symbol of some names. Neither model
            was trained on these names, and they are not those of test.
    """
    with np.errstate(divide="ignore"):  # a model may give probability 0
        nll = [-float(np.log(mix(first, second, i / GRID)).sum()) for i in range(GRID + 1)]
    return int(np.argmin(nll)) / GRID


def mix(first: NDArray[np.float64], second: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Weight * first + (1 - weight) * second: exactly `second` at weight 0, and `first` at 1."""
    return weight * first + (1 - weight) * second

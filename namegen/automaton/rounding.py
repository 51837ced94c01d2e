"""Probabilities become weights: integers that sum to 2^32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from namegen.automaton.compiled import compiled, f64, i64, read_only

_TOTAL = 2**32


def round_to_weights(probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """int64[S, V]: each row of probability * 2^32, rounded to integers that sum to 2^32.

    By largest remainder: every weight is rounded down, and what is missing from 2^32 goes, 1 each, to the weights that
    lost most; ties go to the lower id. A symbol that would round down to 0 gets 1 instead (A2). If that takes more than
    is missing, the row's largest weight pays.

    >>> round_to_weights(np.array([[1/3, 1/3, 1/3], [1, 1e-12, 0]]))
    array([[1431655766, 1431655765, 1431655765],
           [4294967295,          1,          0]])

    Args:
        probabilities: float64[S, V]; rows sum to 1 within 1e-12.
    """
    weights: NDArray[np.int64] = _round(np.ascontiguousarray(probabilities))
    return weights


@compiled(read_only(f64, 2))
def _round(probabilities):
    states, symbols = probabilities.shape
    weights = np.empty((states, symbols), np.int64)
    lost = np.empty(symbols)  # minus what each weight lost
    for s in range(states):
        missing = i64(_TOTAL)
        for v in range(symbols):
            exact = probabilities[s, v] * _TOTAL  # a power of two: exact
            weight = np.floor(exact)
            lost[v] = weight - exact
            if weight == 0 and exact > 0:
                weight, lost[v] = 1.0, 1.0  # already rounded up
            weights[s, v] = i64(weight)
            missing -= i64(weight)
        if missing > 0:
            order = np.argsort(lost, kind="mergesort")  # stable
            for place in range(missing):
                weights[s, order[place]] += 1
        elif missing < 0:
            weights[s, np.argmax(weights[s])] += missing
    return weights

"""Alias tables: from a row of weights, a symbol for any 32-bit word with one look and one comparison."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def build_alias_tables(weights: NDArray[np.int64], column_bits: int) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Exact integer alias tables (Walker 1977), filled by the sweep of Hübschle-Schneider & Sanders (2022).

    A row has 2^b columns of capacity C = 2^(32-b). A number r < C, in column c, draws symbol c if r < threshold[c],
    else alias[c]; over all columns, a symbol is drawn by exactly as many of the 2^32 words as it has weight.

    Light symbols (weight <= C) and heavy ones are each met in order of id. While the heavy one has more than C left,
    it fills up the next light column; once it has not, the next heavy one fills up its own. Weights sum to 2^b C, so
    the last heavy one ends with exactly C.

    Returns:
        threshold uint32[S, 2^b], alias uint8[S, 2^b]; a full column has its own symbol for an alias.
    """
    states, columns = len(weights), 2**column_bits
    capacity = 2**32 >> column_bits
    padded = np.zeros((states, columns), np.int64)
    padded[:, : weights.shape[1]] = weights
    is_heavy = padded > capacity
    order = np.argsort(is_heavy, axis=1, kind="stable")  # the light symbols, then the heavy ones
    threshold = np.minimum(padded, capacity)
    alias = np.tile(np.arange(columns), (states, 1))
    rows = np.flatnonzero(is_heavy.any(axis=1))
    light, heavy = np.zeros(len(rows), np.int64), columns - is_heavy[rows].sum(axis=1)  # positions in `order`
    left = padded[rows, order[rows, heavy]]
    while rows.size:  # one column of each row a round
        gives = left > capacity
        column = order[rows, np.where(gives, light, heavy)]
        level = np.where(gives, padded[rows, column], left)
        light, heavy = light + gives, heavy + ~gives
        goes_on = heavy < columns
        rows, light, heavy, left, gives, column, level = (
            array[goes_on] for array in (rows, light, heavy, left, gives, column, level)
        )
        giver = order[rows, heavy]
        threshold[rows, column] = level
        alias[rows, column] = np.where(level < capacity, giver, column)
        left = np.where(gives, left, padded[rows, giver]) - (capacity - level)
    return threshold.astype(np.uint32), alias.astype(np.uint8)

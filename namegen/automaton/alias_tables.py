"""Alias tables: they turn a 32-bit word into a symbol of a row of weights, with one lookup and one comparison."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def build_alias_tables(weights: NDArray[np.int64], column_bits: int) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Exact integer alias tables (Walker 1977), filled by the sweep of Hübschle-Schneider & Sanders (2022).

    A row has 2^b columns of capacity C = 2^(32-b). A number r < C in column c draws symbol c if r < threshold[c], else
    alias[c]. Each symbol is drawn by exactly as many of the 2^32 words (column, r) as its weight says.

    The sweep visits the light symbols (weight <= C) and the heavy ones, each in order of id. While the current heavy
    symbol has more than C left, it fills up the next light column. Otherwise the next heavy symbol fills up the current
    one's column. Weights sum to 2^b C, so the last heavy symbol ends with exactly C.

    Here symbol 0 has half of the weight: it fills its own column, and all of column 3, which has no symbol.

    >>> threshold, alias = build_alias_tables(np.array([[2**31, 2**30, 2**30]]), column_bits=2)
    >>> (threshold / 2**30).tolist(), alias.tolist()
    ([[1.0, 1.0, 1.0, 0.0]], [[0, 1, 2, 0]])

    Args:
        weights: int64[S, V]; each row sums to 2^32.
        column_bits: b, with 2^b >= V.

    Returns:
        threshold uint32[S, 2^b], alias uint8[S, 2^b]. The alias of a full column is its own symbol.
    """
    states, columns = len(weights), 2**column_bits
    capacity = 2**32 >> column_bits
    padded = np.zeros((states, columns), np.int64)
    padded[:, : weights.shape[1]] = weights
    is_heavy = padded > capacity
    order = np.argsort(is_heavy, axis=1, kind="stable")  # light symbols, then heavy ones
    threshold = np.minimum(padded, capacity)
    alias = np.tile(np.arange(columns), (states, 1))
    rows = np.flatnonzero(is_heavy.any(axis=1))
    light, heavy = np.zeros(len(rows), np.int64), columns - is_heavy[rows].sum(axis=1)  # positions in `order`
    left = padded[rows, order[rows, heavy]]
    while rows.size:  # each round settles one column of every unfinished row
        fills_light = left > capacity
        column = order[rows, np.where(fills_light, light, heavy)]
        level = np.where(fills_light, padded[rows, column], left)
        light, heavy = light + fills_light, heavy + ~fills_light
        unfinished = heavy < columns
        rows, light, heavy, left, fills_light, column, level = (
            array[unfinished] for array in (rows, light, heavy, left, fills_light, column, level)
        )
        donor = order[rows, heavy]  # the heavy symbol that fills up `column`
        threshold[rows, column] = level
        alias[rows, column] = np.where(level < capacity, donor, column)
        left = np.where(fills_light, left, padded[rows, donor]) - (capacity - level)
    return threshold.astype(np.uint32), alias.astype(np.uint8)

"""A model's table becomes an automaton: floats are rounded to integers, and looked at before.

What stands here decides the weights (A1 to A3), and that every state can reach the end (A6); see `automaton`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from namegen.automaton.automaton import TOTAL, Automaton
from namegen.errors import ModelError
from namegen.vocabulary import Vocabulary


class Contexts(Protocol):
    """What `quantise` has to know of the contexts that become states: NgramCounts and Expansion do."""

    @property
    def vocabulary(self) -> Vocabulary:
        """V symbols."""

    @property
    def order(self) -> int:
        """n, as in n-gram."""

    @property
    def successor(self) -> NDArray[np.int32]:
        """int32[S, V]: the context after each symbol."""


def quantise(probabilities: NDArray[np.float64], contexts: Contexts) -> Automaton:
    """The automaton of a model's table, by largest remainder, ties to the lower id (A1 to A6).

    Args:
        probabilities: float64[S, V], rows sum to 1 within 1e-12.
        contexts: which the rows are of.

    Raises:
        ModelError: where the table is not one of distributions, or a state cannot reach the end.
    """
    successor = contexts.successor
    if probabilities.shape != successor.shape:
        raise ModelError(f"a table of shape {probabilities.shape} does not fit contexts of {successor.shape}")
    if not (np.isfinite(probabilities).all() and (probabilities >= 0).all()):
        raise ModelError("a table has a probability that is negative or not a number")
    if (worst := np.abs(probabilities.sum(axis=1) - 1).max()) > 1e-12:
        raise ModelError(f"a row of a table sums to 1 only within {worst:.1e}, and 1e-12 is the bound")
    weights = round_to_weights(probabilities)
    if (stuck := _stuck_states(weights, successor)).size:
        raise ModelError(f"{stuck.size} states cannot reach the end, such as state {stuck[0]}")
    return Automaton(contexts.vocabulary, contexts.order, weights, successor)


def round_to_weights(probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """int64[S, V]: each row of probability * 2^32 rounded to integers that sum to 2^32.

    Largest remainder: every weight is rounded down, and what is missing from 2^32 goes, 1 each, to those that
    lost most. A symbol rounded down to 0 gets 1 all the same (A2); where that takes more than was missing, the
    row's largest weight pays.
    """
    exact = probabilities * TOTAL  # a power of two: exact
    weights = np.floor(exact)
    remainder = exact - weights
    raised = (weights == 0) & (exact > 0)
    weights[raised] = 1
    remainder[raised] = -1  # already rounded up
    weights_int = weights.astype(np.int64)
    missing = TOTAL - weights_int.sum(axis=1)
    rank = np.argsort(np.argsort(-remainder, axis=1, kind="stable"), axis=1)
    weights_int += rank < missing[:, None]
    rows = np.arange(len(weights_int))
    weights_int[rows, weights_int.argmax(axis=1)] += np.minimum(missing, 0)
    return weights_int


def _stuck_states(weights: NDArray[np.int64], successor: NDArray[np.int32]) -> NDArray[np.int64]:
    """The states from which the end cannot be reached: those that a backward search from the end does not find."""
    reaches = weights[:, 0] > 0
    arrows = weights[:, 1:] > 0
    found = -1
    while found != (found := int(reaches.sum())):
        reaches |= (arrows & reaches[successor[:, 1:]]).any(axis=1)
    return np.flatnonzero(~reaches)

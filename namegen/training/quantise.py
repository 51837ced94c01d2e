"""Makes an automaton from a model's table: checks the floats, and rounds them to integers.

This module ensures the invariants of the weights (A1 to A3), and that every state can reach the end (A6); see
`automaton.automaton`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from namegen.automaton.automaton import Automaton
from namegen.automaton.rounding import round_to_weights
from namegen.errors import ModelError
from namegen.vocabulary import Vocabulary


class Contexts(Protocol):
    """What `quantise` needs to know about the contexts that become states: NgramCounts and `compile.Table` have it."""

    @property
    def vocabulary(self) -> Vocabulary:
        """V symbols."""

    @property
    def successor(self) -> NDArray[np.int32]:
        """int32[S, V]: the context after each symbol; 0 for the boundary."""

    @property
    def lengths(self) -> NDArray[np.uint8]:
        """uint8[S]: how many symbols each context has. The boundary counts as one, and stands for all before a name."""


def quantise(probabilities: NDArray[np.float64], contexts: Contexts) -> Automaton:
    """The automaton of a model's table; see `round_to_weights`.

    With one letter, which follows itself with probability 1/4:

    >>> from namegen.corpus.ngrams import count_ngrams
    >>> contexts = count_ngrams(["a", "aa"], Vocabulary(".a"), order=2)
    >>> quantise(np.array([[0, 1], [3/4, 1/4]]), contexts).weights
    array([[         0, 4294967296],
           [3221225472, 1073741824]])

    Args:
        probabilities: float64[S, V]; rows sum to 1 within 1e-12.
        contexts: the contexts of the rows.

    Raises:
        ModelError: if a row is not a distribution, the shapes do not match, or a state cannot reach the end.
    """
    successor = contexts.successor
    if probabilities.shape != successor.shape:
        raise ModelError(f"a table of shape {probabilities.shape} does not match contexts of shape {successor.shape}")
    if not (np.isfinite(probabilities).all() and (probabilities >= 0).all()):
        raise ModelError("the table has a probability that is negative or not a number")
    if (worst := np.abs(probabilities.sum(axis=1) - 1).max()) > 1e-12:
        raise ModelError(f"each row of the table must sum to 1 within 1e-12, but one is off by {worst:.1e}")
    weights = round_to_weights(probabilities)
    if (stuck := _stuck_states(weights, successor)).size:
        raise ModelError(f"{stuck.size} states cannot reach the end; the first is state {stuck[0]}")
    order = int(contexts.lengths.max()) + 1
    return Automaton(contexts.vocabulary, order, weights, successor, contexts.lengths)


def _stuck_states(weights: NDArray[np.int64], successor: NDArray[np.int32]) -> NDArray[np.int64]:
    """The states that cannot reach the end: those that a backward search from the end does not find."""
    reaches = weights[:, 0] > 0
    arrows = weights[:, 1:] > 0
    before = -1
    while before != (before := int(reaches.sum())):
        reaches |= (arrows & reaches[successor[:, 1:]]).any(axis=1)
    return np.flatnonzero(~reaches)

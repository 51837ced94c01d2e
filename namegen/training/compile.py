"""Contexts beyond those seen: between fit and quantise, the unseen contexts that a model itself visits most.

A walk that reaches a context which the training names lack goes on from its longest suffix that they have, and forgets
what stood before. A network needs not forget: it has a distribution for any context. So the contexts where walks would
forget are ranked by how many names are expected to pass through them, and the first of them become states of their own;
as each leads to others, that is done in rounds.

A context that was there keeps its distribution; what changes is where some of its arrows lead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from namegen.errors import SettingError
from namegen.vocabulary import MAX_LENGTH, Vocabulary

if TYPE_CHECKING:
    from namegen.corpus.ngrams import NgramCounts

ROUNDS = 3  # a share of the budget each; more of them were measured to win nothing
NEGLIGIBLE = 1e-9  # visits a name: far below what decides which of some million contexts is added
KEY_BITS = 64  # what the symbols of a context have to fit in

# A model's distributions float64[N, V] after each history uint16[N, n-1]; base int32[N] is its longest suffix that is
# a context of the counts.
Predict = Callable[[NDArray[np.uint16], NDArray[np.int32]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False, repr=False)
class Expansion:
    """The contexts of the counts, and behind them the added ones; S in all.

    Args:
        probabilities: float64[S, V].
        successor: int32[S, V]: to the exact context where it is a state, else to its longest suffix in the counts.
        history: uint16[S, n-1], as in NgramCounts.
        base: int32[S]: the longest suffix of each that is a context of the counts.
    """

    vocabulary: Vocabulary
    order: int
    probabilities: NDArray[np.float64]
    successor: NDArray[np.int32]
    history: NDArray[np.uint16]
    base: NDArray[np.int32]


def expand(counts: NgramCounts, budget: int, predict: Predict) -> Expansion:
    """The contexts of the counts, and up to `budget` others.

    Args:
        predict: the model.

    Raises:
        SettingError: where a context does not fit in 64 bits, so that the order is too high for the alphabet.
    """
    bases = np.arange(counts.states, dtype=np.int32)
    probabilities = predict(counts.history, bases)
    if budget == 0:
        return Expansion(counts.vocabulary, counts.order, probabilities, counts.successor, counts.history, bases)
    check_order(counts.order, counts.vocabulary)
    width, bits = counts.order - 1, _bits(counts.vocabulary)
    mask = np.uint64(2 ** (width * bits) - 1)
    successor, history, is_whole = counts.successor.copy(), counts.history, counts.is_whole
    keys = _keys(history, bits)
    for left in range(ROUNDS, -1, -1):
        # Where a walk would forget: from a context that is whole to one that is not.
        state, symbol = np.nonzero(is_whole[:, None] & ~is_whole[successor] & (probabilities > 0))
        after = ((keys[state] << np.uint64(bits)) & mask) | symbol.astype(np.uint64)
        known = np.flatnonzero(is_whole)
        known = known[np.argsort(keys[known])]
        place = np.minimum(np.searchsorted(keys[known], after), len(known) - 1)
        hit = keys[known[place]] == after  # states that the last round added
        successor[state[hit], symbol[hit]] = known[place[hit]]
        state, symbol, after = state[~hit], symbol[~hit], after[~hit]
        share = min(-(-budget // max(left, 1)), budget)
        if not (left and share and len(state)):
            break
        mass = visits(probabilities, successor)[state] * probabilities[state, symbol]
        worth = mass > NEGLIGIBLE
        state, symbol, after, mass = state[worth], symbol[worth], after[worth], mass[worth]
        found, first, inverse = np.unique(after, return_index=True, return_inverse=True)
        best = np.sort(np.argsort(-np.bincount(inverse, weights=mass), kind="stable")[:share])
        source, last = state[first[best]], symbol[first[best]]
        base = successor[source, last]  # not whole, so a context of the counts
        added = np.concatenate([history[source, 1:], last[:, None].astype(np.uint16)], axis=1)
        probabilities = np.concatenate([probabilities, predict(added, base)])
        successor = np.concatenate([successor, counts.successor[base]])
        history = np.concatenate([history, added])
        is_whole = np.concatenate([is_whole, np.ones(len(best), bool)])
        bases = np.concatenate([bases, base])
        keys = np.concatenate([keys, found[best]])
        budget -= len(best)
    return Expansion(counts.vocabulary, counts.order, probabilities, successor, history, bases)


def check_order(order: int, vocabulary: Vocabulary) -> None:
    """Raises SettingError where a context does not fit in 64 bits."""
    if (order - 1) * _bits(vocabulary) > KEY_BITS:
        raise SettingError(
            f"with {len(vocabulary) - 1} different characters, contexts of {order - 1} cannot be added",
            remedy=f"Use --order {KEY_BITS // _bits(vocabulary) + 1} or less, or --states 0",
        )


def visits(probabilities: NDArray[np.float64], successor: NDArray[np.int32]) -> NDArray[np.float64]:
    """float64[S]: how many times a name is expected to be in each state, by a forward pass from the start.

    States with an expectation below `NEGLIGIBLE` at a step are passed over there.
    """
    total = np.zeros(len(successor))
    at, mass = np.zeros(1, np.intp), np.ones(1)
    for _ in range(MAX_LENGTH):
        total[at] += mass
        flow = mass[:, None] * probabilities[at, 1:]
        now = np.bincount(successor[at, 1:].ravel(), flow.ravel(), len(successor))
        at = np.flatnonzero(now > NEGLIGIBLE)
        mass = now[at].astype(np.float64)
    return total


def _bits(vocabulary: Vocabulary) -> int:
    return len(vocabulary).bit_length()  # V itself stands for what is not known


def _keys(history: NDArray[np.uint16], bits: int) -> NDArray[np.uint64]:
    """uint64[S]: the symbols of each context in one number, the last one lowest."""
    keys = np.zeros(len(history), np.uint64)
    for column in history.T:
        keys = (keys << np.uint64(bits)) | column.astype(np.uint64)
    return keys

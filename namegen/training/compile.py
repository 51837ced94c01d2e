"""More contexts become states: between fit and quantise, the unseen contexts that a model visits most are added.

If a walk reaches a context that the training names lack, it continues from the longest suffix that they have, and
forgets the symbols before it. A network need not forget: it has a distribution for any context. So the contexts that
walks would forget are ranked by how many names are expected to pass through them, and the top ones become states of
their own. Each of these leads to more such contexts, so this is done in rounds.

The contexts of the training names keep their distributions. Only some of their successors change.
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

ROUNDS = 3  # each adds a share of the budget; more rounds gained nothing when measured
NEGLIGIBLE = 1e-9  # visits per name: far below what decides which of a few million contexts are added
KEY_BITS = 64  # the symbols of a context must fit in this many

# A model: history uint16[N, n-1] and base int32[N] to distributions float64[N, V]. The base is the longest suffix of a
# history that is a context of the counts.
Predict = Callable[[NDArray[np.uint16], NDArray[np.int32]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False, repr=False)
class Expansion:
    """The contexts of the counts, followed by the added ones; S in all.

    Args:
        probabilities: float64[S, V].
        successor: int32[S, V]: the exact next context if it is a state, else its longest suffix in the counts.
        history: uint16[S, n-1], as in NgramCounts.
        base: int32[S]: the longest suffix of each context that is a context of the counts.
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
        budget: how many contexts to add at most.
        predict: the model.

    Raises:
        SettingError: if the order is too high for the alphabet: a context has to fit in 64 bits.
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
        # The steps at which a walk would forget: from a whole context to one that is not whole.
        state, symbol = np.nonzero(is_whole[:, None] & ~is_whole[successor] & (probabilities > 0))
        after = ((keys[state] << np.uint64(bits)) & mask) | symbol.astype(np.uint64)
        known = np.flatnonzero(is_whole)
        known = known[np.argsort(keys[known])]
        place = np.minimum(np.searchsorted(keys[known], after), len(known) - 1)
        hit = keys[known[place]] == after  # states that the previous round added
        successor[state[hit], symbol[hit]] = known[place[hit]]
        state, symbol, after = state[~hit], symbol[~hit], after[~hit]
        share = min(-(-budget // max(left, 1)), budget)
        if not (left and share and len(state)):
            break
        mass = visits(probabilities, successor)[state] * probabilities[state, symbol]
        worth = mass > NEGLIGIBLE
        state, symbol, after, mass = state[worth], symbol[worth], after[worth], mass[worth]
        contexts, first, inverse = np.unique(after, return_index=True, return_inverse=True)
        best = np.sort(np.argsort(-np.bincount(inverse, weights=mass), kind="stable")[:share])
        source, last = state[first[best]], symbol[first[best]]
        base = successor[source, last]  # not whole, so a context of the counts
        added = np.concatenate([history[source, 1:], last[:, None].astype(np.uint16)], axis=1)
        probabilities = np.concatenate([probabilities, predict(added, base)])
        successor = np.concatenate([successor, counts.successor[base]])
        history = np.concatenate([history, added])
        is_whole = np.concatenate([is_whole, np.ones(len(best), bool)])
        bases = np.concatenate([bases, base])
        keys = np.concatenate([keys, contexts[best]])
        budget -= len(best)
    return Expansion(counts.vocabulary, counts.order, probabilities, successor, history, bases)


def check_order(order: int, vocabulary: Vocabulary) -> None:
    """Checks that contexts can be added.

    Raises:
        SettingError: if a context does not fit in 64 bits.
    """
    if (order - 1) * _bits(vocabulary) > KEY_BITS:
        raise SettingError(
            f"order {order} is too high to add states with {len(vocabulary) - 1} different characters",
            remedy=f"Use --order {KEY_BITS // _bits(vocabulary) + 1} or less, or --states 0",
        )


def visits(probabilities: NDArray[np.float64], successor: NDArray[np.int32]) -> NDArray[np.float64]:
    """float64[S]: how many times a name is expected to visit each state, by a forward pass from the start.

    At each step, states with an expectation below `NEGLIGIBLE` are dropped.
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
    return len(vocabulary).bit_length()  # V itself stands for an unknown symbol


def _keys(history: NDArray[np.uint16], bits: int) -> NDArray[np.uint64]:
    """uint64[S]: the symbols of each context in one number, the last one lowest."""
    keys = np.zeros(len(history), np.uint64)
    for column in history.T:
        keys = (keys << np.uint64(bits)) | column.astype(np.uint64)
    return keys

"""Names as events: which symbol follows each context.

Unlike `walk`, which looks up states and forgets what they leave out, an event has all of the last n-1 symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from namegen.automaton.logarithm import ln
from namegen.vocabulary import MAX_LENGTH

if TYPE_CHECKING:
    from namegen.corpus.ngrams import NgramCounts
    from namegen.training.compile import Predict

AT_ONCE = 2**14  # names per batch, to bound memory


@dataclass(frozen=True, eq=False)
class Events:
    """E events: the symbols of some names, in order, with the end of each name.

    Args:
        history: uint16[E, n-1]: the symbols before each one, as in NgramCounts, but with none unknown.
        base: int32[E]: the longest suffix of each history that is a context of the counts.
        symbol: intp[E]: the symbol that follows.
        step: int64[E]: how many symbols of the name come before it.
    """

    history: NDArray[np.uint16]
    base: NDArray[np.int32]
    symbol: NDArray[np.intp]
    step: NDArray[np.int64]

    def of(self, distributions: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[E]: the probability of each event, from the distributions float64[E, V] after each history."""
        return distributions[np.arange(len(self.symbol)), self.symbol]


def events_of(names: Sequence[str], counts: NgramCounts) -> Events:
    """The events of one or more names, all spelt in the vocabulary of the counts."""
    width = counts.order - 1
    ids, lengths = counts.vocabulary.encode(names)
    ends = np.cumsum(lengths + 1) - 1
    symbol = np.zeros(ends[-1] + 1, np.intp)  # the end of each name stays the boundary
    inside = np.ones(len(symbol), bool)
    inside[ends] = False
    symbol[inside] = ids
    step = np.arange(len(symbol)) - np.repeat(ends - lengths, lengths + 1)
    history = np.zeros((len(symbol), width), np.uint16)
    for back in range(1, width + 1):
        later = np.flatnonzero(step >= back)
        history[later, width - back] = symbol[later - back]
    base = np.zeros(len(symbol), np.int32)
    for k in range(1, int(step.max()) + 1):
        here = np.flatnonzero(step == k)
        base[here] = counts.successor[base[here - 1], symbol[here - 1]]
    return Events(history, base, symbol, step)


def exact_log_prob(names: Sequence[str], counts: NgramCounts, predict: Predict) -> NDArray[np.float64]:
    """float64[len(names)]: the log-probability of each name in nats, with no context forgotten."""
    parts = [np.zeros(0)]
    for first in range(0, len(names), AT_ONCE):
        events = events_of(names[first : first + AT_ONCE], counts)
        log_prob = ln(events.of(predict(events.history, events.base)))
        starts = np.flatnonzero(events.step == 0)
        is_full = np.array([len(name) == MAX_LENGTH for name in names[first : first + AT_ONCE]])
        log_prob[np.append(starts[1:], len(log_prob))[is_full] - 1] = 0  # after 64 characters the end is certain
        parts.append(np.add.reduceat(log_prob, starts))
    return np.concatenate(parts)

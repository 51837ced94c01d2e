"""Names become log-probabilities: a walk through a table, either an automaton's integers or a model's floats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from namegen.vocabulary import MAX_LENGTH, Vocabulary


def walk(
    names: Sequence[str],
    vocabulary: Vocabulary,
    successor: NDArray[np.int32],
    log_probabilities: NDArray[np.float64],
    cap: int = MAX_LENGTH,
) -> NDArray[np.float64]:
    """float64[len(names)]: the log-probability of each name in nats, end included, added in the order of the steps.

    A name that has a character outside the vocabulary, or more characters than the cap, gets -inf. After so many, the
    end is certain and adds 0. With one state, where "a" has probability 1/4 and the end 1/2:

    >>> table = np.log(np.array([[1/2, 1/4, 1/4]]))
    >>> walk(["a", "", "x"], Vocabulary(".ab"), np.zeros((1, 3), np.int32), table).round(4)
    array([-2.0794, -0.6931,    -inf])

    Args:
        names: taken as they are; a corpus is NFC-normalised.
        successor: int32[S, V], of an automaton or of a model's contexts.
        log_probabilities: float64[S, V], in nats.
        cap: the most characters of a name.
    """
    ids, lengths = vocabulary.encode(names)
    characters = vocabulary.lengths_of(names, lengths)
    starts = np.cumsum(lengths) - lengths
    last = lengths - (characters == cap)  # the step of the end, or the one after which it is certain
    total = np.where(characters > cap, -np.inf, 0.0)
    active = np.flatnonzero(characters <= cap)
    state = np.zeros(len(active), np.int32)
    for step in range(int(last[active].max(initial=0)) + 1):
        inside = lengths[active] > step
        symbol = np.zeros(len(active), np.int64)
        symbol[inside] = ids[starts[active[inside]] + step]
        known = symbol >= 0
        total[active] += np.where(known, log_probabilities[state, symbol], -np.inf)
        goes_on = known & (last[active] > step)
        state = successor[state, symbol][goes_on]
        active = active[goes_on]
    return total

"""Names by a model itself, symbol by symbol, with nothing forgotten.

Unlike `walk`, which looks up states in a table, it asks a model with all that it remembers of a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from namegen.automaton.logarithm import ln
from namegen.characters import lengths_of
from namegen.models.predictor import Predictor, State, take
from namegen.vocabulary import MAX_LENGTH, Vocabulary

AT_ONCE = 2**13  # names per batch, to bound memory


def steps(
    model: Predictor, vocabulary: Vocabulary, names: Sequence[str]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.integer], State]]:
    """Walks through names side by side. At each step: which of the names go on, the next symbol of each, the states.

    The end of a name is its last symbol, the boundary.
    """
    ids, lengths = vocabulary.encode(names)
    starts = np.cumsum(lengths) - lengths
    active = np.arange(len(names))
    state = take(model.start(), np.zeros(len(names), np.intp))
    for step in range(int(lengths.max(initial=0)) + 1):
        symbol = np.zeros(len(active), np.int64)
        inside = lengths[active] > step
        symbol[inside] = ids[starts[active[inside]] + step]
        yield active, symbol, state
        goes_on = np.flatnonzero(inside & (symbol >= 0))
        active = active[goes_on]
        state = model.after(take(state, goes_on), symbol[goes_on])


def log_prob(model: Predictor, vocabulary: Vocabulary, names: Sequence[str]) -> NDArray[np.float64]:
    """float64[len(names)]: the log-probability of each name in nats, end included, by the model itself.

    After 64 characters the end is certain. A character outside the vocabulary has no probability.
    """
    total = np.zeros(len(names))
    for first in range(0, len(names), AT_ONCE):
        part = names[first : first + AT_ONCE]
        is_full = lengths_of(part) == MAX_LENGTH
        for active, symbol, state in steps(model, vocabulary, part):
            counted = np.flatnonzero(~(is_full[active] & (symbol == 0)))
            if counted.size:
                rows = model.predict(take(state, counted))
                picked = ln(rows[np.arange(len(counted)), symbol[counted]])
                total[first + active[counted]] += np.where(symbol[counted] >= 0, picked, -np.inf)
    return total

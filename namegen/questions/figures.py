"""Exact figures of an automaton's names: sums over all of them, by a forward pass over their characters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from namegen.automaton.automaton import Automaton
from namegen.automaton.compiled import compiled, f64, i32, i64, read_only

_TOTAL = 2.0**32
_NOTHING = 1e-17  # a probability that changes none of the nine digits, in however many states
_table, _logs = read_only(i32, 2), read_only(f64, 2)


@dataclass(frozen=True)
class Figures:
    """What can be said of all names at once.

    Args:
        expected_length: characters.
        entropy: nats: minus the mean log-probability of a drawn name.
        equal: the probability that two drawn names are the same.
    """

    expected_length: float
    entropy: float
    equal: float


def figures(automaton: Automaton) -> Figures:
    """The figures of an automaton's names, to nine digits."""
    vocabulary = automaton.vocabulary
    leads = vocabulary.first_lead, vocabulary.first_tail, vocabulary.longest(1)
    successor = np.ascontiguousarray(automaton.successor)
    length, entropy, equal = _figures(automaton.weights, automaton.log_probabilities, successor, automaton.cap, *leads)
    return Figures(length, entropy, equal)


@compiled(read_only(i64, 2), _logs, _table, i64, i64, i64, i64)
def _figures(weights, logs, successor, cap, first_lead, first_tail, most):
    """The expected length, the entropy, and the sum of the squares of all probabilities."""
    states, symbols = logs.shape
    entropies = np.zeros(states)  # of each state's distribution
    for s in range(states):
        for v in range(symbols):
            if weights[s, v] > 0:
                entropies[s] -= weights[s, v] / _TOTAL * logs[s, v]
    # of being in a state after so many characters, the probability and the sum of the prefixes' squares; and inside
    # the code of the next one, of which `most` is how many symbols it has at most
    here, inside, after = np.zeros((states, 2)), np.zeros((states, 2)), np.zeros((states, 2))
    here[0] = 1.0
    length = entropy = equal = 0.0
    for _ in range(cap):
        after[:] = 0.0
        alive = 0.0
        for symbol in range(most):
            inside[:] = 0.0
            for s in range(states):
                mass, square = here[s, 0], here[s, 1]
                if mass < _NOTHING:
                    continue
                entropy += mass * entropies[s]
                if symbol == 0:
                    end = weights[s, 0] / _TOTAL
                    equal += square * end * end
                    alive += mass * (1.0 - end)
                for v in range(1, symbols):
                    p = weights[s, v] / _TOTAL
                    if p > 0.0:
                        to = inside if first_lead <= v < first_tail else after
                        to[successor[s, v], 0] += mass * p
                        to[successor[s, v], 1] += square * p * p
            here, inside = inside, here
        length += alive
        here, after = after, here
        if alive < _NOTHING:
            break
    return length, entropy, equal + here[:, 1].sum()  # those that the cap ends

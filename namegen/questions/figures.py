"""Exact figures of an automaton's names: sums over all of them, by a forward pass over their characters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from namegen.automaton.automaton import Automaton
from namegen.automaton.compiled import compiled, f64, i32, i64, read_only

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
    """The figures of an automaton's names."""
    leads = automaton.vocabulary.first_lead, automaton.vocabulary.first_lead + automaton.vocabulary.leads
    successor = np.ascontiguousarray(automaton.successor)
    length, entropy, equal = _figures(automaton.weights, automaton.log_probabilities, successor, automaton.cap, *leads)
    return Figures(length, entropy, equal)


@compiled(read_only(i64, 2), _logs, _table, i64, i64, i64)
def _figures(weights, logs, successor, cap, first_lead, tails):
    """The expected length, the entropy, and the sum of the squares of all probabilities."""
    states, symbols = logs.shape
    mass, next_mass = np.zeros(states), np.zeros(states)  # the probability of being here after so many characters
    square, next_square = np.zeros(states), np.zeros(states)  # the sum of the squares of the prefixes' probabilities
    probability = weights / 2.0**32
    mass[0] = square[0] = 1.0
    length = entropy = equal = 0.0
    for _ in range(cap):
        next_mass[:], next_square[:], alive = 0.0, 0.0, 0.0
        for s in range(states):
            if mass[s] == 0.0:
                continue
            equal += square[s] * probability[s, 0] * probability[s, 0]
            for v in range(symbols):
                p = probability[s, v]
                if p == 0.0:
                    continue
                entropy -= mass[s] * p * logs[s, v]
                if v == 0:
                    continue
                to = successor[s, v]
                if not first_lead <= v < tails:
                    next_mass[to] += mass[s] * p
                    next_square[to] += square[s] * p * p
                    alive += mass[s] * p
                    continue
                for tail in range(tails, symbols):
                    q = p * probability[to, tail]
                    if q > 0.0:
                        entropy -= mass[s] * q * logs[to, tail]
                        next_mass[successor[to, tail]] += mass[s] * q
                        next_square[successor[to, tail]] += square[s] * q * q
                        alive += mass[s] * q
        length += alive
        mass, next_mass, square, next_square = next_mass, mass, next_square, square
        if alive < 1e-18:
            break
    return length, entropy, equal + square.sum()  # those that the cap ends

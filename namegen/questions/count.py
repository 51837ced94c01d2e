"""How many names there are."""

from __future__ import annotations

import numpy as np

from namegen.automaton.automaton import Automaton
from namegen.automaton.compiled import boolean, compiled, f64, i32, i64, read_only
from namegen.errors import SettingError


def too_many(there: int, count: int) -> SettingError:
    """The error for more names than there are."""
    return SettingError(f"there are only {there:,} names, but {count:,} are asked for", remedy=f"Ask for {there:,}")


def check_enough(automaton: Automaton, count: int) -> None:
    """Checks that an automaton can draw so many different names.

    Raises:
        SettingError: if it cannot.
    """
    there = names_up_to(automaton, count)
    if there < count:
        raise too_many(there, count)


def names_up_to(automaton: Automaton, enough: int) -> int:
    """How many names an automaton can draw; from `enough` on, any number of at least that."""
    can = automaton.weights > 0
    vocabulary = automaton.vocabulary
    leads = vocabulary.first_lead, vocabulary.first_tail, vocabulary.longest(1)
    successor = np.ascontiguousarray(automaton.successor)
    # beyond 2^53 it is rounded, which is enough
    return int(_names(can, successor, automaton.cap, *leads, float(enough)))


@compiled(read_only(boolean, 2), read_only(i32, 2), i64, i64, i64, i64, f64)
def _names(can, successor, cap, first_lead, first_tail, most, enough):
    """The number of names for a cap of 0, 1, 2 ... characters, as far as the cap, or until there are enough.

    A lower cap never gives more, as each prefix that it cuts is that of a name.

    Args:
        most: how many symbols a character has at most. So often the states are gone through for each: from the state
            after a lead, the number is right once it is for those after the symbols that come next.
    """
    states, symbols = successor.shape
    fewer, more, inside = np.ones(states), np.zeros(states), np.zeros(states)
    for step in range(cap * most):
        for s in range(states):
            total = 1.0 if can[s, 0] else 0.0
            for v in range(1, symbols):
                if can[s, v]:
                    total += inside[successor[s, v]] if first_lead <= v < first_tail else fewer[successor[s, v]]
            more[s] = total
        inside, more = more, inside
        if step % most == most - 1:
            fewer[:] = inside
            if fewer[0] >= enough:
                break
    return fewer[0]

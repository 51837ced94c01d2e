"""Conditions asked of an automaton: the part of it whose names answer, and from it a new automaton.

    whole -> narrowed by one condition after another -> conditioned: backward sums, rows, and equal states merged

Every step keeps the states in breadth-first order from the start, so that the result has the same bytes anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from namegen.automaton.automaton import TOTAL, Automaton
from namegen.automaton.rounding import round_to_weights
from namegen.errors import SettingError
from namegen.questions import product
from namegen.questions.condition import Condition, length

CELLS = 2**26  # states times symbols: an automaton of so many takes 0.8 GB
NEGLIGIBLE = 2.0**-40  # the probability of reaching the cap that needs no care: 1,000 in 10^15 names
SWEEPS = 3000  # what does not settle in so many is unfolded
_Pairs = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]
ROWS = 2**14  # that are computed at once


@dataclass(frozen=True, eq=False)
class Graph:
    """The N states of an automaton through which answers pass, in breadth-first order from state 0.

    Args:
        automaton: which they are of.
        successor: int32[N, V]: -1 where no name goes on.
        row: int32[N]: the state of the automaton; -1 for a name as long as the cap.
        ends: bool[N]: whether a name may end here.
        free: bool[N]: whether every continuation answers.
    """

    automaton: Automaton
    successor: NDArray[np.int32]
    row: NDArray[np.int32]
    ends: NDArray[np.bool_]
    free: NDArray[np.bool_]

    @classmethod
    def whole(cls, automaton: Automaton) -> Graph:
        """Of all names."""
        successor = np.where(automaton.weights > 0, automaton.successor, -1).astype(np.int32)
        successor[:, 0] = -1
        states = np.arange(automaton.states, dtype=np.int32)
        return cls(automaton, successor, states, automaton.weights[:, 0] > 0, np.ones(len(states), bool))

    @property
    def is_empty(self) -> bool:
        """Whether no name answers."""
        return not len(self.row)

    @property
    def weights(self) -> NDArray[np.int64]:
        """int64[S + 1, V]: the automaton's rows, and a certain end, which `row` -1 leads to."""
        end = np.zeros((1, self.successor.shape[1]), np.int64)
        end[0, 0] = TOTAL
        return np.concatenate([self.automaton.weights, end])

    def narrowed(self, by: Condition) -> Graph:
        """Of the names that answer one more condition.

        Raises:
            SettingError: if it has too many states.
        """
        state, part, successor = self._pairs(by, by.is_free)
        is_free = part == len(by.usual)
        accepts = np.append(by.accepts, True)[part]
        return self._of(state, successor, self.ends[state] & accepts, self.free[state] & is_free)

    def unfolded(self) -> Graph:
        """The same names, with a state for each number of characters up to the cap, where names end for certain.

        Raises:
            SettingError: if it has too many states.
        """
        by = length(0, self.automaton.cap, self.automaton.vocabulary)
        state, part, successor = self._pairs(by, np.zeros(len(by.usual), bool))
        is_last = part == self.automaton.cap
        graph = self._of(state, successor, self.ends[state] | is_last, self.free[state])
        graph.row[is_last] = -1
        return graph

    def _pairs(self, by: Condition, is_free: NDArray[np.bool_]) -> _Pairs:
        most = max(CELLS // self.successor.shape[1], 1)
        found: _Pairs = product.pairs(self.successor, by, is_free, most)
        if not len(found[0]):
            what = f"the question needs more than {most:,} states of this model"
            raise SettingError(what, remedy="Ask for less at once, or of a model with fewer --states")
        return found

    def _of(
        self,
        state: NDArray[np.int32],
        successor: NDArray[np.int32],
        ends: NDArray[np.bool_],
        free: NDArray[np.bool_],
    ) -> Graph:
        """The states from which a name can go on to answer."""
        alive = product.answering(successor, ends.view(np.uint8))
        kept = product.keep(successor, alive)
        keeps = alive.view(bool)
        return Graph(self.automaton, successor[:kept], self.row[state[keeps]], ends[keeps], free[keeps])


@dataclass(frozen=True, eq=False)
class Answer:
    """The names of an automaton that answer.

    Args:
        automaton: with their conditional distribution.
        probability: the share of the names that they are; 0 if it is below what a float holds.
    """

    automaton: Automaton
    probability: float


def ask(automaton: Automaton, conditions: Sequence[tuple[str, Condition]]) -> Answer:
    """The names that answer all of the conditions.

    Where names can reach the cap before it is clear that they answer, each state is unfolded into one for each number
    of characters, so that a name that ends there answers, too.

    Args:
        conditions: each with its words, for errors. The first ones should be those that leave few states.

    Raises:
        SettingError: if no name answers, or it takes too many states.
    """
    graph = _narrowed(Graph.whole(automaton), conditions)
    if graph.free[0]:
        return Answer(automaton, 1.0)
    answer = _conditioned(graph)
    if answer is None:
        whole = Graph.whole(automaton).unfolded()
        answer = _conditioned(_narrowed(whole, conditions), is_unfolded=True)
    assert answer
    return answer


def _narrowed(graph: Graph, conditions: Sequence[tuple[str, Condition]]) -> Graph:
    for i, (words, condition) in enumerate(conditions):
        after = graph.narrowed(condition)
        if after.is_empty:
            others = ", ".join(before for before, _ in conditions[:i])
            alone = not i or Graph.whole(graph.automaton).narrowed(condition).is_empty
            what = f"no name of the model {words}" if alone else f"no name of the model {others} and {words}"
            raise SettingError(what, remedy="Ask for something else")
        graph = after
    return graph


def _conditioned(graph: Graph, *, is_unfolded: bool = False) -> Answer | None:
    """The automaton of a graph's names; None if they can reach the cap too early, and are not unfolded."""
    automaton, free = graph.automaton, graph.free
    weights, ends = graph.weights, graph.ends.view(np.uint8)
    row = np.where(graph.row < 0, automaton.states, graph.row).astype(np.int32)
    new = weights[row]
    value, kind, is_settled = product.backward(graph.successor, new, ends, free.view(np.uint8), SWEEPS)
    if not is_settled:
        return None
    bound = np.flatnonzero(~free)
    for start in range(0, len(bound), ROWS):
        wanted = bound[start : start + ROWS]
        table = np.empty((len(wanted), new.shape[1]))
        product.conditional(graph.successor, new, ends, value, kind, wanted, table)
        new[wanted] = round_to_weights(table)
    if not is_unfolded and product.still_bound(graph.successor, new, free.view(np.uint8), automaton.cap, NEGLIGIBLE):
        return None
    known = np.append(automaton.context_lengths, np.uint8(0))[row]
    probability = math.ldexp(float(value[0]), -512 * int(kind[0] & product.SHIFTS))
    return Answer(_smallest(graph, new, known), probability)


def _smallest(graph: Graph, weights: NDArray[np.int64], known: NDArray[np.uint8]) -> Automaton:
    """The automaton with equal states merged; of their contexts, what they have in common is kept."""
    states = len(weights)
    successor = graph.successor.copy()
    same = product.merged(weights, successor, product.postorder(successor))
    first = np.empty(states, np.int32)
    first[same[::-1]] = np.arange(states - 1, -1, -1, dtype=np.int32)  # of each class the state that comes first
    first = first[same]
    kept = np.flatnonzero(first == np.arange(states))
    number = np.empty(states, np.int32)
    number[kept] = np.arange(len(kept), dtype=np.int32)
    lengths = np.full(len(kept), np.iinfo(np.uint8).max, np.uint8)
    np.minimum.at(lengths, number[first], known)
    onwards = successor[kept]
    successor = np.where(onwards < 0, 0, number[first[onwards]]).astype(np.int32)
    old = graph.automaton
    return Automaton(old.vocabulary, old.order, weights[kept], successor, lengths, old.cap)

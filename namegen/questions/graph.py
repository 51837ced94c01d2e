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
from namegen.device import free_memory
from namegen.errors import NothingAnswersError, SettingError
from namegen.questions import product
from namegen.questions.condition import Condition, length

CELLS = 2**26  # states times symbols: an automaton of so many takes 0.8 GB, and asking for it twice as much
BYTES = 24  # of memory for each, while it is made
NEGLIGIBLE = 2.0**-40  # the probability of reaching the cap that needs no care: one in 10^12 names
FEW = 2**20  # so many cells are unfolded even where the cap is hardly ever reached
SWEEPS = 3000  # what does not settle in so many is unfolded
_Pairs = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]
ROWS = 2**14  # that are computed at once


@dataclass(frozen=True, eq=False)
class Graph:
    """The N states of an automaton through which answers pass, in breadth-first order from state 0.

    Args:
        automaton: which they are of.
        successor: int32[N, V]: -1 where no name goes on.
        row: int32[N]: the state of the automaton; S for a name as long as the cap, which ends for certain.
        accepts: bool[N]: whether a name that ends here answers.
        free: bool[N]: whether every continuation answers.
    """

    automaton: Automaton
    successor: NDArray[np.int32]
    row: NDArray[np.int32]
    accepts: NDArray[np.bool_]
    free: NDArray[np.bool_]

    @classmethod
    def whole(cls, automaton: Automaton) -> Graph:
        """Of all names."""
        successor = np.where(automaton.weights > 0, automaton.successor, -1).astype(np.int32)
        successor[:, 0] = -1
        states = np.arange(automaton.states, dtype=np.int32)
        every = np.ones(len(states), bool)
        return cls(automaton, successor, states, every, every)

    @property
    def is_empty(self) -> bool:
        """Whether no name answers."""
        return not len(self.row)

    @property
    def ends(self) -> NDArray[np.bool_]:
        """bool[N]: whether a name can end here, and answers."""
        can = np.append(self.automaton.weights[:, 0] > 0, True)
        ends: NDArray[np.bool_] = self.accepts & can[self.row]
        return ends

    @property
    def weights(self) -> NDArray[np.int64]:
        """int64[N, V]: the automaton's row of each state."""
        weights = np.empty(self.successor.shape, np.int64)
        is_last = self.row == self.automaton.states
        np.take(self.automaton.weights, np.where(is_last, 0, self.row), axis=0, out=weights, mode="clip")  # unbuffered
        weights[is_last] = 0
        weights[is_last, 0] = TOTAL
        return weights

    def narrowed(self, by: Condition) -> Graph:
        """Of the names that answer one more condition.

        Raises:
            SettingError: if it has too many states.
        """
        state, part, successor = self._pairs(by, by.is_free, np.zeros(len(self.row), bool))
        accepts = self.accepts[state] & np.append(by.accepts, True)[part]
        return self._of(successor, self.row[state], accepts, self.free[state] & (part == len(by.usual)))

    def unfolded(self) -> Graph:
        """The same, with a state for each number of characters up to the cap, where names end for certain.

        Free states are left as they are: whenever a name ends there, it answers.

        Raises:
            SettingError: if it has too many states.
        """
        by = length(0, self.automaton.cap, self.automaton.vocabulary)
        state, part, successor = self._pairs(by, np.zeros(len(by.usual), bool), self.free)
        row = np.where(part == self.automaton.cap, self.automaton.states, self.row[state]).astype(np.int32)
        return self._of(successor, row, self.accepts[state], self.free[state])

    def _pairs(self, by: Condition, is_free: NDArray[np.bool_], is_done: NDArray[np.bool_]) -> _Pairs:
        most = max(min(CELLS, free_memory() // BYTES) // self.successor.shape[1], 1)
        found: _Pairs = product.pairs(self.successor, by, is_free, is_done, most)
        if not len(found[0]):
            what = f"the question needs more than the {most:,} states that are allowed and fit the memory"
            raise SettingError(what, remedy="Ask for less at once, or of a model with fewer --states")
        return found

    def _of(
        self,
        successor: NDArray[np.int32],
        row: NDArray[np.int32],
        accepts: NDArray[np.bool_],
        free: NDArray[np.bool_],
    ) -> Graph:
        """The states from which a name can go on to answer."""
        graph = Graph(self.automaton, successor, row, accepts, free)
        alive = product.answering(successor, graph.ends.view(np.uint8))
        kept, keeps = product.keep(successor, alive), alive.view(bool)
        return Graph(self.automaton, successor[:kept], row[keeps], accepts[keeps], free[keeps])


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
        NothingAnswersError: if no name answers.
        SettingError: if it takes too many states.
    """
    graph = _narrowed(Graph.whole(automaton), conditions)
    if graph.free[0]:
        return Answer(automaton, 1.0)
    answer = _conditioned(graph)
    if answer is None:
        graph = graph.unfolded()
        if graph.is_empty:
            asked = " and ".join(words for words, _ in conditions)
            what = f"no name of the model, of {automaton.cap} characters at most, {asked}"
            raise NothingAnswersError(what, remedy="Ask for something else")
        answer = _conditioned(graph, is_unfolded=True)
        assert answer
    return answer


def _narrowed(graph: Graph, conditions: Sequence[tuple[str, Condition]]) -> Graph:
    for i, (words, condition) in enumerate(conditions):
        after = graph.narrowed(condition)
        if after.is_empty:
            others = ", ".join(before for before, _ in conditions[:i])
            alone = not i or Graph.whole(graph.automaton).narrowed(condition).is_empty
            what = f"no name of the model {words}" if alone else f"no name of the model {others} and {words}"
            raise NothingAnswersError(what, remedy="Ask for something else")
        graph = after
    return graph


def _conditioned(graph: Graph, *, is_unfolded: bool = False) -> Answer | None:
    """The automaton of a graph's names; None if they can reach the cap before they answer, and are not unfolded."""
    automaton, free = graph.automaton, graph.free
    weights, ends = graph.weights, graph.ends.view(np.uint8)
    value, kind, is_settled = product.backward(graph.successor, weights, ends, free.view(np.uint8), SWEEPS)
    if not is_settled:
        return None
    bound = np.flatnonzero(~free)
    for start in range(0, len(bound), ROWS):
        wanted = bound[start : start + ROWS]
        table = np.empty((len(wanted), weights.shape[1]))
        product.conditional(graph.successor, weights, ends, value, kind, wanted, table)
        weights[wanted] = round_to_weights(table)
    enough = NEGLIGIBLE if graph.successor.size * automaton.cap > FEW else 0.0
    if not is_unfolded and product.still_bound(graph.successor, weights, free.view(np.uint8), automaton.cap, enough):
        return None
    probability = math.ldexp(float(value[0]), -512 * int(kind[0] & product.SHIFTS))
    return Answer(_smallest(graph, weights), probability)


def _smallest(graph: Graph, weights: NDArray[np.int64]) -> Automaton:
    """The automaton with equal states merged; of their contexts, what they have in common is kept."""
    automaton, states = graph.automaton, len(weights)
    successor = graph.successor
    same = product.merged(weights, successor, product.postorder(successor))
    first = np.empty(states, np.int32)
    first[same[::-1]] = np.arange(states - 1, -1, -1, dtype=np.int32)  # of each class the state that comes first
    first = first[same]
    kept = np.flatnonzero(first == np.arange(states))
    number = np.empty(states, np.int32)
    number[kept] = np.arange(len(kept), dtype=np.int32)
    number = number[first]
    lengths = np.full(len(kept), np.iinfo(np.uint8).max, np.uint8)
    np.minimum.at(lengths, number, np.append(automaton.context_lengths, np.uint8(0))[graph.row])
    successor = np.append(number, np.int32(0))[successor[kept]]  # -1 is the last entry
    for start in range(0, len(kept), ROWS):  # in place: together they can take half a gigabyte
        block = kept[start : start + ROWS]
        weights[start : start + len(block)] = weights[block]
    weights.resize((len(kept), weights.shape[1]), refcheck=False)
    return Automaton(automaton.vocabulary, automaton.order, weights, successor, lengths, automaton.cap)

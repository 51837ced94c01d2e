"""Conditions on names, as deterministic finite automata over the symbols of a vocabulary.

Most symbols lead to the same state from most states, so a condition keeps one usual target for each state, and the
arrows that differ from it. This module has those that are made from texts; `pattern` has regular expressions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from namegen.vocabulary import Vocabulary

NOWHERE = -1  # the state from which no name answers


@dataclass(frozen=True, eq=False)
class Condition:
    """A deterministic automaton of Q states that reads a name's symbols from state 0; it answers in an accepting state.

    Args:
        usual: int32[Q]: the state after every symbol that has no arrow of its own, or -1.
        first: int64[Q + 1]: the arrows of state q are `first[q]` to `first[q + 1] - 1`, sorted by symbol.
        symbol: uint8[arrows].
        target: int32[arrows]: the state after the symbol, or -1.
        accepts: bool[Q]: whether a name may end here.
    """

    usual: NDArray[np.int32]
    first: NDArray[np.int64]
    symbol: NDArray[np.uint8]
    target: NDArray[np.int32]
    accepts: NDArray[np.bool_]

    @cached_property
    def is_free(self) -> NDArray[np.bool_]:
        """bool[Q]: from these states every continuation answers."""
        free = self.accepts & (self.usual >= 0)
        source = np.repeat(np.arange(len(free)), np.diff(self.first))
        while True:
            leads_out = ~np.append(free, False)[self.target]  # -1 is the last entry
            still = free & free[self.usual]
            still[source[leads_out]] = False
            if (still == free).all():
                return free
            free = still


def condition(usual: Sequence[int], arrows: Sequence[dict[int, int]], accepts: Sequence[bool]) -> Condition:
    """A condition from what each state has: its usual target, its other arrows by their symbols, whether it accepts."""
    symbols = [sorted(each) for each in arrows]
    return Condition(
        np.array(usual, np.int32),
        np.concatenate([[0], np.cumsum([len(each) for each in symbols], dtype=np.int64)]),
        np.array([symbol for each in symbols for symbol in each], np.uint8),
        np.array([arrows[q][symbol] for q, each in enumerate(symbols) for symbol in each], np.int32),
        np.array(accepts, bool),
    )


def prefix(symbols: Sequence[int]) -> Condition:
    """Names that begin with these symbols."""
    chain = [{symbol: place + 1} for place, symbol in enumerate(symbols)]
    end = len(symbols)
    return condition([NOWHERE] * end + [end], [*chain, {}], [False] * end + [True])


def suffix(symbols: Sequence[int]) -> Condition:
    """Names that end with these symbols."""
    arrows, _ = _matching([symbols])
    return condition([0] * len(arrows), arrows, [place == len(symbols) for place in range(len(arrows))])


def contains(symbols: Sequence[int]) -> Condition:
    """Names in which these symbols stand next to each other, in this order."""
    arrows, is_match = _matching([symbols])
    arrows = [{} if matched else row for row, matched in zip(arrows, is_match, strict=True)]
    usual = [place if matched else 0 for place, matched in enumerate(is_match)]
    return condition(usual, arrows, is_match)


def block(pieces: Sequence[Sequence[int]]) -> Condition:
    """Names that contain none of these pieces."""
    arrows, is_match = _matching(pieces)
    arrows = [
        {} if matched else {symbol: NOWHERE if is_match[after] else after for symbol, after in row.items()}
        for row, matched in zip(arrows, is_match, strict=True)
    ]
    usual = [NOWHERE if matched else 0 for matched in is_match]
    return condition(usual, arrows, [not matched for matched in is_match])


def _matching(pieces: Sequence[Sequence[int]]) -> tuple[list[dict[int, int]], list[bool]]:
    """The automaton of Aho and Corasick (1975): its arrows, where others lead to state 0, and where a piece ends."""
    tree: list[dict[int, int]] = [{}]
    is_match = [False]
    for piece in pieces:
        state = 0
        for symbol in piece:
            if symbol not in tree[state]:
                tree[state][symbol] = len(tree)
                tree.append({})
                is_match.append(False)
            state = tree[state][symbol]
        is_match[state] = True
    arrows: list[dict[int, int]] = [{} for _ in tree]
    arrows[0] = dict(tree[0])
    waiting = deque((state, 0) for state in tree[0].values())  # with the longest other state that ends alike
    while waiting:
        state, shorter = waiting.popleft()
        is_match[state] |= is_match[shorter]
        arrows[state] = arrows[shorter] | tree[state]
        waiting.extend((after, arrows[shorter].get(symbol, 0)) for symbol, after in tree[state].items())
    return arrows, is_match


def length(shortest: int, longest: int, vocabulary: Vocabulary) -> Condition:
    """Names of `shortest` to `longest` characters."""
    leads = range(vocabulary.first_lead, vocabulary.first_tail)
    steps = range(longest + 1)
    usual = [count + 1 for count in steps]
    usual[longest] = NOWHERE
    stays = [dict.fromkeys(leads, count) for count in steps]  # a lead is no character by itself
    stays[longest] = {}
    return condition(usual, stays, [count >= shortest for count in steps])


def at_least(shortest: int, vocabulary: Vocabulary) -> Condition:
    """Names of `shortest` characters or more."""
    leads = range(vocabulary.first_lead, vocabulary.first_tail)
    usual = [min(count + 1, shortest) for count in range(shortest + 1)]
    stays = [dict.fromkeys(leads, count) for count in range(shortest)]
    return condition(usual, [*stays, {}], [count >= shortest for count in range(shortest + 1)])


def without(names: Sequence[str], vocabulary: Vocabulary) -> Condition:
    """Names that are none of these. State 0 is the root of their tree, and the last state is off it."""
    listed = sorted(set(names))
    ids, lengths = vocabulary.encode(listed)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    is_bad = np.concatenate([[0], np.cumsum(ids < 0)])
    whole = np.flatnonzero(np.diff(is_bad[starts]) == 0)  # the others cannot be drawn anyway
    table = np.full((len(whole), int(lengths[whole].max(initial=0)) + 1), -1, np.int16)
    for place in range(table.shape[1] - 1):
        inside = lengths[whole] > place
        table[inside, place] = ids[starts[whole[inside]] + place]
    table = table[np.lexsort(table.T[::-1])]
    return _off_the_tree(table)


def _off_the_tree(table: NDArray[np.int16]) -> Condition:
    """The complement of a list: int16[N, longest + 1], sorted rows that are filled up with -1."""
    names = len(table)
    node = np.zeros(names, np.int64)  # of the tree, where each name is after so many symbols
    sources, symbols, ends, count = [], [], [], 1
    alive = np.arange(names)
    for place in range(table.shape[1]):
        column = table[alive, place]
        ends.append(np.unique(node[alive[column < 0]]))
        alive = alive[column >= 0]
        if not alive.size:
            break
        source, symbol = node[alive], table[alive, place]
        is_new = np.ones(len(alive), bool)
        is_new[1:] = (source[1:] != source[:-1]) | (symbol[1:] != symbol[:-1])
        node[alive] = count - 1 + np.cumsum(is_new)
        sources.append(source[is_new])
        symbols.append(symbol[is_new])
        count += int(is_new.sum())
    source = np.concatenate(sources) if sources else np.empty(0, np.int64)
    accepts = np.ones(count + 1, bool)
    accepts[np.concatenate(ends) if ends else []] = False
    first = np.zeros(count + 2, np.int64)
    first[1:] = np.cumsum(np.bincount(source, minlength=count + 1))
    order = np.argsort(source, kind="stable")  # already: nodes are numbered by place, then by name
    target = np.arange(1, count, dtype=np.int32)[order]
    symbol = (np.concatenate(symbols) if symbols else np.empty(0))[order].astype(np.uint8)
    return Condition(np.full(count + 1, count, np.int32), first, symbol, target, accepts)

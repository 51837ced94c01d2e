"""N-gram counts: which contexts occur in a list of names, which symbols follow each of them, and how often.

A context is a substring of `.name` with 1 to order-1 symbols. The contexts are the states of every counting model.
Their ids, and the two arrows between them (backoff and successor), are defined here and nowhere else.

Contexts of length k are numbered from those of length k-1. A context is the pair of the context without its last symbol
and that symbol, so a dense rank of integer pairs per length puts them in order. Strings are built only for Parquet.
This works for any order and alphabet. The class and the function that builds it share a module, because both rely on
this numbering.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from namegen.errors import SettingError
from namegen.vocabulary import MAX_LENGTH, Vocabulary

MAX_ORDER = MAX_LENGTH + 2  # with it the longest context is the whole of `.name`


@dataclass(frozen=True, eq=False, repr=False)
class NgramCounts:
    """The n-gram counts of a list of names, for n = 2 to `order`; S contexts, V symbols, E entries.

    States are contexts, sorted by length and then by symbol ids. Every single symbol is a context, even if the names
    lack it. So states 0 to V-1 are the symbols themselves, state 0 is the start, and backing off always ends. Every
    suffix of a context is a context.

    Args:
        vocabulary: the symbols.
        order: n, as in n-gram; contexts have 1 to n-1 symbols.
        first_state: int64[order]: the contexts of length k are states first_state[k-1] to first_state[k]-1.
        prefix: int32[S]: the context without its last symbol; -1 for a single symbol.
        last: uint8[S]: the last symbol of the context.
        backoff: int32[S]: the context without its first symbol; -1 for a single symbol.
        state, symbol, count: int32[E], uint8[E], int64[E]: how often `symbol` follows the context `state`. Sorted by
            state, then symbol; only counts above 0.
    """

    vocabulary: Vocabulary
    order: int
    first_state: NDArray[np.int64]
    prefix: NDArray[np.int32]
    last: NDArray[np.uint8]
    backoff: NDArray[np.int32]
    state: NDArray[np.int32]
    symbol: NDArray[np.uint8]
    count: NDArray[np.int64]

    def __repr__(self) -> str:
        return f"NgramCounts(order={self.order}, states={self.states:,}, symbols={len(self.vocabulary)})"

    @property
    def states(self) -> int:
        """S, the number of contexts."""
        return int(self.first_state[-1])

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """int64[S, V]: the counts as a table."""
        table = np.zeros((self.states, len(self.vocabulary)), np.int64)
        table[self.state, self.symbol] = self.count
        return table

    @cached_property
    def successor(self) -> NDArray[np.int32]:
        """int32[S, V]: the longest suffix of (context, symbol) that is a context; 0, the start, for the boundary."""
        symbols = len(self.vocabulary)
        table = np.empty((self.states, symbols), np.int32)
        table[:symbols] = np.arange(symbols)
        for k in range(1, self.order):
            here = slice(self.first_state[k - 1], self.first_state[k])
            if k > 1:
                table[here] = table[self.backoff[here]]
            if k + 1 < self.order:  # a context one symbol longer is the successor of its prefix
                longer = np.arange(self.first_state[k], self.first_state[k + 1], dtype=np.int32)
                table[self.prefix[longer], self.last[longer]] = longer
        table[:, 0] = 0
        return table

    @cached_property
    def is_start(self) -> NDArray[np.bool_]:
        """bool[S]: whether the context starts with the boundary, where the name starts."""
        table = np.zeros(self.states, bool)
        table[0] = True
        for k in range(2, self.order):
            here = slice(self.first_state[k - 1], self.first_state[k])
            table[here] = table[self.prefix[here]]
        return table

    @cached_property
    def is_whole(self) -> NDArray[np.bool_]:
        """bool[S]: whether the context cannot be longer: it has n-1 symbols or starts with the boundary."""
        table = self.is_start.copy()
        table[self.first_state[self.order - 2] :] = True
        return table

    @cached_property
    def lengths(self) -> NDArray[np.uint8]:
        """uint8[S]: how many symbols each context has; the boundary is one."""
        return np.repeat(np.arange(1, self.order), np.diff(self.first_state)).astype(np.uint8)

    def after(self, state: NDArray[np.integer], symbols: NDArray[np.integer]) -> NDArray[np.int32]:
        """int32[N]: the longest suffix of each (context, symbol) that is a context; the symbol is not the boundary."""
        found = np.asarray(symbols, np.int32).copy()  # a symbol alone is always a context
        left, shorter = np.arange(len(found)), np.asarray(state)
        while left.size:
            key = shorter.astype(np.int64) * len(self.vocabulary) + symbols[left]
            place = np.minimum(np.searchsorted(self._longer, key), max(len(self._longer) - 1, 0))
            hit = self._longer[place] == key if len(self._longer) else np.zeros(len(left), bool)
            found[left[hit]] = place[hit] + len(self.vocabulary)
            shorter = self.backoff[shorter]
            goes_on = ~hit & (shorter >= 0)
            left, shorter = left[goes_on], shorter[goes_on]
        return found

    @cached_property
    def _longer(self) -> NDArray[np.int64]:
        """int64[S - V], rising: prefix and last symbol of each context of two or more symbols, in one number."""
        symbols = len(self.vocabulary)
        return self.prefix[symbols:].astype(np.int64) * symbols + self.last[symbols:]

    def adjusted(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """`state`, `symbol` and `count`, all int64: the whole contexts' counts, and the others' continuation counts.

        A continuation count is the number of different symbols that precede (context, symbol). It shows how likely the
        symbol is if the longer context is new, which is when a shorter one is asked (Kneser & Ney 1995). Whole contexts
        cannot be longer, and keep their counts. Sorted by state, then symbol; only counts above 0.
        """
        symbols = len(self.vocabulary)
        shorter = self.backoff[self.state].astype(np.int64)
        longer = shorter >= 0
        whole = self.is_whole[self.state]
        key, continuation = np.unique(shorter[longer] * symbols + self.symbol[longer], return_counts=True)
        key = np.concatenate([key, self.state[whole].astype(np.int64) * symbols + self.symbol[whole]])
        count = np.concatenate([continuation, self.count[whole]])
        order = np.argsort(key)  # no context is whole and a suffix of another
        return key[order] // symbols, key[order] % symbols, count[order].astype(np.int64)

    def lower(self, order: int) -> NgramCounts:
        """The counts of a lower order: those of the shorter contexts, which come first in every array.

        Raises:
            SettingError: for an order outside 2 to the order of these counts.
        """
        if not 2 <= order <= self.order:
            raise SettingError(f"order {order} is not in 2 to {self.order}, the order of the counts")
        states = self.first_state[order - 1]
        entries = np.searchsorted(self.state, states)
        return NgramCounts(
            self.vocabulary,
            order,
            self.first_state[:order],
            self.prefix[:states],
            self.last[:states],
            self.backoff[:states],
            self.state[:entries],
            self.symbol[:entries],
            self.count[:entries],
        )

    def contexts(self) -> pl.Series:
        """The contexts as strings, in order of state."""
        symbols = pl.Series("context", [*self.vocabulary.symbols])
        levels = [symbols]
        for k in range(2, self.order):
            here = slice(self.first_state[k - 1], self.first_state[k])
            shorter = levels[-1].gather(self.prefix[here] - self.first_state[k - 2])
            levels.append(shorter + symbols.gather(self.last[here]))
        return pl.concat(levels)

    def to_frame(self) -> pl.DataFrame:
        """The entries in order, as `context`, `symbol` (strings; the boundary as it is shown) and `count` (int64)."""
        return pl.DataFrame(
            {
                "context": self.contexts().gather(self.state),
                "symbol": pl.Series(list(self.vocabulary.symbols)).gather(self.symbol),
                "count": self.count,
            }
        )


def count_ngrams(names: Sequence[str], vocabulary: Vocabulary, order: int) -> NgramCounts:
    """Counts the n-grams of `names` for n = 2 to `order`.

    >>> count_ngrams(["ab", "ab", "b"], Vocabulary(".ab"), order=3).to_frame().rows()
    [('.', 'a', 2), ('.', 'b', 1), ('a', 'b', 2), ('b', '.', 3), ('.a', 'b', 2), ('.b', '.', 1), ('ab', '.', 2)]

    Args:
        names: with all their characters in the vocabulary.

    Raises:
        SettingError: for an order outside 2 to 66.
    """
    if not 2 <= order <= MAX_ORDER:
        raise SettingError(f"order {order} is not in 2 to {MAX_ORDER}", remedy="A bigram has order 2, and 7 is plenty")
    position, last, following = _events(names, vocabulary)
    symbols = len(vocabulary)
    state = last.astype(np.int32)
    first_state = np.full(order, symbols, np.int64)
    first_state[0] = 0
    prefixes, backoffs = [np.full(symbols, -1, np.int32)], [np.full(symbols, -1, np.int32)]
    lasts, entries = [np.arange(symbols, dtype=np.uint8)], [_count(state, following, symbols, 0)]
    for k in range(2, order):
        # For each event, the context of length k-1 that ends one symbol earlier is the prefix, and the one that ends
        # here is the backoff. Events stay in the order of the names, so "one symbol earlier" is the one before.
        long = np.flatnonzero(position >= k - 1)
        backoff, position, last, following = state[long], position[long], last[long], following[long]
        pairs, state = np.unique(state[long - 1] * np.int64(symbols) + last, return_inverse=True)
        state = state.astype(np.int32)
        start, before = first_state[k - 1], first_state[k - 2]
        first_state[k:] = start + len(pairs)
        prefixes.append((pairs // symbols + before).astype(np.int32))
        lasts.append((pairs % symbols).astype(np.uint8))
        backoffs.append(np.empty(len(pairs), np.int32))
        backoffs[-1][state] = backoff + np.int32(before)
        entries.append(_count(state, following, symbols, int(start)))
    return NgramCounts(
        vocabulary,
        order,
        first_state,
        np.concatenate(prefixes),
        np.concatenate(lasts),
        np.concatenate(backoffs),
        *(np.concatenate(column) for column in zip(*entries, strict=True)),
    )


def bigram_frame(
    names: Sequence[str], train: NgramCounts, probabilities: NDArray[np.float64], learnt: NDArray[np.float64]
) -> pl.DataFrame:
    """All V x V pairs of symbols, by first and then second symbol.

    Args:
        names: the whole list.
        train: the counts of the training names.
        probabilities: float64[V, V]: the table of `models.bigram` for the training names.
        learnt: float64[V, V]: the table of `models.neural_bigram`.

    Returns:
        `first`, `second` (strings; the boundary as it is shown), `count` over `names`, `train_count` (both int64),
        `probability` and `neural_probability`.
    """
    symbols = pl.Series(list(train.vocabulary.symbols))
    pairs = len(symbols) ** 2
    return pl.DataFrame(
        {
            "first": symbols.gather(np.arange(pairs) // len(symbols)),
            "second": symbols.gather(np.arange(pairs) % len(symbols)),
            "count": count_ngrams(names, train.vocabulary, 2).counts.ravel(),
            "train_count": train.lower(2).counts.ravel(),
            "probability": probabilities.ravel(),
            "neural_probability": learnt.ravel(),
        }
    )


def _events(
    names: Sequence[str], vocabulary: Vocabulary
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """For each predicted symbol, name by name: its position, the symbol before it, and itself."""
    ids, lengths = vocabulary.encode(names)
    if ids.size and ids.min() < 0:
        raise ValueError("a name has a character outside the vocabulary")
    ends = np.cumsum(lengths + 1)  # a name of n characters predicts n + 1 symbols
    total = int(ends[-1]) if len(ends) else 0
    last, following = np.zeros(total, np.uint8), np.zeros(total, np.uint8)
    inside = np.ones(total, bool)
    inside[ends - 1] = False
    following[inside] = ids
    last[1:] = following[:-1]  # the boundary that ends one name starts the next
    position = np.arange(total, dtype=np.int64) - np.repeat(ends - lengths - 1, lengths + 1)
    return position.astype(np.uint8), last, following


def _count(
    state: NDArray[np.int32], following: NDArray[np.uint8], symbols: int, first_state: int
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.int64]]:
    """`state`, `symbol` and `count` of one context length, sorted; states are numbered from `first_state`."""
    entries, count = np.unique(state * np.int64(symbols) + following, return_counts=True)
    return (entries // symbols + first_state).astype(np.int32), (entries % symbols).astype(np.uint8), count

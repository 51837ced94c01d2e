"""Names become NgramCounts: which contexts occur, what followed each, and how often.

A context is a substring of `.name` of 1 to order-1 symbols. The contexts are the states of every model; their
ids, and the two arrows between them (backoff and successor), are made here and nowhere else.

Contexts of length k are numbered from those of length k-1: a context is the pair (the context without its last
symbol, its last symbol), so one dense rank of integer pairs a length orders them, and no string is ever built
but for Parquet. That works for any order and alphabet. The class, what builds it and its Parquet file rest on that
numbering alone, which is why they stand in one module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from namegen.errors import ArtifactError, SettingError
from namegen.storage.files import write_frame
from namegen.vocabulary import MAX_LENGTH, Vocabulary

MAX_ORDER = MAX_LENGTH + 2  # with it the longest context is the whole of `.name`


@dataclass(frozen=True, eq=False, repr=False)
class NgramCounts:
    """The n-gram counts of a list of names, for n = 2 to `order`; S contexts, V symbols, E entries.

    States are contexts, sorted by length and then by symbol ids. Every single symbol is a context, also one that
    the names lack, so states 0 to V-1 are the symbols themselves, state 0 is the start, and backing off always
    ends. Every suffix of a context is a context.

    Args:
        vocabulary: the symbols.
        order: n, as in n-gram; contexts have 1 to n-1 symbols.
        first_state: int64[order]: the contexts of length k are states first_state[k-1] to first_state[k]-1.
        prefix: int32[S]: the context without its last symbol; -1 for a single symbol.
        last: uint8[S]: the last symbol of the context.
        backoff: int32[S]: the context without its first symbol; -1 for a single symbol.
        state, symbol, count: int32[E], uint8[E], int64[E]: how often `symbol` followed the context; sorted by
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
            if k + 1 < self.order:  # contexts one symbol longer are the successors of their prefix
                longer = np.arange(self.first_state[k], self.first_state[k + 1], dtype=np.int32)
                table[self.prefix[longer], self.last[longer]] = longer
        table[:, 0] = 0
        return table

    @cached_property
    def is_start(self) -> NDArray[np.bool_]:
        """bool[S]: whether the context begins with the boundary, and so with the name."""
        table = np.zeros(self.states, bool)
        table[0] = True
        for k in range(2, self.order):
            here = slice(self.first_state[k - 1], self.first_state[k])
            table[here] = table[self.prefix[here]]
        return table

    @cached_property
    def is_whole(self) -> NDArray[np.bool_]:
        """bool[S]: whether the context cannot be made longer: it has n-1 symbols, or begins with the boundary."""
        table = self.is_start.copy()
        table[self.first_state[self.order - 2] :] = True
        return table

    @cached_property
    def history(self) -> NDArray[np.uint16]:
        """uint16[S, n-1]: the symbols of each context, the last one last.

        What stands before is the boundary where the name began, and V, which is no symbol, where it is not known.
        """
        width, unknown = self.order - 1, len(self.vocabulary)
        table = np.full((self.states, width), unknown, np.uint16)
        for k in range(1, self.order):
            here = slice(self.first_state[k - 1], self.first_state[k])
            if k > 1:
                table[here, :-1] = table[self.prefix[here], 1:]
            table[here, -1] = self.last[here]
        return np.where((table == unknown) & self.is_start[:, None], 0, table).astype(np.uint16)

    @cached_property
    def adjusted_counts(self) -> NDArray[np.int64]:
        """int64[S, V]: the counts of the contexts that no longer one stands behind; else continuation counts.

        A continuation count is after how many different symbols (context, symbol) occurred. It says how likely the
        symbol is where the longer context is new, which is when a shorter one is asked (Kneser & Ney 1995). The
        longest contexts, and those that begin with the boundary, cannot be made longer, and keep their counts.
        """
        table = np.where(self.is_whole[:, None], self.counts, 0)
        longer = self.backoff[self.state] >= 0
        np.add.at(table, (self.backoff[self.state[longer]], self.symbol[longer]), 1)
        return table

    def lower(self, order: int) -> NgramCounts:
        """The counts of a lower order: those of the shorter contexts, which come first in every array."""
        if not 2 <= order <= self.order:
            raise SettingError(f"order {order} is not in 2 to {self.order}, the order of these counts")
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
        """The contexts as strings, in the order of the states."""
        symbols = pl.Series("context", list(self.vocabulary.symbols))
        levels = [symbols]
        for k in range(2, self.order):
            here = slice(self.first_state[k - 1], self.first_state[k])
            shorter = levels[-1].gather(self.prefix[here] - self.first_state[k - 2])
            levels.append(shorter + symbols.gather(self.last[here]))
        return pl.concat(levels)

    def to_frame(self) -> pl.DataFrame:
        """The entries as `context`, `symbol` (strings; "." is the boundary) and `count` (int64), in their order."""
        return pl.DataFrame(
            {
                "context": self.contexts().gather(self.state),
                "symbol": pl.Series(list(self.vocabulary.symbols)).gather(self.symbol),
                "count": self.count,
            }
        )

    def write_parquet(self, path: Path) -> None:
        """Writes `to_frame` with the vocabulary and the order, from which `read_parquet` has the counts again."""
        metadata = {"namegen.vocabulary": self.vocabulary.symbols, "namegen.order": str(self.order)}
        write_frame(path, self.to_frame(), metadata)


def count_ngrams(names: Sequence[str], vocabulary: Vocabulary, order: int) -> NgramCounts:
    """Counts the n-grams of `names` for n = 2 to `order`.

    Args:
        names: every character of theirs is in the vocabulary.

    Raises:
        SettingError: for an order outside 2 to 66.
    """
    if not 2 <= order <= MAX_ORDER:
        raise SettingError(f"order {order} is not in 2 to {MAX_ORDER}", remedy="A bigram has order 2; 7 is plenty")
    events = _events(names, vocabulary)
    symbols = len(vocabulary)
    first_state = np.full(order, symbols, np.int64)
    first_state[0] = 0
    prefix, backoff = [np.full(symbols, -1, np.int32)], [np.full(symbols, -1, np.int32)]
    last, entries = [np.arange(symbols, dtype=np.uint8)], [_count(events, 0)]
    for k in range(2, order):
        # Row by row: the context of length k-1 that ended one symbol earlier is the prefix, the one that ends here
        # the backoff. Rows stay in the order of the names, so "one symbol earlier" is the row above.
        events = (
            events.with_columns(pl.col("state").shift(1).alias("prefix"))
            .filter(pl.col("position") >= k - 1)
            .rename({"state": "backoff"})
            .with_columns((pl.col("prefix").cast(pl.Int64) * symbols + pl.col("last")).alias("pair"))
            .with_columns((pl.col("pair").rank("dense") - 1).cast(pl.Int32).alias("state"))
        )
        level = events.group_by("state").agg(pl.col("prefix", "backoff", "last").first()).sort("state")
        start, before = first_state[k - 1], first_state[k - 2]
        first_state[k:] = start + level.height
        prefix.append(level["prefix"].to_numpy() + np.int32(before))
        backoff.append(level["backoff"].to_numpy() + np.int32(before))
        last.append(level["last"].to_numpy())
        events = events.select("position", "last", "next", "state")
        entries.append(_count(events, int(start)))
    table = pl.concat(entries)
    return NgramCounts(
        vocabulary,
        order,
        first_state,
        np.concatenate(prefix),
        np.concatenate(last),
        np.concatenate(backoff),
        table["state"].to_numpy(),
        table["next"].to_numpy(),
        table["count"].to_numpy(),
    )


def read_parquet(path: Path) -> NgramCounts:
    """The counts that `NgramCounts.write_parquet` wrote.

    Raises:
        ArtifactError: where the file is not one of those.
    """
    try:
        data = path.read_bytes()  # polars, given a path, expands ~ and wildcards in it
        metadata = pl.read_parquet_metadata(BytesIO(data))
        vocabulary, order = Vocabulary(metadata["namegen.vocabulary"]), int(metadata["namegen.order"])
        return _from_frame(pl.read_parquet(data), vocabulary, order)
    except (OSError, KeyError, ValueError, TypeError, pl.exceptions.PolarsError) as error:
        reason = str(error).partition("\n")[0]
        raise ArtifactError(f"is not a table of n-gram counts ({reason})", str(path), "Have it made again") from None


def bigram_frame(
    names: Sequence[str], train: NgramCounts, probabilities: NDArray[np.float64], learnt: NDArray[np.float64]
) -> pl.DataFrame:
    """All V x V pairs of symbols, by first and then second symbol.

    Args:
        names: the whole list.
        train: the counts of the training names.
        probabilities: float64[V, V]: the +1 table of the training names.
        learnt: float64[V, V]: the neural bigram's.

    Returns:
        `first`, `second` (strings; "." is the boundary), `count` over `names`, `train_count` (both int64),
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


def _events(names: Sequence[str], vocabulary: Vocabulary) -> pl.DataFrame:
    """One row a predicted symbol, name by name: `position` in the name, `last` and `next` symbol, `state` = last."""
    ids, lengths = vocabulary.encode(names)
    if ids.size and ids.min() < 0:
        raise ValueError("a name has a character outside the vocabulary")
    ends = np.cumsum(lengths + 1)  # a name of n characters predicts n + 1 symbols
    starts = ends - lengths - 1
    total = int(ends[-1]) if len(ends) else 0
    last, following = np.zeros(total, np.uint8), np.zeros(total, np.uint8)
    inside = np.ones(total, bool)
    inside[ends - 1] = False
    following[inside] = ids
    last[1:] = following[:-1]  # the boundary that ends one name starts the next
    position = np.arange(total, dtype=np.int64) - np.repeat(starts, lengths + 1)
    return pl.DataFrame(
        {"position": position.astype(np.uint8), "last": last, "next": following, "state": last.astype(np.int32)}
    )


def _count(events: pl.DataFrame, first_state: int) -> pl.DataFrame:
    """`state`, `next` and `count` of one level, sorted, its states numbered from `first_state`."""
    return (
        events.group_by("state", "next")
        .agg(pl.len().cast(pl.Int64).alias("count"))
        .sort("state", "next")
        .with_columns((pl.col("state") + first_state).cast(pl.Int32))
    )


def _from_frame(frame: pl.DataFrame, vocabulary: Vocabulary, order: int) -> NgramCounts:
    symbols = pl.DataFrame({"context": list(vocabulary.symbols)}).with_columns(id=pl.int_range(pl.len()))
    # every single symbol is a context, also one that the training names lack
    longer = frame.filter(pl.col("context").str.len_chars() > 1)
    contexts = pl.concat([symbols["context"], longer["context"].unique(maintain_order=True)])
    states = pl.DataFrame({"context": contexts, "state": np.arange(len(contexts), dtype=np.int32)})

    def state_of(strings: pl.Series) -> NDArray[np.int32]:
        found = strings.to_frame("context").join(states, on="context", how="left", maintain_order="left")["state"]
        return found.fill_null(-1).to_numpy()

    def symbol_of(strings: pl.Series) -> NDArray[np.uint8]:
        found = strings.to_frame("context").join(symbols, on="context", how="left", maintain_order="left")["id"]
        return found.cast(pl.UInt8).to_numpy()

    lengths = contexts.str.len_chars().to_numpy().astype(np.int64)
    counts = NgramCounts(
        vocabulary,
        order,
        np.searchsorted(lengths, np.arange(1, order + 1)),
        state_of(contexts.str.head(-1)),
        symbol_of(contexts.str.tail(1)),
        state_of(contexts.str.slice(1)),
        state_of(frame["context"]),
        symbol_of(frame["symbol"]),
        frame["count"].to_numpy(),
    )
    width = len(vocabulary)
    context_key = (lengths * (len(contexts) + 1) + counts.prefix + 1) * width + counts.last
    entry_key = counts.state.astype(np.int64) * width + counts.symbol
    is_sorted = (np.diff(context_key) > 0).all() and (np.diff(entry_key) > 0).all()
    if not (is_sorted and counts.to_frame().equals(frame)):
        raise ValueError("its rows are not the sorted entries of its contexts")
    return counts

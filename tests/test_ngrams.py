from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from namegen.characters import characters_of
from namegen.corpus.corpus import corpus_of
from namegen.corpus.ngrams import NgramCounts, bigram_frame, count_ngrams
from namegen.errors import SettingError
from namegen.models import bigram
from namegen.vocabulary import Vocabulary
from strategies import LETTERS
from strategies import names as some_names

ARRAYS = ("first_state", "prefix", "last", "backoff", "state", "symbol", "count")


def reference(names: list[str], vocabulary: Vocabulary, order: int) -> dict[tuple[str, ...], Counter[str]]:
    """What followed each context, by definition: every part of `.name` of 1 to order-1 symbols."""
    table: dict[tuple[str, ...], Counter[str]] = {(symbol,): Counter() for symbol in vocabulary.symbols}
    for name in names:
        text = (".", *characters_of(name), ".")
        for end in range(1, len(text)):
            for start in range(max(0, end - order + 1), end):
                table.setdefault(text[start:end], Counter())[text[end]] += 1
    ids = {symbol: i for i, symbol in enumerate(vocabulary.symbols)}
    return {c: table[c] for c in sorted(table, key=lambda c: (len(c), [ids[s] for s in c]))}


@given(some_names(letters=LETTERS + "\u093f\u0e34\u0303"), st.integers(2, 12))
def test_equal_to_brute_force(names: list[str], order: int) -> None:
    """Contexts, their order, counts, backoff, successor and the frame of them are what the definitions say."""
    vocabulary = Vocabulary.of([*names, "~"])  # with a character that the training names lack
    counts, expected = count_ngrams(names, vocabulary, order), reference(names, vocabulary, order)
    contexts = [*expected]
    assert counts.contexts().to_list() == ["".join(context) for context in contexts]
    number = {context: i for i, context in enumerate(contexts)}
    for context, row in expected.items():
        s = number[context]
        assert {v: n for v, n in zip(vocabulary.symbols, counts.counts[s], strict=True) if n} == dict(row)
        assert counts.backoff[s] == number.get(context[1:], -1)
        assert counts.prefix[s] == number.get(context[:-1], -1)
        for v, symbol in enumerate(vocabulary.symbols[1:], 1):
            longest = next(c for i in range(len(context) + 1) if (c := (*context, symbol)[i:]) in number)
            assert counts.successor[s, v] == number[longest]
    assert (counts.successor[:, 0] == 0).all()
    rows = [("".join(context), v, row[v]) for context, row in expected.items() for v in vocabulary.symbols if row[v]]
    assert counts.to_frame().rows() == rows
    lengths = [len(context) for context in contexts]
    assert [lengths.count(k) for k in range(1, order)] == np.diff(counts.first_state).tolist()


@given(some_names(), st.integers(2, 6), st.integers(0, 4))
def test_a_lower_order_is_a_prefix(names: list[str], order: int, more: int) -> None:
    vocabulary = Vocabulary.of(names)
    lowered, direct = count_ngrams(names, vocabulary, order + more).lower(order), count_ngrams(names, vocabulary, order)
    for array in (*ARRAYS, "counts", "successor"):
        np.testing.assert_array_equal(getattr(lowered, array), getattr(direct, array), strict=True)


def test_bigram_frame() -> None:
    """All V x V pairs; counts over the whole list and over train; the +1 probability of train."""
    corpus = corpus_of(["ab", "b"])
    train = count_ngrams(["ab"], corpus.vocabulary, 4)
    frame = bigram_frame(corpus.names, train, bigram.fit(train), np.arange(9.0).reshape(3, 3))
    assert frame.schema == {
        "first": pl.String,
        "second": pl.String,
        "count": pl.Int64,
        "train_count": pl.Int64,
        "probability": pl.Float64,
        "neural_probability": pl.Float64,
    }
    assert frame["neural_probability"].to_list() == list(range(9))
    assert frame.drop("neural_probability").rows() == [
        (".", ".", 0, 0, 1 / 4),
        (".", "a", 1, 1, 2 / 4),
        (".", "b", 1, 0, 1 / 4),
        ("a", ".", 0, 0, 1 / 4),
        ("a", "a", 0, 0, 1 / 4),
        ("a", "b", 1, 1, 2 / 4),
        ("b", ".", 2, 1, 2 / 4),
        ("b", "a", 0, 0, 1 / 4),
        ("b", "b", 0, 0, 1 / 4),
    ]


def test_the_largest_order_holds_whole_names() -> None:
    """With order 66 a name of 64 characters is a context of its own."""
    name = "ab" * 32
    counts = count_ngrams([name], Vocabulary(".ab"), 66)
    assert counts.contexts()[-1] == f".{name}"


def test_orders_out_of_range() -> None:
    for order in (1, 67):
        with pytest.raises(SettingError, match="order"):
            count_ngrams(["a"], Vocabulary(".a"), order)
    counts: NgramCounts = count_ngrams(["a"], Vocabulary(".a"), 3)
    with pytest.raises(SettingError, match="order"):
        counts.lower(4)


def test_a_character_outside_the_vocabulary() -> None:
    with pytest.raises(ValueError, match="outside the vocabulary"):
        count_ngrams(["ab"], Vocabulary(".a"), 3)

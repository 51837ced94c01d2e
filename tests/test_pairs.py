"""Which symbols may follow which: no drawn name begins with a space, has two separators in a row, and so on."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import namegen
from namegen.corpus.corpus import corpus_of
from namegen.corpus.pairs import allowed_pairs, keep_allowed
from namegen.vocabulary import as_read

TOWNS = ["St. Paul", "H.-Dieter", "Aix-en-Provence", "L'Isle", "Bad Ems", "Ems (Ost)", "Mr. Mime", "Ea"]


def test_letters_may_all_follow_each_other() -> None:
    assert allowed_pairs(corpus_of(["ab", "c3"])) is None
    assert allowed_pairs(corpus_of(["漢字", "Zoë"])) is None


def test_what_may_follow_what() -> None:
    """Of the pairs that the list lacks, only those that look wrong may not; of those that it has, all may."""
    corpus = corpus_of(["a- b.", "a b", "က\u102c a"])  # a mark that is a character of its own
    allowed = allowed_pairs(corpus)
    assert allowed is not None
    ids = {symbol: i for i, symbol in enumerate(corpus.vocabulary.symbols)}
    wrong = {(first, second) for first, i in ids.items() for second, j in ids.items() if not allowed[i, j]}
    end, mark = corpus.vocabulary.boundary, "\u102c"
    spaces = {(end, " "), (" ", end)}
    twice = {(a, b) for a in "- ." for b in "- ."} - {("-", " ")}
    assert wrong == spaces | twice | {(before, mark) for before in (end, "-", " ", ".")}


def test_the_rest_keeps_its_proportions() -> None:
    allowed = np.array([[True, True, True], [True, False, True]])
    table = np.array([[0.5, 0.25, 0.25], [0.5, 0.2, 0.3]])
    kept = keep_allowed(table, np.array([0, 1]), allowed)
    assert kept[0].tolist() == table[0].tolist()
    assert kept[1] == pytest.approx([0.625, 0, 0.375])
    assert keep_allowed(table, np.array([0, 1]), None) is table


@pytest.mark.parametrize("model", ["bigram", "neural-bigram", "kneser-ney", "blend"])
def test_drawn_names(model: str) -> None:
    """Of eight town names; each drawn name is read as it was drawn, and has its probability.

    What is cut after 64 symbols ends with whatever comes then.
    """
    fitted = namegen.fit(TOWNS, model=model, preset="quick", holdout=0)
    drawn = fitted.sample(3000).filter(pl.col("name").str.len_chars() < 64)
    names = drawn["name"].to_list()
    assert len(names) > 1000
    assert [as_read(name) for name in names] == names
    assert any("." in name for name in names)
    assert not [name for name in names for pair in ("  ", "--", "''", " -", "- ", "..", "( ") if pair in name]
    assert fitted.score(names) == drawn["log_prob"].to_list()


@settings(max_examples=20)
@given(st.lists(st.text("ab .-e\u0301\u0e34", min_size=1, max_size=6), min_size=1, max_size=8), st.integers(0, 9))
def test_any_list(names: list[str], seed: int) -> None:
    """Whatever the list, names are drawn, and no space is at their ends."""
    if not any(as_read(name) for name in names):
        return
    fitted = namegen.fit(names, model="bigram", holdout=0)
    for name in fitted.sample(50, seed, into="list"):
        assert name == name.strip() or len(name) == 64

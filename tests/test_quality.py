"""Figures of drawn names, against those worked out by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from namegen.corpus.corpus import Corpus, corpus_of, split
from namegen.corpus.ngrams import count_ngrams
from namegen.models import kneser_ney
from namegen.report import text as tables
from namegen.training import detect
from namegen.training import likeness as quality
from namegen.training.quantise import quantise


def test_figures_by_hand() -> None:
    """Four names of which two are new, three different; each distance is half the sum of the differences."""
    drawn, corpus = pl.Series(["ab", "ab", "abc", "ca"]), pl.Series(["ab", "b"])
    (row,) = quality.compare("m", drawn, corpus).to_dicts()
    assert row == {
        "model": "m",
        "names": 4,
        "novel": 0.5,
        "distinct": 0.75,
        "mean_length": 2.25,
        "corpus_mean_length": 1.5,
        "long": 0.0,
        "corpus_long": 0.0,
        "length_distance": pytest.approx((abs(0.75 - 0.5) + 0.25 + 0.5) / 2),
        "first_letter_distance": pytest.approx((abs(0.75 - 0.5) + 0.25 + 0.5) / 2),
        "last_letter_distance": pytest.approx((abs(0.5 - 1) + 0.25 + 0.25) / 2),
        "examples": ["ab", "ab", "abc", "ca"],
        **dict.fromkeys(["detectability", "detectability_cold", "detectability_hot", "membership", "likeliest"]),
    }
    long = quality.compare("m", pl.Series(["a" * 11, "a" * 12]), pl.Series(["a" * 13, "a", "a", "a"]))
    assert long.select("long", "corpus_long").row(0) == (0.5, 0.25)


def test_the_distance_from_itself_and_from_what_it_never_is() -> None:
    assert quality.total_variation(pl.Series(["a", "b"]), pl.Series(["b", "a", "a", "b"])) == 0
    assert quality.total_variation(pl.Series([1, 2]), pl.Series([3])) == 1


def test_a_model_of_whole_names_draws_the_list(names: Corpus) -> None:
    """At an order that holds every name whole, with nothing discounted, all distances are those of chance."""
    some = corpus_of(names.names[:300])
    counts = count_ngrams(some.names, some.vocabulary, 14)
    table = counts.counts / counts.counts.sum(axis=1, keepdims=True).clip(1)
    table[counts.counts.sum(axis=1) == 0, 0] = 1
    (row,) = quality.measure("m", quantise(table, counts), some, split(some, 0)).to_dicts()
    assert row["novel"] == 0
    assert row["distinct"] == 300 / 100_000
    assert row["mean_length"] == pytest.approx(row["corpus_mean_length"], abs=0.02)
    assert max(row[f"{what}_distance"] for what in ("length", "first_letter", "last_letter")) < 0.01


def test_the_text(names: Corpus) -> None:
    """A line of figures a model next to the list's, and its first twenty names; nothing that a terminal would obey."""
    counts = count_ngrams(names.names[:2000], names.vocabulary, 3)
    frame = quality.measure(
        "kneser-ney", quantise(kneser_ney.fit(counts).table, counts), names, split(names), 5000, whole=True
    )
    assert 0.5 < frame["detectability"][0] < 1
    assert frame["detectability_cold"][0] != frame["detectability_hot"][0]
    assert 0.5 < frame["membership"][0] < 1
    likeliest = frame["likeliest"].to_list()[0]
    assert len(likeliest) == 50
    assert not {*likeliest} & {*names.names}
    odd = quality.compare("odd", pl.Series(["", "\u202eab", "ab cd"]), pl.Series(names.names))
    text = tables.quality_text(pl.concat([odd, frame]))
    assert f"The likeliest new names of kneser-ney: {', '.join(likeliest[:5])}" in text
    assert f"told apart at {frame['detectability_cold'][0]:.3f} and" in text
    lines = text.splitlines()
    assert any(line.startswith("names file") and "6.12" in line for line in lines)
    assert any(line.startswith("kneser-ney ") and f"{100 * frame['novel'][0]:.1f} %" in line for line in lines)
    assert all(name in text for name in frame["examples"][0])
    assert len(frame["examples"][0]) == 20
    assert "(empty), \\u202eab, ab cd" in text
    assert max(map(len, lines)) <= 120
    assert tables.markdown(tables.quality_rows(frame)).count("\n") == 3


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_auc_is_the_share_of_pairs(higher: list[int], lower: list[int]) -> None:
    pairs = [(a > b) + 0.5 * (a == b) for a in higher for b in lower]
    assert detect.auc(np.array(higher, float), np.array(lower, float)) == pytest.approx(sum(pairs) / len(pairs))


def test_what_can_be_told_apart(names: Corpus) -> None:
    """Names from names of the same list: chance. Names with a pair of their own: surely."""
    shuffled = split(names).train
    one, other = shuffled[:1500], shuffled[1500:3000]
    assert detect.detectability(one, other) == pytest.approx(0.5, abs=0.03)
    assert detect.detectability([f"{name}qz" for name in one], other) > 0.999
    assert detect.detectability([name[::-1] for name in one], other) > 0.9


def test_the_regression(names: Corpus) -> None:
    """Its weights are where the gradient of the loss with the ridge is nearly 0, which is the one minimum."""
    row, column, shape = detect._parts([*names.names[:300], *(name[::-1] for name in names.names[300:600])])
    is_real, used = np.repeat([False, True], 300), np.arange(600) % 5 != 0
    inside = used[row]

    def gradient(weights: NDArray[np.float64]) -> float:
        score = np.bincount(row[inside], weights[column[inside]], 600)
        error = np.where(used, 1 / (1 + np.exp(-score)) - is_real, 0)
        return float(np.abs(np.bincount(column[inside], error[row[inside]], shape[1]) + weights).max())

    weights = detect._fitted(row[inside], column[inside], shape, is_real, used)
    assert gradient(weights) < 0.02 * gradient(np.zeros(shape[1]))


def test_membership_of_a_list_learnt_by_heart(names: Corpus) -> None:
    """A model of whole names gives its list away, and the bigram model hardly."""
    few = corpus_of(names.names[:500])
    parts = split(few)
    for order, least, most in ((8, 0.9, 1.0), (2, 0.4, 0.65)):
        counts = count_ngrams(parts.train, few.vocabulary, order)
        automaton = quantise(kneser_ney.fit(counts).table, counts)
        frame = quality.measure("m", automaton, few, parts, 1000)
        assert least < frame["membership"][0] <= most

"""Figures of drawn names, against those worked out by hand."""

from __future__ import annotations

import polars as pl
import pytest

from namegen.corpus.corpus import Corpus, corpus_of
from namegen.corpus.ngrams import count_ngrams
from namegen.models import kneser_ney
from namegen.report import text as tables
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
        "length_distance": pytest.approx((abs(0.75 - 0.5) + 0.25 + 0.5) / 2),
        "first_letter_distance": pytest.approx((abs(0.75 - 0.5) + 0.25 + 0.5) / 2),
        "last_letter_distance": pytest.approx((abs(0.5 - 1) + 0.25 + 0.25) / 2),
        "examples": ["ab", "ab", "abc", "ca"],
    }


def test_the_distance_from_itself_and_from_what_it_never_is() -> None:
    assert quality.total_variation(pl.Series(["a", "b"]), pl.Series(["b", "a", "a", "b"])) == 0
    assert quality.total_variation(pl.Series([1, 2]), pl.Series([3])) == 1


def test_a_model_of_whole_names_draws_the_list(names: Corpus) -> None:
    """At an order that holds every name whole, with nothing discounted, all distances are those of chance."""
    some = corpus_of(names.names[:300])
    counts = count_ngrams(some.names, some.vocabulary, 14)
    table = counts.counts / counts.counts.sum(axis=1, keepdims=True).clip(1)
    table[counts.counts.sum(axis=1) == 0, 0] = 1
    (row,) = quality.measure("m", quantise(table, counts), some).to_dicts()
    assert row["novel"] == 0
    assert row["distinct"] == 300 / 100_000
    assert row["mean_length"] == pytest.approx(row["corpus_mean_length"], abs=0.02)
    assert max(row[f"{what}_distance"] for what in ("length", "first_letter", "last_letter")) < 0.01


def test_the_text(names: Corpus) -> None:
    """A line of figures a model next to the list's, and its first twenty names; nothing that a terminal would obey."""
    counts = count_ngrams(names.names[:2000], names.vocabulary, 3)
    frame = quality.measure("kneser-ney", quantise(kneser_ney.fit(counts), counts), names, 5000)
    odd = quality.compare("odd", pl.Series(["", "\u202eab", "ab cd"]), pl.Series(names.names))
    text = tables.quality_text(pl.concat([frame, odd]))
    lines = text.splitlines()
    assert any(line.startswith("names file") and "6.12" in line for line in lines)
    assert any(line.startswith("kneser-ney ") and f"{100 * frame['novel'][0]:.1f} %" in line for line in lines)
    assert all(name in text for name in frame["examples"][0])
    assert len(frame["examples"][0]) == 20
    assert "(empty), \\u202eab, ab cd" in text
    assert max(map(len, lines)) <= 120
    assert tables.markdown(tables.quality_rows(frame)).count("\n") == 3

"""A name, explained symbol by symbol."""

from __future__ import annotations

import math
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from namegen.automaton.automaton import TOTAL, Automaton
from namegen.automaton.explanation import explain
from namegen.automaton.logarithm import ln
from namegen.codes import Codes
from namegen.corpus.corpus import Corpus
from namegen.corpus.ngrams import count_ngrams
from namegen.errors import SettingError
from namegen.model import Model
from namegen.models import kneser_ney
from namegen.training.compile import compile_model
from namegen.training.pool import Blend
from namegen.training.quantise import quantise
from namegen.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def model(names: Corpus) -> Model:
    """Kneser-Ney of order 4."""
    counts = count_ngrams(names.names[:3000], names.vocabulary, 4)
    return Model(quantise(kneser_ney.fit(counts).table, counts))


def test_each_state_knows_its_context(names: Corpus) -> None:
    """The contexts of the counts have their lengths, and so have those that compiling keeps."""
    counts = count_ngrams(names.names[:3000], names.vocabulary, 5)
    model = kneser_ney.fit(counts)
    alone = quantise(model.table, counts)
    assert alone.context_lengths.tolist() == counts.contexts().str.len_chars().to_list()
    table = compile_model(Blend.alone(model), names.vocabulary, 2000, 20_000)
    compiled = Model(quantise(table.probabilities, table))
    assert compiled.automaton.context_lengths[0] == 1
    known = compiled.explain("katherina")["known"].to_list()
    assert known[:3] == [".", ".k", ".ka"]  # from the start, as far as there are states
    assert all(f".{'katherina'[:i]}".endswith(context) for i, context in enumerate(known))
    assert max(map(len, known)) < 9


@given(st.text("aeimnx", max_size=66))
def test_the_steps_add_up(model: Model, name: str) -> None:
    """To the last bit what `score` says, whether the name can be spelt or not."""
    steps = model.explain(name)
    assert reduce(add, steps["log_prob"]) == model.score(name)
    assert steps["step"].to_list() == list(range(1, len(steps) + 1))
    assert "".join(steps["symbol"]) == f"{name}."[: len(steps)]
    for row in steps.iter_rows(named=True):
        assert row["context"] == f".{name}"[: row["step"]][-3:]
        assert row["context"].endswith(row["known"])


def test_emma(model: Model) -> None:
    """Each step is a row of the automaton: the weights over 2^32, and the likeliest others in their order."""
    steps = model.explain("emma", alternatives=3)
    state = 0
    for row in steps.iter_rows(named=True):
        weights = model.automaton.weights[state]
        symbol = model.automaton.vocabulary.symbols.index(row["symbol"])
        assert row["probability"] == weights[symbol] / TOTAL
        best = sorted((v for v in range(27) if v != symbol), key=lambda v: (-weights[v], v))[:3]
        others = [(model.automaton.vocabulary.symbols[v], weights[v] / TOTAL) for v in best if weights[v]]
        assert [tuple(other.values()) for other in row["alternatives"]] == others
        state = model.automaton.successor[state, symbol]
    assert math.exp(steps["log_prob"].sum()) == pytest.approx(math.exp(model.score("emma")))


def test_codes() -> None:
    """A step is a character with both halves of its code; a half alone is no alternative."""
    vocabulary = Vocabulary(".ab", "xyz", Codes((3,), short=2, long=0, middle=0, tails=2))
    #                      .  a  b  leads  tails
    weights = np.array([[2, 3, 1, 8, 2, 0, 0], [0, 0, 0, 0, 0, 12, 4], [0, 0, 0, 0, 0, 0, 16]]) * (TOTAL // 16)
    successor = np.array([[0, 0, 0, 1, 2, 0, 0]] * 3, np.int32)
    automaton = Automaton(vocabulary, 3, weights, successor, np.array([1, 2, 3], np.uint8), cap=4)
    steps = explain(automaton, "axyb", 9).to_dict(as_series=False)
    assert steps["symbol"] == list("axyb.")
    assert steps["probability"] == [3 / 16, 8 / 16 * 12 / 16, 8 / 16 * 4 / 16, 1 / 16, 1.0]
    logs = ln(weights / TOTAL)
    assert steps["log_prob"] == [logs[0, 1], logs[0, 3] + logs[1, 5], logs[0, 3] + logs[1, 6], logs[0, 2], 0.0]
    assert steps["context"] == [".", ".a", "x", "y", "yb"]
    assert steps["known"] == [".", "a", "x", "y", "b"]
    others = [[".", "b"], ["a", ".", "b"], ["a", ".", "b"], ["a", "."], []]
    assert [[other["symbol"] for other in row] for row in steps["alternatives"]] == others
    impossible = explain(automaton, "az", 1)  # its lead may follow, its tail never
    assert impossible.row(1) == (2, ".a", "a", "z", 0.0, -math.inf, [{"symbol": "a", "probability": 3 / 16}])
    assert len(impossible) == 2
    assert len(explain(automaton, "zab", 0)) == 1


def test_what_cannot_be_spelt(model: Model) -> None:
    """It ends with the symbol that cannot be; behind 64 characters only the end can follow."""
    steps = model.explain("em\x1bma")
    assert steps["symbol"].to_list() == ["e", "m", "\x1b"]
    assert steps.row(-1, named=True)["log_prob"] == -math.inf
    assert model.explain("em\ud800a")["symbol"].to_list() == ["e", "m", "\\ud800"]
    with pytest.raises(SettingError, match="cannot be negative: -1"):
        model.explain("em", -1)
    assert model.explain("a" * 64).row(-1, named=True)["probability"] == 1.0
    long = model.explain("a" * 65).row(-1, named=True)
    assert (long["step"], long["symbol"], long["probability"]) == (65, "a", 0.0)
    assert long["alternatives"] == [{"symbol": ".", "probability": 1.0}]


def test_score_gives_what_it_was_given(model: Model) -> None:
    """A number for a name, and lists, series and arrays for such; nulls stay."""
    expected = model.score(["emma", "Zoë"])
    assert expected == [model.score("emma"), -math.inf]  # a bare string is one name, not its letters
    series = model.score(pl.Series("who", ["emma", None, "Zoë"]))
    assert series.dtype == pl.Float64
    assert (series.name, series.to_list()) == ("who", [expected[0], None, -math.inf])
    for array in (pa.array(["emma", None, "Zoë"]), pa.chunked_array([["emma"], [None, "Zoë"]])):
        scores = model.score(array)
        assert isinstance(scores, pa.DoubleArray)
        assert scores.to_pylist() == [expected[0], None, -math.inf]
    assert model.score(pl.Series(["emma"], dtype=pl.Categorical)).to_list() == expected[:1]
    assert model.score(pa.array(["emma"]).dictionary_encode()).to_pylist() == expected[:1]
    assert model.score(()) == []


@pytest.mark.parametrize(
    "given",
    [
        3,
        ["emma", None],
        ["emma", 3],
        pl.Series([True]),
        pl.Series([3]),
        pl.Series([["emma"]]),
        pl.Series([object()], dtype=pl.Object),
        pl.DataFrame({"name": ["emma"]}),
        pa.array([3]),
        pa.array([["emma"]]),
        pa.array([b"emma"]),
    ],
)
def test_what_is_no_text_has_no_score(model: Model, given: Any) -> None:  # noqa: ANN401 - of any type
    with pytest.raises(TypeError, match=r"names.* text"):
        model.score(given)


def test_samples_in_three_kinds(model: Model) -> None:
    frame = model.sample(5, seed=1, first=3)
    assert pl.DataFrame(pl.from_arrow(model.sample(5, seed=1, first=3, into="arrow"))).equals(frame)
    assert model.sample(5, seed=1, first=3, into="list") == frame["name"].to_list()

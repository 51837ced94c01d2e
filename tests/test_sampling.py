from __future__ import annotations

import hashlib
import math
import sys
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from namegen.automaton.automaton import TOTAL, Automaton
from namegen.corpus.ngrams import count_ngrams
from namegen.errors import CorpusError, SettingError
from namegen.model import Model
from namegen.sampling.reference import ReferenceSampler
from namegen.sampling.stream import (
    LARGEST_TEXT,
    MAX_BATCH,
    MAX_INDEX,
    MAX_SEED,
    arrow_strings,
    bytes_per_row,
    sample,
    sample_batches,
    with_novelty,
)
from namegen.training.quantise import quantise
from namegen.vocabulary import MAX_LENGTH, Vocabulary
from strategies import names as some_names
from strategies import tables

reference_of = cache(ReferenceSampler)


def reference(automaton: Automaton, seed: int, index: int) -> tuple[str, float]:
    return reference_of(automaton).name(seed, index)


def rows(table: pa.Table) -> list[tuple[int, str, float]]:
    return list(zip(*(table[column].to_pylist() for column in ("index", "name", "log_prob")), strict=True))


def test_more_text_than_an_array_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its offsets would overflow in silence."""
    monkeypatch.setattr("namegen.sampling.stream.LARGEST_TEXT", 10)
    for names in (["emma", "zo\xe9", "ab"], ["ab"], []):
        assert arrow_strings(names).to_pylist() == names
    with pytest.raises(CorpusError, match=r"the names have more than 10 bytes. Use a shorter list"):
        arrow_strings(["emma", "zo\xe9", "abc"])


@settings(max_examples=50)
@given(
    some_names(),
    st.integers(2, 4),
    st.data(),
    st.integers(0, MAX_SEED),
    st.one_of(st.integers(0, 2**33), st.integers(0, MAX_INDEX - 20)),
)
def test_equal_to_the_definition(names: list[str], order: int, data: st.DataObject, seed: int, first: int) -> None:
    """Any automaton, seed and index: names, indices and log-probabilities to the last bit."""
    counts = count_ngrams(names, Vocabulary.of(names), order)
    automaton = quantise(data.draw(tables(counts.states, len(counts.vocabulary))), counts)
    expected = [(i, *reference(automaton, seed, i)) for i in range(first, first + 20)]
    assert rows(sample(automaton, seed, first, 20)) == expected


def test_a_word_of_256_symbols() -> None:
    """The largest alphabet, of two and three bytes a character in UTF-8, is sampled as defined."""
    names = [chr(0x700 + i) + chr(0x701 + i) for i in range(254)]
    counts = count_ngrams(names, Vocabulary.of(names), 2)
    assert len(counts.vocabulary) == 256
    table = (counts.counts + 1) / (counts.counts + 1).sum(axis=1, keepdims=True)
    automaton = quantise(table, counts)
    assert rows(sample(automaton, 7, 0, 30)) == [(i, *reference(automaton, 7, i)) for i in range(30)]


def test_names_end_after_64_symbols() -> None:
    """A state that almost never ends gives names of 64, and their log-probability is that of 64 symbols."""
    counts = count_ngrams(["ab"], Vocabulary(".ab"), 2)
    automaton = quantise(np.array([[0, 0.5, 0.5], [1e-9, 0.5, 0.5 - 1e-9], [1e-9, 0.5 - 1e-9, 0.5]]), counts)
    table = sample(automaton, 1, 0, 100)
    names, log_prob = table["name"].to_pylist(), table["log_prob"].to_numpy()
    assert {len(name) for name in names} == {64}
    assert (automaton.log_prob(names) == log_prob).all()
    np.testing.assert_allclose(log_prob, 64 * math.log(0.5), rtol=1e-7)


def test_a_symbol_of_probability_one() -> None:
    """A weight of 2^32 is drawn always, and costs nothing."""
    counts = count_ngrams(["ab"], Vocabulary(".ab"), 2)
    automaton = quantise(np.array([[0, 1.0, 0], [0, 0, 1.0], [1.0, 0, 0]]), counts)
    assert rows(sample(automaton, 1, 0, 3)) == [(0, "ab", 0.0), (1, "ab", 0.0), (2, "ab", 0.0)]


@pytest.fixture(scope="module")
def whole(automaton: Automaton) -> pa.Table:
    return sample(automaton, 42, 0, 200_000)


@settings(max_examples=30)
@given(st.integers(0, 200_000), st.integers(0, 5000), st.integers(1, 3000))
def test_any_range_is_that_slice_of_the_whole(
    automaton: Automaton, whole: pa.Table, first: int, count: int, batch: int
) -> None:
    """sample(first, count) is rows first to first + count - 1 of a longer run, in batches of any size."""
    count = min(count, 200_000 - first)
    batches = list(sample_batches(automaton, 42, first, count, batch=batch))
    assert all(b.num_rows <= batch for b in batches)
    part = pa.Table.from_batches(batches, whole.schema)
    assert part.equals(whole.slice(first, count).combine_chunks())


def test_ranges_across_the_words_of_an_index(automaton: Automaton) -> None:
    """Indices run on past 2^32, up to 2^63 - 1."""
    first = 2**32 - 3
    assert rows(sample(automaton, 42, first, 6)) == [(i, *reference(automaton, 42, i)) for i in range(first, first + 6)]
    (last,) = rows(sample(automaton, MAX_SEED, MAX_INDEX, 1))
    assert last == (MAX_INDEX, *reference(automaton, MAX_SEED, MAX_INDEX))


def test_log_prob_is_the_score(automaton: Automaton, whole: pa.Table) -> None:
    """The stored log-probability is the automaton's score of the name, bit by bit, but for names of 64."""
    assert (automaton.log_prob(whole["name"].to_pylist()) == whole["log_prob"].to_numpy()).all()


def test_golden_hash(whole: pa.Table) -> None:
    """Stream version 1, held to the byte: a change here is a new stream version."""
    head = whole.slice(0, 100_000)
    assert head["name"].to_pylist()[:5] == ["sabe", "sahndr", "zush", "juso", "ke"]
    names = "\n".join(head["name"].to_pylist()).encode()
    assert hashlib.sha256(names).hexdigest() == GOLDEN_NAMES
    assert hashlib.sha256(head["log_prob"].to_numpy().astype("<f8").tobytes()).hexdigest() == GOLDEN_LOG_PROB


GOLDEN_NAMES = "bf0c7897f2e1dceaac950bc39e20dd087a50400954aa808ca4430c1b2be07b49"
GOLDEN_LOG_PROB = "c7d1e6a4431579949733cdf16d623d2acdb70c5a4ba9e460c871af42186d2106"


def test_chi_square(automaton: Automaton, whole: pa.Table) -> None:
    """The symbols of 200,000 names, context by context, are distributed as the weights say.

    The statistic, summed over contexts and pooled where fewer than 5 are expected, stays below the 99.9 % quantile;
    the seed is fixed, so it always does.
    """
    observed = count_ngrams(whole["name"].to_pylist(), automaton.vocabulary, 2).counts
    statistic, freedom = 0.0, 0
    for seen, weights in zip(observed, automaton.weights, strict=True):
        expected = seen.sum() * weights / TOTAL
        common = expected >= 5
        pairs = [*zip(seen[common], expected[common], strict=True), (seen[~common].sum(), expected[~common].sum())]
        cells = [(o, e) for o, e in pairs if e >= 5]
        statistic += sum((o - e) ** 2 / e for o, e in cells)
        freedom += len(cells) - 1
    assert freedom > 500
    # the 99.9 % quantile by Wilson and Hilferty's approximation (1931), with the normal's, 3.0902
    assert statistic < freedom * (1 - 2 / (9 * freedom) + 3.0902 * math.sqrt(2 / (9 * freedom))) ** 3


def test_starts_of_names(automaton: Automaton, whole: pa.Table) -> None:
    """Seeds give different streams, and so do indices."""
    other = sample(automaton, 43, 0, 1000)
    same = np.array(other["name"].to_pylist()) == np.array(whole["name"].to_pylist()[:1000])
    assert same.mean() < 0.05


def test_novelty() -> None:
    names = pa.table({"name": ["ava", "zzz", ""]})
    array = with_novelty(names, pa.array(["ava", "emma"]), Vocabulary(".aemvz"))
    assert array["is_novel"].to_pylist() == [False, True, True]
    assert with_novelty(names, frozenset(["ava", "emma"]), Vocabulary(".aemvz")).equals(array)


def test_novelty_is_that_of_the_normal_form() -> None:
    """Two letters of Hangul that were drawn one after the other are the syllable, if there is one."""
    vocabulary = Vocabulary.of(["하", "\u1112", "\u1161n"])
    assert vocabulary.composes
    assert not Vocabulary.of(["\u00f1", "漢", "한", "n", "q\u0303"]).composes
    drawn = pa.table({"name": ["\u1112\u1161", "하", "\u1112", "nn"]})
    known = pa.array(["하", "\u1112"])
    for way in (known, frozenset(known.to_pylist())):
        assert with_novelty(drawn, way, vocabulary)["is_novel"].to_pylist() == [False, False, False, True]


@pytest.mark.parametrize(("seed", "first", "count"), [(-1, 0, 1), (2**64, 0, 1), (0, -1, 1), (0, 0, -1), (0, 2**63, 1)])
def test_out_of_range(automaton: Automaton, seed: int, first: int, count: int) -> None:
    with pytest.raises(SettingError):
        Model(automaton).sample(count, seed, first)


def test_numpy_integers_are_integers(automaton: Automaton) -> None:
    """Arguments of a type that wraps around do not."""
    model = Model(automaton)
    frame = model.sample(np.int8(3), np.int32(42), np.int32(2**31 - 2))  # type: ignore[call-overload]
    assert frame.equals(model.sample(3, 42, 2**31 - 2))
    assert frame.height == 3


def test_the_api(automaton: Automaton) -> None:
    """`sample` gives a polars frame; no names give an empty one."""
    frame = Model(automaton).sample(count=3, seed=42, first=1)
    assert frame["name"].to_list() == ["sahndr", "zush", "juso"]
    assert frame["index"].to_list() == [1, 2, 3]
    assert Model(automaton).sample(count=0).columns == ["index", "name", "log_prob"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_cuda_gives_the_same_bytes(automaton: Automaton, whole: pa.Table) -> None:
    assert sample(automaton, 42, 0, 200_000, device="cuda").equals(whole)


def test_rows_that_no_stream_has(automaton: Automaton) -> None:
    """The seed and the rows that were asked for are named, and the last ones that there are can be drawn."""
    for seed, first, count, message in (
        (MAX_SEED + 1, 0, 1, f"seed {MAX_SEED + 1} is not in 0"),
        (-1, 0, 1, "seed -1 is not in 0"),
        (1, 0, -1, "count -1 is negative"),
        (1, -1, 1, "names -1 to -1 are not in 0"),
        (1, MAX_INDEX, 2, f"names {MAX_INDEX} to {MAX_INDEX + 1} are not in 0"),
    ):
        with pytest.raises(SettingError, match=message):
            sample(automaton, seed, first, count)
    assert sample(automaton, MAX_SEED, MAX_INDEX, 1).num_rows == 1
    assert sample(automaton, 0, MAX_INDEX + 1, 0).num_rows == 0
    assert (MAX_SEED, MAX_INDEX) == (2**64 - 1, 2**63 - 1)


def test_no_value_is_null(whole: pa.Table, automaton: Automaton) -> None:
    """The schema says so, of every column."""
    table = with_novelty(whole.slice(0, 9), frozenset({"sabe"}), automaton.vocabulary)
    assert [(field.name, str(field.type), field.nullable) for field in table.schema] == [
        ("index", "int64", False),
        ("name", "string", False),
        ("log_prob", "double", False),
        ("is_novel", "bool", False),
    ]
    assert table["is_novel"].to_pylist() == [name != "sabe" for name in table["name"].to_pylist()]


def test_what_a_row_takes(automaton: Automaton) -> None:
    """In a table, and as text in a list: the mean of the first thousand."""
    row, text = bytes_per_row(automaton, 1, 5, 2000)
    some = sample(automaton, 1, 5, 1000)
    assert row == pytest.approx(some.nbytes / 1000)
    assert text == pytest.approx(sum(map(sys.getsizeof, some["name"].to_pylist())) / 1000 + 8)
    few, _ = bytes_per_row(automaton, 1, 5, 10)
    assert few == pytest.approx(sample(automaton, 1, 5, 10).nbytes / 10)


def test_as_much_as_arrow_holds(automaton: Automaton, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offsets of 32 bits bound a batch, of the longest names of four bytes a character, and are never passed."""
    assert np.iinfo(np.int32).max == LARGEST_TEXT
    assert LARGEST_TEXT // (4 * MAX_LENGTH) == MAX_BATCH
    monkeypatch.setattr("namegen.sampling.stream.MAX_BATCH", 5)
    for batch, sizes in ((9, [5, 5, 2]), (5, [5, 5, 2]), (4, [4, 4, 4])):
        assert [some.num_rows for some in sample_batches(automaton, 1, 3, 12, batch=batch)] == sizes

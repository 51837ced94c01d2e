"""The invariants of the automaton, numbered as in its module."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save_file

from namegen.automaton import artifact
from namegen.automaton.alias_tables import build_alias_tables
from namegen.automaton.artifact import load
from namegen.automaton.automaton import TOTAL, Automaton
from namegen.automaton.rounding import round_to_weights
from namegen.codes import Codes
from namegen.corpus.ngrams import NgramCounts, count_ngrams
from namegen.errors import ArtifactError, ModelError
from namegen.models import bigram, kneser_ney, neural_bigram, uniform
from namegen.training.quantise import quantise
from namegen.vocabulary import MAX_LENGTH, Vocabulary
from strategies import names as some_names
from strategies import tables


def check_invariants(automaton: Automaton, probabilities: NDArray[np.float64], counts: NgramCounts) -> None:
    """A1 to A6, and the alias tables, of one automaton."""
    weights, successor = automaton.weights, automaton.successor
    assert (weights.sum(axis=1) == TOTAL).all(), "A1"
    check_weights(weights, probabilities)
    assert weights.min() >= 0
    assert (successor[:, 0] == 0).all(), "A4"
    assert ((successor[:, 1:] > 0) & (successor[:, 1:] < automaton.states)).all(), "A4"
    assert counts.contexts()[0] == ".", "A5"
    lengths = automaton.context_lengths[: counts.states]  # without those that were added
    assert (lengths == counts.lengths).all()
    reached = weights[:, 0] > 0
    for _ in range(automaton.states):
        reached = reached | ((weights[:, 1:] > 0) & reached[successor[:, 1:]]).any(axis=1)
    assert reached.all(), "A6"
    check_alias_tables(weights, *automaton.alias_tables)


def check_weights(weights: NDArray[np.int64], probabilities: NDArray[np.float64]) -> None:
    """A2 and A3; a row's largest weight may be further off by what A2 took from it."""
    assert ((weights > 0) == (probabilities > 0)).all(), "A2"
    distance = np.abs(weights - probabilities * TOTAL)
    raised = (probabilities > 0) & (probabilities * TOTAL < 1)
    largest = np.zeros_like(raised)
    largest[np.arange(len(weights)), weights.argmax(axis=1)] = True
    allowed = np.where(largest, 1 + raised.sum(axis=1, keepdims=True), 1)
    assert (distance <= allowed).all(), "A3"


def check_alias_tables(weights: NDArray[np.int64], threshold: NDArray[np.uint32], alias: NDArray[np.uint8]) -> None:
    """Over all 2^32 words each symbol is drawn exactly as often as it has weight."""
    states, columns = threshold.shape
    capacity = TOTAL // columns
    assert weights.shape[1] <= columns
    assert columns < 2 * weights.shape[1] or columns == 2
    drawn = np.zeros((states, columns), np.int64)
    for column in range(columns):
        drawn[:, column] += threshold[:, column]
        np.add.at(drawn, (np.arange(states), alias[:, column]), capacity - threshold[:, column].astype(np.int64))
    assert (drawn[:, : weights.shape[1]] == weights).all()
    assert (drawn[:, weights.shape[1] :] == 0).all()


@given(some_names(), st.integers(2, 5), st.data())
def test_invariants_of_random_tables(names: list[str], order: int, data: st.DataObject) -> None:
    """A1 to A6 hold for any table over the contexts of any corpus."""
    counts = count_ngrams(names, Vocabulary.of(names), order)
    probabilities = data.draw(tables(counts.states, len(counts.vocabulary)))
    check_invariants(quantise(probabilities, counts), probabilities, counts)


@given(some_names())
def test_invariants_of_every_model(names: list[str]) -> None:
    """A1 to A6 hold for every model, and every model's rows sum to 1."""
    long = count_ngrams(names, Vocabulary.of([*names, "q"]), 4)
    short = long.lower(2)
    of_pairs = [model.fit(short) for model in (uniform, bigram, neural_bigram)]
    for probabilities, counts in [*((each, short) for each in of_pairs), (kneser_ney.fit(long).table, long)]:
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=0, atol=1e-12)
        check_invariants(quantise(probabilities, counts), probabilities, counts)


@given(st.integers(2, 256), st.data())
def test_rounding_and_aliases_of_any_width(symbols: int, data: st.DataObject) -> None:
    """Weights and alias tables are exact for 2 to 256 symbols."""
    probabilities = data.draw(tables(5, symbols))
    weights = round_to_weights(probabilities)
    assert (weights.sum(axis=1) == TOTAL).all()
    check_weights(weights, probabilities)
    check_alias_tables(weights, *build_alias_tables(weights, (symbols - 1).bit_length()))


def test_largest_remainder_by_hand() -> None:
    """Thirds of 2^32 = 1431655765.33: the unit that is missing goes to the lowest id; a tiny symbol gets 1."""
    third = 2**32 // 3
    assert round_to_weights(np.array([[1 / 3, 1 / 3, 1 / 3]])).tolist() == [[third + 1, third, third]]
    assert round_to_weights(np.array([[1.0, 1e-300, 0.0]])).tolist() == [[2**32 - 1, 1, 0]]
    assert round_to_weights(np.array([[0.0, 1.0]])).tolist() == [[0, 2**32]]


def test_alias_table_by_hand() -> None:
    """Weights 1/8, 1/2, 3/8 of 2^32 over four columns of 2^30: the sweep in order of id."""
    weights = np.array([[2**29, 2**31, 3 * 2**29]])
    threshold, alias = build_alias_tables(weights, 2)
    # Symbol 1 (4 units of 2^29) fills column 0 (1 of 2 units) and column 3 (0 of 2), has 1 left, and is topped up
    # by symbol 2 (3 units), which then fills its own.
    assert threshold.tolist() == [[2**29, 2**29, 2**30, 0]]
    assert alias.tolist() == [[1, 2, 2, 1]]


def test_tables_that_are_none() -> None:
    """A table that is no distribution, of another shape, or without a way to the end is refused with the reason."""
    counts = count_ngrams(["ab"], Vocabulary(".ab"), 2)
    good = bigram.fit(counts)
    cases = [
        ("shape", good[:2]),
        ("shape", np.vstack([good, good])),
        ("negative or not a number", np.where(good == good[0, 0], np.nan, good)),
        ("must sum to 1 within", good * (1 + 1e-9)),
        ("2 states cannot reach the end; the first is state 1", np.array([[0.5, 0.5, 0], [0, 0, 1.0], [0, 1.0, 0]])),
        ("1 states cannot reach the end; the first is state 1", np.array([[0.5, 0.5, 0], [0, 1.0, 0], [1.0, 0, 0]])),
    ]
    for message, table in cases:
        with pytest.raises(ModelError, match=message):
            quantise(table, counts)
    negative = good.copy()
    negative[0] = [-0.5, 1.0, 0.5]
    with pytest.raises(ModelError, match="negative"):
        quantise(negative, counts)


def test_the_least_way_to_the_end() -> None:
    """A weight of 1 is a way, also where it is the only one."""
    counts = count_ngrams(["ab"], Vocabulary(".ab"), 2)
    table = np.array([[0, 1.0, 0], [0, 1.0, 1e-300], [1e-300, 0, 1.0]])
    assert quantise(table, counts).weights.tolist() == [[0, TOTAL, 0], [0, TOTAL - 1, 1], [1, 0, TOTAL - 1]]


def test_score_is_the_sum_of_logs(automaton: Automaton) -> None:
    """Emma = ln p(e|.) + ln p(m|e) + ln p(m|m) + ln p(a|m) + ln p(.|a), of the notebook's table."""
    e, m, a = 5, 13, 1
    terms = [math.log(automaton.weights[s, v] / TOTAL) for s, v in [(0, e), (e, m), (m, m), (m, a), (a, 0)]]
    assert automaton.log_prob(["emma"])[0] == pytest.approx(math.fsum(terms), rel=1e-14)


def test_score_of_what_cannot_be_spelt(automaton: Automaton) -> None:
    """-inf for unknown characters and for more than 64; a name of 64 needs no boundary; the empty name is one."""
    a64 = "a" * 64
    scores = automaton.log_prob(["Emma", "em ma", "é", "a.b", ".", "\ud800", "a" * 65, a64, "", "emma"])
    assert np.isneginf(scores[:7]).all()
    step = automaton.log_probabilities
    assert scores[7] == pytest.approx(step[0, 1] + 63 * step[1, 1])
    assert scores[8] == step[0, 0]
    assert scores[9] == automaton.log_prob(["emma"])[0]
    assert automaton.log_prob([]).shape == (0,)


def test_save_and_load(tmp_path: Path, automaton: Automaton) -> None:
    """What is saved is loaded again, from the file or its folder; the bytes are always the same."""
    path = tmp_path / "automaton.safetensors"
    artifact.save(automaton, path)
    first = path.read_bytes()
    for again in (load(path), load(str(tmp_path))):
        assert (again.vocabulary, again.order, again.sha256) == (automaton.vocabulary, 2, automaton.sha256)
        np.testing.assert_array_equal(again.weights, automaton.weights, strict=True)
        np.testing.assert_array_equal(again.successor, automaton.successor, strict=True)
    artifact.save(automaton, path)
    assert path.read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == ["automaton.safetensors"]


def test_any_cut_or_flip_is_found(tmp_path: Path, automaton: Automaton) -> None:
    """A file cut short anywhere, or with any bit altered, is refused or (in the padding) loads unchanged."""
    path = tmp_path / "automaton.safetensors"
    artifact.save(automaton, path)
    data = path.read_bytes()
    generator = np.random.default_rng(1)
    places = [*range(600), *generator.integers(600, len(data), 200)]
    for place in places:
        path.write_bytes(data[:place])
        with pytest.raises(ArtifactError, match=r"automaton\.safetensors"):
            load(path)
        altered = bytearray(data)
        altered[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(altered)
        try:
            assert load(path).sha256 == automaton.sha256
        except ArtifactError as error:
            assert error.remedy  # noqa: PT017 - either is right


@pytest.mark.parametrize("version", ["format_version", "stream_version"])
def test_another_version_is_refused(tmp_path: Path, automaton: Automaton, version: str) -> None:
    path = tmp_path / "automaton.safetensors"
    metadata: dict[str, Any] = {
        "format_version": 3,
        "stream_version": 1,
        "order": 2,
        "cap": 64,
        "vocabulary": automaton.vocabulary.symbols,
        "sha256": automaton.sha256,
    }
    arrays: dict[str, NDArray[Any]] = {name: getattr(automaton, name) for name in artifact._ARRAYS}
    save_file(arrays, path, {"namegen": json.dumps(metadata)})
    assert load(path).order == 2
    newer = metadata[version] + 1
    save_file(arrays, path, {"namegen": json.dumps({**metadata, version: newer})})
    with pytest.raises(ArtifactError, match=rf"has {version} {newer}, but this version of namegen.*Upgrade"):
        load(path)
    older = metadata[version] - 1
    save_file({}, path, {"namegen": json.dumps({**metadata, version: older})})
    what = f"has the old {version} {older}, .* run the job again" if older else f"not an automaton .{version} 0"
    with pytest.raises(ArtifactError, match=what):
        load(path)


def test_a_sound_checksum_does_not_excuse_bad_arrays(tmp_path: Path, automaton: Automaton) -> None:
    """Arrays that would lead out of the table are refused even where whoever made them also made the checksum."""
    too_large, negative, bad_weights = automaton.successor.copy(), automaton.successor.copy(), automaton.weights.copy()
    too_large[3, 3] = 27
    negative[3, 3] = -1
    bad_weights[3, 3] += 1
    good = automaton.weights
    for weights, successor in [(good, too_large), (good, negative), (bad_weights, automaton.successor)]:
        bad = replace(automaton, weights=weights, successor=successor)
        artifact.save(bad, tmp_path / "automaton.safetensors")
        with pytest.raises(ArtifactError, match="altered"):
            load(tmp_path)


def changed(array: NDArray[Any], row: int, *values: int) -> NDArray[Any]:
    """A copy whose row begins with other values, and else is 0."""
    array = array.copy()
    array[row] = 0
    array[row, : len(values)] = values
    return array


def test_what_is_sound(automaton: Automaton) -> None:
    """The ends of each range are; what is past them, of another type or of another shape is not."""
    weights, successor, lengths = automaton.weights, automaton.successor, automaton.context_lengths
    two, last = Vocabulary(".a"), automaton.states - 1
    one = Automaton(two, 2, np.array([[TOTAL, 0]]), np.zeros((1, 2), np.int32), np.ones(1, np.uint8))
    sound: list[dict[str, Any]] = [
        *({"order": order} for order in (2, MAX_LENGTH + 2)),
        *({"cap": cap} for cap in (1, MAX_LENGTH)),
        {"weights": changed(weights, 3, TOTAL - 1, 1)},
        {"successor": changed(successor, 3, 0, last)},
        {"vocabulary": two, **{name: getattr(one, name) for name in artifact._ARRAYS}},
    ]
    unsound: list[dict[str, Any]] = [
        *({"order": order} for order in (1, MAX_LENGTH + 3, 2.0, np.int64(2))),
        *({"cap": cap} for cap in (0, MAX_LENGTH + 1, True, 2.0)),
        *({"weights": weights.astype(kind)} for kind in (np.float64, np.uint64)),
        *({"successor": successor.astype(kind)} for kind in (np.int64, np.uint32)),
        *({"context_lengths": lengths.astype(kind)} for kind in (np.int8, np.int64)),
        *({"context_lengths": other} for other in (lengths[1:], np.append(lengths, lengths[:1]), lengths[:, None])),
        *({name: getattr(automaton, name)[1:]} for name in ("weights", "successor")),
        *({name: np.vstack([array := getattr(automaton, name), array[:1]])} for name in ("weights", "successor")),
        {"weights": np.pad(weights, ((0, 0), (0, 1)))},
        {"weights": weights[:, :-1], "successor": successor[:, :-1]},
        *({"weights": np.pad(weights, pad), "successor": np.pad(successor, pad)} for pad in [((0, 0), (0, 1))]),
        {name: getattr(automaton, name)[:0] for name in artifact._ARRAYS},
        {"weights": changed(weights, 3, -1, 1, TOTAL)},
        *({"weights": changed(weights, 3, TOTAL + step)} for step in (-1, 1)),
        {"weights": changed(weights, 3, TOTAL, 2**62, 2**62, 2**62, 2**62)},  # their sum overflows to the right one
        *({"successor": changed(successor, 3, 0, state)} for state in (-1, last + 1)),
        {"successor": changed(successor, 3, 1)},
    ]
    for changes in sound:
        assert replace(automaton, **changes).is_sound, changes
    for changes in unsound:
        assert not replace(automaton, **changes).is_sound, changes


def test_what_decides_the_names(automaton: Automaton) -> None:
    """The identity of the automaton, to the bit, the version and the seed; it can be changed by nobody."""
    codes = Vocabulary(".ab", "xyz", Codes((3,), short=2, long=0, middle=0, tails=2))
    weights, successor, lengths = np.full((2, 7), 5), np.ones((2, 7), np.int32), np.ones(2, np.uint8)
    for one, head in (
        (automaton, '[".abcdefghijklmnopqrstuvwxyz", 2, 64, [27, 27]]'),
        (Automaton(codes, 3, weights, successor, lengths, 9), '[".ab", "xyz", [3], 2, 0, 0, 2, 3, 9, [2, 7]]'),
    ):
        arrays = one.weights.astype("<i8"), one.successor.astype("<i4"), one.context_lengths
        sha256 = hashlib.sha256(head.encode() + b"".join(array.tobytes() for array in arrays)).hexdigest()
        assert one.stream(7) == {"automaton_sha256": sha256, "stream_version": 1, "seed": 7}
    with pytest.raises(FrozenInstanceError):
        automaton.cap = 63  # type: ignore[misc]


def test_a_type_that_numpy_lacks(tmp_path: Path, automaton: Automaton) -> None:
    """A safetensors file may hold types that numpy has no name for."""
    path = tmp_path / "automaton.safetensors"
    artifact.save(automaton, path)
    size, data = int.from_bytes(path.read_bytes()[:8], "little"), path.read_bytes()[8:]
    header = json.loads(data[:size])
    header["weights"] |= {"dtype": "F8_E4M3", "shape": [27, 27 * 8]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[size:])
    with pytest.raises(ArtifactError):
        load(path)


def test_representation(automaton: Automaton) -> None:
    """One short line, not its arrays."""
    assert repr(automaton) == f"Automaton(order=2, states=27, symbols=27, sha256={automaton.sha256[:12]}...)"


def test_a_missing_file(tmp_path: Path) -> None:
    """The error names the path that was given, or the file that a folder lacks."""
    for path, named in ((tmp_path, tmp_path / "automaton.safetensors"), (tmp_path / "none", tmp_path / "none")):
        with pytest.raises(ArtifactError, match="no such file") as caught:
            load(path)
        assert caught.value.where == str(named)

"""More than 255 characters: the rare ones have codes of two or three symbols, of which no state forgets a part."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import namegen
from namegen.automaton import artifact
from namegen.automaton.automaton import TOTAL, Automaton
from namegen.automaton.walk import walk
from namegen.codes import Codes
from namegen.corpus.corpus import corpus_of, split
from namegen.corpus.ngrams import count_ngrams
from namegen.corpus.pairs import keep_allowed
from namegen.errors import ArtifactError
from namegen.models import kneser_ney
from namegen.sampling.cpu_sampler import CpuSampler
from namegen.sampling.reference import ReferenceSampler
from namegen.sampling.torch_sampler import TorchSampler
from namegen.training.exact import log_prob as exact_log_prob
from namegen.training.pool import Blend
from namegen.training.quantise import quantise
from namegen.vocabulary import Vocabulary

SMALL = Vocabulary(".ab", "xyz", Codes((3,), short=2, long=0, middle=0, tails=2))  # y and z are not in one row
# x and y have codes of three symbols, with all but the tail in common, and z one of two
THREE = Vocabulary(".ab", "xyz", Codes((3,), short=1, long=1, middle=1, tails=2))


def fitted(names: list[str], order: int, likely_end: float = 1.0, vocabulary: Vocabulary = SMALL) -> Automaton:
    """Kneser-Ney over a small vocabulary; with `likely_end` near 0, names hardly end by themselves."""
    counts = count_ngrams(names, vocabulary, order)
    table = kneser_ney.fit(counts).table
    table[:, 0] *= likely_end
    table /= table.sum(axis=1, keepdims=True)
    return quantise(keep_allowed(table, counts.last, vocabulary.spelling), counts)


@pytest.mark.parametrize(
    ("characters", "leads", "tails"), [(255, 0, 0), (256, 2, 3), (300, 8, 8), (3000, 53, 54), (16256, 127, 128)]
)
def test_how_many_codes(characters: int, leads: int, tails: int) -> None:
    """As few symbols as will do, for the rarest characters; each character has one spelling."""
    alphabet = [chr(0x4E00 + i) for i in range(characters)]
    vocabulary = Vocabulary.of([*alphabet, *alphabet[100:]])
    codes = vocabulary.codes
    assert (codes and (codes.leads, codes.tails)) == ((leads, tails) if leads else None)
    assert len(vocabulary) == 256
    assert sorted(vocabulary.characters) == alphabet
    assert not leads or alphabet[99] in vocabulary.rare
    ids, lengths = vocabulary.encode(alphabet)
    words = [tuple(word.tolist()) for word in np.split(ids, np.cumsum(lengths)[:-1])]
    assert len(set(words)) == characters
    single = {word[0] for word in words if len(word) == 1}
    assert not single & {word[0] for word in words if len(word) == 2}


@pytest.mark.parametrize(
    ("own", "rare", "codes", "what"),
    [
        (".ab", "xyz", None, "as many as its rare characters"),
        (".ab", "xy", ((3,), 2, 0, 0, 2), "as many as its rare characters"),
        (".ab", "xzy", ((3,), 2, 0, 0, 2), "sorted and distinct"),
        (".ab", "bxy", ((3,), 2, 0, 0, 2), "distinct from those with codes"),
        (".ab", ["x", "y", ""], ((3,), 2, 0, 0, 2), "sorted and distinct"),
        (["." + "a"], "", None, "a vocabulary is"),
        ([".", "a" * 33], "", None, "up to 32 code points"),
        (".ab", "xyz", ((3,), 1, 0, 0, 2), "as many as its rare characters need"),
        (".ab", "xyz", ((3,), 3, 0, 0, 2), "as many as its rare characters need"),
        (".ab", "xyz", ((3,), 1, 1, 0, 2), "as many as its rare characters need"),
        (".ab", "xyz", ((3,), 1, 2, 1, 2), "as many as its rare characters need"),
        (".ab", "xyz", ((2, 1), 1, 1, 1, 2), None),
        (".ab", "xyz", ((1, 2), 1, 1, 1, 2), "as many as its rare characters need"),  # that row is not full
        (".ab", "xyz", ((3,), 0, 0, 0, 2), "groups, short leads and tails"),
        (".ab", "xyz", ((3,), 2, -1, 0, 2), "up to 255 symbols"),
        (".ab", "xyz", ((3,), True, 0, 0, 3), "groups, short leads and tails"),
        (".ab", "xyz", ((3,), 1, 0, 0, 255), "up to 255 symbols"),
    ],
)
def test_what_is_no_vocabulary(own: Any, rare: Any, codes: Any, what: str | None) -> None:  # noqa: ANN401
    """Codes that are not those that the rare characters need are refused, whoever wrote them."""
    if what is None:
        assert Vocabulary(own, rare, Codes(*codes)).rare == rare
        return
    with pytest.raises(ValueError, match=what):
        Vocabulary(own, rare, codes and Codes(*codes))


def test_encoding() -> None:
    ids, lengths = SMALL.encode(["axb", "", "zq", "y."])
    assert ids.tolist() == [1, 3, 5, 2, 4, 5, -1, 3, 6, -1]
    assert lengths.tolist() == [4, 0, 3, 3]
    assert SMALL.spelling is not None
    assert SMALL.spelling[4].tolist() == [False] * 5 + [True, False]  # of the last lead only one tail is a code


def test_codes_of_three() -> None:
    """A long and a middle lead and a tail, where the rows do not have a short lead each."""
    ids, lengths = THREE.encode(["axb", "", "zq", "y."])
    assert ids.tolist() == [1, 4, 5, 6, 2, 3, 6, -1, 4, 5, 7, -1]
    assert lengths.tolist() == [5, 0, 3, 4]
    assert THREE.spelling is not None
    assert THREE.spelling[3:].astype(int).tolist() == [
        [0, 0, 0, 0, 0, 0, 1, 0],  # of the short row only one code
        [0, 0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 1, 1],
        *[[1, 1, 1, 1, 1, 0, 0, 0]] * 2,
    ]
    assert THREE.symbols == (".", "a", "b", "z…", "x…", "…1…", "…1", "…2")
    assert THREE.longest(64) == 192


@settings(max_examples=60)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=3), st.integers(2, 20), st.booleans())
def test_any_codes(sizes: list[int], symbols: int, two_leads: bool) -> None:  # noqa: FBT001
    """What may follow what spells exactly the codes, and the values of their symbols add up to the character."""
    codes = (Codes.double if two_leads else Codes.single)(sorted(sizes, reverse=True), symbols)
    if codes is None:
        return
    assert codes.symbols <= symbols
    words, lengths = codes.of(np.arange(sum(sizes)))
    spelt = [tuple(word if n == 3 else word[::2]) for word, n in zip(words.tolist(), lengths, strict=True)]
    assert [codes.value[[*word]].sum() for word in spelt] == [*range(sum(sizes))]
    found: set[tuple[int, ...]] = set()
    begun: list[tuple[int, ...]] = [(first,) for first in np.flatnonzero(codes.begins).tolist()]
    while begun:
        word = begun.pop()
        if word[-1] >= codes.leads:
            found.add(word)
        else:
            begun += [(*word, after) for after in np.flatnonzero(codes.follows[word[-1]]).tolist()]
    assert found == {*spelt}


@settings(max_examples=40)
@given(
    st.lists(st.text("abxyz", min_size=1, max_size=6), min_size=1, max_size=12),
    st.integers(2, 5),
    st.integers(0, 99),
    st.sampled_from([SMALL, THREE]),
)
def test_all_samplers(names: list[str], order: int, seed: int, vocabulary: Vocabulary) -> None:
    """They draw the same names, all of them in the vocabulary's characters, with the probability that they score."""
    automaton = fitted(names, order, vocabulary=vocabulary)
    assert automaton.is_sound
    drawn, log_prob = CpuSampler(automaton).draw(seed, 0, 60)
    for sampler in (ReferenceSampler(automaton), TorchSampler(automaton, "cpu")):
        also, its_log_prob = sampler.draw(seed, 0, 60)
        assert also.to_pylist() == drawn.to_pylist()
        assert its_log_prob.to_pylist() == log_prob.to_pylist()
    assert set("".join(drawn.to_pylist())) <= set("abxyz")
    assert automaton.log_prob(drawn.to_pylist()).tolist() == log_prob.to_pylist()


@pytest.mark.parametrize("vocabulary", [SMALL, THREE])
def test_the_cap_counts_characters(vocabulary: Vocabulary) -> None:
    """Names that hardly end have 64 characters, and as many symbols as those need; then the end is certain."""
    automaton = fitted(["xyzabab", "zzyyxxa"], 3, 1e-12, vocabulary)
    drawn, log_prob = CpuSampler(automaton).draw(7, 0, 300)
    names = drawn.to_pylist()
    assert {len(name) for name in names} == {64}
    assert len({len(vocabulary.encode([name])[0]) for name in names}) > 10
    for sampler in (ReferenceSampler(automaton), TorchSampler(automaton, "cpu")):
        assert sampler.draw(7, 0, 300)[0].to_pylist() == names
        assert sampler.draw(7, 0, 300)[1].to_pylist() == log_prob.to_pylist()
    assert automaton.log_prob(names).tolist() == log_prob.to_pylist()
    assert automaton.log_prob([names[0] + "x"])[0] == -np.inf
    counts = count_ngrams(["xyz"], vocabulary, 2)
    model = Blend.alone(kneser_ney.fit(counts), vocabulary.spelling)
    exact = exact_log_prob(model, vocabulary, names[:5])
    table = keep_allowed(kneser_ney.fit(counts).table, counts.last, vocabulary.spelling)
    assert quantise(table, counts).log_prob(names[:5]) == pytest.approx(exact, abs=1e-5)


@pytest.mark.parametrize("vocabulary", [SMALL, THREE, Vocabulary(".ab")])
def test_a_walk_step_by_step(vocabulary: Vocabulary) -> None:
    """All names of up to four characters, where the cap is three and any symbol may follow any."""
    draw = np.random.default_rng(3)
    successor = draw.integers(0, 4, (4, len(vocabulary)), np.int32)
    table = -draw.random(successor.shape)

    def score(name: str) -> float:
        total, state = 0.0, 0
        for symbol in [*vocabulary.encode([name])[0], *[0][len(name) // 3 :]]:
            total, state = (total + table[state, symbol], successor[state, symbol]) if symbol >= 0 else (-np.inf, 0)
        return total if len(name) <= 3 else -np.inf

    names = ["".join(letters) for size in range(5) for letters in product("abxyz?", repeat=size)]
    assert walk(names, vocabulary, successor, table, 3).tolist() == [score(name) for name in names]


def test_all_probability_is_on_names() -> None:
    """All names of n characters have the share that a walk gives to ending after n; it knows symbols and no names."""
    automaton = fitted(["ab", "x", "yz", "za"], 2)
    weights, successor = automaton.weights / TOTAL, automaton.successor
    first, tails = SMALL.first_lead, SMALL.first_tail

    def after(mass: NDArray[np.float64], symbols: range) -> NDArray[np.float64]:
        moved = np.zeros(automaton.states)
        for symbol in symbols:
            np.add.at(moved, successor[:, symbol], mass * weights[:, symbol])
        return moved

    names, mass = [""], np.eye(1, automaton.states)[0]
    for _ in range(5):
        assert np.exp(automaton.log_prob(names)).sum() == pytest.approx(mass @ weights[:, 0])
        mass = after(mass, range(1, first)) + after(after(mass, range(first, tails)), range(tails, len(SMALL)))
        names = [name + letter for name in names for letter in "abxyz"]


@pytest.mark.parametrize(
    "wrong", ["a tail alone", "a tail hardly ever", "a tail first", "a lead alone", "no code", "begins in a code"]
)
def test_an_automaton_that_does_not_spell(tmp_path: Path, wrong: str) -> None:
    """It is refused: what it draws would be no text."""
    whole = fitted(["ab", "xy", "z"], 2)
    weights, successor = whole.weights.copy(), whole.successor.copy()
    first, tail = SMALL.first_lead, SMALL.first_tail
    if wrong == "a tail alone":
        weights[1] = 0
        weights[1, [0, tail]] = TOTAL // 2
    elif wrong == "a tail hardly ever":
        weights[1] = 0
        weights[1, [0, tail]] = TOTAL - 1, 1
    elif wrong == "a tail first":
        weights[0] = 0
        weights[0, [1, tail]] = TOTAL // 2
    elif wrong == "a lead alone":
        weights[first] = 0
        weights[first, [0, tail]] = TOTAL // 2
    elif wrong == "no code":
        weights[first + 1] = 0
        weights[first + 1, tail + 1] = TOTAL
    else:
        successor[1, 2] = first
    broken = replace(whole, weights=weights, successor=successor)
    assert not broken.is_sound
    artifact.save(broken, tmp_path / artifact.FILE)
    with pytest.raises(ArtifactError, match="no automaton's"):
        artifact.load(tmp_path)
    artifact.save(whole, tmp_path / artifact.FILE)
    assert artifact.load(tmp_path).sha256 == whole.sha256


def hangul() -> list[str]:
    draw = random.Random(5)  # noqa: S311 - the same each time
    return ["".join(chr(0xAC00 + draw.randrange(11172)) for _ in range(2)) + "김" for _ in range(400)]


def han() -> list[str]:
    draw = random.Random(6)  # noqa: S311 - the same each time
    return ["王" + "".join(chr(0x4E00 + draw.randrange(2000)) for _ in range(draw.choice([1, 2]))) for _ in range(500)]


@pytest.mark.parametrize("decomposed", [False, True])
def test_hangul(decomposed: bool) -> None:  # noqa: FBT001 - pytest names it
    """Syllables, also those that come in pieces: a list in NFD is the same list."""
    names = [normalize("NFD", name) for name in hangul()] if decomposed else hangul()
    model = namegen.fit(names, model="kneser-ney")
    drawn = model.sample(500)
    assert set("".join(drawn["name"])) <= set("".join(hangul()))
    assert model.score(names[:3]) == model.score(hangul()[:3])
    assert model.score(drawn["name"]).equals(drawn["log_prob"].alias("name"))


def test_more_than_two_symbols_can_spell() -> None:
    """Of 20,000 characters all are drawn that the list has, by names that have their probability."""
    characters = [chr(0x4E00 + i) for i in range(20_000)]
    names = [a + b for a, b in zip(characters[::2], characters[1::2], strict=True)]
    corpus = corpus_of(names)
    assert corpus.vocabulary.codes
    assert corpus.vocabulary.codes.longest == 3
    counts = count_ngrams(names, corpus.vocabulary, 3)
    allowed = corpus.vocabulary.spelling
    automaton = quantise(keep_allowed(kneser_ney.fit(counts).table, counts.last, allowed), counts)
    assert automaton.is_sound
    drawn, log_prob = CpuSampler(automaton).draw(3, 0, 500)
    assert set("".join(drawn.to_pylist())) <= {*characters}
    assert automaton.log_prob(drawn.to_pylist()).tolist() == log_prob.to_pylist()
    assert TorchSampler(automaton, "cpu").draw(3, 0, 500)[0].equals(drawn)
    assert np.isfinite(automaton.log_prob(names)).all()


def test_han(tmp_path: Path) -> None:
    """A list of some 700 characters, with all that is made of it: the folder, the figures, an explanation."""
    names = han()
    model = namegen.fit(names, model="kneser-ney")
    model.save(tmp_path / "m")
    loaded = namegen.load(tmp_path / "m")
    drawn = loaded.sample(1000)
    assert drawn.equals(model.sample(1000))
    trained = loaded.evaluation.filter(model="kneser-ney", source="automaton", split="train", subset="all")
    assert trained["symbols"].to_list() == [sum(len(name) + 1 for name in split(corpus_of(names)).train)]
    for name in drawn["name"].head(20):
        steps = loaded.explain(name)
        assert "".join(steps["symbol"]) == name + "."
        assert steps["log_prob"].sum() == pytest.approx(loaded.score(name))
        assert steps["context"].to_list()[:2] == [".", "." + name[0]]

"""A symbol is what a reader takes for one character: marks, flags, syllables and families of emoji among them."""

from __future__ import annotations

import itertools
import re
from unicodedata import category, is_normalized, normalize

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from namegen import characters
from namegen.automaton.automaton import Automaton
from namegen.characters import all_characters, characters_of, joining, lengths_of, misread, packed
from namegen.corpus.corpus import corpus_of
from namegen.corpus.ngrams import count_ngrams
from namegen.corpus.pairs import allowed_pairs, keep_allowed
from namegen.model import Model
from namegen.models import bigram, kneser_ney
from namegen.questions.pattern import pattern_condition
from namegen.sampling.cpu_sampler import CpuSampler
from namegen.sampling.reference import ReferenceSampler
from namegen.sampling.torch_sampler import TorchSampler
from namegen.training.quantise import quantise
from namegen.vocabulary import Vocabulary, as_read

# a letter, marks that NFC keeps apart and one that it does not, jamo, two letters of flags, an emoji and what joins it,
# a consonant, a vowel and the virama of Devanagari, a vowel of Burmese that is a character, a sign before numbers
PIECES = "aq\u0303\u0316\u1112\u1161\u11ab하\U0001f1e9\U0001f1ea\U0001f469\u200d\u0915\u0937\u093f\u094d\u102c\u0600"
lists = st.lists(st.text(PIECES, min_size=1, max_size=5), min_size=1, max_size=6).map(
    lambda names: [as_read(name) for name in names]
)


def automaton_of(names: list[str], order: int = 2) -> Automaton:
    """Bigrams or Kneser-Ney, given what is allowed."""
    corpus = corpus_of(names)
    counts = count_ngrams(corpus.names, corpus.vocabulary, order)
    table = bigram.fit(counts) if order == 2 else kneser_ney.fit(counts).table
    return quantise(keep_allowed(table, counts.last, allowed_pairs(corpus)), counts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("emma", "emma"),
        ("漢字Zoë김", "漢字Zoë김"),
        ("\u0e19\u0e49\u0e33\u0e1d\u0e19", ["\u0e19\u0e49\u0e33", "\u0e1d", "\u0e19"]),
        ("\u0936\u094d\u0930\u0940\u0928\u094d", ["\u0936\u094d\u0930\u0940", "\u0928\u094d"]),
        ("🇩🇪🇫🇷", ["🇩🇪", "🇫🇷"]),
        ("👩\u200d👧a", ["👩\u200d👧", "a"]),
        ("", ""),
    ],
)
def test_what_a_character_is(text: str, expected: str | list[str]) -> None:
    assert characters_of(text) == expected
    assert all_characters(["a", text, ""]) == ["a", expected, ""]
    assert lengths_of([text, "ab"]).tolist() == [len(expected), 2]
    assert (characters_of(text) is text) == (not joining(text))


@given(lists)
def test_side_by_side(texts: list[str]) -> None:
    """Two characters are misread if, side by side, they are not split where they meet, or NFC changes them."""
    some = sorted({character for text in texts for character in characters_of(text)})
    table, way_of = misread(some, some)
    for (i, a), (j, b) in itertools.product(enumerate(some), repeat=2):
        is_read = list(characters_of(a + b)) == [a, b] and is_normalized("NFC", a + b)
        assert table[i, way_of[j]] == (not is_read), (a, b)


@settings(max_examples=50)
@given(lists, st.integers(0, 99))
def test_drawn_names_are_read_as_they_were_drawn(names: list[str], seed: int) -> None:
    """Their characters are the symbols, in NFC; so they have their probability, and all samplers draw them."""
    assume(all(names))
    automaton = automaton_of(names)
    vocabulary = automaton.vocabulary
    drawn, log_prob = CpuSampler(automaton).draw(seed, 0, 60)
    texts = drawn.to_pylist()
    assert ReferenceSampler(automaton).draw(seed, 0, 60)[0].equals(drawn)
    assert TorchSampler(automaton, "cpu").draw(seed, 0, 60)[0].equals(drawn)
    assert automaton.log_prob(texts).tolist() == log_prob.to_pylist()
    assert all(is_normalized("NFC", text) for text in texts)
    known = {*vocabulary.characters}
    assert all(known.issuperset(characters_of(text)) for text in texts)
    assert np.isfinite(automaton.log_prob(names)).all()
    begins = {characters_of(name)[0] for name in names}
    marks = {c for c in known - begins if category(c[0])[0] == "M"}
    assert not marks & {characters_of(text)[0] for text in texts if text}


def test_more_characters_than_symbols() -> None:
    """Which may follow each other is seen from their symbols, also where some have codes: so none is misread."""
    consonants = [chr(c) for c in range(0x915, 0x92A)]
    signs = ["", *map(chr, range(0x93E, 0x94D))]
    names = [a + b + "र" + c for a, c in itertools.product(consonants, repeat=2) for b in signs[:: 1 + ord(c) % 7]]
    names += [a + b + "त्" for a in consonants for b in signs] + ["\u1112a", "김김"]
    corpus = corpus_of(names)
    vocabulary = corpus.vocabulary
    assert vocabulary.codes
    assert len(vocabulary.codes.groups) == 3  # consonants after a virama, Hangul after one of its letters, and "a"
    assert {"त्", "\u1112"} <= {*vocabulary.own}
    automaton = automaton_of(names, 3)
    drawn, log_prob = CpuSampler(automaton).draw(1, 0, 3000)
    texts = drawn.to_pylist()
    assert automaton.log_prob(texts).tolist() == log_prob.to_pylist()
    assert np.isfinite(automaton.log_prob(names)).all()
    assert not [text for text in texts if re.match("[\u093e-\u094d]", text)]


def test_thai_and_hindi() -> None:
    """No drawn name begins with a mark, and lengths are of characters."""
    thai = ["สมชาย", "สมหญิง", "ปิยะ", "วิชัย", "กิ่งแก้ว", "น้ำฝน", "พิมพ์", "จันทร์"]
    hindi = ["किरण", "श्रीमान", "सीता", "लक्ष्मी", "अर्जुन", "विष्णु", "गीता", "कृष्ण"]
    model = Model(automaton_of([*thai, *hindi], 4))
    drawn = model.sample(3000)
    assert not drawn["name"].str.contains(r"^\p{M}").any()
    assert drawn["log_prob"].to_list() == model.score(drawn["name"].to_list())
    short = model.where(length=3).sample(300)["name"]
    assert {len(characters_of(name)) for name in short} == {3}
    assert "किरण" in short.to_list()
    steps = model.explain("किरण")
    assert steps["symbol"].to_list() == ["कि", "र", "ण", "."]


def test_length_and_cap_count_characters() -> None:
    """A name of 64 characters of two code points each is one, and no name is longer."""
    name = "q\u0303" * 64
    assert corpus_of([name]).names == (name,)
    automaton = automaton_of([name])
    assert np.isfinite(automaton.log_prob([name])[0])
    assert automaton.log_prob([name + "q\u0303"])[0] == -np.inf
    assert automaton.log_prob([normalize("NFD", "é")])[0] == -np.inf


CLASSES = ("[कि]a?", "[^कि]", "[ऀ-ॿ]+", "\\w{2}", "[^a-z]*")
PATTERNS = ("..", "कि.*", "(कि)+", "कि+", "q\u0303|a", "(?i)Q\u0303A?", "क", *CLASSES)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns(pattern: str) -> None:
    """A character of several code points is one to a pattern, as if it were a letter."""
    vocabulary = Vocabulary((".", *sorted(["a", "q\u0303", "क", "कि"])))
    letters = {"q\u0303": "q", "कि": "\u0916"}  # letters that stand for them, and are matched by the same classes
    plain = pattern
    for character, letter in letters.items():
        plain = plain.replace(character, letter).replace(character.upper(), letter.upper())
    plain = plain.replace("[^a-z]", "[^a]")  # not all of q with a tilde is in this range
    asked = pattern_condition(pattern, vocabulary)
    for size in range(4):
        for name in itertools.product(vocabulary.characters, repeat=size):
            state = 0
            for symbol in vocabulary.encode(["".join(name)])[0].tolist():
                arrows = slice(asked.first[state], asked.first[state + 1])
                own = dict(zip(asked.symbol[arrows].tolist(), asked.target[arrows].tolist(), strict=True))
                state = own.get(symbol, int(asked.usual[state]))
                if state < 0:
                    break
            wanted = re.fullmatch(plain, "".join(letters.get(character, character) for character in name))
            assert (state >= 0 and bool(asked.accepts[state])) == bool(wanted), name


def test_columns() -> None:
    """Lengths, first, last and all characters of a Series of names."""
    for names in (["emma", "", "a"], ["किरण", "", "a", "🇩🇪"]):
        split = [list(characters_of(name)) for name in names]
        series = pl.Series("name", names)
        assert characters.lengths(series).to_list() == [len(each) for each in split]
        _, first, last = characters.lengths_and_ends(series)
        assert first.to_list() == ["".join(each[:1]) for each in split]
        assert last.to_list() == ["".join(each[-1:]) for each in split]
        assert [c for c in characters.letters(series).to_list() if c] == [c for each in split for c in each]


def test_packing() -> None:
    assert packed(["a", "b"]) == packed("ab") == "ab"
    assert packed(["a", "🇩🇪"]) == ("a", "🇩🇪")
    assert Vocabulary((".", "a")) == Vocabulary(".a")

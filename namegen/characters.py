"""What a reader takes for one character: an extended grapheme cluster (Unicode Standard Annex 29).

Most are one code point. Others are several, such as a letter with a mark that NFC keeps apart, a flag, or a syllable in
Devanagari. A text of which every code point is a character is its own sequence of characters, and is not split.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING
from unicodedata import category, is_normalized

import numpy as np
import regex
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

MAX_CODE_POINTS = 32  # in one character; what readers know has a dozen at most
_ONE = regex.compile(r"\X")
# Only next to one of these, code points can be one character, or be changed by NFC.
_ATTACHES = r"\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}\p{GCB=V}\p{GCB=T}"
_TO_BEFORE = regex.compile(f"[{_ATTACHES}]")
_JOINS = regex.compile(rf"[{_ATTACHES}\p{{GCB=L}}\p{{GCB=Prepend}}\p{{GCB=RI}}\p{{GCB=CR}}\p{{GCB=LF}}]")
# After these, what joins nothing by itself still may: any letter, Hangul, a consonant of an Indic script, an emoji.
_PROBES = ("\u0600", "\u1100", "\u0915\u094d", "\U0001f469\u200d")


def joining(text: str) -> set[str]:
    """The code points of a text that can make one character with others."""
    return set() if text.isascii() else {letter for letter in set(text) if _joins(letter)}


@cache
def _joins(letter: str) -> bool:
    return _JOINS.match(letter) is not None


def characters_of(text: str) -> Sequence[str]:
    """The characters of a text: the text itself if each is one code point.

    >>> characters_of("Zoë"), characters_of("हिन्दी")
    ('Zoë', ['हि', 'न्दी'])
    """
    return _ONE.findall(text) if joining(text) else text


def all_characters(texts: Sequence[str]) -> Sequence[Sequence[str]]:
    """The characters of many texts."""
    joins = joining("".join(texts))
    if not joins:
        return texts
    has_some = re.compile(f"[{re.escape(''.join(sorted(joins)))}]").search
    return [_ONE.findall(text) if has_some(text) else text for text in texts]


def lengths_of(texts: Sequence[str]) -> NDArray[np.int64]:
    """int64[len(texts)]: how many characters each has."""
    return np.fromiter(map(len, all_characters(texts)), np.int64, len(texts))


def packed(characters: Iterable[str]) -> str | tuple[str, ...]:
    """The same sequence, as a text if each character is one code point.

    >>> packed(["a", "b"]), packed(["a", "🇩🇰"])
    ('ab', ('a', '🇩🇰'))
    """
    listed = tuple(characters)
    return "".join(listed) if all(len(character) == 1 for character in listed) else listed


def side_by_side(characters: str | tuple[str, ...]) -> str:
    """As one text: with spaces between them if some have several code points."""
    return characters if isinstance(characters, str) else " ".join(characters)


def begins_as_mark(character: str) -> bool:
    """Whether it looks for a letter before it."""
    return category(character[0])[0] == "M" or _TO_BEFORE.match(character) is not None


def misread(characters: Sequence[str], following: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which characters, one after another, are read as others: they become one character, or NFC changes them.

    What a character does to the one before it depends on how it begins, and few beginnings differ in that.

    Returns:
        bool[len(characters), K]: whether each is read otherwise before what begins in each of K ways.
        int64[len(following)]: in which way each of `following` begins.
    """
    ways: dict[object, tuple[int, str]] = {}
    way_of = np.array([ways.setdefault(_way(after[0]), (len(ways), after[0]))[0] for after in following], np.int64)
    table = np.zeros((len(characters), len(ways)), bool)
    attached = [(k, first) for k, first in ways.values() if _joins(first)]
    for i, character in enumerate(characters):
        for k, first in ways.values() if _joins(character[-1]) else attached:
            text = character + first
            table[i, k] = _ONE.match(text).end() != len(character) or not is_normalized("NFC", text)
    return table, way_of


def _way(first: str) -> object:
    if _joins(first):
        return first
    return tuple(_ONE.match(probe + first).end() > len(probe) for probe in _PROBES)


def lengths(names: pl.Series) -> pl.Series:
    """How many characters each name has."""
    return lengths_and_ends(names)[0]


def lengths_and_ends(names: pl.Series) -> tuple[pl.Series, pl.Series, pl.Series]:
    """How many characters each name has, the first one, and the last one; "" of an empty name."""
    texts = _joined(names)
    if texts is None:
        return names.str.len_chars(), names.str.head(1), names.str.tail(1)
    split = all_characters(texts)
    count = np.fromiter(map(len, split), np.uint32, len(split))
    first, last = (["".join(each[part]) for each in split] for part in (slice(1), slice(-1, None)))
    return _series(names, count), _series(names, first), _series(names, last)


def letters(names: pl.Series) -> pl.Series:
    """All characters of the names."""
    texts = _joined(names)
    if texts is None:
        return names.str.split("").explode()
    return _series(names, [character for each in all_characters(texts) for character in each])


def _joined(names: pl.Series) -> list[str] | None:
    """The names, if some of their code points can make one character."""
    texts: list[str] = names.to_list()
    return texts if joining("".join(texts)) else None


def _series(names: pl.Series, values: list[str] | NDArray[np.uint32]) -> pl.Series:
    import polars as pl  # slow to import

    return pl.Series(names.name, values)

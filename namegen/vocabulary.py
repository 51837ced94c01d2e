"""Symbols and their ids. Id 0 is the boundary; the characters of the corpus follow in code point order.

The boundary is a symbol of its own, and no character. It is shown as "." where the names have none, as in the notebook,
and otherwise as the first of "|", "␃" and the private characters from U+E000 on that they do not have.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

# How the boundary is shown: as the first of these that is no character of the names. There are more than symbols.
BOUNDARIES: tuple[str, ...] = (*".|␃", *map(chr, range(0xE000, 0xE000 + 256)))
MAX_SYMBOLS = 256  # the boundary and 255 others: an id fits in a byte
MAX_LENGTH = 64  # characters in the longest name; after the 64th every name ends
MAX_CHARACTERS = 127 * 128  # in codes of two symbols, of which there are 255
LEADS, TAILS = 0xF0000, 0xF1000  # private characters that stand for the symbols of codes


_SPACE = re.compile(r"\s|[\x1c-\x1f]")  # what `str.strip` takes away, of ASCII


def as_read(text: str) -> str:
    """A name as every part reads it: NFC, and without the white space around it."""
    name = text.strip()
    return name if name.isascii() else normalize("NFC", name)


def all_as_read(names: Sequence[str]) -> Sequence[str]:
    """Many names, each as `as_read` has it."""
    text = "".join(names)
    return names if text.isascii() and not _SPACE.search(text) else [as_read(name) for name in names]


@dataclass(frozen=True)
class Vocabulary:
    """The V symbols of a model.

    Up to 255 characters are a symbol each. Of more, the commonest are, and the others have codes of two symbols: a lead
    and a tail, which are no characters by themselves. Character i of the rare ones has lead i // T and tail i % T, for
    T tails.

    Args:
        symbols: one character per symbol: the boundary, the characters sorted by code point, and then the leads and the
            tails, shown as private characters from U+F0000 and U+F1000 on.
        rare: the characters with codes, sorted by code point.
    """

    symbols: str
    rare: str = ""

    def __post_init__(self) -> None:
        (self.symbols + self.rare).encode()  # half of a surrogate pair is no character: a ValueError, too
        boundary = _boundary_of(self.characters)
        if self.symbols[:1] != boundary or not 2 <= len(self.symbols) <= MAX_SYMBOLS:
            raise ValueError(f"a vocabulary is {boundary!r} and 1 to {MAX_SYMBOLS - 1} characters: {self.symbols!r}")
        letters = self.symbols[1 : self.first_lead]
        if [*letters] != sorted({*letters} - {*self.rare}) or [*self.rare] != sorted({*self.rare}):
            raise ValueError(f"the characters of a vocabulary must be sorted and distinct: {self.symbols!r}")
        if self.symbols[self.first_lead :] != _code_symbols(self.leads, self.tails):
            raise ValueError("the codes of a vocabulary must be as many as its rare characters need")

    @classmethod
    def of(cls, names: Iterable[str]) -> Vocabulary:
        """The vocabulary of `names`: all characters that occur in them.

        Raises:
            ValueError: if there are more than 16,256.
        """
        listed = list(names)
        characters = set[str]().union(*listed)
        if len(characters) < MAX_SYMBOLS:
            return cls(_boundary_of(characters) + "".join(sorted(characters)))
        often = Counter("".join(listed))
        leads, tails = _code_sizes(len(often))
        letters = sorted(often, key=lambda letter: (-often[letter], letter))[: MAX_SYMBOLS - 1 - leads - tails]
        rare = "".join(sorted(characters - {*letters}))
        codes = _code_symbols(-(-len(rare) // tails), tails)
        return cls(_boundary_of(characters) + "".join(sorted(letters)) + codes, rare)

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def boundary(self) -> str:
        """How the boundary is shown."""
        return self.symbols[0]

    @property
    def characters(self) -> str:
        """All characters, those with a symbol of their own first."""
        return self.symbols[1 : self.first_lead] + self.rare

    def longest(self, characters: int) -> int:
        """How many symbols so many characters have at most."""
        return 2 * characters if self.rare else characters

    @cached_property
    def tails(self) -> int:
        """T, how many symbols are tails; 0 without rare characters. The last symbols are these."""
        return sum(TAILS <= ord(symbol) < TAILS + MAX_SYMBOLS for symbol in self.symbols) if self.rare else 0

    @cached_property
    def leads(self) -> int:
        """How many symbols are leads: as few as the rare characters need. They stand before the tails."""
        return -(-len(self.rare) // max(self.tails, 1))

    @cached_property
    def first_lead(self) -> int:
        """The id of the first lead; V without rare characters."""
        return max(len(self.symbols) - self.tails - self.leads, 1)

    @cached_property
    def spelling(self) -> NDArray[np.bool_] | None:
        """bool[V, V]: whether a code allows the second symbol after the first; None without codes."""
        if not self.rare:
            return None
        symbols, first, tails = len(self), self.first_lead, self.first_lead + self.leads
        allowed = np.zeros((symbols, symbols), bool)
        allowed[:first, :tails] = allowed[tails:, :tails] = True
        filled = np.arange(self.leads * self.tails) < len(self.rare)
        allowed[first:tails, tails:] = filled.reshape(self.leads, self.tails)
        return allowed

    @cached_property
    def id_of_code_point(self) -> NDArray[np.int16]:
        """int16[largest code point + 2]: the id of each code point, -1 if it has none, and V + i for rare character i.

        The last entry is -1.
        """
        characters = self.characters
        code_points = [ord(character) for character in characters]
        ids = np.full(max(code_points) + 2, -1, np.int16)
        single = self.first_lead - 1
        ids[code_points[:single]] = np.arange(1, single + 1, dtype=np.int16)
        ids[code_points[single:]] = np.arange(len(self), len(self) + len(self.rare), dtype=np.int16)
        return ids

    @cached_property
    def composing(self) -> NDArray[np.bool_]:
        """bool[V, V]: which pairs of characters NFC changes."""
        letters, composing = self.symbols[1 : self.first_lead], np.zeros((len(self), len(self)), bool)
        if not letters.isascii():
            changes = [[normalize("NFC", a + b) != a + b for b in letters] for a in letters]
            composing[1 : self.first_lead, 1 : self.first_lead] = changes
        return composing

    @property
    def composes(self) -> bool:
        """Whether NFC changes any pair, so that a drawn name may have a different normalised spelling."""
        return bool(self.composing.any())

    def encode(self, names: Sequence[str]) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
        """The symbol ids of all names, end to end, and how many each name has.

        >>> Vocabulary(".ab").encode(["ab", "", "bx"])
        (array([ 1,  2,  2, -1], dtype=int16), array([2, 0, 2]))

        Returns:
            ids int16[sum of lengths], -1 for a character outside the vocabulary.
            lengths int64[len(names)], in symbols.
        """
        lengths = np.fromiter(map(len, names), np.int64, len(names))
        # surrogatepass: a lone surrogate counts as a character outside the vocabulary, and needs this to be encoded
        code_points = np.frombuffer("".join(names).encode("utf-32-le", "surrogatepass"), np.uint32)
        lookup = self.id_of_code_point
        ids = lookup[np.minimum(code_points, len(lookup) - 1)]
        return self._with_codes(ids, lengths) if self.rare else (ids, lengths)

    def _with_codes(
        self, ids: NDArray[np.int16], lengths: NDArray[np.int64]
    ) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
        """The same, with the lead and the tail of each rare character."""
        is_rare = ids >= len(self)
        rank = ids[is_rare] - len(self)
        place = np.cumsum(1 + is_rare) - 1  # of the last symbol of each character
        spelt = np.empty(len(ids) + int(is_rare.sum()), np.int16)
        spelt[place[~is_rare]] = ids[~is_rare]
        spelt[place[is_rare] - 1] = self.first_lead + rank // self.tails
        spelt[place[is_rare]] = self.first_lead + self.leads + rank % self.tails
        ends = np.concatenate([[0], np.cumsum(is_rare)])[np.concatenate([[0], np.cumsum(lengths)])]
        return spelt, lengths + np.diff(ends)


def _code_sizes(characters: int) -> tuple[int, int]:
    """How many leads and tails so many characters need at least, where the others have a symbol each.

    Raises:
        ValueError: if no number is enough.
    """
    for size in range(MAX_SYMBOLS):
        leads, tails = size // 2, size - size // 2
        if leads * tails >= characters - (MAX_SYMBOLS - 1 - size):
            return leads, tails
    raise ValueError(f"{characters:,} different characters, but {MAX_CHARACTERS:,} is the limit")


def _code_symbols(leads: int, tails: int) -> str:
    return "".join(map(chr, (*range(LEADS, LEADS + leads), *range(TAILS, TAILS + tails))))


def _boundary_of(characters: Collection[str]) -> str:
    return next(boundary for boundary in BOUNDARIES if boundary not in characters)

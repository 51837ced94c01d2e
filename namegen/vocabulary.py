"""Symbols and their ids. Id 0 is the boundary; the characters of the corpus follow in code point order.

The boundary is a symbol of its own, and no character. It is shown as "." where the names have none, as in the notebook,
and otherwise as the first of "|", "␃" and the private characters from U+E000 on that they do not have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

# How the boundary is shown: as the first of these that is no character of the names. There are more than symbols.
BOUNDARIES: tuple[str, ...] = (*".|␃", *map(chr, range(0xE000, 0xE000 + 256)))
MAX_SYMBOLS = 256  # the boundary and 255 characters: an id fits in a byte
MAX_LENGTH = 64  # characters in the longest name; after the 64th every name ends


def as_read(text: str) -> str:
    """A name as every part reads it: NFC, and without the white space around it."""
    return normalize("NFC", text.strip())


@dataclass(frozen=True)
class Vocabulary:
    """The V symbols of a model.

    Args:
        symbols: one character per symbol: the boundary, then the others sorted by code point.
    """

    symbols: str

    def __post_init__(self) -> None:
        characters = self.symbols[1:]
        self.symbols.encode()  # half of a surrogate pair is no character: a ValueError, too
        boundary = _boundary_of(characters)
        if self.symbols[:1] != boundary or not 2 <= len(self.symbols) <= MAX_SYMBOLS:
            raise ValueError(f"a vocabulary is {boundary!r} and 1 to {MAX_SYMBOLS - 1} characters: {self.symbols!r}")
        if list(characters) != sorted(set(characters)):
            raise ValueError(f"the characters of a vocabulary must be sorted and distinct: {self.symbols!r}")

    @classmethod
    def of(cls, names: Iterable[str]) -> Vocabulary:
        """The vocabulary of `names`: all characters that occur in them."""
        characters: set[str] = set()
        for name in names:
            characters.update(name)
        return cls(_boundary_of(characters) + "".join(sorted(characters)))

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def boundary(self) -> str:
        """How the boundary is shown."""
        return self.symbols[0]

    @cached_property
    def id_of_code_point(self) -> NDArray[np.int16]:
        """int16[largest code point + 2]: the id of each code point, -1 if it is not a symbol. The last entry is -1."""
        code_points = [ord(c) for c in self.symbols]
        ids = np.full(max(code_points) + 2, -1, np.int16)
        ids[code_points] = np.arange(len(self), dtype=np.int16)
        ids[ord(self.boundary)] = -1  # the boundary is not a character of a name
        return ids

    @cached_property
    def composes(self) -> bool:
        """Whether NFC changes any pair of symbols, so that a drawn name may have a different normalised spelling."""
        letters = self.symbols[1:]
        if letters.isascii():
            return False
        return any(normalize("NFC", a + b) != a + b for a in letters for b in letters)

    def encode(self, names: Sequence[str]) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
        """The symbol ids of all names, end to end, and the length of each name.

        >>> Vocabulary(".ab").encode(["ab", "", "bx"])
        (array([ 1,  2,  2, -1], dtype=int16), array([2, 0, 2]))

        Returns:
            ids int16[sum of lengths], -1 for a character outside the vocabulary. The boundary counts as outside,
            because no name contains it.
            lengths int64[len(names)], in characters.
        """
        lengths = np.fromiter(map(len, names), np.int64, len(names))
        # surrogatepass: a lone surrogate counts as a character outside the vocabulary, and needs this to be encoded
        code_points = np.frombuffer("".join(names).encode("utf-32-le", "surrogatepass"), np.uint32)
        lookup = self.id_of_code_point
        return lookup[np.minimum(code_points, len(lookup) - 1)], lengths


def _boundary_of(characters: Collection[str]) -> str:
    return next(boundary for boundary in BOUNDARIES if boundary not in characters)

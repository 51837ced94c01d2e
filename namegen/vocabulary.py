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
from itertools import chain
from unicodedata import category, normalize

import numpy as np
from numpy.typing import NDArray

from namegen.characters import MAX_CODE_POINTS, all_characters, begins_as_mark, joining, lengths_of, misread, packed
from namegen.codes import Codes

# How the boundary is shown: as the first of these that is no character of the names. There are more than symbols.
BOUNDARIES: tuple[str, ...] = (*".|␃", *map(chr, range(0xE000, 0xE000 + 256)))
MAX_SYMBOLS = 256  # the boundary and 255 others: an id fits in a byte
MAX_LENGTH = 64  # characters in the longest name; after the 64th every name ends


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

    Up to 255 characters are a symbol each. Of more, the commonest are, and the others have codes of two or three
    symbols, which are no characters by themselves; see `codes`. A character is what a reader takes for one; see
    `characters`.

    Args:
        own: the boundary, and the characters that are a symbol each, sorted.
        rare: the characters with codes, sorted in each group.
        codes: their codes.
    """

    own: str | tuple[str, ...]
    rare: str | tuple[str, ...] = ""
    codes: Codes | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "own", packed(self.own))
        object.__setattr__(self, "rare", packed(self.rare))
        "".join(self.characters).encode()  # half of a surrogate pair is no character: a ValueError, too
        letters, boundary = self.own[1:], _boundary_of(self.characters)
        if self.own[:1] not in (boundary, (boundary,)) or not 2 <= len(self) <= MAX_SYMBOLS:
            raise ValueError(f"a vocabulary is {boundary!r} and 1 to {MAX_SYMBOLS - 1} characters: {self.own!r}")
        groups, first = self.codes.groups if self.codes else (), 0
        if sum(groups) != len(self.rare):
            raise ValueError("the codes of a vocabulary must be as many as its rare characters need")
        for group in ([*letters], *([*self.rare[first : (first := first + size)]] for size in groups)):
            if "" in group or group != sorted({*group}):
                raise ValueError(f"the characters of a vocabulary must be sorted and distinct: {self.own!r}")
        if any(len(character) > MAX_CODE_POINTS for character in self.characters):
            raise ValueError(f"a character of a vocabulary has up to {MAX_CODE_POINTS} code points")
        if len({*self.characters}) < len(letters) + len(self.rare):
            raise ValueError("the characters of a vocabulary must be distinct from those with codes")

    @classmethod
    def of(cls, names: Iterable[str]) -> Vocabulary:
        """The vocabulary of `names`: all characters that occur in them.

        Raises:
            ValueError: if there are more than 600,000 of them, or so.
        """
        listed = all_characters(list(names))
        characters = set[str]().union(*listed)
        boundary = _boundary_of(characters)
        if len(characters) < MAX_SYMBOLS:
            return cls((boundary, *sorted(characters)))
        often = Counter(chain.from_iterable(listed))
        own, groups, codes = _shared_out(often)
        return cls((boundary, *sorted(own)), tuple(chain.from_iterable(map(sorted, groups))), codes)

    def __len__(self) -> int:
        return len(self.own) + (self.codes.symbols if self.codes else 0)

    @cached_property
    def symbols(self) -> str | tuple[str, ...]:
        """How all symbols are shown, those of codes after the others."""
        return packed((*self.own, *self.codes.shown(self.rare))) if self.codes else self.own

    @property
    def boundary(self) -> str:
        """How the boundary is shown."""
        return self.own[0]

    @cached_property
    def characters(self) -> str | tuple[str, ...]:
        """All characters, those with a symbol of their own first."""
        return packed((*self.own[1:], *self.rare))

    def longest(self, characters: int) -> int:
        """How many symbols so many characters have at most."""
        return self.codes.longest * characters if self.codes else characters

    @property
    def first_lead(self) -> int:
        """The id of the first lead of a code; V if there is none."""
        return len(self.own)

    @property
    def first_tail(self) -> int:
        """The id of the first tail of a code. Every symbol but the boundary and the leads ends a character."""
        return len(self.own) + (self.codes.leads if self.codes else 0)

    @cached_property
    def value(self) -> NDArray[np.int64]:
        """int64[V]: the place of a character in `texts` is the sum of the values of its symbols."""
        own = np.arange(len(self.own))
        if not self.codes:
            return own
        value = self.codes.value.copy()
        value[self.codes.leads :] += len(own)
        return np.concatenate([own, value])

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The boundary, as it is shown, and all characters."""
        return (*self.own, *self.rare)

    @cached_property
    def widest(self) -> int:
        """How many bytes of UTF-8 a character has at most."""
        return max(len(text.encode()) for text in self.texts)

    @cached_property
    def spelling(self) -> NDArray[np.bool_] | None:
        """bool[V, V]: whether a code allows the second symbol after the first; None without codes."""
        if not self.codes:
            return None
        first, tails = self.first_lead, self.first_tail
        allowed = np.zeros((len(self), len(self)), bool)
        between = np.concatenate([np.ones(first, bool), self.codes.begins])
        allowed[:first] = allowed[tails:] = between
        allowed[first:, first:] |= self.codes.follows
        return allowed

    @cached_property
    def misread(self) -> NDArray[np.bool_]:
        """bool[V, V]: after which symbols others would be read as something else, as no name of a list has them.

        Two characters can make one, such as two letters of flags, or a letter and a mark. Of a code it is said where
        any of the characters that the symbol stands for would be.
        """
        symbols = len(self)
        found = np.zeros((symbols, symbols), bool)
        if not joining("".join(self.texts)):
            return found
        start = end = np.arange(1, len(self.own))
        if self.codes:
            start = np.concatenate([start, len(self.own) + self.codes.start])
            end = np.concatenate([end, len(self.own) + self.codes.end])
        table, way_of = misread(self.texts[1:], self.texts[1:])
        before = np.zeros((symbols, table.shape[1]), bool)
        np.logical_or.at(before, end, table)
        begins = np.zeros((table.shape[1], symbols), bool)
        begins[way_of, start] = True
        return before @ begins

    @property
    def composes(self) -> bool:
        """Whether some symbols would be read as something else, so that a drawn name may have a different spelling."""
        return bool(self.misread.any())

    @cached_property
    def _place_of(self) -> dict[str, int]:
        """The id of each character, and V + i for rare character i."""
        ids = {character: v for v, character in enumerate(self.own[1:], 1)}
        return ids | {character: len(self) + i for i, character in enumerate(self.rare)}

    @cached_property
    def id_of_code_point(self) -> NDArray[np.int32]:
        """int32[largest code point + 2]: the same for each code point that is a character, and -1 for all others.

        The last entry is -1.
        """
        places = {ord(character): place for character, place in self._place_of.items() if len(character) == 1}
        ids = np.full(max(places, default=0) + 2, -1, np.int32)
        ids[[*places]] = [*places.values()]
        return ids

    def encode(self, names: Sequence[str]) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
        """The symbol ids of all names, end to end, and how many each name has.

        >>> Vocabulary(".ab").encode(["ab", "", "bx"])
        (array([ 1,  2,  2, -1], dtype=int16), array([2, 0, 2]))

        Returns:
            ids int16[sum of lengths], -1 for a character outside the vocabulary.
            lengths int64[len(names)], in symbols.
        """
        listed = all_characters(names)
        lengths = np.fromiter(map(len, listed), np.int64, len(names))
        if listed is names:
            # surrogatepass: a lone surrogate counts as a character outside the vocabulary, and needs this to be encoded
            code_points = np.frombuffer("".join(names).encode("utf-32-le", "surrogatepass"), np.uint32)
            lookup = self.id_of_code_point
            places = lookup[np.minimum(code_points, len(lookup) - 1)]
        else:
            place = self._place_of.get
            flat = (place(character, -1) for character in chain.from_iterable(listed))
            places = np.fromiter(flat, np.int32, int(lengths.sum()))
        return self._with_codes(places, lengths) if self.codes else (places.astype(np.int16), lengths)

    def _with_codes(
        self, places: NDArray[np.int32], lengths: NDArray[np.int64]
    ) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
        """The same, with the code of each rare character."""
        assert self.codes
        is_rare = places >= len(self)
        codes, sizes = self.codes.of(places[is_rare] - len(self))
        size = np.ones(len(places), np.int64)
        size[is_rare] = sizes
        ends = np.cumsum(size)
        spelt = np.empty(int(size.sum()), np.int16)
        spelt[ends[~is_rare] - 1] = places[~is_rare]
        first, has_middle = (ends - size)[is_rare], sizes == 3
        spelt[first] = len(self.own) + codes[:, 0]
        spelt[first[has_middle] + 1] = len(self.own) + codes[has_middle, 1]
        spelt[first + sizes - 1] = len(self.own) + codes[:, 2]
        name_ends = np.concatenate([[0], ends])[np.concatenate([[0], np.cumsum(lengths)])]
        return spelt, np.diff(name_ends)

    def lengths_of(self, names: Sequence[str], symbols: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64[len(names)]: how many characters names of so many symbols have."""
        return lengths_of(names) if self.codes else symbols


def _shared_out(often: Counter[str]) -> tuple[list[str], list[list[str]], Codes]:
    """Of more characters than there are symbols: those that get one, and groups of others, with their codes.

    Whether two characters may follow each other has to be seen from their symbols. So those on which that depends get
    one if they can: all that is misread before some others, or after most, separators and marks. And of the others
    those are a group which are alike after these.

    Raises:
        ValueError: if no codes are enough.
    """
    characters = sorted(often)
    table, way_of = misread(characters, characters)
    marks = np.array([begins_as_mark(character) for character in characters])
    is_usual = np.zeros(table.shape[1], bool)  # ways in which what is no mark begins
    is_usual[way_of[~marks]] = True
    is_open = (table & is_usual).any(axis=1)
    is_first = marks | is_open | [category(character[0])[0] in "PZ" for character in characters]
    order = sorted(range(len(characters)), key=lambda i: (not is_first[i], -often[characters[i]], i))
    _, alike = np.unique(table[is_open], axis=1, return_inverse=True) if is_open.any() else (None, np.zeros(1, np.intp))
    kind = alike.ravel()[way_of] if is_open.any() else np.zeros(len(characters), np.intp)
    kind = kind[order]  # of each character, in the order in which they get a symbol
    for way in (Codes.single, Codes.double):
        for size in range(2, MAX_SYMBOLS):
            rest = kind[MAX_SYMBOLS - 1 - size :]
            sizes = np.bincount(rest)
            largest_first = [k for k in np.argsort(-sizes, kind="stable") if sizes[k]]
            if codes := way([int(sizes[k]) for k in largest_first], size):
                others = order[MAX_SYMBOLS - 1 - size :]
                groups = [[characters[i] for i, k in zip(others, rest, strict=True) if k == g] for g in largest_first]
                return [characters[i] for i in order[: MAX_SYMBOLS - 1 - size]], groups, codes
    raise ValueError(f"{len(often):,} different characters, which is more than codes of three symbols can spell")


def _boundary_of(characters: Collection[str]) -> str:
    return next(boundary for boundary in BOUNDARIES if boundary not in characters)

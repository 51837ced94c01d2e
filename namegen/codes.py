"""Codes: how characters are spelt that have no symbol of their own.

A code is one lead and a tail, or two leads and a tail. Codes that differ only in their tail are a row, of which there
are as many as the characters need. Each row has a short lead, which stands for it alone, or a long and a middle lead
together. No symbol is of two kinds, and a code begins with a short or a long lead and ends with a tail. So one symbol
says what may follow, no code has another one in it, and names have one spelling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Codes:
    """The codes of R characters, numbered from 0. The symbols are numbered from 0 as well, in the order of the kinds.

    Args:
        groups: how many characters each group has. A group begins with a new row, and only its last row may have fewer
            characters than there are tails.
        short, long, middle, tails: how many symbols of each kind there are.
    """

    groups: tuple[int, ...]
    short: int
    long: int
    middle: int
    tails: int

    def __post_init__(self) -> None:
        sizes = (*self.groups, self.short, self.tails)
        if any(type(size) is not int or size < 1 for size in sizes) or not self.groups:
            raise ValueError("the codes of a vocabulary have groups, short leads and tails")
        if any(type(size) is not int or size < 0 for size in (self.long, self.middle)) or self.symbols > 255:
            raise ValueError("the codes of a vocabulary have up to 255 symbols")
        paired, pairs = self.paired, self.long * self.middle
        is_needed = pairs - self.middle < paired <= pairs if pairs else paired == self.long == self.middle == 0
        if paired > self.groups[0] // self.tails or not is_needed:
            raise ValueError("the codes of a vocabulary must be as many as its rare characters need")

    @classmethod
    def single(cls, groups: Sequence[int], symbols: int) -> Codes | None:
        """Those of so many symbols, or a few less, where one lead each is enough; None where it is not.

        The first group is the largest.
        """
        short = symbols // 2
        tails = symbols - short
        rows = sum(-(-group // tails) for group in groups) if short else 1
        return cls(tuple(groups), rows, 0, 0, tails) if rows <= short else None

    @classmethod
    def double(cls, groups: Sequence[int], symbols: int) -> Codes | None:
        """Those of so many symbols, or a few less, of which most have two leads; None if they do not suffice."""
        middle = symbols // 3
        for _ in range(3):  # the shorter the rows, the more short leads the other groups need
            tails = middle
            short = 1 + sum(-(-group // tails) for group in groups[1:]) if tails else 0
            middle = max(symbols - short, 0) // 3
        tails = symbols - short - 2 * middle
        if tails < 1 or middle < 1:
            return None
        short = 1 + sum(-(-group // tails) for group in groups[1:])
        paired = -(-groups[0] // tails) - 1
        long = -(-paired // middle)
        if not 1 <= long <= middle or short + long + middle + tails > symbols:
            return None
        return cls(tuple(groups), short, long, middle, tails)

    @property
    def leads(self) -> int:
        """How many symbols are leads; they stand before the tails."""
        return self.short + self.long + self.middle

    @property
    def symbols(self) -> int:
        """How many there are."""
        return self.leads + self.tails

    @property
    def longest(self) -> int:
        """How many symbols the longest code has."""
        return 3 if self.long else 2

    @property
    def paired(self) -> int:
        """How many rows have a long and a middle lead; they come first."""
        return sum(-(-group // self.tails) for group in self.groups) - self.short

    @cached_property
    def filled(self) -> NDArray[np.int64]:
        """int64[rows]: how many characters each row has."""
        rows = [min(self.tails, group - first) for group in self.groups for first in range(0, group, self.tails)]
        return np.array(rows, np.int64)

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """int64[rows]: the first character of each row."""
        return np.cumsum(self.filled) - self.filled

    @cached_property
    def value(self) -> NDArray[np.int64]:
        """int64[symbols]: the number of a character is the sum of the values of its code."""
        middle = np.arange(self.middle) * self.tails
        long = np.arange(self.long) * (self.middle * self.tails)
        return np.concatenate([self.first[self.paired :], long, middle, np.arange(self.tails)])

    @cached_property
    def start(self) -> NDArray[np.int64]:
        """int64[R]: the first symbol of each character's code."""
        row = np.arange(len(self.first))
        leads = np.where(row < self.paired, self.short + row // max(self.middle, 1), row - self.paired)
        return np.repeat(leads, self.filled)

    @cached_property
    def end(self) -> NDArray[np.int64]:
        """int64[R]: the last symbol of each character's code."""
        return self.leads + np.arange(int(self.filled.sum())) - np.repeat(self.first, self.filled)

    def of(self, number: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The codes of some characters.

        Returns:
            int64[N, 3]: the symbols; in the middle column what is none where the code has two.
            int64[N]: how many symbols each code has.
        """
        row = np.searchsorted(self.first, number, "right") - 1
        middle = self.short + self.long + row % max(self.middle, 1)
        return np.stack([self.start[number], middle, self.end[number]], axis=1), 2 + (row < self.paired)

    @cached_property
    def follows(self) -> NDArray[np.bool_]:
        """bool[symbols, symbols]: whether a code has the second symbol after the first."""
        table = np.zeros((self.symbols, self.symbols), bool)
        long, middle, tail = self.short, self.short + self.long, self.leads
        table[: self.short, tail:] = np.arange(self.tails) < self.filled[self.paired :, None]
        pairs = np.arange(self.long * self.middle) < self.paired
        table[long:middle, middle:tail] = pairs.reshape(self.long, self.middle)
        table[middle:tail, tail:] = True
        return table

    @cached_property
    def begins(self) -> NDArray[np.bool_]:
        """bool[symbols]: whether a code begins with the symbol."""
        return np.arange(self.symbols) < self.short + self.long

    def shown(self, characters: Sequence[str]) -> list[str]:
        """How the symbols are shown: "龍…" begins the codes from 龍 on, and "…7" is the seventh of a row."""
        beginning = [f"{characters[number]}…" for number in self.value[: self.short + self.long]]
        middle = [f"…{m + 1}…" for m in range(self.middle)]
        return [*beginning, *middle, *(f"…{tail + 1}" for tail in range(self.tails))]

"""Letters without their case, from counts of any names, and their case from its place in the listed ones.

A short list with capitals shows each letter in two forms, and hardly any of them often. So the letters are counted
without case, and whether one is a capital is decided by what stands before it: the start, a space, a capital... The
names that are counted may be others than the listed ones, which then only decide the case: a *background*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from namegen.characters import all_characters
from namegen.corpus.kinds import LOWER, OTHER, SPACE, START, UPPER, kind_of, without_case
from namegen.corpus.ngrams import count_ngrams
from namegen.models import kneser_ney
from namegen.models.kneser_ney import KneserNey
from namegen.models.predictor import State
from namegen.vocabulary import MAX_SYMBOLS, Vocabulary

UNSEEN = 0.05  # how often each case counts as seen at each place, beyond what was seen: case is regular


@dataclass(frozen=True, eq=False)
class Caseless:
    """The model; V symbols, of which some are the same without case.

    Args:
        letters: a model of symbols without case.
        without_case: int64[V]: which of those each symbol is.
        kind: uint8[V].
        case: float64[6, V]: the share of each symbol's case after each kind of symbol; 1 for a symbol without case.
        restarts: whether what stands after a space or a sign is counted as a beginning.
    """

    letters: KneserNey
    without_case: NDArray[np.int64]
    kind: NDArray[np.uint8]
    case: NDArray[np.float64]
    restarts: bool

    def start(self) -> State:
        """The state of the empty history: the last symbol, and what the letters remember."""
        return np.zeros(1, np.uint8), self.letters.start()

    def after(self, state: State, symbols: NDArray[np.integer]) -> State:
        """The states after one more symbol."""
        moved = self.letters.after(state[1], self.without_case[symbols])
        if self.restarts:
            moved = np.where(self.kind[symbols] >= SPACE, self.letters.start(), moved)
        return symbols.astype(np.uint8), moved

    def predict(self, state: State) -> NDArray[np.float64]:
        """float64[N, V]: the distributions after some histories."""
        last, letters = state
        rows: NDArray[np.float64] = self.letters.predict(letters)[:, self.without_case] * self.case[self.kind[last]]
        rows /= rows.sum(axis=1, keepdims=True)
        return rows


def has_both_cases(vocabulary: Vocabulary) -> bool:
    """Whether there are capitals as well as lower case."""
    kinds = set(map(kind_of, vocabulary.characters))
    return {LOWER, UPPER} <= kinds


def count_letters(names: Sequence[str], vocabulary: Vocabulary, order: int) -> KneserNey | None:
    """A model of names without case, which may have other symbols than a vocabulary, and knows all of that.

    Returns:
        None if there are more symbols than a model can have.
    """
    folded = [without_case(name) for name in names]
    letters = sorted({*map(without_case, vocabulary.characters)}.union(*all_characters(folded)))
    if len(letters) >= MAX_SYMBOLS or vocabulary.rare:
        return None
    return kneser_ney.fit(count_ngrams(folded, Vocabulary.of(letters), order))


def fit(letters: KneserNey, listed: Sequence[str], vocabulary: Vocabulary, *, restarts: bool = False) -> Caseless:
    """The model of letters, with the case of the listed names.

    Args:
        letters: knows every symbol of the vocabulary without its case.
        listed: names of the vocabulary.
        restarts: see `Caseless`.
    """
    known = {letter: i for i, letter in enumerate(letters.counts.vocabulary.symbols)}
    column = [0, *(known[without_case(character)] for character in vocabulary.characters)]
    kind = np.array([START, *map(kind_of, vocabulary.characters)], np.uint8)
    pairs = count_ngrams(listed, vocabulary, 2).counts
    cased = np.stack([pairs[:, kind == case].sum(axis=1) for case in (LOWER, UPPER)], axis=1)
    seen = np.full((OTHER + 1, 2), UNSEEN)
    np.add.at(seen, kind, cased)
    share = seen / seen.sum(axis=1, keepdims=True)
    case = np.ones((OTHER + 1, len(kind)))
    case[:, kind == LOWER], case[:, kind == UPPER] = share[:, :1], share[:, 1:]
    return Caseless(letters, np.array(column), kind, case, restarts)

"""Which symbol may follow which, so that no drawn name looks like an error of typing.

A smoothed model gives every pair of symbols some probability, also those that no list of names has.
"""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import category

import numpy as np
from numpy.typing import NDArray

from namegen.corpus.corpus import Corpus
from namegen.corpus.kinds import LETTER, OTHER, START, UPPER, kind_of
from namegen.corpus.ngrams import count_ngrams
from namegen.vocabulary import Vocabulary

Allowed = NDArray[np.bool_] | NDArray[np.float64]  # [V, V]: how far the second symbol may follow the first
UNUSUAL = 0.01  # how far a pair of kinds of characters is allowed that no name has


def allowed_pairs(corpus: Corpus) -> NDArray[np.bool_] | None:
    """bool[V, V]: whether the second symbol may follow the first; None if every symbol may follow every other.

    What occurs anywhere in the list may, held-out names included. Of the rest, these may not:

    - white space at the start and at the end of a name, which reading it would drop (a name that is cut after 64
      characters can still end with it);
    - two separators in a row: white space, punctuation, or symbols such as "+";
    - a combining mark after anything but a letter or a mark;
    - two characters that side by side would be read as others;
    - a lead of a code before anything but what finishes it, and a tail after anything else.
    """
    vocabulary = corpus.vocabulary
    spelling, own = vocabulary.spelling, vocabulary.own[1:]
    kinds = np.array(["", *(category(each[0])[0] for each in own), *"L" * (len(vocabulary) - len(own) - 1)])
    if set(kinds) <= {"", "L", "N"} and "".join(own).isascii() and spelling is None:
        return None
    is_separator, is_mark = np.isin(kinds, ["P", "S", "Z"]), kinds == "M"
    wrong = is_separator[:, None] & is_separator
    wrong[0, 1 : len(own) + 1] |= [each[0].isspace() for each in own]
    wrong[1 : len(own) + 1, 0] |= [each[-1].isspace() for each in own]
    wrong |= ~(is_mark | (kinds == "L"))[:, None] & is_mark
    wrong |= vocabulary.misread
    wrong &= count_ngrams(corpus.names, corpus.vocabulary, 2).counts == 0
    if spelling is not None:
        wrong |= ~spelling
    return ~wrong if wrong.any() else None


def usual_pairs(names: Sequence[str], vocabulary: Vocabulary, allowed: Allowed | None) -> NDArray[np.float64]:
    """float64[V, V]: `allowed`, and less for capitals, and for beginnings of a kind, where no name has one.

    A few names do not tell a smoothed model that names do not begin in lower case.
    """
    own = [kind_of(character) for character in vocabulary.own[1:]]
    kind = np.array([START, *own, *[LETTER] * (len(vocabulary) - len(own) - 1)])
    pairs = count_ngrams(names, vocabulary, 2).counts > 0
    seen = np.zeros((OTHER + 1, OTHER + 1), bool)
    first, second = np.nonzero(pairs)
    seen[kind[first], kind[second]] = True
    seen[START + 1 :, [other for other in range(OTHER + 1) if other != UPPER]] = True
    usual: NDArray[np.float64] = np.where(seen[kind[:, None], kind], 1.0, UNUSUAL)
    return usual if allowed is None else usual * allowed


def keep_allowed(
    probabilities: NDArray[np.float64], last: NDArray[np.integer], allowed: Allowed | None
) -> NDArray[np.float64]:
    """The distributions after contexts that end with `last`, given that only what is allowed follows.

    Args:
        probabilities: float64[S, V].
        last: int[S].
        allowed: as from `allowed_pairs` or `usual_pairs`.
    """
    if allowed is None:
        return probabilities
    kept: NDArray[np.float64] = probabilities * allowed[last]
    kept /= kept.sum(axis=1, keepdims=True)
    return kept

"""Which symbol may follow which, so that no drawn name looks like an error of typing.

A smoothed model gives every pair of symbols some probability, also those that no list of names has.
"""

from __future__ import annotations

from unicodedata import category

import numpy as np
from numpy.typing import NDArray

from namegen.corpus.corpus import Corpus
from namegen.corpus.ngrams import count_ngrams


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


def keep_allowed(
    probabilities: NDArray[np.float64], last: NDArray[np.integer], allowed: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """The distributions after contexts that end with `last`, given that only what is allowed follows.

    Args:
        probabilities: float64[S, V].
        last: int[S].
        allowed: bool[V, V], as from `allowed_pairs`.
    """
    if allowed is None:
        return probabilities
    kept = np.where(allowed[last], probabilities, 0)
    kept /= kept.sum(axis=1, keepdims=True)
    return kept

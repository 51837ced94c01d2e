"""Interpolated modified Kneser-Ney (Chen & Goodman 1999): counting, extended to long contexts.

Unlike `bigram`, it subtracts a discount from each count and gives that mass to the distribution of the next shorter
context. A shorter context matters only if the longer one has not seen the symbol, so it uses continuation counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from namegen.corpus.ngrams import NgramCounts

# Discounts of counts 1, 2, and 3 or more, for an order whose own discounts are undefined. Their estimate needs n-grams
# that occur 1, 2, 3 and 4 times, but over a small alphabet nearly every pair of letters occurs often. The values are
# those of KenLM's --discount_fallback.
FALLBACK = (0.5, 1.0, 1.5)


@dataclass(frozen=True, eq=False, repr=False)
class KneserNey:
    """The fitted model: what each context adds of its own. A distribution is put together when it is asked for.

    Args:
        counts: S contexts and V symbols.
        first: int64[S + 1]: the entries of context s are first[s] to first[s + 1] - 1.
        symbol: uint8[E].
        own: float64[E]: the discounted relative frequency of each entry.
        rest: float64[S]: what is left for the next shorter context.
        shortest: float64[V]: the distribution after the empty context.
    """

    counts: NgramCounts
    first: NDArray[np.int64]
    symbol: NDArray[np.uint8]
    own: NDArray[np.float64]
    rest: NDArray[np.float64]
    shortest: NDArray[np.float64]

    def start(self) -> NDArray[np.int32]:
        """int32[1]: the context that is the boundary alone."""
        return np.zeros(1, np.int32)

    def after(self, state: NDArray[np.int32], symbols: NDArray[np.integer]) -> NDArray[np.int32]:
        """int32[N]: the contexts after one more symbol."""
        return self.counts.after(state, symbols)

    @property
    def kinds(self) -> int:
        """How many kinds of contexts there are."""
        return 2 * (self.counts.order - 1)

    def kind(self, state: NDArray[np.integer]) -> NDArray[np.int64]:
        """int64[N]: the kind of each context: how many symbols it has, and whether it begins where the name does.

        The distribution after a context of the same length means less where it is all there is of the name: `ston` ends
        names, and is none.
        """
        length = np.searchsorted(self.counts.first_state, state, side="right")
        kind: NDArray[np.int64] = length - 1 + (self.counts.order - 1) * self.counts.is_start[state]
        return kind

    @property
    def table(self) -> NDArray[np.float64]:
        """float64[S, V]: the distributions of all contexts."""
        return self.predict(np.arange(self.counts.states, dtype=np.int32))

    def predict(self, state: NDArray[np.int32]) -> NDArray[np.float64]:
        """float64[N, V]: the distributions after some contexts; no name is empty."""
        contexts, where = np.unique(state, return_inverse=True)
        rows = np.tile(self.shortest, (len(contexts), 1))
        suffixes = [contexts]
        while (longest := suffixes[-1]).max(initial=-1) >= len(self.shortest):  # one has more than one symbol
            suffixes.append(np.where(longest >= 0, self.counts.backoff[longest], -1))
        for suffix in reversed(suffixes):
            row = np.flatnonzero(suffix >= 0)
            here = suffix[row]
            rows[row] *= self.rest[here, None]
            sizes = self.first[here + 1] - self.first[here]
            entry = np.arange(sizes.sum()) + np.repeat(self.first[here] - (np.cumsum(sizes) - sizes), sizes)
            rows[np.repeat(row, sizes), self.symbol[entry]] += self.own[entry]
        rows[contexts == 0, 0] = 0  # no name is empty
        rows /= rows.sum(axis=1, keepdims=True)
        return rows[where]


def fit(counts: NgramCounts) -> KneserNey:
    """The model of some counts.

    Source: Chen & Goodman (1999), "An empirical study of smoothing techniques for language modeling", section 3.
    """
    symbols = len(counts.vocabulary)
    state, symbol, count = counts.adjusted()
    discount = np.zeros(len(count))
    for k in range(1, counts.order):
        here = slice(*np.searchsorted(state, counts.first_state[k - 1 : k + 1]))
        discount[here] = np.array([0.0, *discounts(count[here])])[np.minimum(count[here], 3)]
    total = np.bincount(state, count, counts.states)
    # A single symbol that the training names lack has no counts: it gets the distribution of the shorter context.
    taken = np.where(total > 0, np.bincount(state, discount, counts.states), 1)
    first = np.searchsorted(state, np.arange(counts.states + 1))
    continuation = np.bincount(counts.symbol[: np.searchsorted(counts.state, symbols)], minlength=symbols)
    own = (count - discount) / total[state]
    return KneserNey(counts, first, symbol.astype(np.uint8), own, taken / np.maximum(total, 1), _shortest(continuation))


def _shortest(continuation: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64[V]: the distribution after the empty context, which is mixed with the uniform one."""
    discount = np.array([0.0, *discounts(continuation)])[np.minimum(continuation, 3)]
    total = int(continuation.sum())
    if not total:
        return np.full(len(continuation), 1 / len(continuation))
    mixed: NDArray[np.float64] = (continuation - discount + discount.sum() / len(continuation)) / total
    return mixed


def discounts(counts: NDArray[np.int64]) -> tuple[float, float, float]:
    """D1, D2 and D3+ of one order, from how many of its n-grams occurred 1, 2, 3 and 4 times (equation 26).

    They are `FALLBACK` if one of these numbers is 0, or a discount would be negative or exceed its count.

    >>> discounts(np.array([1, 1, 1, 1, 2, 2, 3, 4]))
    (0.5, 1.25, 1.0)
    >>> discounts(np.array([7, 8, 9])) == FALLBACK
    True

    Args:
        counts: int64, of any shape: the counts of the order's n-grams.
    """
    n1, n2, n3, n4 = (int((counts == times).sum()) for times in (1, 2, 3, 4))
    if not (n1 and n2 and n3 and n4):
        return FALLBACK
    y = Fraction(n1, n1 + 2 * n2)  # exact, so that a discount of 0 does not round to a negative one, and fall back
    first, second, third = 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
    if not (0 <= first <= 1 and 0 <= second <= 2 and 0 <= third <= 3):
        return FALLBACK
    return float(first), float(second), float(third)

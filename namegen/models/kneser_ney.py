"""Interpolated modified Kneser-Ney (Chen & Goodman 1999): counting, extended to long contexts.

Unlike `bigram`, it subtracts a discount from each count and gives that mass to the distribution of the next shorter
context. A shorter context matters only if the longer one has not seen the symbol, so it uses continuation counts.
"""

from __future__ import annotations

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


def fit(counts: NgramCounts) -> NDArray[np.float64]:
    """float64[S, V]: the smoothed distribution of every context; no name is empty.

    Source: Chen & Goodman (1999), "An empirical study of smoothing techniques for language modeling", section 3.
    """
    symbols = len(counts.vocabulary)
    continuation = np.bincount(counts.symbol[: np.searchsorted(counts.state, symbols)], minlength=symbols)
    uniform = np.full((1, symbols), 1 / symbols)
    unigram = _interpolate(continuation[None, :], uniform)
    table = np.empty((counts.states, symbols))
    for k in range(1, counts.order):
        here = slice(counts.first_state[k - 1], counts.first_state[k])
        shorter = unigram if k == 1 else table[counts.backoff[here]]
        table[here] = _interpolate(counts.adjusted_counts[here], shorter)
    table[0, 0] = 0  # no name is empty
    table[0] /= table[0].sum()
    return table


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


def _interpolate(counts: NDArray[np.int64], shorter: NDArray[np.float64]) -> NDArray[np.float64]:
    """p(v|s) = (c(s,v) - D(c(s,v))) / c(s) + gamma(s) p(v|shorter), gamma(s) c(s) = sum of discounts (equation 24)."""
    discount = np.array([0.0, *discounts(counts)])[np.minimum(counts, 3)]
    total = counts.sum(axis=1, keepdims=True)
    taken = discount.sum(axis=1, keepdims=True)
    # A single symbol that the training names lack has no counts: it gets the distribution of the shorter context.
    table: NDArray[np.float64] = np.where(
        total > 0, (counts - discount + taken * shorter) / np.maximum(total, 1), shorter
    )
    return table

"""Philox4x32-10, the counter-based generator of Salmon et al. (2011), "Parallel random numbers: as easy as 1, 2, 3".

Unlike a generator with state, it computes any block of a stream from its number alone, so any row of a data set can be
drawn without the rows before it. It uses only operations that numpy arrays and torch tensors share, so it runs on both,
on any device.
"""

from __future__ import annotations

from typing import Any

_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_WEYL = 0x9E3779B9, 0xBB67AE85  # the golden ratio and sqrt(3) - 1
_ROUNDS = 10
_WORD = 0xFFFFFFFF


def philox4x32(counter: tuple[Any, Any, Any, Any], key: tuple[int, int]) -> tuple[Any, Any, Any, Any]:
    """Four random words for each counter.

    The published known answer for counter 0 and key 0:

    >>> [f"{word:08x}" for word in philox4x32((0, 0, 0, 0), (0, 0))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']

    Args:
        counter: four words, each an int or an int64 array or tensor, below 2^32; shapes broadcast.
        key: two words below 2^32.

    Returns:
        four words below 2^32, of the counter's type and shape.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        # The products have 64 bits and wrap around in int64. The shift extends the sign, and the mask removes that.
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = ((p1 >> 32) & _WORD) ^ c1 ^ k0, p1 & _WORD, ((p0 >> 32) & _WORD) ^ c3 ^ k1, p0 & _WORD
        k0, k1 = (k0 + _WEYL[0]) & _WORD, (k1 + _WEYL[1]) & _WORD
    return c0, c1, c2, c3

"""ln, with the same bits on every machine.

Unlike `numpy.log` and the C library's, whose last bit depends on the processor and the operating system, this
one uses nothing but the operations that IEEE 754 rounds exactly. A stored log-probability is compared by its
bytes, so that matters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# ln 2 in two parts, the first with its last 21 bits zero, so that exponent * LN2_HIGH is exact
_LN2_HIGH, _LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
# The coefficients of s^2, s^4 ... in (log(1+s) - log(1-s)) / s - 2, fitted by Remez' algorithm; |error| < 2^-58.45.
# From FDLIBM's e_log.c, Sun Microsystems 1993, "Permission to use, copy, modify, and distribute this software is
# freely granted, provided that this notice is preserved."
_COEFFICIENTS = tuple(
    float.fromhex(c)
    for c in (
        "0x1.5555555555593p-1",
        "0x1.999999997fa04p-2",
        "0x1.2492494229359p-2",
        "0x1.c71c51d8e78afp-3",
        "0x1.7466496cb03dep-3",
        "0x1.39a09d078c69fp-3",
        "0x1.2f112df3e5244p-3",
    )
)
# sqrt(1/2), the two parts of ln 2, and the coefficients: for `cpu_kernel`, which computes the same
CONSTANTS = np.array([np.sqrt(0.5), _LN2_HIGH, _LN2_LOW, *_COEFFICIENTS])

_BLOCK = 2**14  # elements at a time: what lies between the steps stays in the cache


def ln(x: ArrayLike) -> NDArray[np.float64]:
    """The natural logarithm of positive, normal float64, elementwise; within 1 ulp; -inf for 0."""
    x = np.asarray(x, np.float64)
    result = np.empty(x.shape)
    source, target = x.reshape(-1), result.reshape(-1)
    for start in range(0, x.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        target[block] = _ln(source[block])
    return result


def _ln(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """One block, by FDLIBM's way: ln x = k ln 2 + ln(1+f) for x = 2^k (1+f), 1+f in [sqrt(1/2), sqrt(2)).

    With s = f / (2+f), ln(1+f) = f - f^2/2 + s (f^2/2 + R(s^2)), R the polynomial of the coefficients.
    """
    zero = x == 0
    mantissa, k = np.frexp(np.where(zero, 1.0, x))  # in [1/2, 1)
    small = mantissa < np.sqrt(0.5)
    f = np.where(small, mantissa * 2, mantissa) - 1
    exponent: NDArray[Any] = (k - small).astype(np.float64)
    s = f / (2 + f)
    z = s * s
    r = np.zeros_like(z)
    for coefficient in reversed(_COEFFICIENTS):
        r = z * (coefficient + r)
    half_square = 0.5 * f * f
    result = exponent * _LN2_HIGH - ((half_square - (s * (half_square + r) + exponent * _LN2_LOW)) - f)
    return np.where(zero, -np.inf, result)

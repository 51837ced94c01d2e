"""ln, with the same bits on every machine.

Unlike `numpy.log` and the C library's `log`, whose last bit depends on the processor and the operating system, this one
uses only operations that IEEE 754 rounds exactly. That matters because stored log-probabilities are compared byte by
byte.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# ln 2 in two parts. The last 21 bits of the first are zero, so exponent * _LN2_HIGH is exact.
_LN2_HIGH, _LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
# The coefficients of s^2, s^4 ... in (log(1+s) - log(1-s)) / s - 2, fitted by the Remez algorithm; |error| < 2^-58.45.
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
# sqrt(1/2), the two parts of ln 2, and the coefficients: for `sampling.kernel`, which computes the same logarithm
CONSTANTS = np.array([np.sqrt(0.5), _LN2_HIGH, _LN2_LOW, *_COEFFICIENTS])

_BLOCK = 2**14  # elements at a time: the intermediate results stay in the cache


def ln(x: ArrayLike) -> NDArray[np.float64]:
    """The natural logarithm of each element, float64 of the same shape, within 1 ulp.

    >>> ln([1, 0.5, 0])
    array([ 0.        , -0.69314718,        -inf])

    Args:
        x: positive, normal float64 numbers, or 0.
    """
    x = np.asarray(x, np.float64)
    result = np.empty(x.shape)
    source, target = x.ravel(), result.ravel()  # the second is a view
    for start in range(0, x.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        target[block] = _ln(source[block])
    return result


def _ln(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """One block, by FDLIBM's method: ln x = k ln 2 + ln(1+f) for x = 2^k (1+f), 1+f in [sqrt(1/2), sqrt(2)).

    With s = f / (2+f), ln(1+f) = f - f^2/2 + s (f^2/2 + R(s^2)), where R is the polynomial of the coefficients.
    """
    zero = x == 0
    mantissa, k = np.frexp(x)  # in [1/2, 1)
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

from __future__ import annotations

import hashlib
import math
from decimal import Context, Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from namegen.automaton.logarithm import ln


@given(st.floats(min_value=2.0**-1000, max_value=2.0**1000))
def test_within_one_ulp(x: float) -> None:
    """Ln is within 1 ulp of the logarithm computed to 40 digits."""
    exact = Decimal(x).ln(Context(prec=40))
    assert abs(Decimal(float(ln(x))) - exact) <= Decimal(math.ulp(float(exact)))


def test_zero_and_one() -> None:
    assert ln([0.0, 1.0]).tolist() == [-math.inf, 0.0]


def test_its_bits_are_fixed() -> None:
    """Values of every magnitude, to the last bit: log-probabilities in data sets depend on them."""
    bits = {
        2.0**-32: "-0x1.62e42fefa39efp+4",
        1 / 3: "-0x1.193ea7aad030bp+0",
        0.5: "-0x1.62e42fefa39efp-1",
        0.7: "-0x1.6d3c324e13f50p-2",
        0.75: "-0x1.269621134db92p-2",
        1 - 2.0**-32: "-0x1.0000000080000p-32",
        12345 / 2**32: "-0x1.984f7d7465af7p+3",
    }
    assert {x: float(ln(x)).hex() for x in bits} == bits


def test_ten_thousand_values_to_the_last_bit() -> None:
    """Among few others and among so many that they take several blocks."""
    values = np.arange(1, 10_000) / 10_000
    bits = ln(values).astype("<f8").tobytes()
    assert hashlib.sha256(bits).hexdigest() == GOLDEN
    assert ln(np.tile(values, (5, 1))).astype("<f8").tobytes() == 5 * bits


GOLDEN = "eddc7dcb192c285247691ad6a17b525d9b72d1d273317d36568cc308b416192a"


def test_close_to_the_c_library() -> None:
    x = np.random.default_rng(0).random(10_000)
    np.testing.assert_allclose(ln(x), np.log(x), rtol=3e-16)

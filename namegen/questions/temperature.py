"""Temperature: each distribution to the power 1/T, normalised and rounded anew, with the same bits on every machine."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from namegen.automaton.automaton import Automaton
from namegen.automaton.compiled import compiled, f64, read_only
from namegen.automaton.rounding import round_to_weights
from namegen.errors import SettingError

COLDEST, HOTTEST = 0.1, 5.0
ROWS = 2**14  # that are computed at once

# From FDLIBM's e_exp.c, Sun Microsystems 1993, "Permission to use, copy, modify, and distribute this software is freely
# granted, provided that this notice is preserved": ln 2 in two parts, 1 / ln 2, and the coefficients of r^2, r^4 ... in
# r - r (exp(r) - 1) / (exp(r) + 1) * 2, within 2^-59.
_LN2_HIGH, _LN2_LOW, _PER_LN2 = 6.93147180369123816490e-01, 1.90821492927058770002e-10, 1.44269504088896338700e00
_P1, _P2, _P3 = 1.66666666666666019037e-01, -2.77777777770155933842e-03, 6.61375632143793436117e-05
_P4, _P5 = -1.65339022054652515390e-06, 4.13813679705723846039e-08
_POSSIBLE = 1e-300  # what is possible stays so: it is rounded up to a weight of 1


def temper(automaton: Automaton, temperature: float) -> Automaton:
    """The automaton whose distributions are those of another to the power 1/T, normalised.

    Below 1 the likely becomes likelier, and above 1 less so.

    Raises:
        SettingError: for a temperature outside 0.1 to 5.
    """
    if not COLDEST <= temperature <= HOTTEST:
        what = f"temperature {temperature:g} is not in {COLDEST:g} to {HOTTEST:g}"
        raise SettingError(what, remedy="Choose one in range; 1 changes nothing")
    if temperature == 1:
        return automaton
    weights = np.empty_like(automaton.weights)
    for start in range(0, automaton.states, ROWS):
        block = slice(start, start + ROWS)
        weights[block] = round_to_weights(_powers(automaton.log_probabilities[block], float(temperature)))
    return replace(automaton, weights=weights)


@compiled(read_only(f64, 2), f64)
def _powers(log_probabilities, temperature):
    """float64[S, V]: exp(log_probability / T), normalised; by FDLIBM's exp."""
    states, symbols = log_probabilities.shape
    table = np.zeros((states, symbols))
    for s in range(states):
        largest, total = log_probabilities[s].max(), 0.0
        for v in range(symbols):
            if log_probabilities[s, v] == -np.inf:
                continue
            x = (log_probabilities[s, v] - largest) / temperature
            k = math.floor(x * _PER_LN2 + 0.5)
            high, low = x - k * _LN2_HIGH, k * _LN2_LOW
            r = high - low
            t = r * r
            c = r - t * (_P1 + t * (_P2 + t * (_P3 + t * (_P4 + t * _P5))))
            table[s, v] = math.ldexp(1.0 - ((low - (r * c) / (2.0 - c)) - high), int(k))
            total += table[s, v]
        for v in range(symbols):
            if log_probabilities[s, v] != -np.inf:
                table[s, v] = max(table[s, v] / total, _POSSIBLE)
    return table

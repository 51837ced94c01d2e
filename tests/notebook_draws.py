"""The notebook's own random numbers, which newer PyTorch releases and other processors do not reproduce.

Its `torch.multinomial` divided probabilities by exponentials drawn through Intel MKL. Found by experiment, and
exact: each draw takes the next 32-bit output of MT19937 as the seed of MKL's MCG31m1, a multiplicative
congruential generator, and that one's outputs u_k as uniforms; the symbol is argmax_k p_k / -ln(u_k).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from namegen.corpus.ngrams import NgramCounts
from namegen.vocabulary import Vocabulary

SEED = 2147483647  # the notebook's
MODULUS, MULTIPLIER = 2**31 - 1, 1132489760

COUNTS = np.loadtxt(Path(__file__).with_name("notebook_counts.csv"), np.int64, delimiter=",")
SYMBOLS = ".abcdefghijklmnopqrstuvwxyz"


def notebook_counts() -> NgramCounts:
    """The 27 x 27 bigram counts of the makemore list as NgramCounts, without the list."""
    state, symbol = np.nonzero(COUNTS)
    none = np.full(27, -1, np.int32)
    ids = np.arange(27, dtype=np.uint8)
    columns = state.astype(np.int32), symbol.astype(np.uint8), COUNTS[state, symbol]
    return NgramCounts(Vocabulary(SYMBOLS), 2, np.array([0, 27]), none, ids, none, *columns)


def notebook_names(probabilities: NDArray[np.float64], count: int) -> list[str]:
    """The first names that the notebook's sampling loop prints, each with its end."""
    twister = np.random.RandomState(SEED)
    names = []
    for _ in range(count):
        name, symbol = "", 0
        while not name.endswith("."):
            symbol = _multinomial(probabilities[symbol], twister)
            name += SYMBOLS[symbol]
        names.append(name)
    return names


def _multinomial(p: NDArray[np.float64], twister: np.random.RandomState) -> int:
    x = int(twister.randint(0, 2**32, dtype=np.uint32)) % MODULUS or 1
    uniforms = []
    for _ in p:
        uniforms.append(x / MODULUS)
        x = MULTIPLIER * x % MODULUS
    return int(np.argmax(p / -np.log(uniforms)))

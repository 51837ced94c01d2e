"""Stream version 1 on the CPU: an automaton's tables, laid out once, and the Arrow arrays that are drawn from them.

Importing this module loads the compiled code, or compiles it; see `compiled`. From then on any number of threads may
draw from one sampler at once: drawing releases the GIL and changes nothing that they share.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from namegen.automaton.automaton import Automaton
from namegen.automaton.logarithm import CONSTANTS
from namegen.sampling import kernel as cpu_kernel


class CpuSampler:
    """Draws names from an automaton, on the core of the thread that asks.

    The compiled code does not look whether an index is inside its table: A1 and A4 see to that, and `automaton.load`
    checks them.
    """

    def __init__(self, automaton: Automaton) -> None:
        arrays = automaton.weights, automaton.successor
        weights, successor = (np.require(array, requirements=["C", "ALIGNED"]) for array in arrays)
        self._column_bits = automaton.column_bits
        self._cells, self._entries = cpu_kernel.lay_out(weights, successor, CONSTANTS, self._column_bits)
        self._codes = byte_codes(automaton.vocabulary.symbols)

    def draw(self, seed: int, first: int, count: int) -> tuple[pa.StringArray, pa.DoubleArray]:
        """Names `first` to `first + count - 1` of the seed's stream and their log-probabilities; count < 2^23."""
        data, offsets, log_prob = cpu_kernel.draw(
            self._cells,
            self._entries,
            np.uint64(self._column_bits),
            self._codes,
            np.uint64(seed),
            np.uint64(first),
            np.uint64(count),
        )
        names = pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(data))
        return names, pa.DoubleArray.from_buffers(pa.float64(), count, [None, pa.py_buffer(log_prob)])


def byte_codes(symbols: Sequence[str]) -> NDArray[np.uint8]:
    """uint8[V, 1 + w]: each symbol's bytes in UTF-8, behind their number; the longest has w."""
    encoded = [symbol.encode() for symbol in symbols]
    width = max(map(len, encoded))
    return np.array([[len(code), *code.ljust(width, b"\0")] for code in encoded], np.uint8)

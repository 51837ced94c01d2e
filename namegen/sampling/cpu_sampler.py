"""Stream version 1 on the CPU: it lays out an automaton's tables once, and draws Arrow arrays from them.

Unlike `torch_sampler`, it runs the compiled code of `kernel`. Importing this module loads or compiles that code; see
`automaton.compiled`. After that, any number of threads may draw from one sampler at once: drawing releases the GIL and
changes no shared state.
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
    """Draws names from an automaton, in the thread that calls it.

    The compiled code does no bounds checks. The invariants A1 and A4 keep every index inside its table, and
    `automaton.artifact.load` checks them.
    """

    def __init__(self, automaton: Automaton) -> None:
        arrays = automaton.weights, automaton.successor
        weights, successor = (np.require(array, requirements=["C", "ALIGNED"]) for array in arrays)
        self._column_bits = automaton.column_bits
        self._cells, self._entries = cpu_kernel.lay_out(weights, successor, CONSTANTS, self._column_bits)
        vocabulary = automaton.vocabulary
        self._texts, self._value = byte_texts(vocabulary.texts), vocabulary.value.astype(np.uint64)
        leads = vocabulary.first_lead, vocabulary.first_tail
        self._spelling = np.array([len(vocabulary), *leads, automaton.cap], np.uint64)
        self._longest = np.uint64(automaton.longest)

    def draw(self, seed: int, first: int, count: int) -> tuple[pa.StringArray, pa.DoubleArray]:
        """Names `first` to `first + count - 1` of the seed's stream, and their log-probabilities (nats).

        Of the notebook's bigram table:

        >>> names, log_prob = CpuSampler(automaton).draw(seed=42, first=0, count=3)
        >>> names.to_pylist(), log_prob.to_numpy().round(3).tolist()
        (['sabe', 'sahndr', 'zush'], [-11.835, -19.39, -11.924])
        """
        data, offsets, log_prob = cpu_kernel.draw(
            self._cells,
            self._entries,
            np.uint64(self._column_bits),
            self._texts,
            self._value,
            self._spelling,
            self._longest,
            np.uint64(seed),
            np.uint64(first),
            np.uint64(count),
        )
        names = pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(data))
        return names, pa.DoubleArray.from_buffers(pa.float64(), count, [None, pa.py_buffer(log_prob)])


def byte_texts(texts: Sequence[str]) -> NDArray[np.uint8]:
    """uint8[N, 1 + w]: for each text, how many bytes it has in UTF-8, w at most, and then these bytes."""
    encoded = [text.encode() for text in texts]
    width = max(map(len, encoded))
    return np.array([[len(code), *code.ljust(width, b"\0")] for code in encoded], np.uint8)

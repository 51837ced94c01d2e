"""Symbol ids become text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from namegen.vocabulary import Vocabulary


def spelt(symbols: NDArray[np.integer], lengths: NDArray[np.int64], vocabulary: Vocabulary) -> pa.StringArray:
    """Arrow strings of names whose symbol ids lie end to end."""
    encoded = [character.encode() for character in vocabulary.texts]
    width = max(map(len, encoded))
    byte_table = np.frombuffer(b"".join(code.ljust(width, b"\0") for code in encoded), np.uint8).reshape(-1, width)
    ends = np.cumsum(lengths)
    if vocabulary.codes:
        is_last = (symbols < vocabulary.first_lead) | (symbols >= vocabulary.first_tail)  # of its character
        so_far = np.cumsum(vocabulary.value[symbols])[is_last]
        symbols, ends = np.diff(so_far, prepend=0), np.concatenate([[0], np.cumsum(is_last)])[ends]
    if width == 1:
        data = byte_table[:, 0][symbols]
    else:
        sizes = np.array([len(code) for code in encoded])
        data = byte_table[symbols][np.arange(width) < sizes[symbols][:, None]]
        byte_ends = np.concatenate([[0], np.cumsum(sizes[symbols])])
        ends = byte_ends[ends]
    offsets = np.zeros(len(lengths) + 1, np.int32)
    offsets[1:] = ends
    return pa.StringArray.from_buffers(len(lengths), pa.py_buffer(offsets), pa.py_buffer(data))

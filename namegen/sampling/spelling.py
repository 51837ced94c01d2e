"""Symbol ids become text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from namegen.vocabulary import Vocabulary


def spelt(symbols: NDArray[np.integer], lengths: NDArray[np.int64], vocabulary: Vocabulary) -> pa.StringArray:
    """Arrow strings of names whose symbol ids lie end to end."""
    encoded = [character.encode() for character in vocabulary.symbols + vocabulary.rare]
    width = max(map(len, encoded))
    byte_table = np.frombuffer(b"".join(code.ljust(width, b"\0") for code in encoded), np.uint8).reshape(-1, width)
    ends = np.cumsum(lengths)
    if vocabulary.rare:
        code = symbols.astype(np.int64) - vocabulary.first_lead
        is_lead = (code >= 0) & (code < vocabulary.leads)
        lead = np.flatnonzero(is_lead)
        spelt = symbols.astype(np.int64)
        spelt[lead + 1] = len(vocabulary) + code[lead] * vocabulary.tails + code[lead + 1] - vocabulary.leads
        symbols, ends = spelt[~is_lead], np.concatenate([[0], np.cumsum(~is_lead)])[ends]
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

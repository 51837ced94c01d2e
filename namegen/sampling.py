"""(automaton, seed, first, count) becomes Arrow: index, name, log-probability, and whether the name is new.

Row i of a seed is a pure function of (automaton, seed, i). Batches only bound memory; no result depends on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from namegen.automaton import Automaton
from namegen.errors import SettingError
from namegen.vocabulary import Vocabulary

MAX_SEED = 2**64 - 1  # the key of the generator has 64 bits
MAX_INDEX = 2**63 - 1  # an index is an int64
SCHEMA = pa.schema(
    [
        pa.field("index", pa.int64(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("log_prob", pa.float64(), nullable=False),  # nats
    ]
)
MAX_BATCH = 2**23 - 1  # names: with 64 symbols of four bytes each, their offsets just fit int32
BATCH = {"cpu": 2**16, "cuda": 2**20}  # names: what a core's cache holds, and what fills a GPU

Draw = Callable[[int, int, int], tuple[pa.StringArray, pa.DoubleArray]]  # (seed, first, count) to names, log_prob


def sample_batches(
    automaton: Automaton, seed: int, first: int, count: int, device: str = "cpu", batch: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Names `first` to `first + count - 1` of a seed's stream, in order.

    Returns:
        an iterator over record batches of `SCHEMA`.

    Raises:
        SettingError: for a seed outside 0 .. 2^64-1, or a range outside 0 .. 2^63-1.
    """
    if not 0 <= seed <= MAX_SEED:
        raise SettingError(f"seed {seed} is not in 0 .. 2^64-1", remedy="Choose another")
    if count < 0:
        raise SettingError(f"count {count} is negative")
    if first < 0 or first + count - 1 > MAX_INDEX:
        raise SettingError(f"names {first} to {first + count - 1} are not in 0 .. 2^63-1", remedy="Choose others")
    # Either sampler is slow to import, and imported here, not in the first step of the iterator: that one may be taken
    # by a thread, where no module should be waited for.
    draw: Draw
    if device == "cpu":
        from namegen.cpu_sampler import sampler_of

        draw = sampler_of(automaton).draw
    else:
        from namegen.torch_sampler import TorchSampler

        sampler = TorchSampler(automaton, device)

        def draw(seed: int, first: int, count: int) -> tuple[pa.StringArray, pa.DoubleArray]:
            draws = sampler.draw(seed, first, count)
            return strings(draws.symbols, draws.lengths, automaton.vocabulary), pa.array(draws.log_prob)

    return _batches(draw, seed, first, count, min(batch or BATCH[device], MAX_BATCH))


def _batches(draw: Draw, seed: int, first: int, count: int, batch: int) -> Iterator[pa.RecordBatch]:
    for start in range(first, first + count, batch):
        rows = min(batch, first + count - start)
        index = pa.array(np.arange(start, start + rows, dtype=np.int64))
        yield pa.RecordBatch.from_arrays([index, *draw(seed, start, rows)], schema=SCHEMA)


def sample(
    automaton: Automaton,
    seed: int,
    first: int,
    count: int,
    device: str = "cpu",
    on_rows: Callable[[int], None] = lambda rows: None,
) -> pa.Table:
    """The batches of `sample_batches` as one table; `on_rows` is called with the rows of each."""
    batches = []
    for batch in sample_batches(automaton, seed, first, count, device):
        batches.append(batch)
        on_rows(batch.num_rows)
    return pa.Table.from_batches(batches, SCHEMA).combine_chunks()


def with_novelty(table: pa.Table, known: pa.Array) -> pa.Table:
    """`table` with a column `is_novel` bool: whether the name is none of `known`."""
    is_novel = pc.invert(pc.is_in(table["name"], value_set=known))
    return table.append_column(pa.field("is_novel", pa.bool_(), nullable=False), is_novel)


def strings(symbols: NDArray[np.uint8], lengths: NDArray[np.int64], vocabulary: Vocabulary) -> pa.StringArray:
    """Arrow strings of names that lie end to end as symbol ids."""
    encoded = [character.encode() for character in vocabulary.symbols]
    width = max(map(len, encoded))
    byte_table = np.frombuffer(b"".join(code.ljust(width, b"\0") for code in encoded), np.uint8).reshape(-1, width)
    ends = np.cumsum(lengths)
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

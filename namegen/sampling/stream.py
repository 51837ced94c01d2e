"""The stream of names of a seed, as Arrow data: index, name, log-probability, and whether the name is new.

Unlike its siblings, each of which is one way to draw, this module chooses a sampler and splits a range of rows into
batches. Row i of a seed is a pure function of (automaton, seed, i). Batches only bound memory; no result depends on
them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from namegen.automaton.automaton import Automaton
from namegen.errors import CorpusError, SettingError
from namegen.vocabulary import Vocabulary

MAX_SEED = 2**64 - 1  # the key of the generator has 64 bits
MAX_INDEX = 2**63 - 1  # an index is an int64
LARGEST_TEXT = 2**31 - 1  # bytes: the offsets of an Arrow array of strings are int32
SCHEMA = pa.schema(
    [
        pa.field("index", pa.int64(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("log_prob", pa.float64(), nullable=False),  # nats
    ]
)
NOVELTY = pa.field("is_novel", pa.bool_(), nullable=False)
MAX_BATCH = 2**23 - 1  # names: with 64 characters of four bytes each, their offsets still fit int32
POINTER = 8  # bytes, of a list to each of its items
BATCH = {"cpu": 2**16, "cuda": 2**20}  # names: what fits a core's cache, and what keeps a GPU busy


class Sampler(Protocol):
    """Draws from one automaton on one device. Any number of threads may draw at once."""

    def draw(self, seed: int, first: int, count: int) -> tuple[pa.StringArray, pa.DoubleArray]:
        """Names `first` to `first + count - 1` of the seed's stream, and log-probabilities (nats); count < 2^23."""


_samplers: WeakKeyDictionary[Automaton, dict[str, Sampler]] = WeakKeyDictionary()
_lock = Lock()


def sampler_of(automaton: Automaton, device: str) -> Sampler:
    """The one sampler of an automaton on a device, "cpu" or "cuda". All threads share its tables."""
    # Both modules are slow to import. Because of the lock, no thread waits inside the import of a module that another
    # thread is still importing. In that state, compiled code can wait forever.
    with _lock:
        by_device = _samplers.setdefault(automaton, {})
        if device not in by_device:
            if device == "cpu":
                from namegen.sampling.cpu_sampler import CpuSampler

                by_device[device] = CpuSampler(automaton)
            else:
                from namegen.sampling.torch_sampler import TorchSampler

                by_device[device] = TorchSampler(automaton, device)
        return by_device[device]


def sample_batches(
    automaton: Automaton, seed: int, first: int, count: int, device: str = "cpu", batch: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Names `first` to `first + count - 1` of a seed's stream, in order.

    Args:
        device: "cpu" or "cuda".
        batch: names per batch; None for the device's usual number.

    Returns:
        an iterator over record batches of `SCHEMA`.

    Raises:
        SettingError: for a seed outside 0 .. 2^64-1, a negative count, or a range outside 0 .. 2^63-1.
    """
    most = LARGEST_TEXT // (automaton.vocabulary.widest * automaton.cap)
    return batches_of(sampler_of(automaton, device), seed, first, count, min(batch or BATCH[device], most))


def batches_of(sampler: Sampler, seed: int, first: int, count: int, batch: int = MAX_BATCH) -> Iterator[pa.RecordBatch]:
    """Like `sample_batches`, for a given sampler, of which a batch must fit an Arrow array."""
    check_range(seed, first, count)
    return _batches(sampler, seed, first, count, min(batch, MAX_BATCH))


def check_range(seed: int, first: int, count: int) -> None:
    """Checks that a stream has rows `first` to `first + count - 1`.

    Raises:
        SettingError: as `sample_batches`.
    """
    if not 0 <= seed <= MAX_SEED:
        raise SettingError(f"seed {seed} is not in 0 .. 2^64-1", remedy="Choose a seed in range")
    if count < 0:
        raise SettingError(f"count {count} is negative")
    if first < 0 or first + count - 1 > MAX_INDEX:
        raise SettingError(
            f"names {first} to {first + count - 1} are not in 0 .. 2^63-1", remedy="Choose rows in range"
        )


def _batches(sampler: Sampler, seed: int, first: int, count: int, batch: int) -> Iterator[pa.RecordBatch]:
    for start in range(first, first + count, batch):
        yield batch_of(start, *sampler.draw(seed, start, min(batch, first + count - start)))


def batch_of(first: int, names: pa.StringArray, log_prob: pa.DoubleArray) -> pa.RecordBatch:
    """Rows `first` and on."""
    numbers = pa.py_buffer(np.arange(first, first + len(names), dtype=np.int64))
    index = pa.Int64Array.from_buffers(pa.int64(), len(names), [None, numbers])
    return pa.RecordBatch.from_arrays([index, names, log_prob], schema=SCHEMA)


def bytes_per_row(automaton: Automaton, seed: int, first: int, count: int) -> tuple[float, float]:
    """What a row of a range takes in memory: in a table of `SCHEMA`, and as a Python string in a list.

    It is the mean over the first rows of the range, up to 1,000.

    Raises:
        SettingError: as `sample_batches`.
    """
    check_range(seed, first, count)
    (some,) = batches_of(sampler_of(automaton, "cpu"), seed, first, min(count, 1000))
    names = some["name"].to_pylist()
    return some.nbytes / len(names), sum(map(sys.getsizeof, names)) / len(names) + POINTER


def sample(automaton: Automaton, seed: int, first: int, count: int, device: str = "cpu") -> pa.Table:
    """Like `sample_batches`, but one table, with each column in one chunk.

    Of the notebook's bigram table:

    >>> sample(automaton, seed=42, first=0, count=3)["name"].to_pylist()
    ['sabe', 'sahndr', 'zush']
    """
    return pa.Table.from_batches(sample_batches(automaton, seed, first, count, device), SCHEMA).combine_chunks()


def arrow_strings(names: Sequence[str]) -> pa.StringArray:
    """Names as an Arrow array. Unlike `pa.array`, it does not import pandas if that is installed.

    Raises:
        CorpusError: if they have more than 2 GiB of UTF-8, as Arrow's offsets have 32 bits.
    """
    encoded = [name.encode() for name in names]
    if sum(map(len, encoded)) > LARGEST_TEXT:
        raise CorpusError(f"the names have more than {LARGEST_TEXT:,} bytes", remedy="Use a shorter list")
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))


def with_novelty(table: pa.Table, known: pa.Array | frozenset[str], vocabulary: Vocabulary) -> pa.Table:
    """`table` with a column `is_novel` (bool): whether the NFC-normalised name is not in `known`.

    Args:
        known: NFC-normalised names. A set is quicker for a few rows, because an array is hashed on each call.
        vocabulary: the symbols of the names in `table`.
    """
    names = pc.utf8_normalize(table["name"], form="NFC") if vocabulary.composes else table["name"]
    if isinstance(known, frozenset):
        new = np.array([name not in known for name in names.to_pylist()], bool)
        bits = pa.py_buffer(np.packbits(new, bitorder="little"))  # pa.array would import pandas
        is_novel = pa.BooleanArray.from_buffers(pa.bool_(), len(new), [None, bits])
    else:
        is_novel = pc.invert(pc.is_in(names, value_set=known))
    return table.append_column(NOVELTY, is_novel)

"""Compares a part, as it lies there, with the rows that its model draws."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from namegen.automaton.automaton import Automaton
from namegen.device import memory_of
from namegen.outputs import dataset
from namegen.outputs.journal import Part
from namegen.outputs.model_folder import ModelFolder
from namegen.storage.files import Location, open_regular

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE = 4096  # rows of each part that are compared with what the automaton draws, unless all are
LARGEST_ROW = 1024  # bytes, and more than any has: a part that claims more is not unpacked


@dataclass(frozen=True)
class Source:
    """What the rows of a data set come from.

    Args:
        known: the names that are not novel.
        device: "cpu" or "cuda", on which names are drawn; they are the same.
    """

    model: ModelFolder
    automaton: Automaton
    known: pa.Array
    seed: int
    device: str = "cpu"

    def rows(self, first: int, count: int) -> pa.Table:
        """Those rows, as the job makes them."""
        from namegen.sampling.stream import (  # slow to import, and not needed where checksums are wrong
            sample,
            with_novelty,
        )

        with memory_of(self.device):
            drawn = sample(self.automaton, self.seed, first, count, self.device)
            known = self._known if count <= SAMPLE else self.known
            return with_novelty(drawn, known, self.automaton.vocabulary)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.known.to_pylist())


def difference(path: Path, part: Part, source: Source, deep: bool) -> str | None:  # noqa: FBT001
    """How a part differs from what the automaton draws, in all rows or in some; None where it does not."""
    import pyarrow as pa  # slow to import, and not needed where checksums are wrong
    import pyarrow.parquet as pq

    try:
        with open_regular(path) as file:
            parquet = pq.ParquetFile(file)
            metadata = parquet.metadata
            groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
            sizes, unpacked = [group.num_rows for group in groups], sum(group.total_byte_size for group in groups)
            if sum(sizes) != part.rows or min(sizes) < 1 or unpacked > LARGEST_ROW * part.rows + 2**20:
                return f"has {sum(sizes):,} rows of {unpacked:,} bytes, and the manifest says {part.rows:,} rows"
            starts = list(accumulate(sizes, initial=part.number * dataset.PART_ROWS))
            for group in range(len(groups)) if deep else [int(part.sha256[:8], 16) % len(groups)]:
                size = sizes[group] if deep else min(SAMPLE, sizes[group])
                drawn = source.rows(starts[group], size)
                if not parquet.schema_arrow.equals(drawn.schema):
                    return f"has not the columns of a data set, but {parquet.schema_arrow.names}, or of other types"
                batch = next(parquet.iter_batches(size, row_groups=[group], use_threads=False))
                own = pa.Table.from_batches([batch]).replace_schema_metadata()
                if not own.equals(drawn):
                    pairs = zip(own.to_pylist(), drawn.to_pylist(), strict=True)
                    row, wanted = next((one, other) for one, other in pairs if one != other)
                    return f"has the row {row}, where the model draws {wanted}"
    except (OSError, pa.ArrowException, MemoryError, StopIteration, ValueError) as error:
        return f"cannot be read as Parquet ({str(error).partition(chr(10))[0]})"
    return None


def rows_by_footer(path: Location, number: int, stream: dict[str, Any]) -> int | None:
    """The rows of a part by what stands in the file, if it says that it is this part of this stream."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with suppress(OSError, pa.ArrowException, ValueError, LookupError, TypeError, RecursionError):
        with open_regular(path) as file:
            metadata = pq.ParquetFile(file).metadata
        identity = {**stream, "first": number * dataset.PART_ROWS}
        if json.loads(metadata.metadata[b"namegen"]) == identity and 0 < metadata.num_rows <= dataset.PART_ROWS:
            return int(metadata.num_rows)
    return None

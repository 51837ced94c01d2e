"""The rows of a part: where they come from, and whether those in a file are the ones that the model draws.

`writer` writes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from namegen.automaton.automaton import Automaton
from namegen.device import memory_of
from namegen.outputs import dataset
from namegen.outputs.journal import Part
from namegen.outputs.model_folder import ModelFolder
from namegen.outputs.wish import ASKED, Wish
from namegen.storage.files import Location, open_regular

if TYPE_CHECKING:
    import pyarrow as pa

    from namegen.questions.race import Race

RACE_VERSION = 1  # of the order of different names; any change of a byte is a new version
SAMPLE = 4096  # rows of each part that are compared with what the automaton draws, unless all are
LARGEST_ROW = 1024  # bytes; no row has more, and a part that claims more is not unpacked


@dataclass(frozen=True)
class Source:
    """Where the rows of a data set come from.

    Args:
        model: the model's folder.
        configuration: of the model.
        automaton: what is drawn from: the model's, or that of the names that answer.
        known: the names that are not novel.
        device: "cpu" or "cuda", where names are drawn; they are the same.
    """

    model: Location
    configuration: dict[str, Any]
    automaton: Automaton
    known: pa.Array
    seed: int
    device: str = "cpu"
    wish: Wish = field(default_factory=Wish)
    probability: float = 1.0

    @classmethod
    def load(cls, model: Location, seed: int, device: str = "cpu", wish: Wish | None = None) -> Source | None:
        """From a model's folder; None if the model is not finished.

        Raises:
            ArtifactError: if the model is damaged.
            SettingError: if the model cannot answer.
        """
        folder = ModelFolder(model)
        automaton = folder.load()
        if not automaton:
            return None
        plain = cls(model, folder.manifest().configuration, automaton, folder.names(), seed, device)
        return plain.asked(wish or Wish())

    def asked(self, wish: Wish) -> Source:
        """What the same model draws for a wish.

        Raises:
            SettingError: if the model cannot answer.
        """
        if wish.is_plain:
            return self
        answer = wish.ask(self.automaton, self.known.to_pylist() if wish.question.novel else ())
        return replace(self, automaton=answer.automaton, wish=wish, probability=answer.probability)

    @property
    def stream(self) -> dict[str, Any]:
        """Everything that decides the rows, as JSON."""
        stream = self.automaton.stream(self.seed)
        return {**stream, "race_version": RACE_VERSION} if self.wish.distinct else stream

    @property
    def described(self) -> dict[str, Any]:
        """What a manifest says of where the rows come from: the model's configuration, and what was asked."""
        if self.wish.is_plain:
            return self.configuration
        asked = {"words": ", ".join(self.wish.words), "probability": self.probability}
        return {**self.configuration, ASKED: asked}

    def rows(self, first: int, count: int) -> pa.Table:
        """Rows `first` to `first + count - 1`, as the job makes them."""
        from namegen.sampling.stream import sample, with_novelty  # slow to import; not needed if checksums are wrong

        with memory_of(self.device):
            if self.wish.distinct:
                drawn = self._race.rows(first, count)
            else:
                drawn = sample(self.automaton, self.seed, first, count, self.device)
            known = self._known if count <= SAMPLE else self.known
            return with_novelty(drawn, known, self.automaton.vocabulary)

    @cached_property
    def _race(self) -> Race:
        from namegen.questions.race import Race  # slow to import

        return Race(self.automaton, self.seed)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.known.to_pylist())


def difference(path: Path, part: Part, source: Source, *, deep: bool) -> str | None:
    """How a part differs from what the automaton draws; None if it does not.

    Args:
        deep: compare all rows, not a sample.
    """
    import pyarrow as pa  # slow to import; not needed if checksums are wrong
    import pyarrow.parquet as pq

    try:
        with open_regular(path) as file:
            parquet = pq.ParquetFile(file)
            metadata = parquet.metadata
            groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
            sizes, unpacked = [group.num_rows for group in groups], sum(group.total_byte_size for group in groups)
            if sum(sizes) != part.rows or min(sizes) < 1 or unpacked > LARGEST_ROW * part.rows + 2**20:
                return f"has {sum(sizes):,} rows of {unpacked:,} bytes, but the manifest says {part.rows:,} rows"
            starts = list(accumulate(sizes, initial=part.number * dataset.PART_ROWS))
            for group in range(len(groups)) if deep else [int(part.sha256[:8], 16) % len(groups)]:
                size = sizes[group] if deep else min(SAMPLE, sizes[group])
                drawn = source.rows(starts[group], size)
                if not parquet.schema_arrow.equals(drawn.schema):
                    return f"does not have the columns of a data set, but {parquet.schema_arrow}".replace("\n", ", ")
                batch = next(parquet.iter_batches(size, row_groups=[group], use_threads=False))
                own = pa.Table.from_batches([batch]).replace_schema_metadata()
                if not own.equals(drawn):
                    pairs = zip(own.to_pylist(), drawn.to_pylist(), strict=True)
                    row, wanted = next((one, other) for one, other in pairs if one != other)
                    return f"has the row {row}, but the model draws {wanted}"
    except (OSError, pa.ArrowException, MemoryError, StopIteration, ValueError) as error:
        return f"cannot be read as Parquet ({str(error).partition(chr(10))[0]})"
    return None

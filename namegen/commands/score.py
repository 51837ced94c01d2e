"""`namegen score`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from namegen.commands import MODEL, MODEL_TEXT, binary_stdout
from namegen.commands.sample import FORMATS, write
from namegen.errors import CorpusError
from namegen.inspection import find_model

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 2**18  # names


@click.command(
    short_help="The log-probability of names.",
    help=f"""Gives names their log-probabilities, in nats: -inf for what the model cannot spell.

{MODEL_TEXT}

FILE is text in UTF-8 with one name a line, or Parquet (*.parquet) with the names in a column; without it, stdin is
read as text. Names are taken as they stand. There is a row for each line, in order, also for an empty one.

\b
  echo emma | namegen score outputs
  namegen score outputs people.parquet --column first_name --format parquet > scores.parquet

The columns are name and log_prob. In JSON lines, which have no infinity, -inf is null.""",
)
@MODEL
@click.argument("file", required=False)
@click.option("--column", default="name", show_default=True, help="Of a Parquet file.")
@click.option(
    "--format",
    "form",
    type=click.Choice([form for form in FORMATS if form != "names"]),
    help="What is written.  [default: table on a terminal, else csv]",
)
def command(model: str, file: str | None, column: str, form: str | None) -> None:
    """Reads all names, and writes their scores batch by batch."""
    form = form or ("table" if sys.stdout.isatty() else "csv")
    if form in {"parquet", "arrow"}:
        binary_stdout()  # before the work
    import pyarrow as pa

    from namegen.automaton import load

    automaton = load(find_model(model))
    names = _of_parquet(file, column) if file and file.endswith(".parquet") else _of_text(file)
    schema = pa.schema([("name", pa.string()), ("log_prob", pa.float64())])

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(names), BATCH):
            part = names.slice(start, BATCH)
            yield pa.RecordBatch.from_arrays([part, automaton.score(part)], schema=schema)

    write(batches(), schema, form)


def _of_text(file: str | None) -> pa.Array:
    from namegen.sampling import arrow_strings

    where = file or "stdin"
    try:
        data = Path(file).read_bytes() if file else sys.stdin.buffer.read()
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CorpusError(f"cannot be read ({reason})", where, "Name a text file with one name a line") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        remedy = "Save it as UTF-8; a Parquet file's name ends with .parquet"
        raise CorpusError("is not UTF-8", f"{where}, line {line}", remedy) from None
    lines = text.removesuffix("\n").split("\n") if text else []
    return arrow_strings([line.removesuffix("\r") for line in lines])


def _of_parquet(file: str, column: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with Path(file).open("rb") as opened:
            parquet = pq.ParquetFile(opened)
            if column not in parquet.schema_arrow.names:
                there = ", ".join(parquet.schema_arrow.names)
                raise CorpusError(f"has no column {column!r}", file, f"Name one with --column: it has {there}")
            found = parquet.read(columns=[column])[column]
        kind = found.type.value_type if pa.types.is_dictionary(found.type) else found.type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
            raise CorpusError(f"has {found.type} in the column {column!r}", file, "Name a column of text")
        return pa.chunked_array(found.cast(pa.string())).combine_chunks()
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CorpusError(f"cannot be read ({reason})", file, "Name a Parquet file") from None

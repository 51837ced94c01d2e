"""`namegen score`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from namegen.commands.options import MODEL, MODEL_TEXT, PLACE, QUIET
from namegen.commands.output import format_of
from namegen.commands.sample import FORMATS, write
from namegen.errors import CorpusError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 2**18  # names
log = logging.getLogger(__name__)


@click.command(
    short_help="Print the log-probability of names.",
    help=f"""Prints the log-probability of names, in nats: -inf for a name that the model cannot spell.

{MODEL_TEXT}

FILE is UTF-8 text with one name per line, or Parquet with the names in a column. Without FILE, or if it is -, stdin is
read. Names are taken as they are: case and white space count. There is a row for each line, in order, even an empty
one.

\b
  echo emma | namegen score outputs
  namegen score outputs people.parquet --column first_name --format parquet > scores.parquet

The columns are name and log_prob. In JSON lines, which have no infinity, -inf is null.""",
)
@MODEL
@click.argument("file", required=False, type=PLACE)
@click.option("--column", help="The column with the names in a Parquet file.  [default: name]")
@click.option(
    "--format",
    "form",
    type=click.Choice([form for form in FORMATS if form != "names"]),
    help="How to print them.  [default: table on a terminal, csv elsewhere]",
)
@QUIET
def command(model: str, file: str | None, column: str | None, form: str | None) -> None:
    """Reads all names, and writes their scores batch by batch."""
    format_of(form, 0)  # before the work
    import numpy as np
    import pyarrow as pa

    from namegen.model import load

    loaded = load(model)
    names = _names_in(file, column)
    form = format_of(form, len(names))
    schema = pa.schema([("name", pa.string()), ("log_prob", pa.float64())])

    unspelt = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal unspelt
        for start in range(0, len(names), BATCH):
            batch = names.slice(start, BATCH)
            scores = loaded.score(batch)
            unspelt += int(np.isneginf(scores.to_numpy(zero_copy_only=False)).sum())
            yield pa.RecordBatch.from_arrays([batch, scores], schema=schema)

    write(batches(), schema, form)
    if unspelt:
        log.info("The model cannot spell %s of %s names: -inf", f"{unspelt:,}", f"{len(names):,}")


def _names_in(file: str | None, column: str | None) -> pa.Array:
    """The names in a file or in stdin. Parquet is recognised by its first bytes."""
    where = "stdin" if file in {None, "-"} else str(file)
    if sys.stdin is None and where == "stdin":
        raise CorpusError("is closed", where, "Name a file")
    with ExitStack() as stack:
        try:
            opened: IO[bytes] = sys.stdin.buffer if where == "stdin" else stack.enter_context(Path(where).open("rb"))
            source = opened if opened.seekable() else BytesIO(opened.read())
            start = source.tell()
            magic = source.read(4)
            source.seek(start)
            if magic != b"PAR1" and column is None:
                return _of_text(source.read(), where)
        except (OSError, ValueError) as error:  # ValueError: a null character in the path
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise CorpusError(f"cannot be read ({reason})", where, "Name a text file with one name per line") from None
        if magic != b"PAR1":
            raise CorpusError("has no columns", where, "Name a Parquet file, or leave out --column")
        return _of_parquet(source, where, column or "name")


def _of_text(data: bytes, where: str) -> pa.Array:
    from namegen.sampling.stream import arrow_strings

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CorpusError("is not UTF-8", f"{where}, line {line}", "Save it as UTF-8, or as Parquet") from None
    lines = text.removesuffix("\n").split("\n") if text else []
    return arrow_strings([line.removesuffix("\r") for line in lines])


def _of_parquet(source: IO[bytes], where: str, column: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from namegen.model import is_text

    try:
        parquet = pq.ParquetFile(source)
        there = parquet.schema_arrow.names
        if there.count(column) != 1:
            what = f"has {there.count(column) or 'no'} columns {column!r}"
            raise CorpusError(what, where, f"Name one with --column: it has {', '.join(there)}")
        values = parquet.read(columns=[column])[column]
        if not is_text(values.type):
            raise CorpusError(f"has {values.type} in the column {column!r}", where, "Name a column of text")
        names = pa.chunked_array(values.cast(pa.string())).combine_chunks()
        names.validate(full=True)  # checks that it is UTF-8
    except (OSError, ValueError, LookupError, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CorpusError(f"cannot be read ({reason})", where, "Name a complete Parquet file") from None
    return names

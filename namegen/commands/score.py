"""`namegen score`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from namegen.automaton.walk import is_text
from namegen.commands import MODEL, MODEL_TEXT, PLACE, QUIET, format_of, say
from namegen.commands.sample import FORMATS, write
from namegen.errors import CorpusError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 2**18  # names


@click.command(
    short_help="The log-probability of names.",
    help=f"""Gives names their log-probabilities, in nats: -inf for what the model cannot spell.

{MODEL_TEXT}

FILE is text in UTF-8 with one name a line, or Parquet with the names in a column; without it, or where it is -, stdin
is read. Names are taken as they stand: case counts, and so does white space. There is a row for each line, in order,
also for an empty one.

\b
  echo emma | namegen score outputs
  namegen score outputs people.parquet --column first_name --format parquet > scores.parquet

The columns are name and log_prob. In JSON lines, which have no infinity, -inf is null.""",
)
@MODEL
@click.argument("file", required=False, type=PLACE)
@click.option("--column", help="Of a Parquet file.  [default: name]")
@click.option(
    "--format",
    "form",
    type=click.Choice([form for form in FORMATS if form != "names"]),
    help="What is written.  [default: table on a terminal, else csv]",
)
@QUIET
def command(model: str, file: str | None, column: str | None, form: str | None, quiet: bool) -> None:  # noqa: FBT001
    """Reads all names, and writes their scores batch by batch."""
    format_of(form, 0)  # before the work
    import numpy as np
    import pyarrow as pa

    from namegen.report.inspection import load

    automaton = load(model)
    names = _names_in(file, column)
    form = format_of(form, len(names))
    schema = pa.schema([("name", pa.string()), ("log_prob", pa.float64())])

    unspelt = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal unspelt
        for start in range(0, len(names), BATCH):
            part = names.slice(start, BATCH)
            scores = automaton.score(part)
            unspelt += int(np.isneginf(scores.to_numpy(zero_copy_only=False)).sum())
            yield pa.RecordBatch.from_arrays([part, scores], schema=schema)

    write(batches(), schema, form)
    if unspelt:
        say(quiet)(f"{unspelt:,} of {len(names):,} names cannot be spelt by the model: -inf")


def _names_in(file: str | None, column: str | None) -> pa.Array:
    """The names of a file, or of stdin; Parquet is known by its first bytes."""
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
            raise CorpusError(f"cannot be read ({reason})", where, "Name a text file with one name a line") from None
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

    try:
        parquet = pq.ParquetFile(source)
        there = parquet.schema_arrow.names
        if there.count(column) != 1:
            what = f"has {there.count(column) or 'no'} columns {column!r}"
            raise CorpusError(what, where, f"Name one with --column: it has {', '.join(there)}")
        found = parquet.read(columns=[column])[column]
        if not is_text(found.type):
            raise CorpusError(f"has {found.type} in the column {column!r}", where, "Name a column of text")
        names = pa.chunked_array(found.cast(pa.string())).combine_chunks()
        names.validate(full=True)  # that it is UTF-8, too
    except (OSError, ValueError, LookupError, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CorpusError(f"cannot be read ({reason})", where, "Name a Parquet file that is whole") from None
    return names

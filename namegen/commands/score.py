"""`namegen score`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from namegen.commands.options import MODEL, MODEL_TEXT, PLACE, QUIET
from namegen.commands.output import format_of
from namegen.commands.sample import FORMATS, write

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 2**18  # names
log = logging.getLogger(__name__)


@click.command(
    short_help="Print the log-probability of names.",
    help=f"""Prints the log-probability of names, in nats: -inf for a name that the model cannot spell.

{MODEL_TEXT}

FILE is a list in any form that a job reads: text with one name per line, CSV, TSV, JSON Lines, Parquet or Arrow.
Without FILE, or if it is -, stdin is read. Names are read as a job reads them: case counts, and white space around them
does not. There is a row for each line, in order, even an empty one.

\b
  echo emma | namegen score outputs
  namegen score outputs people.parquet --column first_name --format parquet > scores.parquet

The columns are name and log_prob. In JSON lines, which have no infinity, -inf is null.""",
)
@MODEL
@click.argument("file", required=False, type=PLACE)
@click.option("--column", help="The column with the names in a table.  [default: name, or the only one with text]")
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
    """The names in a file or in stdin."""
    import pyarrow as pa

    from namegen.corpus.reading import STDIN, read_listing

    return pa.array(read_listing(file or STDIN, column).texts, pa.string())

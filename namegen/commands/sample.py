"""`namegen sample`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from namegen.commands.options import MODEL, MODEL_TEXT, QUIET, asked, question
from namegen.commands.output import binary_stdout, format_of, show_table

if TYPE_CHECKING:
    import pyarrow as pa

    from namegen.automaton.automaton import Automaton
    from namegen.vocabulary import Vocabulary

FEW = 200  # names
FORMATS = ("table", "names", "csv", "jsonl", "parquet", "arrow")
FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="How to print them.  [default: table on a terminal, csv elsewhere]",
)


@click.command(
    short_help="Draw names.",
    help=f"""Draws names from a model: rows FIRST to FIRST + COUNT - 1 of a seed's stream, which are always the same.

{MODEL_TEXT}

\b
  namegen sample outputs --count 5
  namegen sample outputs --count 1000000 --format parquet > names.parquet
  namegen sample outputs --format names | sort
  namegen sample outputs --prefix mar --length 5-8 --novel --distinct --count 1000

The columns are index, name, log_prob (in nats), and is_novel (not on the model's list) where the list is there. "arrow"
is Arrow's stream format. With conditions, log_prob is that of a name given them. Different names (--distinct) come in
an order of their own.""",
)
@MODEL
@click.option("--count", type=click.IntRange(0), default=10, show_default=True, help="How many names to draw.")
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=42, show_default=True, help="Which stream of names.")
@click.option("--first", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="The first row.")
@click.option("--distinct", is_flag=True, help="Each name once.")
@question
@FORMAT
@QUIET
def command(
    model: str,
    count: int,
    seed: int,
    first: int,
    distinct: bool,  # noqa: FBT001 - click passes it by name
    form: str | None,
    **conditions: Any,  # noqa: ANN401 - a question's, each of its own type
) -> None:
    """Loads the model, and writes the names batch by batch."""
    form = format_of(form, count)  # before the work
    from namegen.model import load

    loaded = asked(load(model), conditions)
    batches, schema = _drawn(loaded.automaton, seed, first, count, distinct=distinct)
    known = loaded.listed()
    if known is not None:
        batches, schema = _with_novelty(batches, known, loaded.automaton.vocabulary, few=count <= FEW)
    write(batches, schema, form)


def _drawn(
    automaton: Automaton, seed: int, first: int, count: int, *, distinct: bool
) -> tuple[Iterable[pa.RecordBatch], pa.Schema]:
    from namegen.sampling.reference import ReferenceSampler
    from namegen.sampling.stream import BATCH, SCHEMA, batches_of, sampler_of

    if distinct:
        from namegen.questions import race

        return race.distinct(automaton, seed, first, count), SCHEMA
    # which draws the same names, and has drawn a few before the compiled code is loaded
    sampler = ReferenceSampler(automaton) if count <= FEW else sampler_of(automaton, "cpu")
    return batches_of(sampler, seed, first, count, BATCH["cpu"]), SCHEMA


def _with_novelty(
    batches: Iterable[pa.RecordBatch], known: pa.StringArray, vocabulary: Vocabulary, *, few: bool
) -> tuple[Iterable[pa.RecordBatch], pa.Schema]:
    import pyarrow as pa

    from namegen.sampling.stream import NOVELTY, SCHEMA, with_novelty

    listed = frozenset(known.to_pylist()) if few else known
    schema = SCHEMA.append(NOVELTY)
    tables = (with_novelty(pa.Table.from_batches([batch]), listed, vocabulary) for batch in batches)
    return (batch for table in tables for batch in table.combine_chunks().to_batches()), schema


def write(batches: Iterable[pa.RecordBatch], schema: pa.Schema, form: str) -> None:
    """Writes record batches to stdout in one of `FORMATS`."""
    import pyarrow as pa

    if form == "parquet":
        import pyarrow.parquet as pq

        with pq.ParquetWriter(binary_stdout(), schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
    elif form == "arrow":
        with pa.ipc.new_stream(binary_stdout(), schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
    elif form == "table":
        rows = [[str(value) for value in row.values()] for batch in batches for row in batch.to_pylist()]
        show_table([(field.name, not pa.types.is_string(field.type)) for field in schema], rows)
    else:
        _write_text(batches, schema, form)


def _write_text(batches: Iterable[pa.RecordBatch], schema: pa.Schema, form: str) -> None:
    import polars as pl

    out = sys.stdout.buffer
    if form == "csv":
        out.write(",".join(schema.names).encode() + b"\n")
    for batch in batches:
        frame = pl.DataFrame(pl.from_arrow(batch))
        if form == "csv":
            out.write(frame.write_csv(include_header=False).encode())
        elif form == "jsonl":
            # JSON has no -inf
            finite = frame.with_columns(pl.when(pl.col("log_prob").is_finite()).then("log_prob"))
            out.write(finite.write_ndjson().encode())
        else:
            out.write("".join(f"{name}\n" for name in frame["name"]).encode())

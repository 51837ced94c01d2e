"""`namegen top`."""

from __future__ import annotations

from typing import Any

import click

from namegen.commands.options import MODEL, MODEL_TEXT, QUIET, asked, question
from namegen.commands.output import format_of
from namegen.commands.sample import FORMAT, write


@click.command(
    short_help="Print the most probable names.",
    help=f"""Prints the COUNT most probable names of a model, in order.

{MODEL_TEXT}

\b
  namegen top outputs 50
  namegen top outputs 50 --novel --prefix mar --length 5-8

The columns are name and log_prob (in nats).""",
)
@MODEL
@click.argument("count", type=click.IntRange(0), default=10)
@question
@FORMAT
@QUIET
def command(model: str, count: int, form: str | None, **conditions: Any) -> None:  # noqa: ANN401 - of a question
    """Loads the model, and prints the names."""
    form = format_of(form, count)  # before the work
    from namegen.model import load

    table = asked(load(model), conditions).top(count).to_arrow()
    write(table.to_batches(), table.schema, form)

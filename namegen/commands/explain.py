"""`namegen explain`."""

from __future__ import annotations

import math

import click

from namegen.commands import MODEL, MODEL_TEXT, QUIET_ANYWAY, show_table
from namegen.errors import printable
from namegen.vocabulary import MAX_LENGTH


@click.command(
    short_help="Why a name has the probability that it has.",
    help=f"""Follows a NAME through a model, symbol by symbol.

{MODEL_TEXT}

A row says what stood before (context), how much of it the model knows (known: what it backed off to), the symbol that
followed (next) and its probability (p), and what else may have followed. "." is the start and the end of a name.

\b
  namegen explain outputs emma""",
)
@MODEL
@click.argument("name")
@QUIET_ANYWAY
@click.option(
    "--alternatives", type=click.IntRange(0, 255), default=5, show_default=True, help="How many others are named."
)
def command(model: str, name: str, alternatives: int) -> None:
    """Loads the model, and prints a table and the sum."""
    from namegen.report.inspection import load

    automaton = load(model)
    steps = automaton.explain(name, alternatives)
    rows = [
        [
            row["context"],
            row["known"],
            row["symbol"],
            f"{row['probability']:.4g}",
            " ".join(f"{other['symbol']}={other['probability']:.2g}" for other in row["alternatives"]),
        ]
        for row in steps.iter_rows(named=True)
    ]
    columns = [("context", False), ("known", False), ("next", False), ("p", True), ("others", False)]
    show_table(columns, rows)
    total = automaton.score(name)
    if math.isinf(total):
        last = steps["symbol"][-1]
        why = "“{}” cannot follow here" if last in automaton.vocabulary.symbols else "the model's names have no “{}”"
        click.echo(f"\nlog-probability -inf: {why.format(printable(last))}")
    else:
        symbols = min(len(name), MAX_LENGTH) + 1
        click.echo(
            f"\nlog-probability {total:.6f} nats, {total / symbols:.4f} a symbol; probability {math.exp(total):.4g}"
        )

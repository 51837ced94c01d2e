"""`namegen explain`."""

from __future__ import annotations

import math

import click

from namegen.characters import characters_of
from namegen.commands.options import MODEL, MODEL_TEXT, QUIET
from namegen.commands.output import show_table
from namegen.errors import printable
from namegen.vocabulary import MAX_LENGTH, as_read


@click.command(
    short_help="Explain the probability of a name.",
    help=f"""Follows a NAME through a model, symbol by symbol.

{MODEL_TEXT}

Each row shows what came before (context), how much of it the model knows (known: what it backed off to), the symbol
that followed (next) with its probability (p), and what else could have followed. "." is the start and end of a name.

\b
  namegen explain outputs emma
  namegen explain outputs -- -name-that-begins-with-a-hyphen""",
)
@MODEL
@click.argument("name")
@QUIET
@click.option(
    "--alternatives", type=click.IntRange(0, 255), default=5, show_default=True, help="How many others to show."
)
def command(model: str, name: str, alternatives: int) -> None:
    """Loads the model, and prints a table and the sum."""
    from namegen.model import load

    loaded, name = load(model), as_read(name)
    steps = loaded.explain(name, alternatives)
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
    total = loaded.score(name)
    if math.isinf(total):
        last = steps["symbol"][-1]
        why = (
            "“{}” cannot follow here"
            if last in loaded.automaton.vocabulary.texts
            else "none of the model's names has a “{}”"
        )
        click.echo(f"\nlog-probability -inf: {why.format(printable(last))}")
    else:
        symbols = min(len(characters_of(name)), MAX_LENGTH) + 1
        click.echo(
            f"\nlog-probability {total:.6f} nats, {total / symbols:.4f} per symbol; probability {math.exp(total):.4g}"
        )

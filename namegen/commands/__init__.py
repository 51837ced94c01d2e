"""The commands of `namegen`, one a file, each imported when it is asked for; and what several of them share.

Unlike `flows/generate.py` they need neither Prefect nor torch, and begin at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from namegen.errors import SettingError, printable

if TYPE_CHECKING:
    from rich.console import Console

NAMES = ("sample", "score", "explain", "inspect", "report", "verify", "prune")


class _Place(click.types.StringParamType):
    """A path or a URL, as it stands; the shell completes it as a path."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        return [CompletionItem(incomplete, type="file")]


PLACE = _Place()
MODEL = click.argument("model", metavar="MODEL", type=PLACE)
MODEL_TEXT = """MODEL is a model's folder or its automaton.safetensors, a data set's folder, or an output folder with
one model in it; or a URL."""
QUIET = click.option("--quiet", is_flag=True, help="Say nothing on stderr but errors.")
# of a command that says nothing else there: it is taken all the same, so that scripts can give it to each
QUIET_ANYWAY = click.option("--quiet", is_flag=True, expose_value=False, help="As it is: nothing on stderr but errors.")

MOST_ROWS = 10_000  # of a table, whose columns are as wide as the widest of all rows
LEAST_WIDTH = 20  # of a column that is folded


def say(quiet: bool) -> Callable[[str], None]:  # noqa: FBT001 - what --quiet gives
    """Says lines on stderr, or nothing."""

    def log(line: str) -> None:
        if not quiet:
            print(printable(line), file=sys.stderr, flush=True)

    return log


def console() -> Console:
    """Stdout, as wide as its terminal; elsewhere as wide as it takes, and without colour."""
    from rich.console import Console  # slow to import

    return Console(width=None if sys.stdout.isatty() else 10_000, highlight=False, emoji=False, markup=False)


def show_table(columns: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]]) -> None:
    """Prints aligned columns, the last of them folded where the terminal is narrow and it is of text.

    Where the terminal is too narrow for that, each row is printed as lines of its own, and nothing is left out.

    Args:
        columns: the titles, and whether a column is of numbers.
    """
    from rich.cells import cell_len
    from rich.table import Table  # slow to import

    texts, screen = [list(map(printable, row)) for row in rows], console()
    *widths, last = [
        max(cell_len(title), *(cell_len(row[i]) for row in texts), 1) for i, (title, _) in enumerate(columns)
    ]
    least = last if columns[-1][1] else min(last, LEAST_WIDTH)
    if sum(widths) + 2 * len(widths) + least > screen.width:
        for row in texts:
            lines = [f"{title}: {text}" for (title, _), text in zip(columns, row, strict=True)]
            click.echo(f"{row[0]}: {row[1]}" if len(row) == 2 else "\n".join([*lines, ""]))
        return
    style = "" if os.environ.get("NO_COLOR") else "bold"
    table = Table(box=None, pad_edge=False, header_style=style, padding=(0, 2, 0, 0))
    for title, is_number in columns:
        is_last = title == columns[-1][0]
        table.add_column(title, justify="right" if is_number else "left", overflow="fold", no_wrap=not is_last)
    for row in texts:
        table.add_row(*row)
    screen.print(table)


def format_of(form: str | None, rows: int) -> str:
    """The format in which so many rows are written: what was asked for, else what suits stdout.

    Raises:
        SettingError: where stdout, or so many rows, do not go with it.
    """
    if form is None:
        return "table" if sys.stdout.isatty() and rows <= MOST_ROWS else "csv"
    if form == "table" and rows > MOST_ROWS:
        raise SettingError(f"a table has at most {MOST_ROWS:,} rows", remedy="Choose --format csv, or fewer names")
    if form in {"parquet", "arrow"}:
        binary_stdout()
    return form


def binary_stdout() -> IO[bytes]:
    """Stdout for bytes.

    Raises:
        SettingError: where it is a terminal.
    """
    if sys.stdout.isatty():
        raise SettingError("a terminal cannot show this format", remedy="Send it to a file, with > FILE")
    return sys.stdout.buffer


def plain(value: Any) -> str:  # noqa: ANN401 - JSON
    """A value of a manifest as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)

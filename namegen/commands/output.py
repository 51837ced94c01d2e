"""What the commands print: tables, and the formats for many rows."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

import click

from namegen.errors import SettingError, printable

if TYPE_CHECKING:
    from rich.console import Console


MOST_ROWS = 10_000  # of a table: its columns are as wide as their widest cell, so all rows have to be known
LEAST_WIDTH = 20  # of a column that is folded


def console() -> Console:
    """Stdout: as wide as its terminal, and elsewhere as wide as needed and without colour."""
    from rich.console import Console  # slow to import

    return Console(width=None if sys.stdout.isatty() else 10_000, highlight=False, emoji=False, markup=False)


def show_table(columns: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]]) -> None:
    """Prints aligned columns. On a narrow terminal the last one is folded, if it is text.

    On a terminal that is too narrow even for that, each cell is printed on a line of its own; nothing is left out.

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
    """The format in which so many rows are written: the one asked for, or the one that suits stdout.

    Raises:
        SettingError: if the format does not suit stdout, or so many rows.
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
        SettingError: if it is a terminal.
    """
    if sys.stdout.isatty():
        raise SettingError("this format is binary, and stdout is a terminal", remedy="Send it to a file, with > FILE")
    return sys.stdout.buffer


def plain(value: Any) -> str:  # noqa: ANN401 - JSON
    """A value of a manifest as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)

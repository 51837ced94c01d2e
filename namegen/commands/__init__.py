"""The commands of `namegen`, one a file, each imported when it is asked for; and what several of them share.

Unlike `flows/generate.py` they need neither Prefect nor torch, and begin at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING, Any

import click

from namegen.errors import SettingError, printable

if TYPE_CHECKING:
    from rich.console import Console

NAMES = ("sample", "score", "explain", "inspect", "report", "verify", "prune")
MODEL = click.argument("model", metavar="MODEL")
MODEL_TEXT = """MODEL is a model's folder or its automaton.safetensors, a data set's folder, or an output folder with
one model in it; or a URL."""
QUIET = click.option("--quiet", is_flag=True, help="Say nothing on stderr but errors.")


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
    """Prints aligned columns, the last of them folded where the terminal is narrow.

    Args:
        columns: the titles, and whether a column is of numbers.
    """
    from rich.table import Table  # slow to import

    style = "" if os.environ.get("NO_COLOR") else "bold"
    table = Table(box=None, pad_edge=False, header_style=style, padding=(0, 2, 0, 0))
    for title, is_number in columns:
        is_last = title == columns[-1][0]
        table.add_column(title, justify="right" if is_number else "left", overflow="fold", no_wrap=not is_last)
    for row in rows:
        table.add_row(*map(printable, row))
    console().print(table)


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

"""`namegen report`."""

from __future__ import annotations

import click

from namegen.commands.options import PLACE, QUIET


@click.command(short_help="Write a page with pictures of a model or a data set.")
@click.argument("path", type=PLACE)
@QUIET
@click.option(
    "--to", type=PLACE, metavar="FOLDER", help="Where to write.  [default: under reports in the same output folder]"
)
def command(path: str, to: str | None) -> None:
    """Writes report.html about a model or a data set, with its pictures beside it. PATH is its folder, or a URL.

    The page needs no network. Of a large data set it shows the first 262,144 rows. The last line says where it is.
    """
    from namegen.report.pages import write_report

    click.echo(write_report(path, to).page)

"""`namegen verify`."""

from __future__ import annotations

import click

from namegen.commands import PLACE, QUIET, say


@click.command(short_help="Are the models and data sets in a folder what they say they are?")
@click.argument("folder", type=PLACE)
@click.option("--deep", is_flag=True, help="Compare every row with what the model draws.")
@click.option("--repair", is_flag=True, help="Make again what is at fault.")
@click.option("--model", type=PLACE, metavar="FOLDER", help="The model of a data set that lies apart from it.")
@QUIET
def command(folder: str, deep: bool, repair: bool, model: str | None, quiet: bool) -> int:  # noqa: FBT001
    r"""Checks a data set, a model, or all of them below a FOLDER, such as outputs; or a URL.

    The manifests, the checksum of every file, the rows of every part and their range, and that the rows are what the
    model draws (4,096 of each part; with --deep all). On stdout there is a line for each fault, with what to do about
    it; on stderr, what was looked at.

    A repair makes again what is at fault and keeps the rest. A part comes from its model; a model is fitted again from
    the names that its folder holds. Files that are none of the job's are put aside.

    \b
    exit status: 0 nothing is wrong, or is any more; 1 something is; 2 there is nothing to look at, or bad usage
    """
    from namegen.upkeep.verify import look

    problems = look(folder, deep, repair, model, say(quiet))
    for problem in problems:
        click.echo(problem)
    return 1 if problems else 0

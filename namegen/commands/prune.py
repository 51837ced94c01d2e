"""`namegen prune`."""

from __future__ import annotations

import sys

import click

from namegen.commands import PLACE, QUIET, say
from namegen.errors import OutputError, printable


@click.command(short_help="Remove old data sets and models.")
@click.argument("folder", type=PLACE)
@click.option("--keep", type=int, required=True, metavar="N", help="How many data sets stay, the newest.")
@click.option("--yes", is_flag=True, help="Remove them, not only list them.")
@QUIET
def command(folder: str, keep: int, yes: bool, quiet: bool) -> int:  # noqa: FBT001
    r"""Finds data sets in an output FOLDER (or URL) that are older than the newest N, and models of no data set.

    They are listed on stdout. With --yes they are removed: for good, and all of each at once. What a job is at work in
    is left alone, and so is a folder with other things in it; both are named on stderr.

    \b
    exit status: 0 done; 1 a folder could not be removed; 2 bad usage
    """
    from namegen.outputs.room import size
    from namegen.upkeep.prune import prune

    log, broken = say(quiet), []

    def removed(line: str) -> None:
        try:
            click.echo(printable(line))
        except OSError as error:  # whoever read has enough, which is no reason to stop in the middle
            broken.append(error)

    pruned = prune(folder, keep, remove=yes, log=removed)
    if broken:
        raise broken[0]
    for found in [] if yes else pruned.removed:
        click.echo(printable(f"would remove {found}"))
    for found, why in pruned.failed:
        error = OutputError(f"could not be removed ({why})", str(found.path), "Check the permissions")
        print(f"namegen: error: {error}", file=sys.stderr)
    for found in pruned.busy:
        log(f"a job is at work in {found.path}: left alone")
    for found in pruned.foreign:
        log(f"other things lie in {found.path}: left alone")
    total = size(sum(found.size for found in pruned.removed))
    log(f"{len(pruned.removed)} folders, {total}{'' if yes or not pruned.removed else ': --yes removes them'}")
    return 1 if pruned.failed else 0

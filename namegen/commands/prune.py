"""`namegen prune`."""

from __future__ import annotations

import logging
import sys

import click

from namegen.commands.options import PLACE, QUIET
from namegen.errors import OutputError, printable

log = logging.getLogger(__name__)


@click.command(short_help="Remove old data sets and models.")
@click.argument("folder", type=PLACE)
@click.option("--keep", type=int, required=True, metavar="N", help="How many of the newest data sets to keep.")
@click.option("--yes", is_flag=True, help="Remove the others, not only list them.")
@QUIET
def command(folder: str, keep: int, yes: bool) -> int:  # noqa: FBT001
    """Lists the data sets in an output FOLDER (or URL) that are older than the newest N, and models without data sets.

    With --yes they are removed, for good. A folder in which a job is working, or which holds anything else, is left
    alone, and named on stderr.

    \b
    exit status: 0 done; 1 a folder could not be removed; 2 bad usage
    """  # noqa: D301 - click needs a backspace there
    from namegen.outputs.room import readable_size
    from namegen.upkeep.prune import find_old, remove

    broken: OSError | None = None
    pruned = find_old(folder, keep)
    removed = list[int]()
    for old in remove(folder, pruned) if yes else pruned.removable:
        removed.append(old.size)
        try:
            click.echo(printable(f"{'removed' if yes else 'would remove'} {old}"))
        except OSError as error:  # the reader has seen enough, which is no reason to stop half-way
            broken = error
    if broken:
        raise broken
    for old, why in pruned.failed:
        failure = OutputError(f"could not be removed ({why})", str(old.path), "Check the permissions")
        print(f"namegen: error: {failure}", file=sys.stderr)
    for old in pruned.busy:
        log.info("a job is working in %s: left alone", old.path)
    for old in pruned.foreign:
        log.info("%s holds other files: left alone", old.path)
    hint = "" if yes or not removed else ": --yes removes them"
    log.info("%s folders, %s%s", len(removed), readable_size(sum(removed)), hint)
    return 1 if pruned.failed else 0

"""`namegen verify`."""

from __future__ import annotations

import click

from namegen.commands.options import PLACE, QUIET


@click.command(short_help="Check models and data sets.")
@click.argument("folder", type=PLACE)
@click.option("--deep", is_flag=True, help="Compare every row with what the model draws.")
@click.option("--repair", is_flag=True, help="Rebuild what is damaged or missing.")
@click.option(
    "--model", type=PLACE, metavar="FOLDER", help="The model of a data set, if it is not in the same output folder."
)
@QUIET
def command(folder: str, deep: bool, repair: bool, model: str | None) -> int:  # noqa: FBT001
    """Checks a model, a data set, or all of them below a FOLDER, such as outputs. FOLDER can be a URL.

    It checks the manifests, the checksum of every file, that no part is missing or extra, and that the rows are what
    the model draws (4,096 of each part, or all with --deep). It prints one line per fault, with the remedy, on stdout;
    what was checked goes to stderr.

    A repair rebuilds what is wrong and keeps the rest. A part comes from its model; a model is fitted again from the
    names in its folder. Files that the job did not make are put aside.

    \b
    exit status: 0 no faults, or all repaired; 1 faults remain; 2 nothing to check, or bad usage
    """  # noqa: D301 - click needs a backspace there
    from namegen.upkeep.verify import find_faults

    faults = find_faults(folder, deep=deep, repair=repair, model=model)
    for fault in faults:
        click.echo(fault)
    return 1 if faults else 0

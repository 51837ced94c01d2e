"""`namegen` on the command line: what can be done with models and data sets without Prefect."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from io import TextIOWrapper

from namegen.errors import NamegenError, printable
from namegen.output_folder import size
from namegen.pruning import prune
from namegen.verification import verify

DESCRIPTION = "Looks after the models and data sets that flows/generate.py has made."
VERIFY = """\
Checks a data set, a model, or all of them below a folder, such as outputs: the manifests, the checksum of every file,
the rows of every part and their range, and that the rows are what the model draws (4,096 of each part; with --deep
all). On stdout there is a line for each fault, with what to do about it; on stderr, what was looked at.

A repair makes again what is at fault and keeps the rest. A part comes from its model; a model is fitted again from the
names that its folder holds. Files that are none of the job's are put aside.

exit status: 0 nothing is wrong, or is any more; 1 something is; 2 bad usage
"""

PRUNE = """\
Finds the data sets in an output folder that are older than the newest --keep, and the models of which no data set is
left, and lists them on stdout. With --yes they are removed: for good, and all of each at once. What a job is at work
in is left alone, and so is a folder with other things in it; both are named on stderr.

exit status: 0 done; 1 a folder could not be removed; 2 bad usage
"""


def main(argv: list[str] | None = None) -> int:
    """Runs a command; the exit code of the process."""
    parser = argparse.ArgumentParser(prog="namegen", description=DESCRIPTION, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, text: str, description: str, folder: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=text,
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_argument("folder", metavar="FOLDER", help=folder)
        command.add_argument("--quiet", action="store_true", help="say nothing on stderr but errors")
        return command

    text = "are the models and data sets in a folder what they say they are?"
    command = add("verify", text, VERIFY, "of a data set or a model, or one with any number of them; or a URL")
    command.set_defaults(run=_verify)
    command.add_argument("--deep", action="store_true", help="compare every row with what the model draws")
    command.add_argument("--repair", action="store_true", help="make again what is at fault")
    command.add_argument("--model", metavar="FOLDER", help="the model of a data set that lies apart from it")

    command = add("prune", "remove old data sets and models", PRUNE, "what a job was given as its --output; or a URL")
    command.set_defaults(run=_prune)
    command.add_argument("--keep", type=int, required=True, metavar="N", help="how many data sets stay, the newest")
    command.add_argument("--yes", action="store_true", help="remove them, not only list them")
    given = parser.parse_args(argv)

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what the terminal's encoding lacks

    def log(line: str) -> None:
        if not given.quiet:
            print(printable(line), file=sys.stderr, flush=True)

    try:
        code: int = given.run(given, log)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("namegen: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _verify(given: argparse.Namespace, log: Callable[[str], None]) -> int:
    problems = verify(given.folder, deep=given.deep, repair=given.repair, model=given.model, log=log)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def _prune(given: argparse.Namespace, log: Callable[[str], None]) -> int:
    try:
        pruned = prune(given.folder, given.keep, remove=given.yes)
    except NamegenError as error:
        print(f"namegen: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"namegen: error: {printable(str(error))}", file=sys.stderr)
        return 1
    for found in pruned.removed:
        print(printable(f"{'removed' if given.yes else 'would remove'} {found}"))
    for found in pruned.busy:
        log(f"a job is at work in {found.path}: left alone")
    for found in pruned.foreign:
        log(f"other things lie in {found.path}: left alone")
    total = size(sum(found.size for found in pruned.removed))
    log(f"{len(pruned.removed)} folders, {total}{'' if given.yes or not pruned.removed else ': --yes removes them'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

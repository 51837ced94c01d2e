"""`namegen` on the command line: what can be done with models and data sets without Prefect."""

from __future__ import annotations

import argparse
import os
import sys
from io import TextIOWrapper

from namegen.errors import printable
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


def main(argv: list[str] | None = None) -> int:
    """Runs a command; the exit code of the process."""
    parser = argparse.ArgumentParser(prog="namegen", description=DESCRIPTION, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        "verify",
        help="are the models and data sets in a folder what they say they are?",
        description=VERIFY,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument("folder", metavar="FOLDER", help="of a data set or a model, or one with any number of them")
    command.add_argument("--deep", action="store_true", help="compare every row with what the model draws")
    command.add_argument("--repair", action="store_true", help="make again what is at fault")
    command.add_argument("--model", metavar="FOLDER", help="the model of a data set that lies apart from it")
    command.add_argument("--quiet", action="store_true", help="say only what is wrong")
    given = parser.parse_args(argv)

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what the terminal's encoding lacks

    def log(line: str) -> None:
        if not given.quiet:
            print(printable(line), file=sys.stderr, flush=True)

    try:
        problems = verify(given.folder, deep=given.deep, repair=given.repair, model=given.model, log=log)
        for problem in problems:
            print(problem)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("namegen: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

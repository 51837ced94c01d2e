"""The command `namegen`: which commands there are, and how they end.

A command is imported when it is asked for, so that each starts at once.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import TextIOWrapper

import click

from namegen import __version__
from namegen.errors import NamegenError, PassingError, printable, unreadable
from namegen.process import end_at_once, open_streams, without_numba_s_colours

NAMES = ("sample", "top", "score", "explain", "inspect", "report", "verify", "prune")
HELP = """Draws and scores names with the models that flows/generate.py has made, and looks after them.

\b
  namegen sample outputs/models/blend-... --count 20
  namegen top outputs/models/blend-... 50 --novel --prefix mar
  namegen explain outputs/models/blend-... emma
  namegen verify outputs

Results go to stdout, and remarks to stderr. For completion in bash, zsh and fish:
eval "$(_NAMEGEN_COMPLETE=bash_source namegen)", or zsh_source, or fish_source.

\b
exit status: 0 done; 1 something is wrong, or failed; 2 bad input or usage
"""


class Commands(click.Group):
    """The commands, each of which is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order in which people need them."""
        return list(NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of a module."""
        if cmd_name not in NAMES:
            return None
        command: click.Command = import_module(f"namegen.commands.{cmd_name}").command
        return command


@click.group(cls=Commands, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="namegen", message="%(prog)s %(version)s")
def group() -> None:
    """What all commands have in common: nothing."""


def main(argv: list[str] | None = None) -> int:
    """Runs a command; the exit code of the process."""
    without_numba_s_colours()
    end_at_once(signal.SIGTERM)
    open_streams()
    if sys.stdout is None:
        print("namegen: error: stdout is closed. Send it to a file, or to /dev/null.", file=sys.stderr)
        return 1
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for what the terminal's encoding lacks
    try:
        with remarks():
            code = group.main(argv, prog_name="namegen", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return 2
    except (click.ClickException, click.Abort, KeyboardInterrupt, NamegenError, OSError) as error:
        code, message = describe(error)
        print(f"namegen: error: {printable(message)}", file=sys.stderr)
    return int(code or 0)


@contextmanager
def remarks() -> Iterator[None]:
    """Shows the log of namegen on stderr, as plain lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Plain("%(message)s"))
    log = logging.getLogger("namegen")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def describe(error: BaseException, program: str = "namegen") -> tuple[int, str]:
    """The exit code of an error, and its line."""
    if isinstance(error, click.ClickException):
        of = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else program
        is_name = isinstance(error, click.NoSuchOption) and of.endswith(" explain")
        hint = "put -- before a name that begins with a hyphen" if is_name else f"see {of} --help"
        return 2, f"{error.format_message().rstrip('.')} ({hint})"
    if isinstance(error, NamegenError):
        return 1 if isinstance(error, PassingError) else 2, str(error)
    if isinstance(error, OSError):
        return 1, str(unreadable(error, "", "cannot be read or written")) if error.filename else str(error)
    return 130, "interrupted"

"""Arguments and options that several commands share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from namegen.model import Model


class _Place(click.types.StringParamType):
    """A path or a URL, taken as it is; the shell completes it as a path."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        return [CompletionItem(incomplete, type="file")]


def _silence(ctx: click.Context, param: click.Parameter, quiet: bool) -> None:  # noqa: ARG001, FBT001 - click's protocol
    if quiet:
        logging.getLogger("namegen").setLevel(logging.ERROR)


PLACE = _Place()
MODEL = click.argument("model", metavar="MODEL", type=PLACE)
MODEL_TEXT = """MODEL is a model's folder or its automaton.safetensors, a data set's folder, or an output folder with
one model in it. It can be a URL."""
QUIET = click.option(
    "--quiet", is_flag=True, expose_value=False, callback=_silence, help="Print nothing on stderr but errors."
)
_CONDITIONS = (
    click.option("--prefix", metavar="TEXT", help="Only names that begin with TEXT."),
    click.option("--suffix", metavar="TEXT", help="Only names that end with TEXT."),
    click.option("--contains", metavar="TEXT", help="Only names in which TEXT stands."),
    click.option("--pattern", metavar="REGEX", help="Only names that a regular expression matches as a whole."),
    click.option("--length", metavar="5-8", help="Only names with so many characters: 5, 5-8, 5- or -8."),
    click.option("--novel", is_flag=True, help="Only names that are not on the model's list."),
    click.option("--without", metavar="FILE", type=PLACE, help="None of the names in FILE."),
    click.option("--block", metavar="FILE", type=PLACE, help="No name that contains a line of FILE."),
    click.option(
        "--temperature", metavar="T", type=float, default=1.0, help="Likelier names below 1, odder ones above."
    ),
)


def question(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of a question to a command, which gets them as keywords; see `asked`."""
    for option in reversed(_CONDITIONS):
        command = option(command)
    return command


def asked(model: Model, options: dict[str, Any]) -> Model:
    """The model that answers a question: it is tempered before it is asked.

    Raises:
        NamegenError: as `Model.temper` and `Model.where`.
    """
    conditions = {name: value for name, value in options.items() if value and name != "temperature"}
    model = model.temper(options["temperature"])
    return model.where(**conditions) if conditions else model

"""Arguments and options that several commands share."""

from __future__ import annotations

import logging

import click
from click.shell_completion import CompletionItem


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

"""`namegen inspect`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from namegen.commands.options import PLACE, QUIET, asked, question
from namegen.commands.output import plain, show_table
from namegen.report.inspection import inspect


@click.command(short_help="Show what a model or a data set is.")
@click.argument("path", type=PLACE)
@question
@QUIET
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(path: str, as_json: bool, **conditions: Any) -> None:  # noqa: ANN401, FBT001 - click's protocol
    """Shows what a model, an automaton.safetensors or a data set is, and where it came from. PATH can be a URL.

    For a model it shows the vocabulary, the order, the states and the figures (NLL in nats per character); for both,
    the settings and versions that made them. Only what is read is checked; namegen verify checks the rest.

    With conditions it shows the share of the model's names that answer them, and the figures of those names: their
    expected length, their entropy in nats, and the probability that two are equal.
    """
    shown = inspect(path, lambda model: asked(model, conditions))
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    show_table([("what", False), ("value", False)], list(_lines(shown)))


def _lines(shown: dict[str, Any], above: str = "") -> Iterator[list[str]]:
    for key, value in shown.items():
        if isinstance(value, dict):
            yield from _lines(value, f"{above}{key}.")
        else:
            yield [f"{above}{key}", plain(value)]

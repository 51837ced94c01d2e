"""`namegen inspect`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from namegen.commands import PLACE, QUIET_ANYWAY, plain, show_table
from namegen.report.inspection import inspect


@click.command(short_help="What a model or a data set is.")
@click.argument("path", type=PLACE)
@QUIET_ANYWAY
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(path: str, as_json: bool) -> None:  # noqa: FBT001
    """Says what lies at PATH, a model, an automaton.safetensors or a data set, and where it came from; or at a URL.

    Of a model: its vocabulary, order, states and figures (NLL in nats a character). Of both: the settings and versions
    that made them. Nothing is checked but what is read; see namegen verify.
    """
    found = inspect(path)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    show_table([("what", False), ("value", False)], list(_lines(found)))


def _lines(found: dict[str, Any], above: str = "") -> Iterator[list[str]]:
    for key, value in found.items():
        if isinstance(value, dict):
            yield from _lines(value, f"{above}{key}.")
        else:
            yield [f"{above}{key}", plain(value)]

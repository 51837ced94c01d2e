"""How much work a model's network gets: seconds on a CPU, the default, or what a GPU or some minutes of CPU buy."""

from __future__ import annotations

from dataclasses import dataclass

from namegen.errors import SettingError
from namegen.models import NETWORKS
from namegen.models.mlp import Settings


@dataclass(frozen=True)
class Preset:
    """What `mlp` and `blend` are made with, chosen on dev.

    Args:
        order: n, as in n-gram.
        states: how many contexts are added to those of the names.
        network: the network's settings.
    """

    order: int
    states: int
    network: Settings


PRESETS = {
    "quick": Preset(7, 30_000, Settings(hidden=128, passes=6, batch=512, learning_rate=5e-3)),
    "default": Preset(7, 100_000, Settings()),
    "best": Preset(7, 600_000, Settings(hidden=512, passes=30, learning_rate=4e-3, dropout=0.2, networks=4)),
}
COUNTING = Preset(6, 0, Settings(passes=0))  # of the models without a network: no preset changes them


def choose(model: str, preset: str, order: int | None, states: int | None, longest: int) -> Preset:
    """The preset of a model, with what was asked for in place of its own.

    Args:
        order, states: None for the preset's.
        longest: characters of the longest name. No n-gram is longer than it and the two boundaries, so the preset's
            order is lowered to that.

    Raises:
        SettingError: for an order that no n-gram has.
    """
    own = PRESETS[preset] if model in NETWORKS else COUNTING
    if order is None:
        order = min(own.order, longest + 2)
    elif order > longest + 2:
        raise SettingError(
            f"order {order} is too high: the longest name has {longest} characters, so no n-gram is longer than "
            f"{longest + 2}",
            remedy=f"Use --order {longest + 2} or less, or leave it out",
        )
    return Preset(order, own.states if states is None or model not in NETWORKS else states, own.network)

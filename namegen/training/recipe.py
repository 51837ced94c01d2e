"""How much work a model's network gets: seconds on a CPU, the default, or what a GPU or some minutes of CPU buy.

And the configuration that a model's id is made from: all its settings, as JSON has them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from namegen.errors import SettingError
from namegen.models import NETWORKS, VERSION, neural_bigram
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


def configuration_of(names_sha256: str, model: str, preset: Preset, holdout: float) -> dict[str, Any]:
    """All that decides what is in a model's folder."""
    holdout = float(holdout) + 0.0  # 0, 0.0 and -0.0 are one setting, and JSON has three
    network = {"mlp": asdict(preset.network), "states": preset.states} if model in NETWORKS else {}
    return {
        "names_sha256": names_sha256,
        "model": model,
        "holdout": holdout,
        "order": preset.order,
        "neural_bigram": asdict(neural_bigram.NOTEBOOK),
        **network,
        "models_version": VERSION,
    }


def of_configuration(configuration: dict[str, Any]) -> tuple[str, Preset, float]:
    """The model, the preset and the holdout that a configuration was made from.

    Raises:
        SettingError: where this version of namegen does not make such a model.
    """
    c = configuration
    try:
        network = Settings(**c["mlp"]) if "mlp" in c else COUNTING.network
        found = c["model"], Preset(c["order"], c.get("states", 0), network), c["holdout"]
        if configuration_of(c["names_sha256"], *found) == configuration:
            return found
    except (KeyError, TypeError):
        pass
    raise SettingError("this version of namegen does not make models of such a configuration")

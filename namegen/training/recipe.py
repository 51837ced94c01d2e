"""Recipes: every setting that decides what a model is, apart from its names. A model's id is made from both.

A preset is a recipe by name, which says how much work the networks get: seconds on a CPU, the default, or what takes a
GPU or some minutes of a CPU.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from namegen.corpus.corpus import Corpus
from namegen.errors import SettingError
from namegen.models import NETWORKS, VERSION, neural_bigram
from namegen.models.mlp import Settings
from namegen.training.compile import check_order


@dataclass(frozen=True)
class Recipe:
    """How a model is made.

    Args:
        model: its family, such as "blend".
        order: n, as in n-gram.
        states: how many contexts are added to those of the names; 0 without a network.
        network: the settings of the network, if the model has one.
        holdout: the share of the names that is held out, half for dev and half for test.
    """

    model: str
    order: int
    states: int
    network: Settings
    holdout: float

    def configuration(self, names_sha256: str) -> dict[str, Any]:
        """Everything that decides what is in a model's folder, as JSON."""
        has_network = self.model in NETWORKS
        return {
            "names_sha256": names_sha256,
            "model": self.model,
            "holdout": float(self.holdout) + 0.0,  # 0, 0.0 and -0.0 are one setting, but three in JSON
            "order": self.order,
            "neural_bigram": asdict(neural_bigram.NOTEBOOK),
            **({"mlp": asdict(self.network), "states": self.states} if has_network else {}),
            "models_version": VERSION,
        }


@dataclass(frozen=True)
class _Work:
    """What a preset decides, chosen on dev."""

    order: int
    states: int
    network: Settings


_WORK = {
    "quick": _Work(7, 30_000, Settings(hidden=128, passes=6, batch=512, learning_rate=5e-3)),
    "default": _Work(7, 100_000, Settings()),
    "best": _Work(7, 600_000, Settings(hidden=512, passes=30, learning_rate=4e-3, dropout=0.2, networks=4)),
}
_WITHOUT_NETWORK = _Work(6, 0, Settings(passes=0))  # whatever the preset
PRESETS = tuple(_WORK)


def choose(
    corpus: Corpus, model: str, preset: str, holdout: float, *, order: int | None = None, states: int | None = None
) -> Recipe:
    """The recipe of a preset for a list of names.

    Args:
        order: None for the preset's own, lowered to the longest n-gram there is: the longest name and two boundaries.
        states: None for the preset's own.

    Raises:
        SettingError: if no n-gram has this order, or the order is too high for states to be added.
    """
    work = _WORK[preset] if model in NETWORKS else _WITHOUT_NETWORK
    longest = max(map(len, corpus.names)) + 2
    if order is None:
        order = min(work.order, longest)
    elif order > longest:
        what = f"order {order} is too high: the longest name has {longest - 2} characters, so no n-gram is longer than "
        raise SettingError(
            f"{what}{longest}", remedy=f"Use --order {longest} or less (in Python order={longest}), or leave it out"
        )
    if states is None or model not in NETWORKS:
        states = work.states
    if states:
        check_order(order, corpus.vocabulary)
    return Recipe(model, order, states, work.network, holdout)


def of_configuration(configuration: dict[str, Any]) -> Recipe:
    """The recipe from which a configuration was made.

    Raises:
        SettingError: if this version of namegen does not make such a model.
    """
    c = configuration
    try:
        network = Settings(**c["mlp"]) if "mlp" in c else _WITHOUT_NETWORK.network
        recipe = Recipe(c["model"], c["order"], c.get("states", 0), network, c["holdout"])
        if recipe.configuration(c["names_sha256"]) == configuration:
            return recipe
    except (KeyError, TypeError):
        pass
    raise SettingError("this version of namegen does not make models of this configuration")

"""Recipes: every setting that decides what a model is, apart from its names. A model's id is made from both.

A preset is a recipe by name, which says how much work the networks get: seconds on a CPU, the default, or what takes a
GPU or some minutes of a CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from namegen.corpus.corpus import Corpus
from namegen.errors import SettingError
from namegen.models import NETWORKS, VERSION, gru, mlp, neural_bigram, transformer
from namegen.models.network import Settings

FAMILIES: Mapping[str, type[Settings]] = {
    kind.family: kind for kind in (mlp.Settings, gru.Settings, transformer.Settings)
}


@dataclass(frozen=True)
class Recipe:
    """How a model is made.

    Args:
        model: its family, such as "blend".
        order: n, as in n-gram, of the counting model.
        cells: how many cells, states times symbols, its table has at most.
        histories: about how many cells the histories have that it is compiled from.
        networks: the settings of each of its networks.
        holdout: the share of the names that is held out, half for dev and half for test.
        few: whether the settings are chosen by cross-validation; see `training.few`.
        background: the SHA-256 of the background's names; None without one.
    """

    model: str
    order: int
    cells: int
    histories: int
    networks: tuple[Settings, ...]
    holdout: float
    few: bool = False
    background: str | None = None

    def configuration(self, names_sha256: str) -> dict[str, Any]:
        """Everything that decides what is in a model's folder, as JSON."""
        return {
            "names_sha256": names_sha256,
            "model": self.model,
            "holdout": float(self.holdout) + 0.0,  # 0, 0.0 and -0.0 are one setting, but three in JSON
            "order": self.order,
            "cells": self.cells,
            "histories": self.histories,
            "few": self.few,
            "background": self.background,
            "neural_bigram": asdict(neural_bigram.NOTEBOOK),
            "networks": [{"family": settings.family, **asdict(settings)} for settings in self.networks],
            "models_version": VERSION,
        }


@dataclass(frozen=True)
class _Work:
    """What a preset decides, chosen on dev.

    Args:
        blend: the networks of the blend, and `alone`: a network of each family by itself.
        most: how many symbols of names a network goes over in all its passes at most; with long lists it makes fewer.
    """

    cells: int
    histories: int
    blend: tuple[Settings, ...]
    alone: tuple[Settings, ...]
    most: int


_MLP, _GRU, _TRANSFORMER = mlp.Settings(), gru.Settings(), transformer.Settings()
_SMALL = (
    mlp.Settings(hidden=192, passes=8, batch=512),
    gru.Settings(hidden=96, passes=6, dropout=0.1),
    transformer.Settings(layers=2, width=64, passes=6, dropout=0.05),
)
_LARGE = (
    mlp.Settings(hidden=512, passes=24, dropout=0.3),
    gru.Settings(hidden=384, passes=24, dropout=0.45),
    transformer.Settings(),
)
_WORK = {
    "quick": _Work(2_700_000, 16_000_000, _SMALL[:1], _SMALL, 3_000_000),
    "default": _Work(
        5_600_000, 32_000_000, (_MLP, replace(_MLP, window=9, seed=43)), (_MLP, _GRU, _TRANSFORMER), 20_000_000
    ),
    "best": _Work(27_000_000, 108_000_000, _LARGE, _LARGE, 200_000_000),
}
PRESETS = tuple(_WORK)
ORDER = 6
HOLDOUT = 0.2
FEW_CELLS, FEW_HISTORIES = 2_700_000, 32_000_000  # of a blend of few names, whatever the preset
MANY = 2_000  # different names: from so many on, some are held out, and the blend has networks


def are_few(corpus: Corpus, model: str) -> bool:
    """Whether a model of these names has its settings from cross-validation."""
    return model == "blend" and len(set(corpus.names)) < MANY


def choose(
    corpus: Corpus,
    model: str,
    preset: str,
    holdout: float | None,
    *,
    order: int | None = None,
    cells: int | None = None,
    background: str | None = None,
) -> Recipe:
    """The recipe of a preset for a list of names.

    Args:
        holdout: None for the usual share, or nothing of a short list.
        order: None for the preset's own, lowered to the longest n-gram there is: the longest name and two boundaries.
        cells: None for the preset's own.
        background: the SHA-256 of the background's names.

    Raises:
        SettingError: if no n-gram has this order.
    """
    few = are_few(corpus, model)
    if holdout is None:
        holdout = 0.0 if few else HOLDOUT
    work = _WORK[preset if model in NETWORKS else "default"]
    longest = max(map(len, corpus.names)) + 2
    if order is None:
        order = min(ORDER, longest)
    elif order > longest:
        what = f"order {order} is too high: the longest name has {longest - 2} characters, so no n-gram is longer than "
        raise SettingError(
            f"{what}{longest}", remedy=f"Use --order {longest} or less (in Python order={longest}), or leave it out"
        )
    networks = work.blend if model == "blend" else tuple(each for each in work.alone if each.family == model)
    symbols = sum(map(len, corpus.names)) + len(corpus.names)
    passes = max(2, work.most // symbols)
    return Recipe(
        model,
        order,
        cells or (FEW_CELLS if few else work.cells),
        FEW_HISTORIES if few else work.histories,
        tuple(replace(each, passes=min(each.passes, passes)) for each in networks if not few),
        holdout,
        few,
        background,
    )


def of_configuration(configuration: dict[str, Any]) -> Recipe:
    """The recipe from which a configuration was made.

    Raises:
        SettingError: if this version of namegen does not make such a model.
    """
    c = configuration
    try:
        networks = tuple(_network(**settings) for settings in c["networks"])
        recipe = Recipe(
            c["model"], c["order"], c["cells"], c["histories"], networks, c["holdout"], c["few"], c["background"]
        )
        if recipe.configuration(c["names_sha256"]) == configuration:
            return recipe
    except (KeyError, TypeError):
        pass
    raise SettingError("this version of namegen does not make models of this configuration")


def _network(family: str, **settings: Any) -> Settings:  # noqa: ANN401 - whatever a file says
    return FAMILIES[family](**settings)

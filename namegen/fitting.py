"""Fits the models of a run: the one module that knows them all.

Those that take a second are fitted in every run, so that each can be compared with them; a network, and its blend with
Kneser-Ney, only where one of the two is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from namegen.evaluation import table_nll
from namegen.expansion import expand
from namegen.models import NETWORKS, bigram, blend, kneser_ney, mlp, neural_bigram, uniform

if TYPE_CHECKING:
    from namegen.automaton import Contexts
    from namegen.ngrams import NgramCounts

Table = tuple[NDArray[np.float64], "Contexts"]  # probabilities[S, V], and the contexts that its rows are of


@dataclass(frozen=True)
class Fitted:
    """The tables of the models, and `training`: a row (`model`, `step`, `loss`, `dev_nll`) a step or pass."""

    tables: Mapping[str, Table]
    training: pl.DataFrame


def fit_models(
    counts: NgramCounts,
    dev: Sequence[str],
    model: str,
    states: int,
    device: str,
    log: Callable[[str], None] = lambda line: None,
    on_pass: Callable[[int], None] = lambda passes: None,
) -> Fitted:
    """Fits what `model` and the comparison with it need.

    Args:
        dev: the names on which the blend's weight is chosen; none give it its usual one.
        states: how many unseen contexts the network and the blend get.
        device: a torch device that is there.
        log: called with each line that a person should see.
        on_pass: called with 1 behind each pass of the network.
    """
    bigrams = counts.lower(2)
    curve: list[tuple[str, int, float, float | None]] = []
    descent = neural_bigram.fit(
        bigrams, device=device, on_step=lambda step, loss: curve.append(("neural-bigram", step, loss, None))
    )
    if curve[-1][2] > curve[0][2]:
        log("The loss of neural-bigram rose: there are too few names for its settings")
    tables: dict[str, Table] = {
        "uniform": (uniform.fit(bigrams), bigrams),
        "bigram": (bigram.fit(bigrams), bigrams),
        "neural-bigram": (descent, bigrams),
        "kneser-ney": (kneser_ney.fit(counts), counts),
    }
    if model in NETWORKS:

        def behind_a_pass(number: int, loss: float, network: mlp.Network) -> None:
            dev_nll = table_nll(dev, network.probabilities(counts.history), counts) if dev else None
            curve.append(("mlp", number, loss, dev_nll))
            on_pass(1)

        network = mlp.train(counts, device=device, on_pass=behind_a_pass)
        tables |= _with_network(network, tables["kneser-ney"][0], counts, dev, states, log)
    schema = {"model": pl.String, "step": pl.Int64, "loss": pl.Float64, "dev_nll": pl.Float64}
    return Fitted(tables, pl.DataFrame(curve, schema, orient="row"))


def _with_network(
    network: mlp.Network,
    by_counts: NDArray[np.float64],
    counts: NgramCounts,
    dev: Sequence[str],
    states: int,
    log: Callable[[str], None],
) -> dict[str, Table]:
    """The network alone and its blend with the table of a counting model, each with its most visited contexts."""
    by_network = network.probabilities(counts.history)
    weight = blend.USUAL
    if dev:
        weight = blend.best_weight(by_network, by_counts, lambda table: table_nll(dev, table, counts))
    log(f"blend is {weight:.2f} of mlp, {1 - weight:.2f} of kneser-ney")
    alone = expand(by_network, counts, states, lambda history, base: network.probabilities(history))
    mixed = expand(
        blend.mix(by_network, by_counts, weight),
        counts,
        states,
        lambda history, base: blend.mix(network.probabilities(history), by_counts[base], weight),
    )
    return {"mlp": (alone.probabilities, alone), "blend": (mixed.probabilities, mixed)}

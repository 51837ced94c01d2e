"""Fits the models of a run: the one module that knows them all.

Those that take a second are fitted in every run, so that each can be compared with them; a network, and its blend with
Kneser-Ney, only where one of the two is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from namegen.corpus.ngrams import count_ngrams
from namegen.errors import ArtifactError
from namegen.models import NETWORKS, bigram, blend, kneser_ney, mlp, neural_bigram, uniform
from namegen.training.compile import Predict, expand
from namegen.training.evaluate import nll
from namegen.training.events import events_of, exact_log_prob

if TYPE_CHECKING:
    from namegen.corpus.ngrams import NgramCounts
    from namegen.training.checkpoint import Checkpoint
    from namegen.training.quantise import Contexts
    from namegen.training.recipe import Preset


@dataclass(frozen=True)
class Table:
    """A fitted model.

    Args:
        probabilities: float64[S, V].
        contexts: those that its rows are of.
        exact: gives the log-probabilities of names with no context forgotten, where the model knows more contexts
            than the table has rows; None where it does not.
    """

    probabilities: NDArray[np.float64]
    contexts: Contexts
    exact: Callable[[Sequence[str]], NDArray[np.float64]] | None = None


@dataclass(frozen=True)
class Fitted:
    """The tables of the models, and `training`: a row (`model`, `step`, `loss`, `dev_nll`) a step or pass."""

    tables: Mapping[str, Table]
    training: pl.DataFrame


def fit_models(
    counts: NgramCounts,
    dev: Sequence[str],
    model: str,
    preset: Preset,
    device: str,
    checkpoint: Checkpoint | None = None,
    log: Callable[[str], None] = lambda line: None,
    on_pass: Callable[[int], None] = lambda passes: None,
) -> Fitted:
    """Fits what `model` and the comparison with it need.

    Args:
        dev: the names on which the blend's weight is chosen; none give it its usual one.
        preset: of the network, and how many unseen contexts it gets.
        device: a torch device that is there.
        checkpoint: where the network's training goes on from, and is kept behind each pass.
        log: called with each line that a person should see.
        on_pass: called with the passes of the network that are done, as they are.
    """
    bigrams = counts.lower(2)
    curve: list[tuple[str, int, float, float | None]] = []
    descent = neural_bigram.fit(
        bigrams,
        device=device,
        on_step=lambda *row: curve.append(("neural-bigram", *row)),
        dev=count_ngrams(dev, counts.vocabulary, 2) if dev else None,
    )
    if curve[-1][2] > curve[0][2]:
        log("The loss of neural-bigram rose: there are too few names for its settings")
    tables: dict[str, Table] = {
        "uniform": Table(uniform.fit(bigrams), bigrams),
        "bigram": Table(bigram.fit(bigrams), bigrams),
        "neural-bigram": Table(descent, bigrams),
        "kneser-ney": Table(kneser_ney.fit(counts), counts),
    }
    if model in NETWORKS:
        network, passes = train_network(counts, dev, preset.network, device, checkpoint, log, on_pass)
        curve += [("mlp", *row) for row in passes]
        tables |= _with_network(network, tables["kneser-ney"].probabilities, counts, dev, model, preset.states, log)
    schema = {"model": pl.String, "step": pl.Int64, "loss": pl.Float64, "dev_nll": pl.Float64}
    return Fitted(tables, pl.DataFrame(curve, schema, orient="row"))


def train_network(
    counts: NgramCounts,
    dev: Sequence[str],
    settings: mlp.Settings,
    device: str,
    checkpoint: Checkpoint | None,
    log: Callable[[str], None],
    on_pass: Callable[[int], None],
) -> tuple[mlp.Network, list[tuple[int, float, float | None]]]:
    """The network, and of each pass its number, loss and dev NLL; goes on from what an interrupted training left."""
    kept = None
    try:
        kept = checkpoint.load() if checkpoint else None
    except ArtifactError as error:
        log(f"{error} The training begins anew")
    state, curve = (kept[0], list(kept[1])) if kept else (None, [])
    if curve:
        log(f"The training goes on behind pass {len(curve)}, where it was interrupted")
        on_pass(len(curve))

    def dev_nll(network: mlp.Network) -> float:
        log_prob = exact_log_prob(dev, counts, lambda history, base: network.probabilities(history))
        return nll(dev, log_prob)[1]

    def behind_a_pass(done: mlp.Pass) -> None:
        curve.append((done.number, done.loss, dev_nll(done.network) if dev else None))
        if checkpoint and done.number < settings.all_passes:
            checkpoint.save(done.state(), curve)
        on_pass(1)

    return mlp.train(counts, settings, device, state, behind_a_pass), curve


def _with_network(
    network: mlp.Network,
    by_counts: NDArray[np.float64],
    counts: NgramCounts,
    dev: Sequence[str],
    model: str,
    states: int,
    log: Callable[[str], None],
) -> dict[str, Table]:
    """The network alone, and its blend with the table of a counting model, over the contexts that `model` visits."""
    weight = blend.USUAL
    if dev:
        asked = events_of(dev, counts)
        weight = blend.best_weight(asked.of(network.probabilities(asked.history)), asked.of(by_counts[asked.base]))
    log(f"blend is {weight:.2f} of mlp, {1 - weight:.2f} of kneser-ney")
    predict: dict[str, Predict] = {
        "mlp": lambda history, base: network.probabilities(history),
        "blend": lambda history, base: blend.mix(network.probabilities(history), by_counts[base], weight),
    }
    expanded = expand(counts, states, predict[model])
    return {
        name: Table(
            expanded.probabilities if name == model else of_context(expanded.history, expanded.base),
            expanded,
            partial(exact_log_prob, counts=counts, predict=of_context),
        )
        for name, of_context in predict.items()
    }

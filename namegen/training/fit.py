"""Fits the models of a run. This is the one module that knows them all.

The models that take a second are fitted in every run, so that all can be compared. A network, and its blend with
Kneser-Ney, are fitted only if one of the two is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import polars as pl
from numpy.typing import NDArray

from namegen.corpus.ngrams import count_ngrams
from namegen.corpus.pairs import keep_allowed
from namegen.errors import ArtifactError
from namegen.models import NETWORKS, bigram, blend, kneser_ney, mlp, neural_bigram, uniform
from namegen.training.compile import Predict, expand
from namegen.training.evaluate import nll
from namegen.training.events import events_of, exact_log_prob

if TYPE_CHECKING:
    import numpy as np

    from namegen.corpus.ngrams import NgramCounts
    from namegen.training.checkpoint import Checkpoint
    from namegen.training.quantise import Contexts
    from namegen.training.recipe import Recipe

log = logging.getLogger(__name__)

Curve = list[tuple[int, float, float | None]]  # number, loss and dev NLL of each step or pass
TRAINING = {"model": pl.String, "step": pl.Int64, "loss": pl.Float64, "dev_nll": pl.Float64}


@dataclass(frozen=True)
class Table:
    """A fitted model.

    Args:
        probabilities: float64[S, V].
        contexts: the contexts of its rows.
        exact: names to their log-probabilities with no context forgotten, if the model knows more contexts than the
            table has rows; None if it does not.
    """

    probabilities: NDArray[np.float64]
    contexts: Contexts
    exact: Callable[[Sequence[str]], NDArray[np.float64]] | None = None


@dataclass(frozen=True)
class Fitted:
    """The tables of the models, and `training`: a row (`model`, `step`, `loss`, `dev_nll`) for each step or pass."""

    tables: Mapping[str, Table]
    training: pl.DataFrame


def fit_models(
    counts: NgramCounts,
    dev: Sequence[str],
    recipe: Recipe,
    device: str,
    *,
    allowed: NDArray[np.bool_] | None = None,
    checkpoint: Checkpoint | None = None,
    on_pass: Callable[[int], None] = lambda passes: None,
) -> Fitted:
    """Fits the model of a recipe, and the models that it is compared with.

    Args:
        dev: the names on which the blend's weight is chosen; without any it gets its usual one.
        device: a torch device that is there.
        allowed: which symbols may follow which; see `corpus.pairs`.
        checkpoint: where the network's training resumes from, and is saved after each pass.
        on_pass: called with the number of the network's passes that are done, as they are.
    """
    bigrams = counts.lower(2)
    descent: Curve = []
    learnt = neural_bigram.fit(
        bigrams,
        device=device,
        on_step=lambda *row: descent.append(row),
        dev=count_ngrams(dev, counts.vocabulary, 2) if dev else None,
    )
    if descent[-1][1] > descent[0][1]:
        log.info("The loss of neural-bigram rose: there are too few names for its settings")

    def table(probabilities: NDArray[np.float64], contexts: NgramCounts) -> Table:
        return Table(keep_allowed(probabilities, contexts.last, allowed), contexts)

    tables: dict[str, Table] = {
        "uniform": table(uniform.fit(bigrams), bigrams),
        "bigram": table(bigram.fit(bigrams), bigrams),
        "neural-bigram": table(learnt, bigrams),
        "kneser-ney": table(kneser_ney.fit(counts), counts),
    }
    rows = [("neural-bigram", *row) for row in descent]
    if recipe.model in NETWORKS:
        network, passes = _train_network(counts, dev, recipe.network, device, checkpoint, on_pass)
        rows += [("mlp", *row) for row in passes]
        tables |= _with_network(network, tables["kneser-ney"].probabilities, counts, dev, recipe, allowed)
    return Fitted(tables, pl.DataFrame(rows, TRAINING, orient="row"))


def _train_network(
    counts: NgramCounts,
    dev: Sequence[str],
    settings: mlp.Settings,
    device: str,
    checkpoint: Checkpoint | None,
    on_pass: Callable[[int], None],
) -> tuple[mlp.Network, Curve]:
    """The network and its curve. An interrupted training resumes after its last complete pass."""
    resumed = None
    try:
        resumed = checkpoint.load() if checkpoint else None
    except ArtifactError as error:
        log.info("%s The training starts again", error)
    state, curve = (resumed[0], list(resumed[1])) if resumed else (None, [])
    if curve:
        log.info("The training was interrupted: it resumes after pass %s", len(curve))
        on_pass(len(curve))

    def dev_nll(network: mlp.Network) -> float:
        log_prob = exact_log_prob(dev, counts, lambda history, base: network.probabilities(history))
        return nll(dev, log_prob)[1]

    def after_pass(done: mlp.Pass) -> None:
        curve.append((done.number, done.loss, dev_nll(done.network) if dev else None))
        if checkpoint and done.number < settings.all_passes:
            checkpoint.save(done.state(), curve)
        on_pass(1)

    return mlp.train(counts, settings, device, state, after_pass), curve


def _with_network(
    network: mlp.Network,
    by_counts: NDArray[np.float64],
    counts: NgramCounts,
    dev: Sequence[str],
    recipe: Recipe,
    allowed: NDArray[np.bool_] | None,
) -> dict[str, Table]:
    """The network alone, and its blend with a counting model, over the contexts that the recipe's model visits.

    Args:
        by_counts: float64[S, V]: the table of the counting model.
    """

    def by_network(history: NDArray[np.uint16]) -> NDArray[np.float64]:
        return keep_allowed(network.probabilities(history), history[:, -1], allowed)

    weight = blend.USUAL
    if dev:
        asked = events_of(dev, counts)
        weight = blend.best_weight(asked.of(by_network(asked.history)), asked.of(by_counts[asked.base]))
    log.info("blend is %.2f of mlp and %.2f of kneser-ney", weight, 1 - weight)
    predict: dict[str, Predict] = {
        "mlp": lambda history, base: by_network(history),
        "blend": lambda history, base: blend.mix(by_network(history), by_counts[base], weight),
    }
    expanded = expand(counts, recipe.states, predict[recipe.model])
    return {
        name: Table(
            expanded.probabilities if name == recipe.model else of_context(expanded.history, expanded.base),
            expanded,
            partial(exact_log_prob, counts=counts, predict=of_context),
        )
        for name, of_context in predict.items()
    }

"""Fits the models of a run. This is the one module that knows them all.

The models that take a second are fitted in every run, so that all can be compared. Networks, and their blend with
Kneser-Ney, are fitted only if they are asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from namegen.corpus.ngrams import count_ngrams
from namegen.corpus.pairs import Allowed, keep_allowed, usual_pairs
from namegen.errors import ArtifactError
from namegen.models import NETWORKS, bigram, gru, kneser_ney, mlp, network, neural_bigram, transformer, uniform
from namegen.models.predictor import Predictor
from namegen.training import few
from namegen.training.compile import CAP, WINDOW, Table, compile_model
from namegen.training.evaluate import nll
from namegen.training.exact import log_prob
from namegen.training.pool import Blend, pool

if TYPE_CHECKING:
    from namegen.corpus.ngrams import NgramCounts
    from namegen.training.checkpoint import Checkpoint
    from namegen.training.recipe import Recipe

log = logging.getLogger(__name__)

COURSES: dict[str, Callable[..., network.Course]] = {
    "mlp": mlp.Course,
    "gru": gru.Course,
    "transformer": transformer.Course,
}
DEV = 5_000  # names on which a network is measured after each pass
Curve = list[tuple[int, float, float | None]]  # number, loss and dev NLL of each step or pass
TRAINING = {"model": pl.String, "step": pl.Int64, "loss": pl.Float64, "dev_nll": pl.Float64}


@dataclass(frozen=True)
class Fitted:
    """The models of a run.

    Args:
        bigrams: float64[V, V] of each model that knows the last symbol only.
        others: the models that know more.
        allowed: which symbols may follow which, as the models have it.
        training: a row (`model`, `step`, `loss`, `dev_nll`) for each step or pass.
        by_others: names with the log-probability that each has if it is left out; None where dev chose the settings.
        cap: the position from which on all are one, as they are compiled.
    """

    bigrams: Mapping[str, NDArray[np.float64]]
    others: Mapping[str, Predictor]
    allowed: Allowed | None
    training: pl.DataFrame
    by_others: tuple[Sequence[str], NDArray[np.float64]] | None = None
    cap: int = CAP


def fit_models(
    names: Sequence[str],
    counts: NgramCounts,
    dev: Sequence[str],
    recipe: Recipe,
    device: str,
    *,
    allowed: Allowed | None = None,
    background: Sequence[str] = (),
    checkpoint: Checkpoint | None = None,
    on_pass: Callable[[int], None] = lambda passes: None,
) -> Fitted:
    """Fits the model of a recipe, and the models that it is compared with.

    Args:
        names: the training names.
        counts: of these.
        dev: the names on which the blend's weights are chosen; without any it gets its usual ones.
        device: a torch device that is there.
        allowed: which symbols may follow which; see `corpus.pairs`.
        background: names of others, which the blend may learn from; see `corpus.background`.
        checkpoint: where the networks' training resumes from, and is saved after each pass.
        on_pass: called with the number of passes that are done, as they are.
    """
    if recipe.few:
        allowed = usual_pairs(names, counts.vocabulary, allowed)
    pairs = counts.lower(2)
    descent: Curve = []
    learnt = neural_bigram.fit(
        pairs,
        device=device,
        on_step=lambda *row: descent.append(row),
        dev=count_ngrams(dev, counts.vocabulary, 2) if dev else None,
    )
    if descent[-1][1] > descent[0][1]:
        log.info("The loss of neural-bigram rose: there are too few names for its settings")
    bigrams = {"uniform": uniform.fit(pairs), "bigram": bigram.fit(pairs), "neural-bigram": learnt}
    by_counts = kneser_ney.fit(counts)
    others: dict[str, Predictor] = {"kneser-ney": Blend.alone(by_counts, allowed)}
    rows = [("neural-bigram", *row) for row in descent]
    by_others = None
    if recipe.model in NETWORKS:
        courses = [COURSES[each.family](names, counts.vocabulary, each, device) for each in recipe.networks]
        networks, curve = _train(courses, counts, dev, device, checkpoint, on_pass)
        labels = labels_of([each.family for each in recipe.networks])
        passes = [(label, n) for label, c in zip(labels, courses, strict=True) for n in range(1, c.settings.passes + 1)]
        rows += [(label, n, loss, held) for (label, n), (_, loss, held) in zip(passes, curve, strict=True)]
        others |= {label: Blend.alone(each, allowed) for label, each in zip(labels, networks, strict=True)}
        if recipe.model == "blend":
            letters = few.letters_of(background, counts.vocabulary)
            members = few.members_without_case(names, counts.vocabulary, letters)
            if recipe.few:
                found = few.fit(names, counts, [*members.values()], letters, allowed)
                pooled, by_others = found.blend, (found.names, found.log_prob)
                log.info("Cross-validation chose n-grams of up to %s symbols", found.order)
            else:
                pooled = pool(by_counts, [*members.values(), *networks], counts.vocabulary, dev, allowed)
            others["blend"] = pooled
            shares = ", ".join(
                f"{weight:.2f} of {label}"
                for label, weight in zip(["kneser-ney", *members, *labels], pooled.weights.mean(axis=0), strict=True)
            )
            log.info("blend is a product: %s", shares)
    kept = {name: keep_allowed(table, pairs.last, allowed) for name, table in bigrams.items()}
    training = pl.DataFrame(rows, TRAINING, orient="row")
    cap = few.cap(counts.vocabulary.encode(names)[1]) if recipe.few else CAP
    return Fitted(kept, others, allowed, training, by_others, cap)


def tables_of(
    fitted: Fitted,
    counts: NgramCounts,
    recipe: Recipe,
    on_histories: Callable[[int], None] = lambda done: None,
) -> dict[str, Table]:
    """The tables of the models that can be drawn from: those of bigrams, Kneser-Ney, and the recipe's.

    Kneser-Ney has a table already, that of its contexts. It is taken as it is if it is within the budget.

    Args:
        on_histories: called with the number of histories that were walked through, as they are.
    """
    symbols, pairs = len(counts.vocabulary), counts.lower(2)
    tables = {name: Table.of(pairs, probabilities) for name, probabilities in fitted.bigrams.items()}
    for name in dict.fromkeys(["kneser-ney", recipe.model]):
        if name in tables:
            continue
        model = fitted.others[name]
        if name == "kneser-ney" and counts.states * symbols <= recipe.cells:
            own = model.members[0].table  # type: ignore[attr-defined] # it is a pool of one
            tables[name] = Table.of(counts, keep_allowed(own, counts.last, fitted.allowed))
        else:
            tables[name] = compile_model(
                model,
                counts.vocabulary,
                recipe.cells // symbols,
                recipe.histories // symbols,
                cap=fitted.cap,
                window=min(max(few.REMEMBERED, counts.order - 1), fitted.cap) if recipe.few else WINDOW,
                merging=recipe.few,
                allowed=fitted.allowed,
                advance=on_histories,
            )
    return tables


def labels_of(families: Sequence[str]) -> list[str]:
    """What several networks are called: "mlp", and the next of its family "mlp-2".

    >>> labels_of(["mlp", "gru", "mlp"])
    ['mlp', 'gru', 'mlp-2']
    """
    numbers = [families[: k + 1].count(family) for k, family in enumerate(families)]
    return [family if n == 1 else f"{family}-{n}" for family, n in zip(families, numbers, strict=True)]


def _train(
    courses: Sequence[network.Course],
    counts: NgramCounts,
    dev: Sequence[str],
    device: str,
    checkpoint: Checkpoint | None,
    on_pass: Callable[[int], None],
) -> tuple[list[Predictor], Curve]:
    """The networks and their curve. An interrupted training resumes after its last complete pass."""
    resumed = None
    try:
        resumed = checkpoint.load() if checkpoint else None
    except ArtifactError as error:
        log.info("%s The training starts again", error)
    arrays, curve = (resumed[0], list(resumed[1])) if resumed else (None, [])
    if curve:
        log.info("The training was interrupted: it resumes after pass %s", len(curve))
        on_pass(len(curve))
    measured, last = dev[:DEV], sum(course.settings.passes for course in courses)

    def after_pass(done: network.Pass) -> None:
        held = nll(measured, log_prob(done.model, counts.vocabulary, measured))[1] if measured else None
        curve.append((done.number, done.loss, held))
        if checkpoint and done.number < last:
            checkpoint.save(done.arrays(), curve)
        on_pass(1)

    return network.train(courses, device, arrays, after_pass), curve

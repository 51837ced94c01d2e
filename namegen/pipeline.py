"""From names to all that a model's folder holds, step by step: the flow's tasks do it, and a repair does it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from namegen.automaton.automaton import TOTAL, Automaton
from namegen.corpus.corpus import Corpus, Split, names_frame, split
from namegen.corpus.ngrams import NgramCounts, bigram_frame, count_ngrams
from namegen.device import resolve_device
from namegen.errors import ArtifactError, NamegenError
from namegen.outputs.model_folder import ModelFolder
from namegen.training.evaluate import evaluate
from namegen.training.fit import Fitted, fit_models
from namegen.training.likeness import measure
from namegen.training.quantise import quantise, round_to_weights
from namegen.training.recipe import of_configuration


def assess(fitted: Fitted, corpus: Corpus, parts: Split, model: str) -> tuple[Automaton, dict[str, pl.DataFrame]]:
    """Makes each table an automaton, and measures the NLL of both, and how good the names are that it draws.

    Returns:
        the automaton of `model`, as the others are needed no longer; "evaluation" and "quality".
    """
    evaluation, quality = [], []
    for name, table in fitted.tables.items():
        automaton = quantise(table.probabilities, table.contexts)
        evaluation.append(evaluate(name, table.probabilities, automaton, parts, table.exact))
        if name != "uniform":
            quality.append(measure(name, automaton, corpus))
        if name == model:
            chosen = automaton
    return chosen, {"evaluation": pl.concat(evaluation), "quality": pl.concat(quality)}


def save(
    folder: ModelFolder,
    corpus: Corpus,
    counts: NgramCounts,
    fitted: Fitted,
    automaton: Automaton,
    figures: dict[str, pl.DataFrame],
    notes: dict[str, Any],
) -> None:
    """Writes the model's folder."""
    # rounded as in its automaton, which hides the last bits, in which machines differ
    learnt = round_to_weights(fitted.tables["neural-bigram"].probabilities) / TOTAL
    own = {
        "names": names_frame(corpus, folder.configuration["holdout"]),
        "bigrams": bigram_frame(corpus.names, counts, fitted.tables["bigram"].probabilities, learnt),
        "training": fitted.training,
    }
    folder.save(automaton, counts, {**own, **figures}, notes)


def make_again(
    folder: ModelFolder,
    corpus: Corpus,
    automaton_sha256: str | None,
    notes: dict[str, Any],
    log: Callable[[str], None],
) -> None:
    """Makes a damaged model's folder anew, from its configuration and its names.

    Args:
        automaton_sha256: what the automaton has to be; None where nobody knows any more.
        notes: of the manifest that was.

    Raises:
        ArtifactError: where this machine, or this version, makes another automaton; then nothing is written.
    """
    remedy = f"Remove {folder.path} and the names drawn from it, and run the job again"
    try:
        model, preset, holdout = of_configuration(folder.configuration)
        parts, device = split(corpus, holdout), resolve_device(notes.get("trained_on", "auto"))
    except NamegenError as error:
        raise ArtifactError(f"cannot be made again ({error.what})", str(folder.path), remedy) from error
    counts = count_ngrams(parts.train, corpus.vocabulary, preset.order)
    fitted = fit_models(counts, parts.dev, model, preset, device, log=log)
    automaton, figures = assess(fitted, corpus, parts, model)
    if automaton_sha256 not in {None, automaton.sha256}:
        what = "was fitted on another machine or by another version: made here, it is another model"
        raise ArtifactError(what, str(folder.path), remedy)
    save(folder, corpus, counts, fitted, automaton, figures, notes)

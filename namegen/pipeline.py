"""The whole job, from a list of names to a data set of new ones.

`plan` decides what to do, and makes neither a model nor names. `make` does it, stage by stage:

    learn: a model
        count     names to n-gram counts
        train     names and counts to models
        tabulate  models to tables of probabilities
        evaluate  tables to automata, and how good they are
    save          the model's folder
    sample        the data set

What an earlier run has made is found and kept. The Prefect flow, `namegen.fit` (at the end), a repair and the tests run
the same functions. The caller may say how a stage is run: the flow runs each as a task of Prefect.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, TypeVarTuple

from namegen.corpus.background import Background, own_names, shares_letters, without_listed
from namegen.corpus.corpus import Corpus, Split, corpus_of, names_frame, read_corpus, split
from namegen.corpus.reading import READING, STDIN
from namegen.device import cores, free_memory, memory_of, repeatable, resolve_device, sampling_device
from namegen.errors import ArtifactError, NamegenError, SettingError, printable
from namegen.outputs import layout
from namegen.outputs.dataset import DatasetManifest
from namegen.outputs.manifests import open_manifest
from namegen.outputs.model_folder import Contents, ModelFolder, ModelManifest, model_name
from namegen.outputs.room import check_room, check_writable, readable_size
from namegen.outputs.wish import Wish
from namegen.parameters import DEFAULT, Parameters, checked
from namegen.progress import Progress, progress
from namegen.storage.files import Hold, Location, location
from namegen.storage.locks import alone_in
from namegen.training import recipe as recipes
from namegen.training.recipe import Recipe

# Slow modules are imported by the stages that need them: planning has to be quick.
if TYPE_CHECKING:
    import polars as pl

    from namegen.automaton.automaton import Automaton
    from namegen.corpus.ngrams import NgramCounts
    from namegen.model import Model
    from namegen.outputs.writer import Elsewhere, Written
    from namegen.training.checkpoint import Checkpoint
    from namegen.training.compile import Table
    from namegen.training.fit import Fitted

FEW = 100  # dev names
SHORT = 200  # names of a list
IN_MEMORY = "a list in memory"  # what a background is called that has no place
# Bytes that a fit takes at its peak: for each cell of the table, for each of the histories', and for all else. Measured
# on tables of 1 to 27 million cells, from histories of 8 to 108 million.
PER_CELL, PER_HISTORY, ALL_ELSE = 40, 17, 4 * 10**8
MOST = 0.9  # of the dev names

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitPlan:
    """What a model is fitted to, and how.

    Args:
        device: the torch device to train on, or "auto".
        origin: what the model's manifest says of where it comes from; see `Writing`.
        background: names of others that the blend learns from.
    """

    corpus: Corpus
    split: Split
    recipe: Recipe
    device: str = "auto"
    origin: Mapping[str, Any] = field(default_factory=dict)
    background: tuple[str, ...] = ()

    @property
    def configuration(self) -> dict[str, Any]:
        """What the model's id is made from."""
        return self.recipe.configuration(self.corpus.sha256)


@dataclass(frozen=True)
class Plan:
    """What a job is going to do.

    Args:
        fit: how its model is made.
        model: the model's folder, which may be there or not.
        names: the data set's folder.
        workers: how many parts are made at once.
        automaton: the model's, if it was there when the plan was made.
        is_complete: whether the data set had all names then.
        wish: what is asked of the model, beyond a plain stream.
    """

    fit: FitPlan
    model: ModelFolder
    names: Location
    count: int
    seed: int
    workers: int = 1
    automaton: Automaton | None = None
    is_complete: bool = False
    wish: Wish = field(default_factory=Wish)


@dataclass(frozen=True)
class Made:
    """What a job has made: the model's folder, the data set's, and the result of writing it."""

    model: ModelFolder
    names: Location
    written: Written


class Run(Protocol):
    """Runs a stage with its arguments, and returns what it returns."""

    def __call__(self, stage: Callable[[*Ts], T], /, *arguments: *Ts) -> T:
        """Runs it."""


def directly(stage: Callable[[*Ts], T], /, *arguments: *Ts) -> T:
    """Runs a stage here and now."""
    return stage(*arguments)


def plan(parameters: Parameters) -> Plan:
    """Reads the names, and checks everything that can be checked before anything is made.

    Raises:
        NamegenError: if the names cannot be read, are too few or too short for a setting, if a device is not there, if
            the output folder cannot be written or has no room, if what lies there is damaged or newer, or if something
            is asked that no name can answer.
    """
    p = parameters
    if p.seed is None:
        raise SettingError("seed null needs a run of a Prefect deployment", remedy="Choose a seed")
    wish = Wish.of(p)
    fit = plan_fit(_corpus_at(p.names, p), p, {**origin_of(p.names, p), "preset": p.preset})
    wish.question.conditions(fit.corpus.vocabulary, ())  # refuses what cannot be asked
    output = location(p.output)
    check_writable(output)
    name = model_name(fit.configuration)
    model, names = ModelFolder(layout.model_folder(output, name)), layout.dataset_folder(output, name, p.seed, wish.key)
    manifest = open_manifest(names, DatasetManifest).sound()
    check_room(names, p.count, fit.corpus.names)
    automaton = model.load()
    if manifest and automaton and wish.is_plain:  # the answer to a question takes seconds; the job asks it
        manifest.check_stream(names, automaton.stream(p.seed))
    is_complete = bool(manifest and manifest.rows >= p.count)
    return Plan(fit, model, names, p.count, p.seed, p.workers or cores(), automaton, is_complete, wish)


def plan_fit(
    corpus: Corpus, parameters: Parameters, origin: Mapping[str, Any], others: Sequence[str] | None = None
) -> FitPlan:
    """The part of a plan that decides what the model is.

    Args:
        others: the names of the background, if they are in memory.

    Raises:
        SettingError: if a setting does not suit the names, or the device is not there.
        CorpusError: if there are too few names.
    """
    p = parameters
    background = background_of(corpus, p.background, p.model, others)
    sha256 = background.sha256 if background else None
    recipe = recipes.choose(corpus, p.model, p.preset, p.holdout, order=p.order, cells=p.cells, background=sha256)
    splits = split(corpus, recipe.holdout)
    if p.device != "auto":
        resolve_device(p.device)
    _check_memory(recipe)
    sizes = f"{len(splits.train):,} train, {len(splits.dev):,} dev, {len(splits.test):,} test"
    characters, blank = len(corpus.vocabulary.characters), corpus.blank_lines
    counted = f"{len(corpus.names):,} names ({sizes}), {characters} characters, {blank} blank lines skipped"
    log.info("%s: %s", printable(str(origin.get("names", "names"))), counted)
    for warning in warnings_of(corpus, splits):
        log.warning("%s", warning)
    if background:
        log.info("Background: %s names of %s", f"{len(background.names):,}", printable(background.where))
        origin = {**origin, "background": p.background if others or p.background == "auto" else place_of(p.background)}
    return FitPlan(corpus, splits, recipe, p.device, origin, background.names if background else ())


def background_of(corpus: Corpus, asked: str, model: str, others: Sequence[str] | None = None) -> Background | None:
    """The background of a list; None for none, or where there is too little of one.

    Args:
        asked: the path or URL of a list or a model's folder, "none", or "auto".
        others: the names, if they are in memory; then `asked` is what they are called.

    Raises:
        SettingError: if the model has no background.
        NamegenError: if the names cannot be read.
    """
    if asked == "none" or (asked == "auto" and not recipes.are_few(corpus, model)):
        return None
    if model != "blend":
        raise SettingError(f"{model} has no background, only the blend has", remedy="Leave --background out")
    where = asked if asked != "auto" else "the project's own list"
    names = own_names() if asked == "auto" else others or _names_at(asked)
    if asked == "auto" and not shares_letters(corpus, names):
        return None
    found = without_listed(names, corpus, where)
    if not found:
        log.warning("No background: hardly any names of %s are not on the list, too", printable(where))
    return found


def _names_at(place: str) -> Sequence[str]:
    """The names of a list, or of the list that a model's folder was fitted to."""
    folder = ModelFolder(location(place))
    is_model = (folder.path / ModelManifest.FILE).exists()
    return folder.names().to_pylist() if is_model else read_corpus(place).names


def _check_memory(recipe: Recipe) -> None:
    """Refuses a table that the memory cannot hold; a process that takes too much is killed without a word."""
    needed, free = ALL_ELSE + PER_CELL * recipe.cells + PER_HISTORY * recipe.histories, free_memory()
    if needed > free:
        needs = f"a table of {recipe.cells:,} cells needs about {readable_size(needed)} of memory"
        remedy = "Use fewer --cells, or a smaller --preset"
        raise SettingError(f"{needs}, and {readable_size(free)} are free", remedy=remedy)


def warnings_of(corpus: Corpus, splits: Split) -> list[str]:
    """What a user should know of a list before a model is fitted to it."""
    found = []
    if corpus.left_out:
        found.append(f"{corpus.left_out:,} lines were refused, and left out")
    if corpus.invisible:
        what = f"{corpus.invisible:,} names have characters that nobody sees, and so will drawn names"
        found.append(f"{what}: --drop-invisible leaves them out")
    if splits.dev and len(splits.dev) < FEW:
        found.append(f"dev has only {len(splits.dev)} names: NLL, and what is chosen by it, is rough")
    known = set(splits.train)
    repeated = sum(name in known for name in splits.dev)
    if splits.dev and repeated > MOST * len(splits.dev):
        share = f"{100 * repeated / len(splits.dev):.0f} % of the dev names are among the training names"
        found.append(f"{share}: NLL says little of new names, and few or none are left for the figures of unseen names")
    return found


def origin_of(names: str | Path, parameters: Parameters) -> dict[str, Any]:
    """What a model's manifest says of where its list is, and how it is read where that is not plain."""
    plain = Parameters()
    asked = {name: getattr(parameters, name) for name in READING if getattr(parameters, name) != getattr(plain, name)}
    return {"names": place_of(names), **asked}


def place_of(names: str | Path) -> str:
    """Where a list is, from wherever one looks."""
    return str(names) if "://" in str(names) or str(names) == STDIN else str(Path(names).absolute())


def _corpus_at(names: str | Path, parameters: Parameters) -> Corpus:
    return read_corpus(names, **{name: getattr(parameters, name) for name in READING})


def make(plan: Plan, *, run: Run = directly, progress: Progress = progress, elsewhere: Elsewhere | None = None) -> Made:
    """Makes what a plan lacks: the model, then the names.

    Args:
        run: runs each stage.
        progress: shows how far a stage is.
        elsewhere: makes the full parts on other processes or hosts; None to make them in this process.

    Raises:
        NamegenError: if something is wrong that the user can fix.
        OSError: if a disk or a store fails.
    """
    with ExitStack() as holding:
        with alone_in(plan.model.path) as model:
            automaton = plan.model.load()  # again, now that no other job can be making it
            if automaton:
                log.info("%s is there already: nothing to count, train or evaluate", plan.model.path)
                plan.model.checkpoint.remove()  # left by a job that died at its very end
            else:
                checkpoint = replace(plan.model.checkpoint, check=model.check)
                contents = learn(plan.fit, run=run, progress=progress, checkpoint=checkpoint)
                model.check()
                run(save, plan.model, contents, model)
                automaton = contents.automaton
            # the data set's lock, before the model's is released: nobody removes the model of a data set that is held
            record = holding.enter_context(alone_in(layout.record_folder(plan.names)))
            model.check()
        written = run(sample, plan, automaton, progress, elsewhere, record)
    _log_written(plan, written)
    return Made(plan.model, plan.names, written)


def learn(
    plan: FitPlan, *, run: Run = directly, progress: Progress = progress, checkpoint: Checkpoint | None = None
) -> Contents:
    """Makes a model: everything that its folder holds.

    Args:
        run, progress: as for `make`.
        checkpoint: where the training resumes from, and is saved.
    """
    counts = run(count, plan)
    fitted, trained = run(train, plan, counts, progress, checkpoint)
    tables = run(tabulate, plan, counts, fitted, progress)
    automaton, figures = run(evaluate, plan, fitted, tables)
    learnt = {**what_was_learnt(plan, counts, fitted), **figures}
    return Contents(automaton, plan.configuration, learnt, {**plan.origin, **trained})


def count(plan: FitPlan) -> NgramCounts:
    """Counts the n-grams of the training names."""
    from namegen.corpus.ngrams import count_ngrams

    counts = count_ngrams(plan.split.train, plan.corpus.vocabulary, plan.recipe.order)
    log.info("%s contexts of up to %s symbols", f"{counts.states:,}", plan.recipe.order - 1)
    return counts


def train(
    plan: FitPlan, counts: NgramCounts, progress: Progress, checkpoint: Checkpoint | None
) -> tuple[Fitted, dict[str, Any]]:
    """Fits the models; returns with them what the manifest says of the training."""
    from namegen.corpus.pairs import allowed_pairs
    from namegen.training.fit import fit_models

    device, started, recipe = resolve_device(plan.device), time.perf_counter(), plan.recipe
    passes = sum(settings.passes for settings in recipe.networks)
    with progress(passes, "Training, passes") as advance, memory_of(device), repeatable(device):
        fitted = fit_models(
            plan.split.train,
            counts,
            plan.split.dev,
            recipe,
            device,
            allowed=allowed_pairs(plan.corpus),
            background=plan.background,
            checkpoint=checkpoint,
            on_pass=advance,
        )
    seconds = round(time.perf_counter() - started, 3)
    log.info("Trained on %s in %.2f s", device, seconds)
    return fitted, {"trained_on": device, "training_seconds": seconds}


def tabulate(plan: FitPlan, counts: NgramCounts, fitted: Fitted, progress: Progress) -> dict[str, Table]:
    """Makes a table of each model that can be drawn from."""
    from namegen.training.fit import tables_of

    device, started = resolve_device(plan.device), time.perf_counter()
    histories = plan.recipe.histories // len(plan.corpus.vocabulary)
    with progress(histories, "Compiling, histories") as advance, memory_of(device), repeatable(device):
        tables = tables_of(fitted, counts, plan.recipe, advance)
    states, seconds = len(tables[plan.recipe.model].successor), time.perf_counter() - started
    log.info("%s states of %s symbols in %.2f s", f"{states:,}", len(plan.corpus.vocabulary), seconds)
    return tables


def evaluate(plan: FitPlan, fitted: Fitted, tables: Mapping[str, Table]) -> tuple[Automaton, dict[str, pl.DataFrame]]:
    """Makes an automaton of each table, and measures its NLL and how like the list the names are that it draws.

    Returns:
        the automaton of the recipe's model, as the others are not needed any more; "evaluation" and "quality".
    """
    import polars as pl

    from namegen.training import evaluate, likeness
    from namegen.training.quantise import quantise

    evaluation, quality, automata = [], [], {}
    for name, table in tables.items():
        automaton = quantise(table.probabilities, table)
        evaluation.append(evaluate.of_table(name, table.probabilities, automaton, plan.split))
        if name != "uniform":
            is_drawn_from = name == plan.recipe.model
            quality.append(likeness.measure(name, automaton, plan.corpus, plan.split, whole=is_drawn_from))
        if name == plan.recipe.model:
            automata[name] = automaton
    evaluation += [
        evaluate.of_model(name, model, plan.corpus.vocabulary, plan.split) for name, model in fitted.others.items()
    ]
    if fitted.by_others:
        evaluation.append(evaluate.of_folds(plan.recipe.model, *fitted.by_others))
    figures = {"evaluation": pl.concat(evaluation), "quality": pl.concat(quality)}
    if plan.recipe.few and len(plan.corpus.names) < SHORT:
        log.warning("%s", _expected(plan, figures))
    return automata[plan.recipe.model], figures


def _expected(plan: FitPlan, figures: Mapping[str, pl.DataFrame]) -> str:
    """What to expect of a short list."""
    listed = 1000 * (1 - figures["quality"].filter(model=plan.recipe.model)["novel"][0])
    what = f"{len(plan.corpus.names)} names are few: of 1,000 drawn names about {listed:.0f} are on the list"
    for row in figures["evaluation"].filter(split="folds").iter_rows(named=True):
        what += f", and the NLL of names left out is {row['nll']:.2f} ± {row['standard_error']:.2f}"
    return f"{what}. More names help, or a --background that is more like them"


def what_was_learnt(plan: FitPlan, counts: NgramCounts, fitted: Fitted) -> dict[str, pl.DataFrame]:
    """The tables of a model's folder beside its figures: names, n-grams, bigrams, and the course of the training."""
    from namegen.automaton.automaton import TOTAL
    from namegen.automaton.rounding import round_to_weights
    from namegen.corpus.ngrams import bigram_frame

    # rounded as in the automaton, which hides the last bits, where machines differ
    learnt = round_to_weights(fitted.bigrams["neural-bigram"]) / TOTAL
    return {
        "names": names_frame(plan.corpus, plan.recipe.holdout),
        "ngrams": counts.to_frame(),
        "bigrams": bigram_frame(plan.corpus.names, counts, fitted.bigrams["bigram"], learnt),
        "training": fitted.training,
    }


def save(folder: ModelFolder, contents: Contents, hold: Hold) -> None:
    """Writes the model's folder, which is held."""
    folder.save(contents, hold)
    log.info("Wrote %s", folder.path)


def sample(
    plan: Plan,
    automaton: Automaton,
    progress: Progress,
    elsewhere: Elsewhere | None,
    record: Hold,
) -> Written:
    """Samples the names that the data set lacks, and writes them. Its record is held."""
    from namegen.outputs.rows import Source
    from namegen.outputs.writer import write_dataset
    from namegen.questions.count import check_enough
    from namegen.sampling.stream import arrow_strings

    listed, device = arrow_strings(plan.fit.corpus.names), sampling_device(plan.fit.device)
    configuration = plan.fit.configuration
    source = Source(plan.model.path, configuration, automaton, listed, plan.seed, device).asked(plan.wish)
    if plan.wish.distinct:
        check_enough(source.automaton, plan.count)
    if not plan.wish.is_plain:
        log.info("%s: %.4g of the model's names", ", ".join(plan.wish.words), source.probability)
        plan.wish.save(plan.names, record)
    with progress(plan.count, "Sampling names") as advance:
        return write_dataset(
            plan.names,
            plan.count,
            source.stream,
            source.rows,
            source.described,
            record,
            workers=plan.workers,
            on_part=advance,
            elsewhere=elsewhere,
        )


def _log_written(plan: Plan, written: Written) -> None:
    for name in written.replaced:
        log.warning("%s did not match the manifest, and was made again", plan.names / name)
    for name in written.removed:
        log.warning("%s did not belong to the data set, and was removed", plan.names / name)
    if written.made:
        log.info("Wrote %s of %s parts in %s", written.made, written.made + written.kept, plan.names)
    else:
        log.info("Nothing to do: %s already holds %s names", plan.names, f"{written.rows:,}")
    if written.rows > plan.count:
        log.info("It keeps them all; the %s that were asked for come first", f"{plan.count:,}")


def fit(
    names: str | Path | object,
    *,
    column: str | None = DEFAULT.column,
    skip_bad: bool = DEFAULT.skip_bad,
    drop_invisible: bool = DEFAULT.drop_invisible,
    model: str = DEFAULT.model,
    preset: str = DEFAULT.preset,
    holdout: float | None = DEFAULT.holdout,
    background: str | Path | Sequence[str] = DEFAULT.background,
    order: int | None = DEFAULT.order,
    cells: int | None = DEFAULT.cells,
    device: str = DEFAULT.device,
) -> Model:
    """Fits a model to a list of names: `namegen.fit`.

    It shows its progress as a job does, on a terminal and in a notebook. Nothing is written; see `Model.save`.

    Args:
        names: a list, a Series or a frame; or a path, as for the job.
        background: as for the job, or a list of names.
        column, skip_bad, drop_invisible, model, preset, holdout, order, cells, device: as for the job; see
            `parameters`.

    Raises:
        SettingError: for a setting that is out of bounds or does not suit the names.
        CorpusError: for names that cannot be used, with their place and what to do.
        DeviceError: if the device has too little memory.

    >>> fit(["emma", "olivia", "ava"] * 10, model="kneser-ney").sample(3, into="list")
    ['emma', 'oliva', 'olivia']
    """
    from namegen.model import Model

    reading = {"column": column, "skip_bad": skip_bad, "drop_invisible": drop_invisible}
    asked = {"model": model, "preset": preset, "holdout": holdout, "order": order, "cells": cells, "device": device}
    is_text = isinstance(background, str | Path)
    others = None if is_text else corpus_of(background).names
    asked["background"] = str(background) if is_text else IN_MEMORY
    parameters = Parameters(**{name: checked(name, value) for name, value in {**reading, **asked}.items()})
    origin: dict[str, Any] = {"preset": parameters.preset}
    if isinstance(names, str | Path):
        corpus = _corpus_at(names, parameters)
        origin |= origin_of(names, parameters)
    else:
        corpus = corpus_of(names, column=column, skip_bad=skip_bad, drop_invisible=drop_invisible)
    contents = learn(plan_fit(corpus, parameters, origin, others))
    return Model(contents.automaton, contents)


def refit(
    folder: ModelFolder,
    corpus: Corpus,
    configuration: dict[str, Any],
    sha256: str | None,
    origin: dict[str, Any],
    hold: Hold,
) -> None:
    """Makes a damaged model's folder again, from its configuration and its names.

    Args:
        hold: of the folder.
        sha256: of the automaton that has to come of it; None if nobody knows any more.
        origin: of the manifest that was.

    Raises:
        ArtifactError: if this machine, or this version, makes another automaton; then nothing is written.
    """
    remedy = f"Remove {folder.path} and the names drawn from it, and run the job again"
    try:
        recipe = recipes.of_configuration(configuration)
        device = resolve_device(origin.get("trained_on", "auto"))
        where = origin.get("background", "auto") if recipe.background else "none"
        background = background_of(corpus, where, recipe.model)
        if (background and background.sha256) != recipe.background:
            raise SettingError(f"the background is not what it was: {printable(where)}")
        others = background.names if background else ()
        plan = FitPlan(corpus, split(corpus, recipe.holdout), recipe, device, origin, others)
    except NamegenError as error:
        raise ArtifactError(f"cannot be made again ({error.what})", str(folder.path), remedy) from error
    contents = learn(plan)
    if sha256 not in {None, contents.automaton.sha256}:
        what = "was fitted on another machine or by another version: fitted here, it is another model"
        raise ArtifactError(what, str(folder.path), remedy)
    # with the time that the training took at first, so that a repair changes nothing
    hold.check()
    folder.save(Contents(contents.automaton, configuration, contents.tables, origin), hold)

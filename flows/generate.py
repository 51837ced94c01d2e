"""The Prefect flow and its command line: names in, a data set of new names out.

    python flows/generate.py --count 100000

The pipeline is the function `generate`, and reads top to bottom. Its tasks are thin: what they do is done by
`namegen`, and the tasks give it logs and a place in Prefect's interface.
"""

import signal
import sys

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # until the flow begins there is nothing to say or to clean up: Ctrl-C just ends the process
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from command_line import begin, fail, prefect_api, without_traceback

if __name__ == "__main__":  # before the heavy imports, which the start of the server overlaps
    arguments, server, fitted_before = begin(sys.argv[1:])

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from threading import Thread
from typing import Any, NoReturn, TypeVar, cast

import polars as pl
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.utilities.annotations import quote

from engines import Engine, check_engine, start, write_dataset_on
from mismatch import check_run
from namegen import pipeline as making
from namegen.automaton.automaton import Automaton
from namegen.corpus.corpus import Corpus, Split, read_corpus, split
from namegen.corpus.ngrams import NgramCounts, count_ngrams
from namegen.device import cores, memory_of, resolve_device, sampling_device
from namegen.errors import DeviceError, LeaseError, NamegenError, printable
from namegen.outputs.dataset import PART_ROWS, dataset_folder
from namegen.outputs.model_folder import ModelFolder
from namegen.outputs.part import Source
from namegen.outputs.writer import Written, write_dataset
from namegen.report import text as tables
from namegen.sampling.stream import arrow_strings, sampler_of
from namegen.storage.files import Location, location, make_folder
from namegen.storage.locks import alone_in
from namegen.training import recipe as presets
from namegen.training.checkpoint import Checkpoint
from namegen.training.fit import Fitted, fit_models
from namegen.vocabulary import Vocabulary
from parameters import (
    Address,
    Count,
    Device,
    EngineName,
    Holdout,
    Model,
    Names,
    Order,
    Output,
    Pages,
    Preset,
    Seed,
    States,
    Workers,
    check_output,
    chosen_preset,
    described,
    find_model,
)
from progress import progress
from retries import RETRIES
from schedule import seed_of_date
from telling import Made, draw, publish, tell
from temporary_server import TemporaryServer

T = TypeVar("T")

for logger in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(logger).addFilter(without_traceback)


@flow(name="generate", description="Learns from a list of names and makes new ones, with the probability of each.")
@described
def generate(
    count: Count = 100_000,
    seed: Seed = 42,
    names: Names = "data/names.txt",
    model: Model = "blend",
    preset: Preset = "default",
    holdout: Holdout = 0.2,
    order: Order = None,
    states: States = None,
    output: Output = "outputs",
    device: Device = "auto",
    workers: Workers = None,
    engine: EngineName = "local",
    address: Address = None,
    report: Pages = True,  # noqa: FBT002 - all are named
) -> Made:
    """Ingests, counts, trains, evaluates and samples; what an earlier run has made is found and kept."""
    if seed is None:
        seed, reason = seed_of_date()
        get_run_logger().info("Seed %s: %s", seed, reason)
    check_engine(engine, address)
    corpus, parts = ingest(names, holdout)
    chosen = chosen_preset(corpus, model, preset, order, states)
    folder = find_model(corpus, model, chosen, holdout, output)
    check_output(corpus, folder, count, seed, output)
    target = dataset_folder(location(output), folder.path.name, seed)
    automaton = folder.load()
    if automaton:
        get_run_logger().info("%s is there already: nothing to count, train or evaluate", folder.path)
        with alone_in(folder.path):  # which removes what a job that died at its end, or a repair, has left
            folder.checkpoint.remove()
            make_folder(target)  # before the lock is given back: a model that names are drawn from is not pruned
    else:
        automaton = make_model(
            folder,
            target,
            corpus,
            parts,
            model,
            chosen,
            device,
            {"names": str(Path(names).absolute()), "preset": preset},
        )
    source = Source(folder, automaton, arrow_strings(corpus.names), seed, sampling_device(device))
    if engine == "local":
        written = sample_names(whole(source), target, count, workers or cores())
    else:  # not in a task, all of which an engine would send along with each of its own
        where = Engine(engine, address, workers or cores())
        written = write_dataset_on(where, source, target, count, get_run_logger().info)
    tell(written, target, count)
    made = Made(folder, target, written)
    publish(made)
    if report:
        draw(made)
    return made


def make_model(
    folder: ModelFolder,
    target: Location,
    corpus: Corpus,
    parts: Split,
    model: str,
    preset: presets.Preset,
    device: str,
    notes: dict[str, object],
) -> Automaton:
    """Counts, trains, evaluates and saves, one job at a time."""
    with alone_in(folder.path, get_run_logger().info) as still_alone:
        automaton = folder.load()
        if not automaton:  # nor has another job made it in the meantime
            counts = count_contexts(whole(parts), corpus.vocabulary, preset.order)
            fitted, seen = train(counts, whole(parts), model, preset, device, folder.checkpoint)
            automaton, figures = evaluate_models(fitted, whole(corpus), whole(parts), model)
            still_alone()
            save(folder, whole(corpus), counts, fitted, automaton, figures, {**notes, **seen})
        make_folder(target)
    return automaton


@task(name="ingest", cache_policy=NO_CACHE, **RETRIES)
def ingest(names: str, holdout: float) -> tuple[Corpus, Split]:
    """Reads the names and splits them."""
    corpus = read_corpus(names)
    parts = split(corpus, holdout)
    sizes = f"{len(parts.train):,} to train, {len(parts.dev):,} dev, {len(parts.test):,} test"
    get_run_logger().info(
        "%s: %s names (%s), %s characters, %s blank lines skipped",
        *(printable(names), f"{len(corpus.names):,}", sizes, len(corpus.vocabulary) - 1, corpus.blank_lines),
    )
    return corpus, parts


@task(name="count", cache_policy=NO_CACHE)
def count_contexts(parts: Split, vocabulary: Vocabulary, order: int) -> NgramCounts:
    """Counts the n-grams of the training names."""
    counts = count_ngrams(parts.train, vocabulary, order)
    get_run_logger().info("%s contexts of up to %s symbols", f"{counts.states:,}", order - 1)
    return counts


@task(name="train", cache_policy=NO_CACHE, **RETRIES)
def train(
    counts: NgramCounts, parts: Split, model: str, preset: presets.Preset, device: str, checkpoint: Checkpoint
) -> tuple[Fitted, dict[str, object]]:
    """Fits the models; returns with them what the manifest notes of the training."""
    log, device, started = get_run_logger(), resolve_device(device), time.perf_counter()
    passes = preset.network.all_passes
    with progress(passes, "Training mlp, passes", log.info) as advance, memory_of(device):
        fitted = fit_models(counts, parts.dev, model, preset, device, checkpoint, log.info, advance)
    seconds = round(time.perf_counter() - started, 3)
    log.info("Trained on %s in %.2f s", device, seconds)
    return fitted, {"trained_on": device, "training_seconds": seconds}


@task(name="evaluate", cache_policy=NO_CACHE)
def evaluate_models(
    fitted: Fitted, corpus: Corpus, parts: Split, model: str
) -> tuple[Automaton, dict[str, pl.DataFrame]]:
    """Measures the NLL of the tables and their automata; returns the automaton of `model`."""
    return making.assess(fitted, corpus, parts, model)


@task(name="save", cache_policy=NO_CACHE, **RETRIES)
def save(
    folder: ModelFolder,
    corpus: Corpus,
    counts: NgramCounts,
    fitted: Fitted,
    automaton: Automaton,
    figures: dict[str, pl.DataFrame],
    notes: dict[str, object],
) -> None:
    """Writes the model's folder."""
    making.save(folder, corpus, counts, fitted, automaton, figures, notes)
    get_run_logger().info("Wrote %s", folder.path)


@task(name="sample", cache_policy=NO_CACHE, **RETRIES)
def sample_names(source: Source, target: Location, count: int, workers: int) -> Written:
    """Samples the names that the data set lacks, and writes them."""
    log, stream = get_run_logger(), source.automaton.stream(source.seed)
    with progress(count, "Sampling names", log.info) as advance, alone_in(target, log.info) as still_alone:
        return write_dataset(
            target, count, stream, source.rows, source.model.configuration, workers, advance, still_alone
        )


def whole(value: T) -> T:
    """`value` as a task's argument that Prefect does not look into: it would walk through every name of a corpus."""
    return cast("T", quote(value))


def prepare(automaton: Automaton, device: str) -> None:
    """Loads the compiled code and lays out the tables, in the time that Prefect takes to begin a run."""
    with suppress(Exception):  # whatever it is, the task that draws will meet it, too, and say so
        if sampling_device(device) == "cpu":
            sampler_of(automaton, "cpu")


class Terminated(BaseException):
    """The process was asked to end, with SIGTERM."""


def terminate(*_: object) -> NoReturn:
    """A signal's handler; Prefect, which has its own while a flow runs, calls it when it has told the server."""
    raise Terminated


def main(parameters: Mapping[str, Any], server: TemporaryServer | None, fitted_before: Automaton | None = None) -> int:
    """Runs the flow and prints what came of it; the exit code of the process."""
    if fitted_before:
        if parameters["count"] >= PART_ROWS:  # else no part goes to a worker
            start(Engine(parameters["engine"], parameters["address"], parameters["workers"] or cores()))
        Thread(target=prepare, args=(fitted_before, parameters["device"])).start()
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        with prefect_api(server):
            made = generate(**parameters)
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # where the terminal has no ±
        print(tables.evaluation_text(made.model.table("evaluation")), end="\n\n")
        print(tables.quality_text(made.model.table("quality")))
        print(f"\n{made.model.path}\n{made.names}", flush=True)
    except (DeviceError, LeaseError) as error:
        print(f"generate.py: failed: {error}", file=sys.stderr)
        return 1
    except NamegenError as error:
        fail(str(error))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end takes a moment, and has nothing left to interrupt
        print("generate.py: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except Terminated:
        print("generate.py: terminated; the same command goes on from here", file=sys.stderr)
        return 143
    except OSError as error:  # a full disk, say; anything else is a bug, and shows where
        print(f"generate.py: failed: {printable(str(error))}", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


if __name__ == "__main__":
    sys.exit(main(arguments, server, fitted_before))
else:  # by a worker, perhaps
    check_run(generate)

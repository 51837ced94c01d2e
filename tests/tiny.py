"""The job without Prefect, on a list so short and with parts so small that it takes a second."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path

from conftest import NAMES
from namegen import pipeline as making
from namegen.corpus.corpus import Corpus, corpus_of, split
from namegen.corpus.ngrams import count_ngrams
from namegen.models.mlp import Settings
from namegen.outputs.dataset import dataset_folder
from namegen.outputs.model_folder import ModelFolder, model_folder
from namegen.outputs.part import Source
from namegen.outputs.writer import Written, write_dataset
from namegen.storage.files import Location
from namegen.storage.locks import alone_in
from namegen.training.fit import fit_models
from namegen.training.recipe import Preset, configuration_of

PART = 200  # rows, in place of 2^20
PRESETS = {
    "kneser-ney": Preset(4, 0, Settings(passes=0)),
    "mlp": Preset(4, 50, Settings(embedding=4, hidden=8, passes=3, batch=64)),
}


@cache
def corpus() -> Corpus:
    """Some hundred names."""
    return corpus_of(NAMES.read_text().split()[:400])


def place(output: Location, model: str = "kneser-ney") -> ModelFolder:
    """Where the model belongs."""
    return model_folder(output, configuration_of(corpus().sha256, model, PRESETS[model], 0.2))


def job(output: Location, model: str = "kneser-ney", count: int = 900, seed: int = 1) -> Written:
    """Fits the model and draws the names, where they are not there; `dataset.PART_ROWS` has to be `PART`."""
    folder, notes = place(output, model), {"trained_on": "cpu"}
    if isinstance(output, Path):
        names = output.parent / "names.txt"
        names.write_text("\n".join(corpus().names))
        notes["names"] = str(names)
    with alone_in(folder.path):
        automaton = folder.load()
        folder.checkpoint.remove() if automaton else None
        if not automaton:
            parts = split(corpus(), 0.2)
            counts = count_ngrams(parts.train, corpus().vocabulary, PRESETS[model].order)
            fitted = fit_models(counts, parts.dev, model, PRESETS[model], "cpu", folder.checkpoint)
            automaton, figures = making.assess(fitted, corpus(), parts, model)
            making.save(folder, corpus(), counts, fitted, automaton, figures, notes)
    target = dataset_folder(output, folder.path.name, seed)
    with alone_in(target) as alone:
        rows = Source(folder, automaton, folder.names(), seed).rows
        stream = automaton.stream(seed)
        return write_dataset(target, count, stream, rows, folder.configuration, workers=2, still_alone=alone)


def tree(output: Path) -> dict[str, bytes]:
    """Every file but the locks, and what a repair put aside; of manifests all but how they came to be written."""
    files = {}
    for file in sorted(output.rglob("*")):
        if file.is_file() and file.name != ".lock" and file.suffix != ".aside":
            files[str(file.relative_to(output))] = without_time(file.name, file.read_bytes())
    return files


def without_time(name: str, data: bytes) -> bytes:
    """A file's bytes; of a manifest all but how it came to be written."""
    return json.dumps({**json.loads(data), "written": None}).encode() if name.endswith(".json") else data


def damaged(data: bytes, draw: random.Random) -> bytes:
    """`data` with some bytes other than they were."""
    if not data:
        return b"?"
    at = draw.randrange(len(data))
    length = min(draw.choice([1, 1, 4, 100]), len(data) - at)
    how = draw.choice(["flip", "flip", "flip", "cut", "zero", "random", "more", "less", "twice", "empty"])
    if how == "flip":
        return data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]
    if how == "cut":
        return data[:at]
    if how == "empty":
        return b""
    piece = {
        "zero": bytes(length),
        "random": draw.randbytes(length),
        "more": draw.randbytes(length) + data[at : at + length],
        "less": b"",
        "twice": data[at : at + length] * 2,
    }[how]
    changed = data[:at] + piece + data[at + length :]
    return changed if changed != data else data[:at]

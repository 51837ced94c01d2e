"""The job without Prefect, on a list so short and with parts so small that it takes a second."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path

from conftest import NAMES
from namegen import pipeline
from namegen.corpus.corpus import Corpus, corpus_of, split
from namegen.models.mlp import Settings
from namegen.outputs import layout
from namegen.outputs.model_folder import ModelFolder, model_name
from namegen.outputs.wish import Wish
from namegen.outputs.writer import Written
from namegen.pipeline import FitPlan, Plan
from namegen.storage.files import Location
from namegen.training.recipe import Recipe

PART = 200  # rows, in place of 2^20
RECIPES = {
    "kneser-ney": Recipe("kneser-ney", 4, 10**6, 10**6, (), 0.2),
    "mlp": Recipe("mlp", 4, 20_000, 50_000, (Settings(window=4, embedding=4, hidden=8, passes=3, batch=64),), 0.2),
}


@cache
def corpus() -> Corpus:
    """Some hundred names."""
    return corpus_of(NAMES.read_text().split()[:400])


def plan(
    output: Location, model: str = "kneser-ney", count: int = 900, seed: int = 1, wish: Wish | None = None
) -> Plan:
    """What `job` does."""
    wish = wish or Wish()
    origin = {}
    if isinstance(output, Path):
        names = output.parent / "names.txt"
        names.write_text("\n".join(corpus().names))
        origin["names"] = str(names)
    fit = FitPlan(corpus(), split(corpus(), 0.2), RECIPES[model], "cpu", origin)
    name = model_name(fit.configuration)
    folder = ModelFolder(layout.model_folder(output, name))
    names_folder = layout.dataset_folder(output, name, seed, wish.key)
    return Plan(fit, folder, names_folder, count, seed, workers=2, wish=wish)


def place(output: Location, model: str = "kneser-ney") -> ModelFolder:
    """Where the model belongs."""
    name = model_name(RECIPES[model].configuration(corpus().sha256))
    return ModelFolder(layout.model_folder(output, name))


def job(
    output: Location, model: str = "kneser-ney", count: int = 900, seed: int = 1, wish: Wish | None = None
) -> Written:
    """Fits the model and draws the names, where they are not there; `dataset.PART_ROWS` has to be `PART`."""
    return pipeline.make(plan(output, model, count, seed, wish)).written


def tree(output: Path) -> dict[str, bytes]:
    """Every file but the locks, and what a repair put aside; of manifests all but how they came to be written."""
    files = {}
    for file in sorted(output.rglob("*")):
        if file.is_file() and file.name != ".lock" and layout.ASIDE not in file.relative_to(output).parts:
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

"""The parameters of the job, with their types, bounds and meaning, stated once.

The flow's signature and the command line are both made of them, so that Prefect's interface and `--help` agree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from namegen.corpus.corpus import Corpus
from namegen.outputs.dataset import DatasetManifest, dataset_folder, read_dataset_manifest
from namegen.outputs.model_folder import ModelFolder, model_folder
from namegen.outputs.room import check_room, check_writable
from namegen.storage.files import location
from namegen.training import recipe as presets
from namegen.training.compile import check_order

F = TypeVar("F", bound=Callable[..., Any])

Count = Annotated[int, Field(ge=1, le=2**63, description="how many names to make")]
Seed = Annotated[
    Annotated[int, Field(ge=0, le=2**64 - 1)] | None,
    Field(
        description="which stream of names: the same seed, the same names"
        " (null, in a deployment: the date for which the run is scheduled, as yyyymmdd)"
    ),
]
Names = Annotated[str, Field(min_length=1, description="the names to learn from: a UTF-8 text file, one name a line")]
Model = Annotated[
    Literal["bigram", "neural-bigram", "kneser-ney", "mlp", "blend"],
    Field(description="the model to sample; mlp and blend are fitted only if asked for, the others always"),
]
Holdout = Annotated[
    float, Field(ge=0, lt=1, description="the share of the names held out, half for dev and half for test")
]
Preset = Annotated[
    Literal["quick", "default", "best"],
    Field(description="how much work mlp and blend get: seconds, the default, or minutes of a GPU or a CPU"),
]
Order = Annotated[
    Annotated[int, Field(ge=2, le=66)] | None,
    Field(description="n of the longest n-grams; the longer models look n-1 back (default: 7 with a network, else 6)"),
]
States = Annotated[
    Annotated[int, Field(ge=0, le=10**7)] | None,
    Field(
        description="how many unseen contexts mlp and blend get as states; a million take 3 GB (default: the preset's)"
    ),
]
Output = Annotated[  # printed, as the last line, and so without control characters
    str,
    Field(
        min_length=1,
        pattern=r"^[^\x00-\x1f\x7f-\x9f]+$",
        description="the folder for models and names, or a URL such as s3://bucket/prefix",
    ),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    Field(description="where to train and sample; auto takes a GPU if there is one"),
]
Workers = Annotated[
    Annotated[int, Field(ge=1, le=256)] | None,
    Field(description="how many parts of 2^20 names are made at once (default: the cores, up to 8)"),
]
EngineName = Annotated[
    Literal["local", "dask", "ray"],
    Field(description="where parts are made: in this process, or on the workers of Dask or Ray"),
]
Address = Annotated[
    Annotated[str, Field(min_length=1, max_length=300)] | None,
    Field(description="the engine's cluster, such as tcp://10.0.0.1:8786 (default: one on this machine, for the job)"),
]
Pages = Annotated[bool, Field(description="write a page with pictures of the model and the names, under reports")]

PARAMETERS: dict[str, tuple[Any, Any]] = {  # name: (type, default)
    "count": (Count, 100_000),
    "seed": (Seed, 42),
    "names": (Names, "data/names.txt"),
    "model": (Model, "blend"),
    "preset": (Preset, "default"),
    "holdout": (Holdout, 0.2),
    "order": (Order, None),
    "states": (States, None),
    "output": (Output, "outputs"),
    "device": (Device, "auto"),
    "workers": (Workers, None),
    "engine": (EngineName, "local"),
    "address": (Address, None),
    "report": (Pages, True),
}


def described(function: F) -> F:
    """`function` with the parameters' meaning in its docstring, from which Prefect's interface takes it."""
    lines = [f"    {name}: {kind.__metadata__[0].description}" for name, (kind, _) in PARAMETERS.items()]
    function.__doc__ = "\n".join([str(function.__doc__), "", "Args:", *lines])
    return function


def chosen_preset(corpus: Corpus, model: str, preset: str, order: int | None, states: int | None) -> presets.Preset:
    """What these parameters come to.

    Raises:
        SettingError: for an order that is too high for the names, or for states to be added.
    """
    chosen = presets.choose(model, preset, order, states, max(map(len, corpus.names)))
    if chosen.states:
        check_order(chosen.order, corpus.vocabulary)
    return chosen


def find_model(corpus: Corpus, model: str, preset: presets.Preset, holdout: float, output: str) -> ModelFolder:
    """Where the model of these parameters belongs, fitted or not."""
    return model_folder(location(output), presets.configuration_of(corpus.sha256, model, preset, holdout))


def check_output(corpus: Corpus, model: ModelFolder, count: int, seed: int, output: str) -> DatasetManifest | None:
    """Looks whether the output folder can take what the job will write; the manifest of its data set, if there is one.

    Raises:
        OutputError: where it cannot be written, or has too little room.
        ArtifactError: where the data set's manifest is damaged, or of a newer format.
    """
    for folder in ("models", "names"):
        check_writable(location(output) / folder)
    target = dataset_folder(location(output), model.path.name, seed)
    manifest = read_dataset_manifest(target)
    check_room(target, count, corpus.names)
    return manifest

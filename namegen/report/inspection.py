"""What a model or a data set is, and where it came from, in a few lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from namegen.automaton import artifact
from namegen.automaton.automaton import STREAM_VERSION
from namegen.characters import side_by_side
from namegen.model import Model, existing, load, resolve_model
from namegen.outputs import dataset
from namegen.outputs.about import Exact
from namegen.outputs.dataset import DatasetManifest
from namegen.outputs.manifests import open_manifest
from namegen.outputs.model_folder import ModelFolder, ModelManifest
from namegen.storage.files import Anywhere, Location


def inspect(path: Anywhere, ask: Callable[[Model], Model] = lambda model: model) -> dict[str, Any]:
    """What a model or a data set is, and where it came from, as JSON.

    Args:
        ask: asks a model something; then the figures are of the names that answer.

    Raises:
        ArtifactError: if there is neither, or it is damaged.
    """
    where = existing(path)
    manifest = open_manifest(where, DatasetManifest).sound() if where.is_dir() else None
    return _of_dataset(where, manifest) if manifest else _of_model(resolve_model(where), ask)


def _of_model(where: Location, ask: Callable[[Model], Model]) -> dict[str, Any]:
    model = ask(load(where))
    automaton = model.automaton
    folder = where.parent if where.is_file() else where
    manifest = open_manifest(folder, ModelManifest).sound() if (folder / ModelManifest.FILE).is_file() else None
    own = {
        "order": automaton.order,
        "states": automaton.states,
        "symbols": len(automaton.vocabulary),
        "characters": side_by_side(automaton.vocabulary.characters),
        "automaton_sha256": automaton.sha256,
        "stream_version": STREAM_VERSION,
        "bytes_in_memory": automaton.weights.nbytes + automaton.successor.nbytes,
        **({"asked": ", ".join(model.asked), "probability": model.probability} if model.asked else {}),
        "names": _of_names(model),
    }
    if not manifest:
        file = where if where.is_file() else where / artifact.FILE
        return {"kind": "automaton", "file": str(file), **own}
    return {
        "kind": "model",
        "folder": str(folder),
        "model": manifest.model,
        **own,
        "figures": _figures(folder, manifest),
        "configuration": manifest.configuration,
        "written": manifest.written.at,
        "origin": manifest.written.origin,
        "versions": manifest.versions,
    }


def _of_names(model: Model) -> dict[str, float]:
    """Exact figures of the names that a model draws."""
    listed = model.listed()
    exact = Exact.of(model.automaton, None if listed is None else listed.to_pylist())
    return {
        "expected_length": exact.figures.expected_length,
        "entropy": exact.figures.entropy,
        "probability_that_two_are_equal": exact.figures.equal,
        **({} if exact.novel is None else {"share_novel": exact.novel}),
    }


def _figures(folder: Location, manifest: ModelManifest) -> dict[str, float]:
    """NLL in nats per character, of each split, and of its seen and unseen names."""
    evaluation = ModelFolder(folder).table("evaluation")
    own = evaluation.filter(model=manifest.configuration["model"], source="automaton")
    return {f"nll_{split}_{subset}": nll for split, subset, nll in own.select("split", "subset", "nll").rows()}


def _of_dataset(where: Location, manifest: DatasetManifest) -> dict[str, Any]:
    return {
        "kind": "data set",
        "folder": str(where),
        "rows": manifest.rows,
        "parts": dataset.parts_for(manifest.rows),
        "bytes": sum(manifest.part_bytes),
        "columns": {"index": "int64", "name": "string", "log_prob": "float64, nats", "is_novel": "bool"},
        **manifest.stream,
        "configuration": manifest.configuration,
        "written": manifest.written.at,
        "origin": manifest.written.origin,
        "versions": manifest.versions,
    }

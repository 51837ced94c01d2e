"""What lies in a folder: a model, a data set, or a job's output with both; and what each of them is, in a few lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from namegen.automaton import automaton as automata
from namegen.automaton.automaton import Automaton
from namegen.errors import ArtifactError, unreadable
from namegen.outputs import dataset
from namegen.outputs.dataset import DatasetManifest, read_dataset_manifest
from namegen.outputs.model_folder import AUTOMATON, ModelFolder, ModelManifest, read_model_manifest
from namegen.outputs.model_folder import MANIFEST as MODEL_MANIFEST
from namegen.storage.files import Location, absolute, location, sizes
from namegen.storage.object_store import RemotePath

REMEDY = "Name a model's folder, such as outputs/models/..., or a data set's"


def load(path: str | Path | RemotePath) -> Automaton:
    """Loads an automaton: from its file, its model's folder, a data set's, or an output folder with one model.

    Args:
        path: or a URL, which leads into an object store.

    Raises:
        ArtifactError: where there is none, or more than one, or its file is cut short, altered, or of a newer version.
    """
    return automata.load(find_model(path))


def find_model(path: str | Path | RemotePath) -> Location:
    """The folder of the model that a path leads to, or its automaton's file.

    Args:
        path: of a model, a data set, or an output folder with one model.

    Raises:
        ArtifactError: where there is none, or more than one.
    """
    where = _there(path)
    if where.is_file() or (where / AUTOMATON).is_file():
        return where
    found = read_dataset_manifest(where)
    if found:
        return model_of(where, found)
    if absolute(where).name.startswith("seed="):
        raise ArtifactError("is an unfinished data set", str(path), "Run its job again, or name its model's folder")
    below = where / "models" if (where / "models").is_dir() else where
    models = [folder for folder in _folders(below) if (folder / AUTOMATON).is_file()]
    if len(models) != 1:
        names = ": " + ", ".join(folder.name for folder in models) if models else ""
        raise ArtifactError(f"holds {len(models) or 'no'} models{names}", str(path), REMEDY)
    return models[0]


def model_of(folder: Location, manifest: DatasetManifest) -> Location:
    """The folder of a data set's model, in the same output folder.

    Raises:
        ArtifactError: where it is not there.
    """
    place = absolute(folder)
    name = place.parent.name.removeprefix("model=")
    model = place.parent.parent.parent / "models" / name
    if not (model / AUTOMATON).is_file():
        what = f"is of the model {name}, which is not in the same output folder"
        raise ArtifactError(what, str(folder), "Name the model's own folder")
    found = read_model_manifest(model)
    if found and found.automaton_sha256 != manifest.stream.get("automaton_sha256"):
        raise ArtifactError(f"was drawn from another model than {model}", str(folder), "Name the model's own folder")
    return model


def inspect(path: str | Path | RemotePath) -> dict[str, Any]:
    """What a model or a data set is, and where it came from; as JSON has it.

    Raises:
        ArtifactError: where it is neither, or damaged.
    """
    where = _there(path)
    found = read_dataset_manifest(where) if where.is_dir() else None
    if found:
        return _of_dataset(where, found)
    model = find_model(where)
    return _of_model(model)


def _of_model(where: Location) -> dict[str, Any]:
    automaton = automata.load(where)
    folder = where.parent if where.is_file() else where
    manifest = read_model_manifest(folder) if (folder / MODEL_MANIFEST).is_file() else None
    own = {
        "order": automaton.order,
        "states": automaton.states,
        "symbols": len(automaton.vocabulary),
        "characters": automaton.vocabulary.symbols[1:],
        "automaton_sha256": automaton.sha256,
        "stream_version": automata.STREAM_VERSION,
        "bytes_in_memory": automaton.weights.nbytes + automaton.successor.nbytes,
    }
    if not manifest:
        return {"kind": "automaton", "file": str(where), **own}
    return {
        "kind": "model",
        "folder": str(folder),
        "model": manifest.model,
        **own,
        "figures": _figures(ModelFolder(folder, manifest.configuration), manifest),
        "configuration": manifest.configuration,
        "written": manifest.written.at,
        "notes": manifest.written.notes,
        "versions": manifest.versions,
    }


def _figures(folder: ModelFolder, manifest: ModelManifest) -> dict[str, float]:
    """NLL in nats a character, of each split, seen names and others."""
    own = folder.table("evaluation").filter(model=manifest.configuration["model"], source="automaton")
    figures = own.select("split", "subset", "nll").rows()
    return {f"nll_{split}_{subset}": nll for split, subset, nll in figures}


def _of_dataset(where: Location, manifest: DatasetManifest) -> dict[str, Any]:
    return {
        "kind": "data set",
        "folder": str(where),
        "rows": manifest.rows,
        "parts": dataset.parts_of(manifest.rows),
        "bytes": sum(manifest.part_bytes),
        "columns": {"index": "int64", "name": "string", "log_prob": "float64, nats", "is_novel": "bool"},
        **manifest.stream,
        "configuration": manifest.configuration,
        "written": manifest.written.at,
        "notes": manifest.written.notes,
        "versions": manifest.versions,
    }


def _there(path: str | Path | RemotePath) -> Location:
    """A path where something is.

    Raises:
        ArtifactError: where nothing is.
    """
    where = location(path)
    try:
        if where.is_file() or where.is_dir():
            return where
    except OSError as error:
        raise unreadable(error, where) from error
    except ValueError as error:  # a null character in it
        raise ArtifactError(f"cannot be read ({error})", str(path), REMEDY) from None
    raise ArtifactError("there is no such file or folder", str(path), REMEDY)


def _folders(where: Location) -> list[Location]:
    return [where / name for name, size in sorted(sizes(where).items()) if size is None]

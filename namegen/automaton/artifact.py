"""The file of an automaton, `automaton.safetensors`: vocabulary, versions, arrays, and their SHA-256.

The checksum and the versions are checked on load, and nothing in the file is ever executed.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from namegen.automaton.automaton import STREAM_VERSION, Automaton
from namegen.codes import Codes
from namegen.errors import ArtifactError, NewerFormatError, unreadable
from namegen.storage.files import UNHELD, Anywhere, Hold, Location, local_copy, location, write_atomically
from namegen.vocabulary import Vocabulary

FILE = "automaton.safetensors"
FORMAT_VERSION = 3
_ARRAYS = ("weights", "successor", "context_lengths")


def save(automaton: Automaton, path: Location, hold: Hold = UNHELD) -> None:
    """Writes the file, whole or not at all; `hold` is of its folder."""
    vocabulary = automaton.vocabulary
    metadata = {
        "format_version": FORMAT_VERSION,
        "stream_version": STREAM_VERSION,
        "order": automaton.order,
        "cap": automaton.cap,
        "vocabulary": vocabulary.own,
        **({"rare": vocabulary.rare, "codes": asdict(vocabulary.codes)} if vocabulary.codes else {}),
        "sha256": automaton.sha256,
    }
    arrays: dict[str, NDArray[Any]] = {name: getattr(automaton, name) for name in _ARRAYS}
    # One entry, because safetensors writes several in an order that changes from run to run. And not `save_file`,
    # whose files only their owner can read.
    contents = to_bytes(arrays, {"namegen": json.dumps(metadata)})
    write_atomically(path, lambda temporary: temporary.write_bytes(contents), hold)


def load(path: Anywhere) -> Automaton:
    """Loads an automaton from its file or from the folder that holds it; a URL leads to an object store.

    Raises:
        ArtifactError: if the file is missing, cut short, altered, or of a newer version.
    """
    path = location(path)
    where, remedy = str(path), "If it belongs to a model, remove the model's folder and run the job again"
    try:
        if not path.is_file() and path.is_dir():
            path = path / FILE
            where = str(path)
        if not path.is_file():
            raise ArtifactError("there is no such file", where, remedy)
        with local_copy(path) as local, safe_open(local, framework="numpy") as file:
            metadata = json.loads((file.metadata() or {})["namegen"])
            _check_versions(metadata, where)
            arrays = {name: file.get_tensor(name) for name in _ARRAYS}
        automaton = Automaton(_vocabulary(metadata), metadata["order"], **arrays, cap=metadata["cap"])
        if not automaton.is_sound:
            raise ArtifactError("was altered: its order or its arrays are no automaton's", where, remedy)
        if automaton.sha256 != metadata["sha256"]:
            raise ArtifactError("was altered: the checksum does not match", where, remedy)
    except OSError as error:
        raise unreadable(error, path) from error
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise ArtifactError(f"is cut short or not an automaton ({reason})", where, remedy) from None
    return automaton


def _vocabulary(metadata: dict[str, Any]) -> Vocabulary:
    codes = metadata.get("codes")
    if codes is None:
        return Vocabulary(metadata["vocabulary"])
    return Vocabulary(metadata["vocabulary"], metadata["rare"], Codes(**codes | {"groups": tuple(codes["groups"])}))


def _check_versions(metadata: dict[str, Any], where: str) -> None:
    for name, ours in (("format_version", FORMAT_VERSION), ("stream_version", STREAM_VERSION)):
        version = metadata[name]
        if type(version) is not int or version < 1:
            raise TypeError(f"{name} {version!r}")
        if version < ours:
            what = f"has the old {name} {version}, and this version of namegen only reads {ours}"
            raise ArtifactError(what, where, "Remove the model's folder, and run the job again")
        if version > ours:
            what = f"has {name} {version}, but this version of namegen only reads up to {ours}"
            raise NewerFormatError(what, where, "Upgrade namegen")

"""Checkpoints, from which an interrupted training resumes: one file in the model's folder, until the model is finished.

Unlike the automaton, a checkpoint is not a result: a damaged one only costs training time. Like the automaton, it is a
safetensors file, so nothing in it is ever executed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from namegen.errors import ArtifactError
from namegen.storage.files import Location, local_copy, make_folder, write_atomically

FILE = "checkpoint.safetensors"  # in the model's folder
Curve = Sequence[tuple[int, float, float | None]]  # number, loss and dev NLL of each pass
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint file of one model.

    Args:
        identity: names the model, so that no other one resumes from it.
        check: raises an error if another job may be working in the model's folder by now.
    """

    path: Location
    identity: str
    check: Callable[[], None] = lambda: None

    def save(self, state: Arrays, curve: Curve) -> None:
        """Saves the state and the curve of a training, and replaces what was saved before."""
        metadata = {"identity": self.identity, "curve": curve, "sha256": _sha256(state, curve)}
        contents = save(dict(state), {"namegen": json.dumps(metadata)})
        make_folder(self.path.parent)
        self.check()
        write_atomically(self.path, lambda temporary: temporary.write_bytes(contents))

    def load(self) -> tuple[Arrays, Curve] | None:
        """The saved state and curve, or None if there are none.

        Raises:
            ArtifactError: if the file is cut short, altered, or another model's.
        """
        if not self.path.exists():
            return None
        try:
            with local_copy(self.path) as local, safe_open(local, framework="numpy") as file:
                metadata = json.loads((file.metadata() or {})["namegen"])
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            curve = [(int(number), float(loss), nll) for number, loss, nll in metadata["curve"]]
            if metadata["identity"] != self.identity or metadata["sha256"] != _sha256(state, curve):
                raise ArtifactError("belongs to another model, or was altered", str(self.path))
        except (
            SafetensorError,
            OSError,
            LookupError,
            ValueError,
            TypeError,
            AttributeError,
            ArithmeticError,
            RecursionError,
        ) as error:
            reason = str(error).partition("\n")[0]
            raise ArtifactError(f"is cut short or not a checkpoint ({reason})", str(self.path)) from None
        return state, curve

    def remove(self) -> None:
        """Removes the file, if it exists."""
        self.path.unlink(missing_ok=True)


def _sha256(state: Arrays, curve: Curve) -> str:
    digest = hashlib.sha256(json.dumps(curve).encode())
    for name in sorted(state):
        digest.update(json.dumps([name, state[name].dtype.str, state[name].shape]).encode())
        digest.update(np.ascontiguousarray(state[name]).data)
    return digest.hexdigest()

"""An interrupted training, kept to go on from: one file in the model's folder, gone once the model is there.

Unlike the automaton it is no one's result, so a damaged one costs the training its time and nothing else. It is
safetensors, as the automaton is: nothing in it is ever executed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from namegen.errors import ArtifactError
from namegen.storage.files import Location, local_copy, make_folder, write_atomically

Curve = Sequence[tuple[int, float, float | None]]  # of each pass its number, loss and dev NLL
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """Where the training of one model is kept; `identity` says which, so that no other goes on from it."""

    path: Location
    identity: str

    def save(self, state: Arrays, curve: Curve) -> None:
        """Keeps where a training stands, in place of what was kept before."""
        metadata = {"identity": self.identity, "curve": curve, "sha256": _sha256(state, curve)}
        contents = save(dict(state), {"namegen": json.dumps(metadata)})
        make_folder(self.path.parent)
        write_atomically(self.path, lambda temporary: temporary.write_bytes(contents))

    def load(self) -> tuple[Arrays, Curve] | None:
        """What was kept; None where nothing was.

        Raises:
            ArtifactError: where it is cut short, altered, or another model's.
        """
        if not self.path.exists():
            return None
        try:
            with local_copy(self.path) as local, safe_open(local, framework="numpy") as file:
                metadata = json.loads((file.metadata() or {})["namegen"])
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            curve = [(int(number), float(loss), nll) for number, loss, nll in metadata["curve"]]
            if metadata["identity"] != self.identity or metadata["sha256"] != _sha256(state, curve):
                raise ArtifactError("is another model's, or was altered", str(self.path))
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
            raise ArtifactError(f"is cut short or no checkpoint ({reason})", str(self.path)) from None
        return state, curve

    def remove(self) -> None:
        """Removes it, if it is there."""
        self.path.unlink(missing_ok=True)


def _sha256(state: Arrays, curve: Curve) -> str:
    digest = hashlib.sha256(json.dumps(curve).encode())
    for name in sorted(state):
        digest.update(json.dumps([name, state[name].dtype.str, state[name].shape]).encode())
        digest.update(np.ascontiguousarray(state[name]).data)
    return digest.hexdigest()

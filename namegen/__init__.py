"""Batches of plausible names with known probabilities, the same bytes on every machine.

model = namegen.fit(["emma", "olivia", ...])    # or namegen.load("outputs")
model.sample(10), model.score(["emma"]), model.save("my-model")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from namegen.errors import NamegenError

if TYPE_CHECKING:
    from namegen.model import Model, load
    from namegen.pipeline import fit
    from namegen.upkeep.verify import verify

__all__ = ["Model", "NamegenError", "fit", "load", "verify"]
__version__ = "0.1.0"

# Imported when they are asked for: each needs other slow packages, and the command line at first none of them.
_HOMES = {
    "Model": "namegen.model",
    "fit": "namegen.pipeline",
    "load": "namegen.model",
    "verify": "namegen.upkeep.verify",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as any module has it
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

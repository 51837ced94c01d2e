"""Batches of plausible names with known probabilities, the same bytes on every machine."""

from typing import TYPE_CHECKING, Any

from namegen.automaton import Automaton, load
from namegen.errors import NamegenError

if TYPE_CHECKING:
    from namegen.verification import verify

__all__ = ["Automaton", "NamegenError", "load", "verify"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as any module has it
    if name == "verify":  # drawing and scoring need nothing of what it imports
        from namegen.verification import verify

        return verify
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Batches of plausible names with known probabilities, the same bytes on every machine."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from namegen.errors import NamegenError

if TYPE_CHECKING:
    from namegen.automaton.automaton import Automaton
    from namegen.report.inspection import load
    from namegen.upkeep.verify import verify

__all__ = ["Automaton", "NamegenError", "load", "verify"]
__version__ = "0.1.0"

# imported when asked for: verifying needs less than drawing and scoring, and the command line at first none of it
_HOMES = {
    "Automaton": "namegen.automaton.automaton",
    "load": "namegen.report.inspection",
    "verify": "namegen.upkeep.verify",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as any module has it
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

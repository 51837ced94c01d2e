"""Batches of plausible names with known probabilities, the same bytes on every machine."""

from namegen.automaton import Automaton, load
from namegen.dataset import verify
from namegen.errors import NamegenError

__all__ = ["Automaton", "NamegenError", "load", "verify"]
__version__ = "0.1.0"

"""Batches of plausible names with known probabilities, the same bytes on every machine."""

from namegen.automaton import Automaton, load
from namegen.errors import NamegenError
from namegen.verification import verify

__all__ = ["Automaton", "NamegenError", "load", "verify"]
__version__ = "0.1.0"

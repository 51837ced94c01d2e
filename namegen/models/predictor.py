"""What every model answers: the distribution of the next symbol after a history, for many histories at once."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# What a model remembers of N histories: an array or a tensor whose first axis they are, or a tuple of such states.
State = Any


class Predictor(Protocol):
    """A model of the next symbol after any history; V symbols."""

    def start(self) -> State:
        """The state of one history, the empty one."""

    def after(self, state: State, symbols: NDArray[np.integer]) -> State:
        """The states of N histories that are one symbol longer.

        Args:
            state: of N histories.
            symbols: int[N]: the symbol that follows each; never the boundary.
        """

    def predict(self, state: State) -> NDArray[np.float64]:
        """float64[N, V]: the distribution of the next symbol after each history; rows sum to 1 within 1e-12."""


def take(state: State, index: NDArray[np.integer]) -> State:
    """The states of some histories."""
    return tuple(take(part, index) for part in state) if isinstance(state, tuple) else state[index]

"""The automaton: a model's distributions as integers, which are sampled, scored and stored.

From here on everything is exact. A draw compares integers, and a log-probability is a sum of logarithms of integer
weights, so an automaton gives the same names on every machine, which a table of floats does not. Its invariants:

    A1  Each row of weights sums to exactly 2^32.
    A2  A symbol of positive probability has a weight of at least 1.
    A3  No weight is further than 1 from probability * 2^32, except where A2 raises it.
    A4  The boundary ends the name; every other symbol has a successor state.
    A5  The start is state 0, the context ".".
    A6  Every state can reach the end.

Where the vocabulary has codes, one more: a code that is begun is finished, and none begins inside; see `codes`.

This is a value: arrays and what follows from them. `Model` has the verbs, and `artifact` the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from namegen.automaton.alias_tables import build_alias_tables
from namegen.automaton.logarithm import ln
from namegen.automaton.walk import walk
from namegen.vocabulary import MAX_LENGTH, Vocabulary

STREAM_VERSION = 1  # of the names drawn from an automaton; any change of a drawn byte is a new version
TOTAL = 2**32  # the sum of a row's weights


@dataclass(frozen=True, eq=False)
class Automaton:
    """A probabilistic automaton over S states and V symbols; a name is a walk from state 0 to the boundary.

    Args:
        vocabulary: the symbols.
        order: n, as in n-gram, of the contexts that became states.
        weights: int64[S, V]: the probability of each symbol times 2^32.
        successor: int32[S, V]: the state after each symbol; 0 for the boundary.
        context_lengths: uint8[S]: how many symbols the context of each state has, counting back from the last one.
        cap: the most characters of a name: after so many, the boundary follows with probability 1.
    """

    vocabulary: Vocabulary
    order: int
    weights: NDArray[np.int64]
    successor: NDArray[np.int32]
    context_lengths: NDArray[np.uint8]
    cap: int = MAX_LENGTH

    @property
    def states(self) -> int:
        """S, the number of states."""
        return len(self.weights)

    @property
    def longest(self) -> int:
        """How many symbols the longest name has: the cap, or more if there are codes."""
        return self.vocabulary.longest(self.cap)

    @property
    def column_bits(self) -> int:
        """b: an alias table has 2^b columns, where b is the smallest with 2^b >= V."""
        return (len(self.vocabulary) - 1).bit_length()

    @cached_property
    def log_probabilities(self) -> NDArray[np.float64]:
        """float64[S, V]: ln(weight / 2^32), in nats; the same bits on every machine."""
        return ln(self.weights / TOTAL)

    @cached_property
    def alias_tables(self) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        """Threshold uint32[S, 2^b] and alias uint8[S, 2^b]; see `build_alias_tables`."""
        return build_alias_tables(self.weights, self.column_bits)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the vocabulary, the order, the cap and the arrays, in hex: the automaton's identity."""
        vocabulary = self.vocabulary
        spelt = [vocabulary.own, *([vocabulary.rare, *astuple(vocabulary.codes)] if vocabulary.codes else [])]
        digest = hashlib.sha256(json.dumps([*spelt, self.order, self.cap, self.weights.shape]).encode())
        for array in (self.weights, self.successor, self.context_lengths):
            digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
        return digest.hexdigest()

    def __repr__(self) -> str:
        symbols = len(self.vocabulary)
        return f"Automaton(order={self.order}, states={self.states:,}, symbols={symbols}, sha256={self.sha256[:12]}...)"

    @property
    def is_sound(self) -> bool:
        """Whether what is computed from it stays inside the arrays, and ends: numbers, shapes and types, A1, A4."""
        shape = (self.states, len(self.vocabulary))
        return (
            type(self.order) is int
            and 2 <= self.order <= MAX_LENGTH + 2
            and type(self.cap) is int
            and 1 <= self.cap <= MAX_LENGTH
            and self.weights.dtype == np.int64
            and self.successor.dtype == np.int32
            and self.weights.shape == self.successor.shape == shape
            and self.states > 0
            and self.context_lengths.dtype == np.uint8
            and self.context_lengths.shape == shape[:1]
            and bool((self.weights >= 0).all() and (self.weights <= TOTAL).all())
            and bool((self.weights.sum(axis=1) == TOTAL).all())
            and bool((self.successor >= 0).all() and (self.successor < self.states).all())
            and not self.successor[:, 0].any()
            and self._spells()
        )

    def _spells(self) -> bool:
        """Whether every code that is begun is finished, and nothing else has a tail, wherever an arrow leads to."""
        allowed = self.vocabulary.spelling
        if allowed is None:
            return True
        can = self.weights > 0
        for symbol in range(len(self.vocabulary)):
            after = np.unique(self.successor[can[:, symbol], symbol]) if symbol else np.zeros(1, np.int32)
            if (can[after] & ~allowed[symbol]).any():
                return False
        return True

    def log_prob(self, names: Sequence[str]) -> NDArray[np.float64]:
        """float64[len(names)]: the log-probability of each name in nats; see `walk`.

        For a sampled name it is exactly the log_prob of the draw. Of the notebook's bigram table:

        >>> automaton.log_prob(["emma", "Zoë"]).round(3)
        array([-12.572,    -inf])
        """
        return walk(names, self.vocabulary, self.successor, self.log_probabilities, self.cap)

    def stream(self, seed: int) -> dict[str, Any]:
        """Everything that decides the names drawn with `seed`, as JSON."""
        return {"automaton_sha256": self.sha256, "stream_version": STREAM_VERSION, "seed": seed}

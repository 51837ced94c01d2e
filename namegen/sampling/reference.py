"""Stream version 1 straight from its definition, one word at a time. The tests compare the fast samplers with it.

Unlike them, it needs no compiled code and no prepared tables, so it is the quickest way to a few names.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from namegen.automaton.alias_tables import build_alias_tables
from namegen.automaton.automaton import TOTAL, Automaton
from namegen.automaton.logarithm import ln
from namegen.sampling.philox import philox4x32
from namegen.sampling.stream import arrow_strings


class ReferenceSampler:
    """Draws names from an automaton, one at a time."""

    def __init__(self, automaton: Automaton) -> None:
        self._automaton = automaton
        self._row = cache(self._lay_out)

    def draw(self, seed: int, first: int, count: int) -> tuple[pa.StringArray, pa.DoubleArray]:
        """Names `first` to `first + count - 1` of the seed's stream, and their log-probabilities (nats)."""
        rows = [self.name(seed, index) for index in range(first, first + count)]
        log_prob = pa.py_buffer(np.array([value for _, value in rows], np.float64))
        names = arrow_strings([name for name, _ in rows])
        return names, pa.DoubleArray.from_buffers(pa.float64(), count, [None, log_prob])

    def name(self, seed: int, index: int) -> tuple[str, float]:
        """Row `index` of the seed's stream, and its log-probability in nats.

        Of the notebook's bigram table:

        >>> ReferenceSampler(automaton).name(seed=42, index=0)
        ('sabe', -11.835...)
        """
        automaton = self._automaton
        rest_bits = 32 - automaton.column_bits
        vocabulary = automaton.vocabulary
        characters: list[str] = []
        log_prob, state, place = 0.0, 0, 0
        for step in range(automaton.longest):
            counter = (index % 2**32, index >> 32, step // 4, 0)
            word = philox4x32(counter, (seed % 2**32, seed >> 32))[step % 4]
            column, rest = word >> rest_bits, word % 2**rest_bits
            threshold, alias, log_probabilities = self._row(state)
            symbol = column if rest < threshold[column] else alias[column]
            log_prob += log_probabilities[symbol]
            if symbol == 0:
                break
            state = int(automaton.successor[state, symbol])
            place += int(vocabulary.value[symbol])
            if vocabulary.first_lead <= symbol < vocabulary.first_tail:
                continue
            characters.append(vocabulary.texts[place])
            place = 0
            if len(characters) == automaton.cap:  # the end is certain
                break
        return "".join(characters), log_prob

    def _lay_out(self, state: int) -> tuple[list[int], list[int], list[float]]:
        weights = self._automaton.weights[state]
        threshold, alias = build_alias_tables(weights[None], self._automaton.column_bits)
        return threshold[0].tolist(), alias[0].tolist(), ln(weights / TOTAL).tolist()

"""Stream version 1, vectorised in torch: one code for CPU and CUDA.

All names of a batch take a step at a time; those that end leave the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from namegen.automaton import Automaton
from namegen.philox import philox4x32
from namegen.vocabulary import MAX_LENGTH


@dataclass(frozen=True)
class Draws:
    """The names of a batch as symbol ids: name after name in `symbols` uint8[sum of lengths].

    `lengths` int64[B] in symbols, the boundary left out; `log_prob` float64[B] in nats.
    """

    symbols: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    log_prob: NDArray[np.float64]


class TorchSampler:
    """Draws names from an automaton whose tables lie on one device."""

    def __init__(self, automaton: Automaton, device: str) -> None:
        def flat(table: NDArray[np.generic]) -> torch.Tensor:
            return torch.from_numpy(table.reshape(-1)).to(device)

        threshold, alias = automaton.alias_tables
        self.device = device
        self.column_bits = automaton.column_bits
        self.symbols = len(automaton.vocabulary)
        self.threshold = flat(threshold.astype(np.int64))
        self.alias = flat(alias.astype(np.int64))
        self.successor = flat(automaton.successor.astype(np.int64))
        self.log_probabilities = flat(automaton.log_probabilities)

    def draw(self, seed: int, first: int, count: int) -> Draws:
        """Names `first` to `first + count - 1` of the seed's stream."""
        index = torch.arange(first, first + count, dtype=torch.int64, device=self.device)
        low, high = index & 0xFFFFFFFF, index >> 32
        key = seed & 0xFFFFFFFF, seed >> 32
        rest_bits = 32 - self.column_bits
        log_prob = torch.zeros(count, dtype=torch.float64, device=self.device)
        lengths = torch.full((count,), MAX_LENGTH, dtype=torch.int64, device=self.device)
        active = torch.arange(count, device=self.device)  # the names that go on, and the state of each
        state = torch.zeros(count, dtype=torch.int64, device=self.device)
        steps: list[tuple[torch.Tensor, torch.Tensor]] = []  # a step: the names that go on, and their symbols
        words: tuple[torch.Tensor, ...] = ()
        for step in range(MAX_LENGTH):
            if step % 4 == 0:
                zero = torch.zeros_like(active)
                words = philox4x32((low[active], high[active], zero + step // 4, zero), key)
            word = words[step % 4]
            column = word >> rest_bits
            cell = (state << self.column_bits) + column
            rest = word & ((1 << rest_bits) - 1)
            symbol = torch.where(rest < self.threshold[cell], column, self.alias[cell])
            entry = state * self.symbols + symbol
            log_prob[active] += self.log_probabilities[entry]
            goes_on = symbol != 0
            lengths[active[~goes_on]] = step
            active, symbol = active[goes_on], symbol[goes_on]
            if not len(active):
                break
            steps.append((active, symbol))
            state = self.successor[entry[goes_on]]
            words = tuple(word[goes_on] for word in words)
        ends = torch.cumsum(lengths, 0)
        starts = ends - lengths
        symbols = torch.empty(int(ends[-1]) if count else 0, dtype=torch.uint8, device=self.device)
        for step, (names, drawn) in enumerate(steps):
            symbols[starts[names] + step] = drawn.to(torch.uint8)
        return Draws(symbols.cpu().numpy(), lengths.cpu().numpy(), log_prob.cpu().numpy())

"""Stream version 1, vectorised in torch: what draws on a GPU.

All names of a batch take a step at a time; those that end leave the batch. It runs on the CPU, too, where the tests
hold the compiled kernel to it; see `cpu_sampler`.
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
        self.cells = flat(threshold.astype(np.int64) << 8 | alias)  # side by side, as they are read together
        self.successor = flat(automaton.successor.astype(np.int64))
        self.log_probabilities = flat(automaton.log_probabilities)

    def draw(self, seed: int, first: int, count: int) -> Draws:
        """Names `first` to `first + count - 1` of the seed's stream."""
        # One thread: the operations are so short that a second one gains a tenth on an idle machine, and on a busy
        # one the two spend ten times the work waiting for each other.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return self._draw(seed, first, count)
        finally:
            torch.set_num_threads(threads)

    def _draw(self, seed: int, first: int, count: int) -> Draws:
        key = seed & 0xFFFFFFFF, seed >> 32
        rest_bits = 32 - self.column_bits
        lengths = torch.full((count,), MAX_LENGTH, dtype=torch.int64, device=self.device)
        log_prob = torch.zeros(count, dtype=torch.float64, device=self.device)
        # Of each name that goes on: its place in the batch, its state, the sum so far, and the words not yet used.
        active = torch.arange(count, device=self.device)
        state = torch.zeros_like(active)
        so_far = torch.zeros_like(log_prob)
        words: list[torch.Tensor] = []
        steps: list[tuple[torch.Tensor, torch.Tensor]] = []  # for each step the names that go on, and their symbols
        for step in range(MAX_LENGTH):
            if not words:
                index = active + first
                block = torch.tensor([step // 4], device=self.device)
                words = list(philox4x32((index & 0xFFFFFFFF, index >> 32, block, torch.zeros_like(block)), key))
            word = words.pop(0)
            column = word >> rest_bits
            cell = self.cells.index_select(0, (state << self.column_bits) + column)
            rest = word & ((1 << rest_bits) - 1)
            symbol = torch.where(rest < cell >> 8, column, cell & 0xFF)
            entry = state * self.symbols + symbol
            so_far += self.log_probabilities.index_select(0, entry)
            ends = torch.nonzero(symbol == 0).squeeze(1)
            ended = active.index_select(0, ends)
            lengths.index_fill_(0, ended, step)
            log_prob.index_copy_(0, ended, so_far.index_select(0, ends))
            go_on = torch.nonzero(symbol).squeeze(1)
            active, so_far, *words = (kept.index_select(0, go_on) for kept in (active, so_far, *words))
            if not len(active):
                break
            steps.append((active, symbol.index_select(0, go_on)))
            state = self.successor.index_select(0, entry.index_select(0, go_on))
        log_prob.index_copy_(0, active, so_far)  # those with 64 symbols, which end with probability 1
        starts = torch.cumsum(lengths, 0) - lengths
        symbols = torch.empty(int(lengths.sum()), dtype=torch.uint8, device=self.device)
        for step, (names, drawn) in enumerate(steps):
            symbols.index_copy_(0, starts.index_select(0, names) + step, drawn.to(torch.uint8))
        return Draws(symbols.cpu().numpy(), lengths.cpu().numpy(), log_prob.cpu().numpy())

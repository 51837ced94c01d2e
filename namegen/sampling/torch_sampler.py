"""Stream version 1, vectorised in torch, for GPUs.

Unlike `kernel`, which loops over small groups of names, it takes each step for all names of a batch at once, and names
that end leave the batch. It also runs on the CPU, which the tests use to compare the compiled kernel with it.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from namegen.automaton.automaton import Automaton
from namegen.sampling.philox import philox4x32
from namegen.sampling.spelling import spelt


class TorchSampler:
    """Draws names from an automaton whose tables are on one device."""

    def __init__(self, automaton: Automaton, device: str) -> None:
        def flat(table: NDArray[np.generic]) -> torch.Tensor:
            return torch.from_numpy(table.reshape(-1)).to(device)

        threshold, alias = automaton.alias_tables
        self.device = device
        self.column_bits = automaton.column_bits
        self.vocabulary, self.cap, self.longest = automaton.vocabulary, automaton.cap, automaton.longest
        self.symbols = len(automaton.vocabulary)
        self.cells = flat(threshold.astype(np.int64) << 8 | alias)  # in one number, because they are read together
        self.successor = flat(automaton.successor.astype(np.int64))
        self.log_probabilities = flat(automaton.log_probabilities)

    def draw(self, seed: int, first: int, count: int) -> tuple[pa.StringArray, pa.DoubleArray]:
        """Names `first` to `first + count - 1` of the seed's stream, and their log-probabilities (nats)."""
        symbols, lengths, log_prob = (tensor.cpu().numpy() for tensor in self._draw(seed, first, count))
        return spelt(symbols, lengths, self.vocabulary), pa.array(log_prob)

    def _draw(self, seed: int, first: int, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The symbols of all names, end to end; the length of each, without the boundary; the log-probabilities."""
        key = seed & 0xFFFFFFFF, seed >> 32
        rest_bits = 32 - self.column_bits
        lengths = torch.full((count,), self.longest, dtype=torch.int64, device=self.device)
        log_prob = torch.zeros(count, dtype=torch.float64, device=self.device)
        # Of each unfinished name: its place in the batch, its state, its log-probability so far, and its unused words.
        active = torch.arange(count, device=self.device)
        state = torch.zeros_like(active)
        so_far = torch.zeros_like(log_prob)
        characters = torch.zeros_like(active)
        words: list[torch.Tensor] = []
        steps: list[tuple[torch.Tensor, torch.Tensor]] = []  # per step: the unfinished names and their symbols
        for step in range(self.longest):
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
            symbol = symbol.index_select(0, go_on)
            steps.append((active, symbol))
            state = self.successor.index_select(0, entry.index_select(0, go_on))
            if self.vocabulary.codes:  # otherwise each symbol is a character, and all reach the cap at once
                is_lead = (symbol >= self.vocabulary.first_lead) & (symbol < self.vocabulary.first_tail)
                characters = characters.index_select(0, go_on) + ~is_lead
                is_full = characters == self.cap
                lengths.index_fill_(0, active[is_full], step + 1)
                log_prob.index_copy_(0, active[is_full], so_far[is_full])
                active, so_far, state, characters, *words = (
                    kept[~is_full] for kept in (active, so_far, state, characters, *words)
                )
        log_prob.index_copy_(0, active, so_far)  # names as long as the cap, which end with probability 1
        starts = torch.cumsum(lengths, 0) - lengths
        symbols = torch.empty(int(lengths.sum()), dtype=torch.uint8, device=self.device)
        for step, (names, drawn) in enumerate(steps):
            symbols.index_copy_(0, starts.index_select(0, names) + step, drawn.to(torch.uint8))
        return symbols, lengths, log_prob

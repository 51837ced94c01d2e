"""A network over the last symbols (Bengio et al. 2003): embeddings, a hidden layer, a residual one, softmax.

Unlike `neural_bigram`, it shares what it learns between similar contexts. Histories that agree in the last symbols are
one row, with all that follows them: the training names of makemore's list have 3.2 times as many symbols as rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from namegen.models import network
from namegen.models.network import distributions, dropout
from namegen.vocabulary import Vocabulary

if TYPE_CHECKING:
    import torch

AT_ONCE = 2**14  # histories, to bound memory


@dataclass(frozen=True, kw_only=True)
class Settings(network.Settings):
    """The settings of the network, beside those that every one has.

    Args:
        window: how many of the last symbols it sees.
        embedding, hidden: the sizes of the embedding and of the hidden layers.
        heaviest: the most that one row may weigh. A context that occurred more often becomes several rows: one row
            of 25,000 among rows of 2 would decide its step alone. A batch is so many rows.
    """

    family: ClassVar[str] = "mlp"

    window: int = 7
    embedding: int = 32
    hidden: int = 384
    heaviest: float = 16.0
    passes: int = 14
    learning_rate: float = 1.2e-2
    dropout: float = 0.2


class Course:
    """The rows to train on; see `network.Course`."""

    def __init__(self, names: Sequence[str], vocabulary: Vocabulary, settings: Settings, device: str) -> None:
        import torch

        self.settings, self.symbols, self.device = settings, len(vocabulary), device
        windows, first, symbol, count = _rows(names, vocabulary, settings)
        weight = np.add.reduceat(count, first[:-1])
        copies = np.ceil(weight / settings.heaviest).astype(np.int64)
        self.windows, self.first, self.symbol = (torch.from_numpy(a).to(device) for a in (windows, first, symbol))
        self.count = torch.from_numpy((count / np.repeat(copies, np.diff(first))).astype(np.float32)).to(device)
        self.rows = torch.from_numpy(np.repeat(np.arange(len(copies)), copies)).to(device)
        self.scale = float(weight.sum()) / len(self.rows)  # the mean weight of a row, so that the loss is per symbol

    @property
    def batches(self) -> int:
        """How many steps a pass has."""
        return math.ceil(len(self.rows) / self.settings.batch)

    def module(self) -> torch.nn.Module:
        """A new network."""
        return _module(self.symbols, self.settings)

    def losses(self, module: torch.nn.Module) -> Iterator[torch.Tensor]:
        """The loss of each batch of a pass."""
        import torch

        # drawn on the CPU, so that every device sees the rows in the same order
        for rows in torch.split(self.rows[torch.randperm(len(self.rows)).to(self.device)], self.settings.batch):
            sizes = self.first[rows + 1] - self.first[rows]
            row = torch.repeat_interleave(torch.arange(len(rows), device=self.device), sizes)
            entry = torch.arange(len(row), device=self.device)
            entry = entry + torch.repeat_interleave(self.first[rows] - (torch.cumsum(sizes, 0) - sizes), sizes)
            log_probabilities = torch.log_softmax(module(self.windows[rows].long()), dim=1)
            picked = log_probabilities[row, self.symbol[entry]]
            yield -(self.count[entry] * picked).sum() / (len(rows) * self.scale)

    def predictor(self, module: torch.nn.Module) -> Mlp:
        """The network as a model."""
        return Mlp(module, self.settings, self.device)


@dataclass(frozen=True, eq=False)
class Mlp:
    """The network as a model of the next symbol. It remembers uint8[N, window]: the last symbols."""

    network: torch.nn.Module
    settings: Settings
    device: str

    def start(self) -> NDArray[np.uint8]:
        """The empty history: boundaries alone."""
        return np.zeros((1, self.settings.window), np.uint8)

    def after(self, state: NDArray[np.uint8], symbols: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Moves the window by one symbol."""
        return np.concatenate([state[:, 1:], symbols[:, None].astype(np.uint8)], axis=1)

    def predict(self, state: NDArray[np.uint8]) -> NDArray[np.float64]:
        """float64[N, V]: the distributions after some histories."""
        import torch

        self.network.eval()
        with torch.no_grad():
            parts = [
                torch.softmax(self.network(part.to(self.device).long()), dim=1).cpu()
                for part in torch.split(torch.from_numpy(state), AT_ONCE)
            ]
        return distributions(torch.cat(parts))


def _rows(
    names: Sequence[str], vocabulary: Vocabulary, settings: Settings
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """The R different contexts, as the model remembers them, and the E symbols that follow each.

    Returns:
        windows uint8[R, window]; first int64[R + 1], where the entries of each begin; and for each entry its
        symbol, int64[E], and how often it follows, float64[E].
    """
    ids, lengths = vocabulary.encode(names)
    ends = np.cumsum(lengths + 1) - 1
    symbol = np.zeros(int(ends[-1]) + 1, np.uint8)  # the end of each name stays the boundary
    inside = np.ones(len(symbol), bool)
    inside[ends] = False
    symbol[inside] = ids
    step = np.arange(len(symbol)) - np.repeat(ends - lengths, lengths + 1)
    table = np.zeros((len(symbol), settings.window + 1), np.uint8)  # the window, and what follows
    for back in range(1, settings.window + 1):
        later = np.flatnonzero(step >= back)
        table[later, settings.window - back] = symbol[later - back]
    table[:, -1] = symbol
    table = table[np.lexsort(table.T[::-1])]
    differs = table[1:] != table[:-1]
    entry = np.flatnonzero(np.concatenate([[True], differs.any(axis=1)]))
    row = np.flatnonzero(np.concatenate([[True], differs[:, :-1].any(axis=1)]))
    first = np.searchsorted(entry, np.append(row, len(table)))
    count = np.diff(np.append(entry, len(table))).astype(np.float64)
    return table[row, :-1], first, table[entry, -1].astype(np.int64), count


def _module(symbols: int, settings: Settings) -> torch.nn.Module:
    """A network from int64[B, window] to logits float32[B, V]."""
    import torch
    from torch import Tensor, nn

    window, hidden = settings.window, settings.hidden

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.symbol = nn.Embedding(symbols, settings.embedding)
            self.first = nn.Linear(window * settings.embedding, hidden)
            self.second, self.last = nn.Linear(hidden, hidden), nn.Linear(hidden, symbols)
            self.drop, self.drop_again = dropout(settings.dropout), dropout(settings.dropout)

        def forward(self, x: Tensor) -> Tensor:
            seen = self.drop(torch.relu(self.first(self.symbol(x).flatten(1))))
            return self.last(seen + self.drop_again(torch.relu(self.second(seen))))  # type: ignore[no-any-return]

    return Network()

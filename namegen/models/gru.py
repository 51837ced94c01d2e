"""A recurrent network over the whole history (Cho et al. 2014): embeddings, a gated recurrent unit, softmax.

Unlike `mlp`, it forgets nothing by design: how a name began reaches every symbol after it. It trains on the names
themselves, in batches of names of one length, so that nothing is padded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from namegen.models import network
from namegen.models.by_length import ByLength
from namegen.models.network import distributions, dropout

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Settings(network.Settings):
    """The settings of the network, beside those that every one has.

    Args:
        embedding, hidden: the sizes of the embedding and of the recurrent state. Dropout is of the embeddings, and of
            what the recurrent unit puts out. A batch is about so many symbols, ends included.
    """

    family: ClassVar[str] = "gru"

    embedding: int = 32
    hidden: int = 256
    passes: int = 14
    learning_rate: float = 6e-3
    dropout: float = 0.3


class Course(ByLength[Settings]):
    """The names to train on; see `network.Course`."""

    def module(self) -> torch.nn.Module:
        """A new network."""
        return _module(self.symbols, self.settings)

    def predictor(self, module: torch.nn.Module) -> Gru:
        """The network as a model."""
        return Gru(module, self.device)


@dataclass(frozen=True, eq=False)
class Gru:
    """The network as a model of the next symbol. What it remembers is the recurrent state, float32[N, hidden]."""

    network: torch.nn.Module
    device: str

    def start(self) -> torch.Tensor:
        """The state after the boundary."""
        return self.after(self.network.before.detach(), np.zeros(1, np.int64))  # type: ignore[operator]

    def after(self, state: torch.Tensor, symbols: NDArray[np.integer]) -> torch.Tensor:
        """The states after one more symbol."""
        import torch

        self.network.eval()
        with torch.no_grad():
            following = torch.from_numpy(symbols.astype(np.int64)).to(self.device)
            return self.network.step(self.network.input(following), state)  # type: ignore[no-any-return, operator]

    def predict(self, state: torch.Tensor) -> NDArray[np.float64]:
        """float64[N, V]: the distributions after some histories."""
        import torch

        with torch.no_grad():
            return distributions(torch.softmax(self.network.last(state), dim=1).cpu())  # type: ignore[operator]


def _module(symbols: int, settings: Settings) -> torch.nn.Module:
    """A network from int64[B, T] to logits float32[B, T, V]."""
    import torch
    from torch import Tensor, nn

    hidden = settings.hidden

    class Network(nn.Module):
        """The cell is written out, as a fused one is not there on every device."""

        def __init__(self) -> None:
            super().__init__()
            self.symbol, self.drop = nn.Embedding(symbols, settings.embedding), dropout(settings.dropout)
            self.gates, self.recurrent = nn.Linear(settings.embedding, 3 * hidden), nn.Linear(hidden, 3 * hidden)
            self.last, self.before = nn.Linear(hidden, symbols), nn.Parameter(torch.zeros(1, hidden))
            for layer in (self.gates, self.recurrent):
                nn.init.uniform_(layer.weight, -(hidden**-0.5), hidden**-0.5)

        def input(self, x: Tensor) -> Tensor:
            """What the symbols say to the gates."""
            return self.gates(self.drop(self.symbol(x)))  # type: ignore[no-any-return]

        def step(self, x: Tensor, h: Tensor) -> Tensor:
            """The state after one more symbol."""
            new, old = x, self.recurrent(h)
            both = torch.sigmoid(new[:, : 2 * hidden] + old[:, : 2 * hidden])
            reset, update = both[:, :hidden], both[:, hidden:]
            candidate = torch.tanh(new[:, 2 * hidden :] + reset * old[:, 2 * hidden :])
            return candidate + update * (h - candidate)

        def forward(self, x: Tensor) -> Tensor:
            seen = self.input(x)
            state, states = self.before.expand(len(x), -1), []
            for place in range(x.shape[1]):
                state = self.step(seen[:, place], state)
                states.append(state)
            return self.last(self.drop(torch.stack(states, dim=1)))  # type: ignore[no-any-return]

    return Network()

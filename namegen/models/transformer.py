"""A transformer (Vaswani et al. 2017): every symbol looks at all before it, through layers of attention.

Unlike `gru`, it has the whole history before it at every step, and no state that has to carry it. It trains on the
names themselves, in batches of names of one length, as `gru` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from namegen.models import network
from namegen.models.by_length import ByLength
from namegen.models.network import distributions, dropout
from namegen.vocabulary import MAX_LENGTH

if TYPE_CHECKING:
    import torch

AT_ONCE = 2**16  # symbols, to bound memory
LONGEST = 2 * MAX_LENGTH  # symbols of a history, without the boundary; more where there are longer codes


@dataclass(frozen=True, kw_only=True)
class Settings(network.Settings):
    """The settings of the network, beside those that every one has.

    Args:
        layers, width, heads: how many layers, the size of each, and how many heads of attention it has. Dropout is of
            what each layer adds. A batch is about so many symbols, ends included.
    """

    family: ClassVar[str] = "transformer"

    layers: int = 3
    width: int = 128
    heads: int = 4
    passes: int = 24
    learning_rate: float = 2e-3
    dropout: float = 0.15


class Course(ByLength[Settings]):
    """The names to train on; see `network.Course`."""

    def module(self) -> torch.nn.Module:
        """A new network."""
        return _module(self.symbols, self.settings, max(LONGEST, self.longest))

    def predictor(self, module: torch.nn.Module) -> Transformer:
        """The network as a model."""
        return Transformer(module, self.device)


@dataclass(frozen=True, eq=False)
class Transformer:
    """The network as a model of the next symbol. What it remembers is the history itself, uint8[N, length + 1].

    What the layers make of it is computed again at every step: to remember it would take hundreds of times the memory.
    """

    network: torch.nn.Module
    device: str

    def start(self) -> NDArray[np.uint8]:
        """The boundary alone."""
        return np.zeros((1, 1), np.uint8)

    def after(self, state: NDArray[np.uint8], symbols: NDArray[np.integer]) -> NDArray[np.uint8]:
        """One symbol more."""
        return np.concatenate([state, symbols[:, None].astype(np.uint8)], axis=1)

    def predict(self, state: NDArray[np.uint8]) -> NDArray[np.float64]:
        """float64[N, V]: the distributions after some histories."""
        import torch

        self.network.eval()
        with torch.no_grad():
            parts = [
                torch.softmax(self.network(part.to(self.device).long())[:, -1], dim=1).cpu()
                for part in torch.split(torch.from_numpy(state), max(1, AT_ONCE // state.shape[1]))
            ]
        return distributions(torch.cat(parts))


def _module(symbols: int, settings: Settings, longest: int) -> torch.nn.Module:
    """A network from int64[B, T] to logits float32[B, T, V]."""
    import torch
    from torch import Tensor, nn

    width, heads = settings.width, settings.heads

    class Layer(nn.Module):
        """Attention and a hidden layer, each added to what comes in, normalised before."""

        def __init__(self) -> None:
            super().__init__()
            self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
            self.inward, self.outward = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
            self.drop, self.drop_again = dropout(settings.dropout), dropout(settings.dropout)

        def forward(self, x: Tensor) -> Tensor:
            rows, length, _ = x.shape
            each = self.inward(self.before(x)).view(rows, length, 3, heads, width // heads)
            query, key, value = (each[:, :, k].transpose(1, 2) for k in range(3))
            later = torch.full((length, length), float("-inf")).triu(1).to(x.device)
            scores = query @ key.transpose(-1, -2) * (width // heads) ** -0.5
            seen = torch.softmax(scores + later, dim=-1) @ value
            x = x + self.drop(self.outward(seen.transpose(1, 2).reshape(rows, length, width)))
            return x + self.drop_again(self.down(torch.relu(self.up(self.between(x)))))  # type: ignore[no-any-return]

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.symbol, self.position = nn.Embedding(symbols, width), nn.Embedding(longest + 1, width)
            nn.init.normal_(self.symbol.weight, 0, 0.1)
            nn.init.normal_(self.position.weight, 0, 0.1)
            self.layers = nn.Sequential(*(Layer() for _ in range(settings.layers)))
            self.normal, self.last = nn.LayerNorm(width), nn.Linear(width, symbols)

        def forward(self, x: Tensor) -> Tensor:
            seen = self.symbol(x) + self.position.weight[: x.shape[1]]
            return self.last(self.normal(self.layers(seen)))  # type: ignore[no-any-return]

    return Network()

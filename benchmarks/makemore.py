"""makemore's models, written anew from their published sizes: its GRU, its transformer, and its lectures' WaveNet.

Each takes int64[B, T], the symbols of B names after the boundary 0, to logits [B, T, V] of what follows each of them.
`following` is the same for the last symbol alone, as drawing needs it. The sizes are the defaults of `makemore.py`
and, of the WaveNet, those of the fifth lecture's last model. The weights start as in one of the published versions.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 - the lectures' name
from torch import Tensor, nn

WIDTH = 64  # n_embd and n_embd2
LAYERS = HEADS = 4
CONTEXT = 8  # symbols that the WaveNet sees
EMBEDDING, HIDDEN = 24, 128  # of the WaveNet
BATCH = 1_000  # names that are drawn side by side


class Gru(nn.Module):
    """One layer, the cell written out, from a start that is learnt."""

    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.embedding, self.start = nn.Embedding(symbols, WIDTH), nn.Parameter(torch.zeros(1, WIDTH))
        self.gates, self.candidate = nn.Linear(2 * WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, symbols)

    def _states(self, x: Tensor) -> list[Tensor]:
        state, states = self.start.expand(len(x), -1), []
        for symbol in self.embedding(x).unbind(1):
            update, reset = torch.sigmoid(self.gates(torch.cat([symbol, state], 1))).chunk(2, 1)
            candidate = torch.tanh(self.candidate(torch.cat([symbol, reset * state], 1)))
            state = (1 - update) * state + update * candidate
            states.append(state)
        return states

    def forward(self, x: Tensor) -> Tensor:
        """int64[B, T] to logits [B, T, V]."""
        logits: Tensor = self.head(torch.stack(self._states(x), 1))
        return logits

    def following(self, x: Tensor) -> Tensor:
        """int64[B, T] to logits [B, V]."""
        logits: Tensor = self.head(self._states(x)[-1])
        return logits


class Layer(nn.Module):
    """Attention and a hidden layer, each added to what comes in, normalised before."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.inward, self.outward = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, WIDTH] to the same."""
        each = self.inward(self.before(x)).unflatten(2, (3, HEADS, WIDTH // HEADS))
        query, key, value = each.permute(2, 0, 3, 1, 4)  # [B, HEADS, T, WIDTH // HEADS]
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.outward(seen.transpose(1, 2).flatten(2))
        added: Tensor = self.down(F.gelu(self.up(self.between(x)), approximate="tanh"))
        return x + added


class Transformer(nn.Module):
    """Four causal layers with four heads each."""

    def __init__(self, symbols: int, longest: int) -> None:
        super().__init__()
        self.embedding, self.position = nn.Embedding(symbols, WIDTH), nn.Embedding(longest, WIDTH)
        self.layers = nn.Sequential(*(Layer() for _ in range(LAYERS)))
        self.normal, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, symbols, bias=False)
        self.apply(_start_small)

    def forward(self, x: Tensor) -> Tensor:
        """int64[B, T] to logits [B, T, V]."""
        seen = self.embedding(x) + self.position.weight[: x.shape[1]]
        logits: Tensor = self.head(self.normal(self.layers(seen)))
        return logits

    def following(self, x: Tensor) -> Tensor:
        """int64[B, T] to logits [B, V]."""
        return self(x)[:, -1]  # type: ignore[no-any-return]


def _start_small(module: nn.Module) -> None:
    """The start of GPT-2, which `makemore.py` had at first. From torch's own, as it has today, dev comes out higher."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, 0, 0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


class Pairs(nn.Module):
    """Each two neighbours of [B, 2 T, C] become one of [B, T, HIDDEN]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear, self.normal = nn.Linear(2 * width, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN)
        nn.init.normal_(self.linear.weight, 0, (2 * width) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 2 T, C] to [B, T, HIDDEN]."""
        rows, length, width = x.shape
        pairs = self.linear(x.reshape(rows * length // 2, 2 * width))
        return torch.tanh(self.normal(pairs)).view(rows, length // 2, HIDDEN)


class WaveNet(nn.Module):
    """The last eight symbols, merged two by two at three levels; 0 stands for those before the name."""

    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.levels = nn.Sequential(nn.Embedding(symbols, EMBEDDING), Pairs(EMBEDDING), Pairs(HIDDEN), Pairs(HIDDEN))
        self.head = nn.Linear(HIDDEN, symbols)
        nn.init.normal_(self.head.weight, 0, 0.1 * HIDDEN**-0.5)
        nn.init.zeros_(self.head.bias)

    def of_windows(self, windows: Tensor) -> Tensor:
        """int64[B, CONTEXT] to logits [B, V]."""
        logits: Tensor = self.head(self.levels(windows)[:, 0])
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """int64[B, T] to logits [B, T, V]."""
        return self.of_windows(windows(x).flatten(0, 1)).view(*x.shape, -1)

    def following(self, x: Tensor) -> Tensor:
        """int64[B, T] to logits [B, V]."""
        return self.of_windows(windows(x[:, -CONTEXT:])[:, -1])


def windows(x: Tensor) -> Tensor:
    """int64[B, T] to int64[B, T, CONTEXT]: each symbol with those before it."""
    return F.pad(x, (CONTEXT - 1, 0)).unfold(1, CONTEXT, 1)


@torch.no_grad()
def draw(following: Callable[[Tensor], Tensor], count: int, longest: int) -> list[Tensor]:
    """`count` names as makemore draws them: side by side, each to the full length, every step from all before it.

    Returns:
        int64[BATCH or less, longest] each: symbols from the boundary on; a name goes to its next 0.
    """
    batches = []
    for first in range(0, count, BATCH):
        x = torch.zeros((min(BATCH, count - first), 1), dtype=torch.int64)
        for _ in range(longest - 1):
            x = torch.cat([x, torch.multinomial(torch.softmax(following(x), dim=1), 1)], dim=1)
        batches.append(x)
    return batches

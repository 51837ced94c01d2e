"""A network over the last n-1 characters (Bengio et al. 2003): embeddings, a hidden layer, a residual one, softmax.

Unlike `neural_bigram`, it shares what it learns between contexts that look alike. It trains from the counts, one row
a context; a context that could be longer, and is asked only where the longer one is new, learns from its
continuation counts, as in `kneser_ney`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from namegen.ngrams import NgramCounts


@dataclass(frozen=True)
class Settings:
    """Chosen on dev.

    Args:
        embedding, hidden: numbers a symbol and a context become.
        passes: over the table, each in an order of its own.
        batch: rows a step.
        learning_rate: of AdamW at its highest; it rises for a tenth of the steps, and falls along a cosine to 0.
        weight_decay, dropout: against learning the training names by heart.
        shorter: what a continuation count weighs, where a count weighs 1.
        heaviest: the most that one row may weigh. A context that occurred more often becomes several rows, as one
            row of 25,000 among those of 2 would decide its step alone.
        seed: of the starting values, the order of the rows, and the dropout.
    """

    embedding: int = 32
    hidden: int = 256
    passes: int = 12
    batch: int = 1024
    learning_rate: float = 6e-3
    weight_decay: float = 0.1
    dropout: float = 0.1
    shorter: float = 0.5
    heaviest: float = 16.0
    seed: int = 42


DEFAULT = Settings()


class Network:
    """A trained network, on its device."""

    def __init__(self, module: torch.nn.Module, device: str) -> None:
        self.module = module
        self.device = device

    def probabilities(self, history: NDArray[np.uint16]) -> NDArray[np.float64]:
        """The distribution after each history, seen in training or not; no name is empty.

        Args:
            history: uint16[N, n-1], as in NgramCounts.

        Returns:
            float64[N, V]; rows sum to 1 within 1e-12.
        """
        import torch

        self.module.eval()
        with torch.no_grad():
            parts = torch.split(torch.from_numpy(history.astype(np.int64)), 2**14)
            rows = [torch.softmax(self.module(part.to(self.device)), dim=1).cpu() for part in parts]
        self.module.train()
        table = torch.cat(rows).double().numpy()
        table[(history == 0).all(axis=1), 0] = 0  # the start
        table /= table.sum(axis=1, keepdims=True)  # float32 sums to 1 only within 1e-7
        return table


def train(
    counts: NgramCounts,
    settings: Settings = DEFAULT,
    device: str = "cpu",
    on_pass: Callable[[int, float, Network], None] = lambda number, loss, network: None,
) -> Network:
    """Trains on the adjusted counts.

    Args:
        device: a torch device that is there. All data lies on it throughout.
        on_pass: called behind each pass with its number, from 1, its mean loss (nats a count, dropout included), and
            the network as it is then.
    """
    import torch  # slow to import, and the settings are read without it
    from torch.nn import functional

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        module = _module(counts.order - 1, len(counts.vocabulary), settings).to(device)
        network = Network(module, device)
        history = torch.from_numpy(counts.history.astype(np.int64)).to(device)
        rows, target = (array.to(device) for array in _rows(counts, settings))
        scale = float(target[rows].sum()) / len(rows)  # what a row weighs, so that the loss is one of counts
        steps = settings.passes * math.ceil(len(rows) / settings.batch)
        optimiser = torch.optim.AdamW(
            module.parameters(), settings.learning_rate, betas=(0.9, 0.99), weight_decay=settings.weight_decay
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, partial(_rate, steps=steps))
        for number in range(1, settings.passes + 1):
            total = torch.zeros((), device=device)
            # drawn on the CPU, so that every device sees the rows in the same order
            for batch in torch.split(rows[torch.randperm(len(rows)).to(device)], settings.batch):
                log_probabilities = functional.log_softmax(module(history[batch]), dim=1)
                loss = -(target[batch] * log_probabilities).sum() / (len(batch) * scale)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call] # torch gives it no types
                optimiser.step()
                schedule.step()
                total += loss.detach() * len(batch)
            on_pass(number, float(total) / len(rows), network)
    return network


def _module(width: int, symbols: int, settings: Settings) -> torch.nn.Module:
    """int64[B, n-1] to logits float32[B, V]."""
    from torch import Tensor, nn

    class Residual(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            return x + self.inner(x)  # type: ignore[no-any-return] # nor a module that is called

    hidden, dropout = settings.hidden, settings.dropout
    return nn.Sequential(
        nn.Embedding(symbols + 1, settings.embedding),  # with one for what is not known
        nn.Flatten(),
        nn.Linear(width * settings.embedding, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        Residual(nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout))),
        nn.Linear(hidden, symbols),
    )


def _rows(counts: NgramCounts, settings: Settings) -> tuple[torch.Tensor, torch.Tensor]:
    """The context of each row, int64[R], and what each of its rows has to predict, float32[S, V]."""
    import torch

    weight = np.where(counts.is_whole, 1.0, settings.shorter)[:, None] * counts.adjusted_counts
    copies = np.ceil(weight.sum(axis=1) / settings.heaviest).astype(np.int64)  # 0 for a context that never occurred
    target = (weight / np.maximum(copies, 1)[:, None]).astype(np.float32)
    return torch.from_numpy(np.repeat(np.arange(counts.states), copies)), torch.from_numpy(target)


def _rate(step: int, steps: int) -> float:
    """The share of the learning rate at a step: up in the first tenth, then down along half a cosine to 0."""
    warm_up = max(1, steps // 10)
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 + 0.5 * math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up))

"""One-hot input, one linear layer, softmax, gradient descent: the notebook's second model.

Unlike the notebook, which runs 228,146 rows through the layer at every step, it trains on the V x V counts. A one-hot
row times W is a row of W, so W itself holds the log-counts of every context. The mean over the rows is the mean over
the pairs, weighted by their counts, so the loss is the same up to rounding.

It computes in float64 (on MPS in float32, as MPS has no float64). So a different order of addition on another machine
changes a probability by only about 1e-16, far below the automaton's 2^-32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from namegen.corpus.ngrams import NgramCounts


@dataclass(frozen=True)
class Settings:
    """The notebook's settings.

    Args:
        steps: of gradient descent, each over all pairs.
        learning_rate: the factor of the gradient.
        penalty: the factor of mean(W^2) in the loss, which is the network's form of smoothing.
        seed: decides W's starting values, which are normally distributed.
    """

    steps: int = 100
    learning_rate: float = 50.0
    penalty: float = 0.01
    seed: int = 2147483647


NOTEBOOK = Settings()


def fit(
    counts: NgramCounts,
    settings: Settings = NOTEBOOK,
    device: str = "cpu",
    on_step: Callable[[int, float, float | None], None] = lambda step, loss, dev_nll: None,
    dev: NgramCounts | None = None,
) -> NDArray[np.float64]:
    """Trains on the bigram counts (order 2) and returns the softmax of W, float64[V, V].

    Args:
        device: an available torch device: "cpu", "cuda" or "mps".
        on_step: called for each step with its number, from 1, and two values from before its update: the loss (nats per
            pair, with the penalty) and the NLL of `dev`.
        dev: the bigram counts of the held-out names, if there are any.
    """
    import torch  # slow to import, and the settings are read without it

    dtype = torch.float32 if device == "mps" else torch.float64

    def shares(ngrams: NgramCounts) -> torch.Tensor:
        pairs = torch.from_numpy(ngrams.lower(2).counts.astype(np.float64))  # counts[first, second]
        return (pairs / pairs.sum()).to(device, dtype)

    weight, dev_weight = shares(counts), shares(dev) if dev else None
    generator = torch.Generator().manual_seed(settings.seed)
    # on the CPU and in float32, whatever the device: these are the notebook's values
    W = torch.randn(weight.shape, generator=generator).to(device, dtype).requires_grad_()
    losses = []
    for _ in range(settings.steps):
        log_probabilities = torch.log_softmax(W, dim=1)
        loss = -(weight * log_probabilities).sum() + settings.penalty * (W**2).mean()
        (gradient,) = torch.autograd.grad(loss, W)
        with torch.no_grad():
            W -= settings.learning_rate * gradient
            dev_nll = None if dev_weight is None else -(dev_weight * log_probabilities).sum()
        losses.append((loss.detach(), dev_nll))
    for step, (loss, dev_nll) in enumerate(losses, 1):  # only now, because reading a loss waits for the device
        on_step(step, loss.item(), None if dev_nll is None else dev_nll.item())
    return torch.softmax(W.detach().to("cpu", torch.float64), dim=1).numpy()

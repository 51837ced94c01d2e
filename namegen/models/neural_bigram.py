"""One-hot input, one linear layer, softmax, gradient descent: the notebook's second model.

Unlike the notebook, which runs 228,146 rows through the layer at every step, it trains from the V x V counts: a
one-hot row times W is a row of W, so W itself holds the log-counts of every context, and the mean over the rows
is the mean over the pairs, weighted by their counts. The loss is the same to rounding.

In float64 (float32 on MPS, which has no other), so that another machine's order of addition changes a
probability by about 1e-16, far below the automaton's 2^-32.
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
    """The notebook's own.

    Args:
        steps: of gradient descent, over all pairs each.
        learning_rate: what the gradient is multiplied with.
        penalty: times mean(W^2) is added to the loss; the network's form of smoothing.
        seed: of W's normal starting values.
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
        device: a torch device that is there: "cpu", "cuda" or "mps".
        on_step: called with each step, from 1, and of before its update the loss (nats, penalty included) and the NLL
            of `dev`.
        dev: the bigram counts of held-out names; None where there are none.
    """
    import torch  # slow to import, and the settings are read without it

    dtype = torch.float32 if device == "mps" else torch.float64

    def shares(of: NgramCounts) -> torch.Tensor:
        pairs = torch.from_numpy(of.lower(2).counts.astype(np.float64))  # counts[first, second]
        return (pairs / pairs.sum()).to(device, dtype)

    weight, dev_weight = shares(counts), shares(dev) if dev else None
    generator = torch.Generator().manual_seed(settings.seed)
    # drawn on the CPU in float32, whatever the device: the notebook's very values
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
    for step, (loss, dev_nll) in enumerate(losses, 1):  # read at the end: reading one waits for the device
        on_step(step, loss.item(), None if dev_nll is None else dev_nll.item())
    return torch.softmax(W.detach().to("cpu", torch.float64), dim=1).numpy()

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from namegen.models import neural_bigram
from notebook_draws import COUNTS, notebook_counts


def descend(W: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """The network's gradient descent in numpy, with the gradient worked out by hand; returns its probabilities."""
    total = COUNTS.sum()
    for _ in range(steps):
        gradient = (COUNTS.sum(axis=1, keepdims=True) * softmax(W) - COUNTS) / total + 0.01 * 2 * W / W.size
        W = W - 50 * gradient
    return softmax(W)


def softmax(W: NDArray[np.float64]) -> NDArray[np.float64]:
    p: NDArray[np.float64] = np.exp(W - W.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return p


def test_the_network_is_trained_in_float64() -> None:
    """Its probabilities are those of a descent by hand, to 1e-12: float32 would be off by 1e-7."""
    import torch

    start = torch.randn((27, 27), generator=torch.Generator().manual_seed(2147483647)).double().numpy()
    np.testing.assert_allclose(neural_bigram.fit(notebook_counts()), descend(start, 100), rtol=0, atol=1e-12)


def test_training_twice_gives_the_same_bytes() -> None:
    once, twice = (neural_bigram.fit(notebook_counts()) for _ in range(2))
    assert once.tobytes() == twice.tobytes()

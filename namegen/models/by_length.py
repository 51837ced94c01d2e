"""Names in batches of one length, so that nothing is padded: what the networks over whole histories train on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from namegen.models.network import Settings
from namegen.vocabulary import MAX_LENGTH, Vocabulary

if TYPE_CHECKING:
    import torch

S = TypeVar("S", bound=Settings)


class ByLength(Generic[S]):
    """Names to train on, those of each length together, and a pass over them; see `network.Course`."""

    def __init__(self, names: Sequence[str], vocabulary: Vocabulary, settings: S, device: str) -> None:
        import torch

        self.settings, self.symbols, self.device = settings, len(vocabulary), device
        self.longest = vocabulary.longest(MAX_LENGTH)  # symbols of a name
        ids, lengths = vocabulary.encode(names)
        starts = np.cumsum(lengths) - lengths
        self.of_length, self.sizes = [], []
        for length in np.unique(lengths):
            here = starts[lengths == length, None] + np.arange(length)
            rows = np.pad(ids[here].astype(np.uint8), ((0, 0), (1, 1)))  # with the boundary at both ends
            parts = math.ceil(rows[:, 1:].size / settings.batch)
            self.of_length.append(torch.from_numpy(rows).to(device))
            self.sizes.append(math.ceil(len(rows) / parts))
        self.batches = sum(math.ceil(len(rows) / size) for rows, size in zip(self.of_length, self.sizes, strict=True))
        self.per_batch = (len(ids) + len(names)) / self.batches

    def losses(self, module: torch.nn.Module) -> Iterator[torch.Tensor]:
        """The loss of each batch of a pass: its sum, divided by the mean number of symbols of a batch."""
        import torch

        batches = [
            (rows, which)
            for rows, size in zip(self.of_length, self.sizes, strict=True)
            for which in torch.split(torch.randperm(len(rows)), size)
        ]
        for k in torch.randperm(len(batches)).tolist():
            rows, which = batches[k]
            names = rows[which.to(self.device)].long()
            following = names[:, 1:].flatten()
            log_probabilities = torch.log_softmax(module(names[:, :-1]).flatten(0, 1), dim=1)
            picked = log_probabilities[torch.arange(len(following)).to(self.device), following]
            yield -picked.sum() / self.per_batch

"""A network over the last n-1 characters (Bengio et al. 2003): embeddings, a hidden layer, a residual one, softmax.

Unlike `neural_bigram`, it shares what it learns between similar contexts. It trains on the counts, one row per context.
A context that could be longer is asked only if the longer one is new, so it learns from its continuation counts, as in
`kneser_ney`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from namegen.corpus.ngrams import NgramCounts

State = Mapping[str, NDArray[Any]]  # of a training: `passes`, and the tensors of the networks and the optimiser


@dataclass(frozen=True)
class Settings:
    """The settings of the network, chosen on dev. There is no early stopping: the number of passes is one of them.

    Args:
        embedding, hidden: the sizes of the embedding and of the hidden layers.
        passes: how many times to go over the table, each time in a new random order.
        batch: rows per step.
        learning_rate: AdamW's, at its peak. It rises for the first tenth of the steps, then falls along a cosine to 0.
        weight_decay, dropout: the regularisation, which keeps the network from memorising the training names.
        shorter: the weight of a continuation count; that of a count is 1.
        heaviest: the most that one row may weigh. A context that occurred more often becomes several rows: one row
            of 25,000 among rows of 2 would decide its step alone.
        networks: how many networks to average. They are trained one after the other, from different starting values.
        seed: decides the starting values, the order of the rows, and the dropout.
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
    networks: int = 1
    seed: int = 42

    @property
    def all_passes(self) -> int:
        """The passes of all networks together."""
        return self.networks * self.passes


class Network:
    """A trained network on its device, or the average of several."""

    def __init__(self, modules: Sequence[torch.nn.Module], device: str) -> None:
        self.modules = modules
        self.device = device

    def probabilities(self, history: NDArray[np.uint16]) -> NDArray[np.float64]:
        """The distribution after each history, whether or not it was seen in training. No name is empty.

        Args:
            history: uint16[N, n-1], as in NgramCounts.

        Returns:
            float64[N, V]; rows sum to 1 within 1e-12.
        """
        import torch

        rows = []
        with torch.no_grad():
            for module in self.modules:
                module.eval()
            for part in torch.split(torch.from_numpy(history.astype(np.int64)), 2**14):
                on_device = part.to(self.device)
                each = [torch.softmax(module(on_device), dim=1).cpu().double() for module in self.modules]
                rows.append(sum(each[1:], each[0]))
        table: NDArray[np.float64] = torch.cat(rows).numpy()
        table[(history == 0).all(axis=1), 0] = 0  # no name ends at its start
        table /= table.sum(axis=1, keepdims=True)  # float32 sums to 1 only within 1e-7
        return table


@dataclass(frozen=True)
class Pass:
    """The result of one pass.

    Args:
        number: from 1, over the passes of all networks.
        loss: the mean over the pass in nats per count, with dropout.
        network: the one network that is being trained.
        state: returns what `train` needs to resume, as arrays on the CPU.
    """

    number: int
    loss: float
    network: Network
    state: Callable[[], State]


def train(
    counts: NgramCounts,
    settings: Settings,
    device: str = "cpu",
    state: State | None = None,
    on_pass: Callable[[Pass], None] = lambda done: None,
) -> Network:
    """Trains on the adjusted counts.

    Args:
        device: an available torch device. It holds all the data throughout.
        state: of an interrupted training with the same counts and settings, which resumes after that pass. On the same
            device the result has the same bytes as without the interruption.
        on_pass: called after each pass.
    """
    import torch  # slow to import, and the settings are read without it

    history = torch.from_numpy(counts.history.astype(np.int64)).to(device)
    rows, target = (array.to(device) for array in _rows(counts, settings))
    scale = float(target[rows].sum()) / len(rows)  # the mean weight of a row, so that the loss is per count
    batches = math.ceil(len(rows) / settings.batch)
    start = int(state["passes"]) if state else 0
    modules: list[torch.nn.Module] = []
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
        for k in range(settings.networks):
            torch.manual_seed(_seed(settings.seed, k, 0))
            module = _module(counts.order - 1, len(counts.vocabulary), settings).to(device)
            optimiser = torch.optim.AdamW(
                module.parameters(), settings.learning_rate, betas=(0.9, 0.99), weight_decay=settings.weight_decay
            )
            modules.append(module)
            if state and start >= k * settings.passes + 1:
                _restore(state, k, module, optimiser)
            for number in range(max(1, start - k * settings.passes + 1), settings.passes + 1):
                torch.manual_seed(_seed(settings.seed, k, number))  # so that a new process can resume at any pass
                module.train()
                first_step, steps = (number - 1) * batches, settings.passes * batches
                total = torch.zeros((), device=device)
                # drawn on the CPU, so that every device sees the rows in the same order
                order = torch.split(rows[torch.randperm(len(rows)).to(device)], settings.batch)
                for step, batch in enumerate(order, first_step):
                    optimiser.param_groups[0]["lr"] = settings.learning_rate * _rate(step, steps)
                    log_probabilities = torch.log_softmax(module(history[batch]), dim=1)
                    loss = -(target[batch] * log_probabilities).sum() / (len(batch) * scale)
                    optimiser.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call] # torch gives it no types
                    optimiser.step()
                    total += loss.detach() * len(batch)
                done = k * settings.passes + number
                keep = partial(_state, done, tuple(modules), optimiser)
                on_pass(Pass(done, float(total) / len(rows), Network([module], device), keep))
    return Network(modules, device)


def _seed(*numbers: int) -> int:
    """One 32-bit seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _state(passes: int, modules: Sequence[torch.nn.Module], optimiser: torch.optim.Optimizer) -> State:
    """The tensors of all networks so far, and of the last one's optimiser."""
    state: dict[str, NDArray[Any]] = {"passes": np.array(passes)}
    for k, module in enumerate(modules):
        state |= {f"{k}.{name}": tensor.cpu().numpy().copy() for name, tensor in module.state_dict().items()}
    for i, moments in optimiser.state_dict()["state"].items():
        state |= {f"optimiser.{i}.{name}": tensor.cpu().numpy().copy() for name, tensor in moments.items()}
    return state


def _restore(state: State, k: int, module: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Restores network k and its optimiser. The state has that of the last network; a finished one needs none."""
    import torch

    module.load_state_dict({name: torch.from_numpy(state[f"{k}.{name}"]) for name in module.state_dict()})
    restored = optimiser.state_dict()
    restored["state"] = {
        i: {name: torch.from_numpy(state[f"optimiser.{i}.{name}"]) for name in ("step", "exp_avg", "exp_avg_sq")}
        for i in range(len(list(module.parameters())))
    }
    optimiser.load_state_dict(restored)


def _module(width: int, symbols: int, settings: Settings) -> torch.nn.Module:
    """A network from int64[B, n-1] to logits float32[B, V]."""
    import torch
    from torch import Tensor, nn

    class Residual(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            return x + self.inner(x)  # type: ignore[no-any-return] # torch gives it no types

    class Dropout(nn.Module):
        """Unlike torch's dropout, it uses all eight bytes of a random number, which saves a fifth of the training."""

        def forward(self, x: Tensor) -> Tensor:
            if not self.training:
                return x
            bits = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(-(2**63), None)
            kept = (bits.view(torch.uint8)[: x.numel()] >= dropped).view(x.shape)
            return x * (kept * (256 / (256 - dropped)))

    hidden, dropped = settings.hidden, round(256 * settings.dropout)
    return nn.Sequential(
        nn.Embedding(symbols + 1, settings.embedding),  # one more for the unknown symbol
        nn.Flatten(),
        nn.Linear(width * settings.embedding, hidden),
        nn.ReLU(),
        Dropout(),
        Residual(nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), Dropout())),
        nn.Linear(hidden, symbols),
    )


def _rows(counts: NgramCounts, settings: Settings) -> tuple[torch.Tensor, torch.Tensor]:
    """The context of each row, int64[R], and the weights that every row of a context has to predict, float32[S, V]."""
    import torch

    weight = np.where(counts.is_whole, 1.0, settings.shorter)[:, None] * counts.adjusted_counts
    copies = np.ceil(weight.sum(axis=1) / settings.heaviest).astype(np.int64)  # 0 for a context that never occurred
    target = (weight / np.maximum(copies, 1)[:, None]).astype(np.float32)
    return torch.from_numpy(np.repeat(np.arange(counts.states), copies)), torch.from_numpy(target)


def _rate(step: int, steps: int) -> float:
    """The fraction of the learning rate at a step: up in the first tenth, then down along half a cosine to 0."""
    warm_up = max(1, steps // 10)
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 + 0.5 * math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up))

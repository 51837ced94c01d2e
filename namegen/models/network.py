"""What the networks share: the loop that trains them, which can resume, and its schedule.

A *course* is what one network is trained on, and how; see `Course`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from namegen.models.predictor import Predictor

if TYPE_CHECKING:
    import torch

Arrays = Mapping[str, NDArray[Any]]  # of a training: `passes`, and the tensors of the networks and the optimiser


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings that every network has, chosen on dev. There is no early stopping: the passes are one of them.

    Args:
        passes: how many times to go over the names, each time in a new random order.
        batch: how much a step takes: see each network.
        learning_rate: AdamW's, at its peak. It rises for the first tenth of the steps, then falls along a cosine to 0.
        weight_decay, dropout: the regularisation, which keeps the network from memorising the training names.
        seed: decides the starting values, the order of the batches, and the dropout.
    """

    family: ClassVar[str]

    passes: int
    batch: int = 1024
    learning_rate: float
    weight_decay: float = 0.1
    dropout: float
    seed: int = 42


class Course(Protocol):
    """A network's training: the names as tensors on a device, and the settings."""

    @property
    def settings(self) -> Settings:
        """How to train."""

    @property
    def batches(self) -> int:
        """How many steps a pass has."""

    def module(self) -> torch.nn.Module:
        """A new network, from torch's generator."""

    def losses(self, module: torch.nn.Module) -> Iterator[torch.Tensor]:
        """The loss of each batch of a pass in nats per symbol; the order of the names is drawn on the CPU."""

    def predictor(self, module: torch.nn.Module) -> Predictor:
        """The network as a model."""


@dataclass(frozen=True)
class Pass:
    """The result of one pass.

    Args:
        number: from 1, over the passes of all networks.
        loss: the mean over its batches in nats per symbol, with dropout.
        model: the one network that is being trained, as far as it is.
        arrays: returns what `train` needs to resume, as arrays on the CPU.
    """

    number: int
    loss: float
    model: Predictor
    arrays: Callable[[], Arrays]


def train(
    courses: Sequence[Course],
    device: str = "cpu",
    resumed: Arrays | None = None,
    on_pass: Callable[[Pass], None] = lambda done: None,
) -> list[Predictor]:
    """Trains one network after the other.

    Args:
        device: the torch device that holds the courses.
        resumed: of an interrupted training of the same courses, which resumes after that pass. On the same device the
            result has the same bytes as without the interruption.
        on_pass: called after each pass.
    """
    import torch  # slow to import, and the settings are read without it

    done = int(resumed["passes"]) if resumed else 0
    modules: list[torch.nn.Module] = []
    before = 0  # passes of the networks before this one
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
        for k, course in enumerate(courses):
            settings = course.settings
            torch.manual_seed(_seed(settings.seed, k, 0))
            module = course.module().to(device)
            optimiser = torch.optim.AdamW(
                module.parameters(), settings.learning_rate, betas=(0.9, 0.99), weight_decay=settings.weight_decay
            )
            modules.append(module)
            if resumed and done > before:
                _restore(resumed, k, module, optimiser if done < before + settings.passes else None)
            for number in range(max(0, done - before), settings.passes):
                torch.manual_seed(_seed(settings.seed, k, number + 1))  # so that a new process can resume at any pass
                module.train()
                total = torch.zeros((), device=device)
                for step, loss in enumerate(course.losses(module), number * course.batches):
                    rate = settings.learning_rate * _rate(step, settings.passes * course.batches)
                    optimiser.param_groups[0]["lr"] = rate
                    optimiser.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call] # torch gives it no types
                    optimiser.step()
                    total += loss.detach()
                model, keep = course.predictor(module), partial(_arrays, before + number + 1, tuple(modules), optimiser)
                on_pass(Pass(before + number + 1, float(total) / course.batches, model, keep))
            before += settings.passes
    return [course.predictor(module) for course, module in zip(courses, modules, strict=True)]


def dropout(share: float) -> torch.nn.Module:
    """Unlike torch's dropout, it uses all eight bytes of a random number, which saves a fifth of the training.

    The share is rounded to a multiple of 1/256.
    """
    import torch

    dropped = round(256 * share)

    class Dropout(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not self.training:
                return x
            # drawn on the CPU, so that every device drops the same
            bits = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
            kept = (bits.view(torch.uint8)[: x.numel()] >= dropped).view(x.shape)
            return x * (kept * (256 / (256 - dropped))).to(x.device)

    return Dropout()


def distributions(softmax: torch.Tensor) -> NDArray[np.float64]:
    """float64[N, V] of float32, with rows that sum to 1 within 1e-12, not only within 1e-7."""
    rows: NDArray[np.float64] = softmax.double().numpy()
    rows /= rows.sum(axis=1, keepdims=True)
    return rows


def _seed(*numbers: int) -> int:
    """One 32-bit seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _arrays(passes: int, modules: Sequence[torch.nn.Module], optimiser: torch.optim.Optimizer) -> Arrays:
    """The tensors of all networks so far, and of the last one's optimiser."""
    found: dict[str, NDArray[Any]] = {"passes": np.array(passes)}
    for k, module in enumerate(modules):
        found |= {f"{k}.{name}": tensor.cpu().numpy().copy() for name, tensor in module.state_dict().items()}
    for i, moments in optimiser.state_dict()["state"].items():
        found |= {f"optimiser.{i}.{name}": tensor.cpu().numpy().copy() for name, tensor in moments.items()}
    return found


def _restore(arrays: Arrays, k: int, module: torch.nn.Module, optimiser: torch.optim.Optimizer | None) -> None:
    """Restores network k, and the optimiser, which only a network has that is not finished."""
    import torch

    module.load_state_dict({name: torch.from_numpy(arrays[f"{k}.{name}"]) for name in module.state_dict()})
    if not optimiser:
        return
    restored = optimiser.state_dict()
    restored["state"] = {
        i: {name: torch.from_numpy(arrays[f"optimiser.{i}.{name}"]) for name in ("step", "exp_avg", "exp_avg_sq")}
        for i in range(len(list(module.parameters())))
    }
    optimiser.load_state_dict(restored)


def _rate(step: int, steps: int) -> float:
    """The fraction of the learning rate at a step: up in the first tenth, then down along half a cosine to 0."""
    warm_up = max(1, steps // 10)
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 + 0.5 * math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up))

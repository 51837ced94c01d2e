"""How well makemore's own models predict names if they are trained to their best dev, and what they cost.

    python benchmarks/rivals_trained.py [--names FILE] [--models gru wavenet transformer] [--steps 200]

The models are those of `makemore.py` in this folder. Names are split as the job splits them, and each model learns from
train as published: the GRU and the transformer by AdamW from 32 names a step, the WaveNet by plain gradient descent
from 32 windows a step, ten times as slow in its last quarter. Each is measured on dev every 1,000 steps, and kept where
it was best. The first two stop when that was 10,000 steps ago. Test is measured once, with the model that was kept.

NLL is in nats per symbol: characters, and one end per name. *Unseen* names are not also in train. All runs on one
thread, and all times are of the processor, not of the clock, so that other work beside it counts little. Training is up
to the best dev, and does not count the looks at dev.
"""

from __future__ import annotations

import argparse
import copy
import math
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the lectures' name
from makemore import Gru, Transformer, WaveNet, draw, windows
from notebook import NAMES
from torch import Tensor, nn

from namegen.corpus.corpus import Split, read_corpus, split
from namegen.training.evaluate import nll
from namegen.vocabulary import Vocabulary

LABELS = {"gru": "makemore's GRU", "wavenet": "the lectures' WaveNet", "transformer": "makemore's transformer"}
BATCH = 32
LOOK = 1_000  # steps between two looks at dev
PATIENCE = 10_000  # steps
MOST = {"gru": 150_000, "wavenet": 200_000, "transformer": 80_000}  # steps
NOTHING = -1  # what follows the end of a name
AT_ONCE = 500  # names that are scored side by side
DRAWN = {"gru": 5_000, "wavenet": 10_000, "transformer": 2_000}
REPEATS = 5  # of the drawing


@dataclass(frozen=True)
class Sequences:
    """Names as the models learn from them: x[N, T], each from the boundary on, and y[N, T], what follows."""

    names: tuple[str, ...]
    x: Tensor
    y: Tensor

    @classmethod
    def of(cls, names: tuple[str, ...], vocabulary: Vocabulary, longest: int) -> Sequences:
        """Names side by side, filled up to one length."""
        ids, lengths = vocabulary.encode(names)
        places = np.arange(longest)
        x = np.zeros((len(names), longest), np.int64)
        x[(places >= 1) & (places <= lengths[:, None])] = ids
        y = np.where(places <= lengths[:, None], np.roll(x, -1, axis=1), NOTHING)
        return cls(names, torch.from_numpy(x), torch.from_numpy(y))


@torch.no_grad()
def measure(module: nn.Module, held_out: Sequences, train: frozenset[str]) -> tuple[float, float]:
    """The NLL of all names, and of the unseen."""
    module.eval()
    parts = []
    for x, y in zip(torch.split(held_out.x, AT_ONCE), torch.split(held_out.y, AT_ONCE), strict=True):
        losses = F.cross_entropy(module(x).transpose(1, 2), y, ignore_index=NOTHING, reduction="none")
        parts.append(-losses.double().sum(1))
    module.train()
    log_prob = torch.cat(parts).numpy()
    unseen = np.array([name not in train for name in held_out.names])
    chosen = [name for name in held_out.names if name not in train]
    return nll(held_out.names, log_prob)[1], nll(chosen, log_prob[unseen])[1]


def learn_names(module: nn.Module, train: Sequences) -> Callable[[int], None]:
    """A step of `makemore.py`: 32 names at random. What no name of them reaches is cut off, as it has no loss."""
    optimizer = torch.optim.AdamW(module.parameters(), lr=5e-4, weight_decay=0.01, betas=(0.9, 0.99))
    lengths = (train.y != NOTHING).sum(1)

    def step(_: int) -> None:
        rows = torch.randint(len(train.names), (BATCH,))
        length = int(lengths[rows].max())
        logits = module(train.x[rows, :length])
        loss = F.cross_entropy(logits.flatten(0, 1), train.y[rows, :length].flatten(), ignore_index=NOTHING)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def learn_windows(module: WaveNet, train: Sequences, steps: int) -> Callable[[int], None]:
    """A step of the fifth lecture: 32 windows at random."""
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    inside = train.y != NOTHING
    x, y = windows(train.x)[inside], train.y[inside]

    def step(number: int) -> None:
        optimizer.param_groups[0]["lr"] = 0.1 if number < 0.75 * steps else 0.01
        rows = torch.randint(len(y), (BATCH,))
        loss = F.cross_entropy(module.of_windows(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def fit(name: str, module: nn.Module, train: Sequences, dev: Sequences, steps: int) -> tuple[float, int, int]:
    """Trains a model and leaves it as it was at its best dev: the seconds and the steps up to there, and all steps."""
    seen = frozenset(train.names)
    step = learn_windows(module, train, steps) if isinstance(module, WaveNet) else learn_names(module, train)
    patience = steps if isinstance(module, WaveNet) else PATIENCE
    best, best_step, best_seconds, seconds = math.inf, 0, 0.0, 0.0
    kept: dict[str, Tensor] = {}
    number = 0
    while number < steps and number - best_step < patience:
        start = time.process_time()
        until = min(steps, number + LOOK)
        while number < until:
            step(number)
            number += 1
        seconds += time.process_time() - start
        now, _ = measure(module, dev, seen)
        print(f"{name}: {number:,} steps, {seconds:.0f} s, dev {now:.4f}", flush=True)
        if now < best:
            best, best_step, best_seconds = now, number, seconds
            kept = copy.deepcopy(module.state_dict())
    module.load_state_dict(kept)
    return best_seconds, best_step, number


def rate(module: Gru | Transformer | WaveNet, count: int, longest: int) -> float:
    """Names per second of the processor, median of `REPEATS`."""
    module.eval()
    draw(module.following, count, longest)  # once, to warm up
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        draw(module.following, count, longest)
        times.append(time.process_time() - start)
    return count / statistics.median(times)


def make(name: str, symbols: int, longest: int) -> Gru | Transformer | WaveNet:
    """A new model."""
    if name == "gru":
        return Gru(symbols)
    return WaveNet(symbols) if name == "wavenet" else Transformer(symbols, longest)


def row(name: str, parts: Split, vocabulary: Vocabulary, most: int | None) -> list[str]:
    """A model's row of the table."""
    longest = max(map(len, (*parts.train, *parts.dev, *parts.test))) + 1
    train, dev, test = (Sequences.of(part, vocabulary, longest) for part in (parts.train, parts.dev, parts.test))
    torch.manual_seed(0)
    module = make(name, len(vocabulary), longest)
    seconds, best, steps = fit(name, module, train, dev, most or MOST[name])
    seen = frozenset(parts.train)
    figures = [*measure(module, dev, seen), *measure(module, test, seen)]
    return [
        LABELS[name],
        f"{sum(parameter.numel() for parameter in module.parameters()):,}",
        *(f"{figure:.4f}" for figure in figures),
        f"{seconds:,.0f}",
        f"{best:,} of {steps:,}",
        f"{rate(module, DRAWN[name], longest):,.0f}",
    ]


def main() -> None:
    """Trains and measures each model, and prints the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=Path, default=NAMES)
    parser.add_argument("--models", nargs="+", choices=list(MOST), default=list(MOST))
    parser.add_argument("--steps", type=int, help="at most so many, to try it out")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    corpus = read_corpus(arguments.names)
    parts = split(corpus)
    rows = [row(name, parts, corpus.vocabulary, arguments.steps) for name in arguments.models]
    print(f"\n{arguments.names.name}: {len(corpus.names):,} names; {platform.machine()}, one thread")
    print(f"Python {platform.python_version()}, torch {version('torch')}\n")
    print("| | parameters | dev | dev, unseen | test | test, unseen | training, s | steps | names per second |")
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(f"| {' | '.join(each)} |" for each in rows))


if __name__ == "__main__":
    main()

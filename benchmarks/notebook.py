"""The job's parts against the notebook's own loops, written out as the notebook has them.

    python benchmarks/notebook.py [--names FILE] [--repeats 5]

Each pair does the same work in the same process, one after the other, `--repeats` times; medians are compared, and
the spread (smallest to largest) is shown. The notebook's loops run in full, but for the drawing: it draws 1,000 of the
500,000 names, and the time is scaled.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - the notebook's name

from namegen.corpus.corpus import read_corpus
from namegen.corpus.ngrams import count_ngrams
from namegen.models import bigram, neural_bigram
from namegen.sampling.stream import sample_batches
from namegen.training.quantise import quantise

NAMES = Path(__file__).parents[1] / "data" / "names.txt"
SAMPLED = 500_000  # names, by namegen
SAMPLED_BY_NOTEBOOK = 1_000  # names, by the loop
STEPS = 100  # of the notebook's gradient descent


def notebook_count(words: list[str], stoi: dict[str, int]) -> torch.Tensor:
    """The notebook's counting loop."""
    N = torch.zeros((len(stoi), len(stoi)), dtype=torch.int32)
    for w in words:
        chs = [".", *w, "."]
        for ch1, ch2 in pairwise(chs):
            N[stoi[ch1], stoi[ch2]] += 1
    return N


def notebook_nll(words: list[str], stoi: dict[str, int], P: torch.Tensor) -> float:
    """The notebook's likelihood loop."""
    log_likelihood, n = torch.zeros(()), 0
    for w in words:
        chs = [".", *w, "."]
        for ch1, ch2 in pairwise(chs):
            log_likelihood += torch.log(P[stoi[ch1], stoi[ch2]])
            n += 1
    return float(-log_likelihood / n)


def notebook_train(words: list[str], stoi: dict[str, int], steps: int) -> float:
    """The notebook's gradient descent, from the list of names to the last loss."""
    xs, ys = [], []
    for w in words:
        chs = [".", *w, "."]
        for ch1, ch2 in pairwise(chs):
            xs.append(stoi[ch1])
            ys.append(stoi[ch2])
    inputs, labels, symbols = torch.tensor(xs), torch.tensor(ys), len(stoi)
    g = torch.Generator().manual_seed(2147483647)
    W = torch.randn((symbols, symbols), generator=g, requires_grad=True)
    loss = torch.zeros(())
    for _ in range(steps):
        xenc = F.one_hot(inputs, num_classes=symbols).float()
        logits = xenc @ W
        counts = logits.exp()
        probs = counts / counts.sum(1, keepdim=True)
        loss = -probs[torch.arange(len(ys)), labels].log().mean() + 0.01 * (W**2).mean()
        W.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        W.data += -50 * W.grad  # type: ignore[operator]
    return loss.item()


def notebook_sample(count: int, itos: str, P: torch.Tensor) -> list[str]:
    """The notebook's sampling loop."""
    g = torch.Generator().manual_seed(2147483647)
    names = []
    for _ in range(count):
        out, ix = [], 0
        while True:
            p = P[ix]
            ix = int(torch.multinomial(p, num_samples=1, replacement=True, generator=g).item())
            out.append(itos[ix])
            if ix == 0:
                break
        names.append("".join(out))
    return names


def seconds(work: Callable[[], object]) -> float:
    """The wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Times every pair and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=Path, default=NAMES)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()

    corpus = read_corpus(arguments.names)
    words, itos = list(corpus.names), "".join(corpus.vocabulary.symbols)
    stoi = {symbol: i for i, symbol in enumerate(itos)}
    counts = count_ngrams(words, corpus.vocabulary, 2)
    automaton = quantise(bigram.fit(counts), counts)
    P = torch.from_numpy(bigram.fit(counts)).float()

    def train() -> None:
        neural_bigram.fit(count_ngrams(words, corpus.vocabulary, 2))

    def sample() -> None:
        for _ in sample_batches(automaton, 42, 0, SAMPLED):
            pass

    # what: (the notebook's, and the share of the work that it does; namegen's)
    pairs: dict[str, tuple[Callable[[], object], float, Callable[[], object]]] = {
        "count bigrams": (
            lambda: notebook_count(words, stoi),
            1,
            lambda: count_ngrams(words, corpus.vocabulary, 2).counts,
        ),
        "train the network": (lambda: notebook_train(words, stoi, STEPS), 1, train),
        "NLL of all names": (lambda: notebook_nll(words, stoi, P), 1, lambda: automaton.log_prob(words)),
        "sample names": (
            lambda: notebook_sample(SAMPLED_BY_NOTEBOOK, itos, P),
            SAMPLED_BY_NOTEBOOK / SAMPLED,
            sample,
        ),
    }
    versions = ", ".join(f"{package} {version(package)}" for package in ("torch", "polars", "numpy"))
    print(f"{arguments.names.name}: {len(words):,} names; Python {platform.python_version()}, {versions}")
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, median of {arguments.repeats} (min to max)\n")
    print(f"{'':20}{'notebook, s':>26}{'namegen, s':>30}{'times faster':>16}")
    for what, (theirs, share, ours) in pairs.items():
        ours()  # once, to warm up
        times = [(seconds(theirs) / share, seconds(ours)) for _ in range(arguments.repeats)]
        slow, fast = zip(*times, strict=True)
        print(f"{what:20}{spread(slow):>26}{spread(fast):>30}{statistics.median(s / f for s, f in times):>16,.0f}")
        if what == "sample names":
            rates = SAMPLED / statistics.median(slow), SAMPLED / statistics.median(fast)
            print(f"{'  names a second':20}{rates[0]:>26,.0f}{rates[1]:>30,.0f}")


def spread(values: tuple[float, ...]) -> str:
    """Median (smallest to largest), in seconds."""
    return f"{statistics.median(values):.4f} ({min(values):.4f} to {max(values):.4f})"


if __name__ == "__main__":
    main()

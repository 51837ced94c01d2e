"""Names a second, against other ways to come by names, each in turns in one process on one core.

    pip install -e '.[bench]'
    python benchmarks/rivals.py MODEL_FOLDER [--repeats 5]

Faker and mimesis pick from lists. markovify walks a chain over the last five characters. The notebook's loop draws from
its table of pairs. The bigram, GRU and transformer are of the sizes that makemore has by default, and draw as it does:
a batch at a time, every name to the full length, each step from the whole sequence so far. They are not trained, which
changes what they draw and not how long it takes. They are made of torch's own layers; `rivals_trained.py` trains them
as makemore writes them out.
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
from collections.abc import Callable
from importlib.metadata import version
from itertools import repeat

import markovify
import torch
from faker import Faker
from mimesis import Person
from notebook import NAMES, notebook_sample, seconds
from torch import Tensor, nn

import namegen
from namegen.automaton.automaton import Automaton
from namegen.corpus.corpus import Corpus, read_corpus
from namegen.corpus.ngrams import count_ngrams
from namegen.models import bigram
from namegen.sampling.stream import sample_batches

BLOCK = 16  # symbols of a name, its end included
WIDTH = 64
BATCH = 1000


class Gru(nn.Module):
    """One GRU layer over embedded symbols."""

    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, WIDTH)
        self.gru = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.head = nn.Linear(WIDTH, symbols)

    def forward(self, x: Tensor) -> Tensor:
        """int64[B, T] to logits [B, T, V]."""
        logits: Tensor = self.head(self.gru(self.embedding(x))[0])
        return logits


class Transformer(nn.Module):
    """Four causal layers with four heads each."""

    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.embedding, self.position = nn.Embedding(symbols, WIDTH), nn.Embedding(BLOCK, WIDTH)
        layer = nn.TransformerEncoderLayer(
            WIDTH, 4, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, symbols)

    def forward(self, x: Tensor) -> Tensor:
        """int64[B, T] to logits [B, T, V]."""
        length = x.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        embedded = self.embedding(x) + self.position(torch.arange(length))
        logits: Tensor = self.head(self.layers(embedded, mask=mask, is_causal=True))
        return logits


@torch.no_grad()
def draw(module: nn.Module, count: int) -> None:
    """`count` names, a batch at a time."""
    for first in range(0, count, BATCH):
        x = torch.zeros((min(BATCH, count - first), 1), dtype=torch.int64)
        for _ in range(BLOCK - 1):
            x = torch.cat([x, torch.multinomial(torch.softmax(module(x)[:, -1], dim=1), 1)], dim=1)


def ways(automaton: Automaton, corpus: Corpus) -> dict[str, tuple[int, Callable[[], object]]]:
    """Each way's names and what makes them."""
    symbols = "".join(corpus.vocabulary.symbols)
    counts = count_ngrams(corpus.names, corpus.vocabulary, 2)
    P = torch.from_numpy(bigram.fit(counts)).float()
    chain = markovify.Chain([list(name) for name in corpus.names], 5)
    faker, person = Faker(), Person()
    table, gru, transformer = (
        nn.Embedding(len(symbols), len(symbols), _weight=P.log()),
        Gru(len(symbols)),
        Transformer(len(symbols)),
    )
    random.seed(0)
    torch.manual_seed(0)

    def ours() -> None:
        for _ in sample_batches(automaton, 42, 0, 2**21):
            pass

    return {
        "the notebook's loop": (2_000, lambda: notebook_sample(2_000, symbols, P)),
        "Faker": (20_000, lambda: [faker.first_name() for _ in repeat(None, 20_000)]),
        "mimesis": (200_000, lambda: [person.first_name() for _ in repeat(None, 200_000)]),
        "markovify": (5_000, lambda: ["".join(chain.walk()) for _ in repeat(None, 5_000)]),
        "makemore's bigram": (50_000, lambda: draw(table, 50_000)),
        "makemore's GRU": (5_000, lambda: draw(gru, 5_000)),
        "makemore's transformer": (1_000, lambda: draw(transformer.eval(), 1_000)),
        "namegen": (2**21, ours),
    }


def main() -> None:
    """Times every way and prints the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model's folder")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    found = ways(namegen.load(arguments.model).automaton, read_corpus(NAMES))
    rates: dict[str, list[float]] = {way: [] for way in found}
    for _ in range(arguments.repeats + 1):
        for way, (names, work) in found.items():
            rates[way].append(names / seconds(work))
    versions = ", ".join(f"{package} {version(package)}" for package in ("faker", "mimesis", "markovify", "torch"))
    print(f"{platform.machine()}, Python {platform.python_version()}, {versions}; medians of {arguments.repeats}\n")
    print("| | names a second (smallest to largest) | namegen is faster by |\n|---|---|---|")
    own = statistics.median(rates["namegen"][1:])
    for way, values in rates.items():
        rest = values[1:]  # the first was to warm up
        median = statistics.median(rest)
        print(f"| {way} | {median:,.0f} ({min(rest):,.0f} to {max(rest):,.0f}) | {own / median:,.0f} |")


if __name__ == "__main__":
    main()

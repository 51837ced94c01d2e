"""Counting a million names at order 7: seconds and peak memory.

    python benchmarks/counting.py [--count 1000000] [--order 7]

The names are sampled from the bigram model of data/names.txt, which makes far more different contexts than real
names do. Peak memory is the process's, imports and the names themselves included.
"""

from __future__ import annotations

import argparse
import platform
import resource
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from namegen.corpus.corpus import corpus_of, read_corpus
from namegen.corpus.ngrams import count_ngrams
from namegen.model import Model
from namegen.models import bigram
from namegen.storage.files import write_frame
from namegen.training.quantise import quantise

NAMES = Path(__file__).parents[1] / "data" / "names.txt"


def main() -> None:
    """Makes the names, counts them, writes the counts, and prints what each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--order", type=int, default=7)
    arguments = parser.parse_args()

    corpus = read_corpus(NAMES)
    counts = count_ngrams(corpus.names, corpus.vocabulary, 2)
    sampled = Model(quantise(bigram.fit(counts), counts)).sample(arguments.count)["name"].to_list()
    million = corpus_of(name for name in sampled if name)
    del sampled
    before = peak_mib()

    start = time.perf_counter()
    counts = count_ngrams(million.names, million.vocabulary, arguments.order)
    counted = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        write_frame(Path(folder) / "ngrams.parquet", counts.to_frame())
        written = time.perf_counter() - start
        size = (Path(folder) / "ngrams.parquet").stat().st_size
    print(f"Python {platform.python_version()}, polars {version('polars')}, {platform.machine()}")
    sizes = f"{counts.states:,} contexts, {len(counts.state):,} entries"
    print(f"{len(million.names):,} names, order {arguments.order}: {sizes}")
    print(f"counting {counted:.1f} s, writing {written:.1f} s ({size / 2**20:,.0f} MiB)")
    print(f"peak memory {peak_mib():,.0f} MiB, of which {before:,.0f} MiB before counting")


def peak_mib() -> float:
    """The largest resident set of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()

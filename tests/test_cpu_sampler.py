from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import ROOT
from namegen.automaton.alias_tables import build_alias_tables
from namegen.automaton.automaton import TOTAL, Automaton
from namegen.automaton.logarithm import CONSTANTS, ln
from namegen.sampling import kernel as cpu_kernel
from namegen.sampling.cpu_sampler import CpuSampler
from namegen.sampling.stream import MAX_INDEX, MAX_SEED, sample_batches, sampler_of
from namegen.sampling.torch_sampler import TorchSampler
from namegen.vocabulary import Vocabulary

# Letters of one, two, three and four bytes in UTF-8
LETTERS = range(0x2F, 0x7F), range(0x100, 0x200), range(0x4E00, 0x4F00), range(0x10400, 0x10500)
BORDERS = 0, 2**20, 2**32, 2**52, MAX_INDEX - 2**12
# the row that a range begins with, and its rows: from one to some more than two groups of the kernel
RANGES = st.tuples(
    st.sampled_from(BORDERS).flatmap(lambda border: st.integers(max(0, border - 2000), border + 2000)),
    st.sampled_from([0, 1, 2, 100, 1023, 1024, 1025, 2500]),
).map(lambda pair: (min(pair[0], MAX_INDEX + 1 - pair[1]), pair[1]))


@st.composite
def automata(draw: st.DrawFn) -> Automaton:
    """Automata of 1 to 9 states over 2 to 256 symbols, of one to four bytes; some symbols have probability one."""
    symbols = draw(st.one_of(st.integers(2, 9), st.integers(2, 256), st.sampled_from([2, 16, 17, 128, 255, 256])))
    states = draw(st.integers(1, 9))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    ends = draw(st.sampled_from([0, 1, TOTAL // 8]))  # at least, of each row; with 0 some names have 64 symbols
    weights = np.zeros((states, symbols), np.int64)
    for row in weights:
        some = generator.choice(symbols, generator.integers(1, symbols + 1), replace=False)
        shares = generator.exponential(size=len(some)) ** draw(st.sampled_from([0.1, 1, 9]))
        row[some] = shares / shares.sum() * (TOTAL - ends - symbols)
        row[0] += ends
        row[some[0]] += TOTAL - row.sum()
    wide = draw(st.integers(0 if symbols <= len(LETTERS[0]) else 1, 3))
    letters = generator.permutation(np.concatenate(LETTERS[: wide + 1]))[: symbols - 1]
    vocabulary = Vocabulary("." + "".join(map(chr, sorted(letters.tolist()))))
    successor = generator.integers(0, states, (states, symbols), dtype=np.int32)
    return Automaton(vocabulary, 2, weights, successor, np.ones(states, np.uint8), draw(st.sampled_from([1, 6, 64])))


def by_torch(automaton: Automaton, seed: int, first: int, count: int) -> tuple[pa.StringArray, pa.DoubleArray]:
    return TorchSampler(automaton, "cpu").draw(seed, first, count)


def bits(log_prob: pa.DoubleArray) -> bytes:
    return bytes(log_prob.to_numpy().tobytes())


@settings(max_examples=150)
@given(automata(), st.one_of(st.integers(0, MAX_SEED), st.sampled_from([0, 2**32 - 1, 2**32, MAX_SEED])), RANGES)
def test_equal_to_torch(automaton: Automaton, seed: int, span: tuple[int, int]) -> None:
    """Any automaton, seed and range: the same names, and log-probabilities to the last bit."""
    names, log_prob = CpuSampler(automaton).draw(seed, *span)
    names.validate(full=True)
    expected_names, expected_log_prob = by_torch(automaton, seed, *span)
    assert names.equals(expected_names)
    assert bits(log_prob) == bits(expected_log_prob)


@settings(max_examples=150)
@given(automata())
def test_cells_are_the_alias_tables(automaton: Automaton) -> None:
    """The compiled sweep fills the columns that the reference does; a full one, of any threshold, is its own alias."""
    bits = automaton.column_bits
    threshold, alias = build_alias_tables(automaton.weights, bits)
    capacity = TOTAL >> bits
    assert (alias[threshold == capacity] == np.nonzero(threshold == capacity)[1]).all()
    cells, entries = cpu_kernel.lay_out(automaton.weights, automaton.successor, CONSTANTS, bits)
    assert (cells == (np.where(threshold == capacity, 0, threshold) << bits | alias).reshape(-1)).all()
    assert (entries["successor"] == automaton.successor.reshape(-1)).all()
    assert entries["log_prob"].tobytes() == automaton.log_probabilities.tobytes()


def test_compiled_logarithms_are_the_reference_s() -> None:
    """Bit by bit: powers of two, where the mantissa changes sides, the neighbours of both, and a million others."""
    edges = [int(2**k * side) + d for k in range(33) for side in (1, 0.5**0.5) for d in (-2, -1, 0, 1, 2)]
    some = np.random.default_rng(5).integers(1, 2**32, 10**6) >> np.random.default_rng(6).integers(0, 32, 10**6)
    weights = np.concatenate([edges, some])
    weights = weights[(weights > 0) & (weights <= TOTAL)]
    padded = np.zeros((-(-len(weights) // 255), 255), np.int64)
    padded.reshape(-1)[: len(weights)] = weights
    successor = np.zeros(padded.shape, np.int32)
    entries = cpu_kernel.lay_out(padded, successor, CONSTANTS, 8)[1]
    assert entries["log_prob"].tobytes() == ln(padded / TOTAL).tobytes()


def test_a_buffer_grows() -> None:
    """Names of 64, of one byte a symbol and of three, take more than is set aside at first."""
    weights = np.zeros((2, 3), np.int64)
    weights[:, 1:] = TOTAL // 2
    for symbols in (".ab", ".a漢"):
        long = Automaton(Vocabulary(symbols), 2, weights, np.zeros((2, 3), np.int32), np.ones(2, np.uint8))
        names, _ = CpuSampler(long).draw(1, 0, 20_000)
        names.validate(full=True)
        assert names.equals(by_torch(long, 1, 0, 20_000)[0])


def test_threads_share_a_sampler(automaton: Automaton) -> None:
    """Four threads at once draw what one draws alone, with the tables of one sampler."""

    def draw(start: int) -> list[pa.RecordBatch]:
        return list(sample_batches(automaton, 7, start, 5000, batch=1500))

    starts = range(2**20 - 20_000, 2**20 + 20_000, 5000)
    alone = [draw(start) for start in starts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(draw, starts)) == alone
        assert len({id(s) for s in pool.map(lambda _: sampler_of(automaton, "cpu"), range(8))}) == 1


def run(program: str, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        env=kept | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    return done.stdout.strip()


def test_no_torch_on_the_cpu() -> None:
    """A process that draws names in threads, the first thing it does, imports no torch."""
    program = (
        "import sys, numpy as np; from concurrent.futures import ThreadPoolExecutor;"
        "from namegen.automaton.automaton import Automaton; from namegen.model import Model;"
        "from namegen.vocabulary import Vocabulary;"
        "one = Model(Automaton(Vocabulary('.a'), 2, np.array([[0, 2**32], [2**32, 0]]), np.ones((2, 2), np.int32),"
        "np.ones(2, np.uint8)));"
        "frames = list(ThreadPoolExecutor(4).map(lambda seed: one.sample(3, seed), range(8)));"
        "print(frames[7]['name'].to_list(), 'torch' in sys.modules)"
    )
    assert run(program) == "['a', 'a', 'a'] False"


TWICE = """
from namegen.automaton.compiled import compiled, i64

@compiled(i64)
def twice(x):
    return 2 * x
"""


def test_without_a_cache_folder(tmp_path: Path) -> None:
    """Where neither the source's folder nor the user's can be written, functions are compiled all the same."""
    (tmp_path / "twice.py").write_text(TWICE)
    (tmp_path / "__pycache__").write_text("a file where the folder should be, which stops even a superuser")
    nowhere = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"), "/dev/null/nowhere")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from twice import twice; print(twice(4))"
    assert run(program, PYTHONDONTWRITEBYTECODE="1", **nowhere) == "8"


def test_with_a_broken_cache(tmp_path: Path) -> None:
    """Compiled code is kept, and where it is broken, done without."""
    (tmp_path / "twice.py").write_text(TWICE)
    cache = tmp_path / "cache"
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from twice import twice; print(twice(4))"
    assert run(program, NUMBA_CACHE_DIR=str(cache)) == "8"
    (index,) = cache.rglob("*.nbi")
    index.write_bytes(b"not what it was")
    assert run(program, NUMBA_CACHE_DIR=str(cache)) == "8"

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from conftest import table_nll
from namegen.corpus.corpus import Corpus, split
from namegen.corpus.ngrams import NgramCounts, count_ngrams
from namegen.models import bigram, blend, kneser_ney, mlp, neural_bigram
from namegen.training.evaluate import nll
from namegen.training.events import events_of
from namegen.training.quantise import quantise
from namegen.vocabulary import Vocabulary
from notebook_draws import COUNTS, notebook_counts
from strategies import names as some_names


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
    held_out: list[float | None] = []
    dev = count_ngrams(["emma", "zoe", "mia"], notebook_counts().vocabulary, 2)
    fitted = neural_bigram.fit(notebook_counts(), on_step=lambda step, loss, nll: held_out.append(nll), dev=dev)
    np.testing.assert_allclose(fitted, descend(start, 100), rtol=0, atol=1e-12)
    for step in (1, 50, 100):  # the NLL of the dev names before the step's update
        by_hand = -(dev.counts * np.log(descend(start, step - 1))).sum() / dev.counts.sum()
        assert held_out[step - 1] == pytest.approx(by_hand, abs=1e-12)


def test_training_twice_gives_the_same_bytes() -> None:
    once, twice = (neural_bigram.fit(notebook_counts()) for _ in range(2))
    assert once.tobytes() == twice.tobytes()


def test_bigram_is_counts_plus_one() -> None:
    """Also where the counts are of a higher order, and where a symbol was never seen."""
    counts = count_ngrams(["ab", "b"], Vocabulary(".abc"), 4)
    expected = [[1 / 6, 2 / 6, 2 / 6, 1 / 6], [1 / 5, 1 / 5, 2 / 5, 1 / 5], [3 / 6, 1 / 6, 1 / 6, 1 / 6], [1 / 4] * 4]
    np.testing.assert_allclose(bigram.fit(counts), expected, rtol=1e-15)


class KneserNey:
    """Interpolated modified Kneser-Ney by its definition, a dictionary an order, in exact fractions."""

    def __init__(self, names: list[str], symbols: str, order: int) -> None:
        self.symbols = symbols
        raw = [Counter[str]() for _ in range(order + 1)]  # raw[n]: how often each n-gram occurs
        for name in names:
            text = f".{name}."
            for n in range(1, order + 1):
                raw[n].update(text[i : i + n] for i in range(len(text) - n + 1))
        self.counts: list[Counter[str]] = [Counter()]
        for n in range(1, order + 1):
            if n == order:
                adjusted = raw[n]
            else:
                adjusted = Counter(gram[1:] for gram in raw[n + 1])  # one for each symbol before it
                adjusted.update({gram: count for gram, count in raw[n].items() if gram[0] == "." and n > 1})
            self.counts.append(adjusted)
        self.discounts = [self.estimate(counts) for counts in self.counts]

    @staticmethod
    def estimate(counts: Counter[str]) -> list[Fraction]:
        n = Counter(counts.values())
        if all(n[i] for i in (1, 2, 3, 4)):
            y = Fraction(n[1], n[1] + 2 * n[2])
            found = [i - (i + 1) * y * n[i + 1] / n[i] for i in (1, 2, 3)]
            if all(0 <= d <= i for i, d in enumerate(found, 1)):
                return [Fraction(0), *found]
        return [Fraction(0), Fraction(1, 2), Fraction(1), Fraction(3, 2)]

    def probability(self, context: str, symbol: str) -> Fraction:
        """p(symbol | context), by recursion to the uniform distribution."""
        n = len(context) + 1
        counts, discounts = self.counts[n], self.discounts[n]
        row = {v: counts[context + v] for v in self.symbols}
        total = sum(row.values())
        shorter = self.probability(context[1:], symbol) if n > 1 else Fraction(1, len(self.symbols))
        if total == 0:
            return shorter
        taken = sum(discounts[min(c, 3)] for c in row.values())
        return (row[symbol] - discounts[min(row[symbol], 3)] + taken * shorter) / total


# a discount of the bigrams is just 0
@example(["λ", "λ", "ि", "λλλ", "λ  ि", "ि λλिि", "िλि   λ"], 3)
@given(some_names(max_size=40), st.integers(2, 6))
def test_kneser_ney_equals_its_definition(names: list[str], order: int) -> None:
    """Every probability, for random corpora, alphabets and orders; after the start the boundary has none."""
    vocabulary = Vocabulary.of([*names, "q"])
    counts = count_ngrams(names, vocabulary, order)
    table = kneser_ney.fit(counts)
    reference = KneserNey(names, vocabulary.symbols, order)
    for s, context in enumerate(counts.contexts()):
        expected = [reference.probability(context, v) for v in vocabulary.symbols]
        assert sum(expected) == 1
        if s == 0:
            expected = [Fraction(0), *(p / (1 - expected[0]) for p in expected[1:])]
        np.testing.assert_allclose(table[s], [float(p) for p in expected], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(table.sum(axis=1), 1, rtol=0, atol=1e-12)


def test_kneser_ney_by_hand() -> None:
    """One name, "ab", at order 3: every count is 1, so the discounts are the fallback's, and D1 = 1/2.

    Unigrams: each of ., a, b follows one symbol: (1 - 1/2)/3 + 3/2 / 3 * 1/3 = 1/3. After a: b followed it behind one
    symbol: 1/2 + 1/2 * 1/3 = 2/3, and 1/6 each for the others. After .a: 1/2 + 1/2 * 2/3 = 5/6, and 1/12 each. At the
    start: 2/3, 1/6 and 1/6, of which the boundary's goes to the others in proportion: 4/5 and 1/5.
    """
    counts = count_ngrams(["ab"], Vocabulary(".ab"), 3)
    table = dict(zip(counts.contexts().to_list(), kneser_ney.fit(counts).tolist(), strict=True))
    assert table["."] == pytest.approx([0, 4 / 5, 1 / 5])
    assert table["a"] == pytest.approx([1 / 6, 1 / 6, 2 / 3])
    assert table[".a"] == pytest.approx([1 / 12, 1 / 12, 5 / 6])


def test_discounts_by_hand() -> None:
    """Ten n-grams once, four twice, two three times, one four times: Y = 10/18; else the fallback."""
    counts = np.array([[1] * 10 + [2] * 4 + [3] * 2 + [4] + [9] * 3])
    y = 10 / 18
    assert kneser_ney.discounts(counts) == pytest.approx((1 - 2 * y * 0.4, 2 - 3 * y * 0.5, 3 - 4 * y * 0.5))
    assert kneser_ney.discounts(np.array([[1, 2, 3]])) == kneser_ney.FALLBACK  # none four times
    assert kneser_ney.discounts(np.array([[1, 2, 3, *[4] * 9]])) == kneser_ney.FALLBACK  # D3+ would be negative


@pytest.mark.parametrize(("part", "bound"), [("dev", 1.976), ("test", 1.979)])
def test_kneser_ney_on_the_makemore_list(makemore: Corpus, part: str, bound: float) -> None:
    """Order 6, lecture split: below every published figure for these names (1.9775 on dev)."""
    parts = split(makemore)
    counts = count_ngrams(parts.train, makemore.vocabulary, 6)
    automaton = quantise(kneser_ney.fit(counts), counts)
    names = getattr(parts, part)
    assert nll(names, automaton.log_prob(names))[1] <= bound


SMALL = mlp.Settings(embedding=16, hidden=64, passes=12, batch=64)


@pytest.fixture(scope="module")
def small(names: Corpus) -> tuple[NgramCounts, tuple[str, ...]]:
    """The 4-gram counts of 3,000 names, and 500 others."""
    parts = split(names)
    return count_ngrams(parts.train[:3000], names.vocabulary, 4), parts.dev[:500]


@pytest.fixture(scope="module")
def network(small: tuple[NgramCounts, tuple[str, ...]]) -> tuple[NDArray[np.float64], list[float]]:
    """A small network trained for real, and its NLL on the others behind each pass."""
    counts, others = small
    nlls: list[float] = []

    def on_pass(done: mlp.Pass) -> None:
        nlls.append(table_nll(others, done.network.probabilities(counts.history), counts))

    return mlp.train(counts, SMALL, on_pass=on_pass).probabilities(counts.history), nlls


def test_a_network_learns(
    small: tuple[NgramCounts, tuple[str, ...]], network: tuple[NDArray[np.float64], list[float]]
) -> None:
    """Each row is a distribution, no name is empty, and on names that it has not seen it beats the bigram model."""
    (counts, others), (table, nlls) = small, network
    assert table.shape == (counts.states, 27)
    np.testing.assert_allclose(table.sum(axis=1), 1, rtol=0, atol=1e-12)
    assert table[0, 0] == 0
    assert table.min() >= 0
    assert (table.ravel()[1:] > 0).all()
    assert len(nlls) == SMALL.passes
    assert nlls[-1] == table_nll(others, table, counts)
    bigrams = counts.lower(2)
    assert nlls[-1] < table_nll(others, bigram.fit(bigrams), bigrams) - 0.05


def test_training_a_network_twice_gives_the_same_bytes(
    small: tuple[NgramCounts, tuple[str, ...]], network: tuple[NDArray[np.float64], list[float]]
) -> None:
    """Also where torch's own generator stands elsewhere, which training leaves as it was."""
    import torch

    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    again = mlp.train(small[0], SMALL).probabilities(small[0].history)
    assert again.tobytes() == network[0].tobytes()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_interrupted_training_ends_as_an_uninterrupted_one(small: tuple[NgramCounts, tuple[str, ...]]) -> None:
    """Two networks of two passes: from the state behind each pass, the rest gives the same bytes."""
    counts = small[0]
    settings = replace(SMALL, passes=2, networks=2)
    states: list[mlp.State] = []
    whole = mlp.train(counts, settings, on_pass=lambda done: states.append(done.state())).probabilities(counts.history)
    assert len(states) == 4
    for passes, state in enumerate(states, 1):
        numbers: list[int] = []
        rest = mlp.train(counts, settings, state=state, on_pass=lambda done, n=numbers: n.append(done.number))  # type: ignore[misc]
        assert numbers == list(range(passes + 1, 5))
        assert rest.probabilities(counts.history).tobytes() == whole.tobytes()


def test_several_networks_are_averaged(small: tuple[NgramCounts, tuple[str, ...]]) -> None:
    """Each starts elsewhere; their average beats the mean of them."""
    counts, others = small
    settings = replace(SMALL, passes=4, networks=3)
    alone: list[NDArray[np.float64]] = []

    def on_pass(done: mlp.Pass) -> None:
        if done.number % 4 == 0:
            alone.append(done.network.probabilities(counts.history))

    average = mlp.train(counts, settings, on_pass=on_pass).probabilities(counts.history)
    # but for the start, from which the boundary is taken before or after
    np.testing.assert_allclose(average[1:], np.mean(alone, axis=0)[1:], rtol=1e-6, atol=1e-12)
    assert np.abs(alone[0] - alone[1]).max() > 0.01
    assert table_nll(others, average, counts) < np.mean([table_nll(others, table, counts) for table in alone]) - 0.005


def test_dropout_drops_its_share() -> None:
    """A fifth of the numbers, other ones each time; what stays is scaled, so that the mean stays."""
    import torch

    module = mlp._module(3, 27, replace(SMALL, dropout=0.2))
    dropout = next(layer for layer in module.modules() if type(layer).__name__ == "Dropout")
    x = torch.ones(501, 201)  # no multiple of eight
    one, other = dropout(x), dropout(x)
    share = 51 / 256
    assert float((one == 0).float().mean()) == pytest.approx(share, abs=5 * (share * (1 - share) / x.numel()) ** 0.5)
    assert one.unique().tolist() == pytest.approx([0, 1 / (1 - share)])
    assert float(((one == 0) & (other == 0)).float().mean()) == pytest.approx(share**2, abs=0.005)
    assert (dropout.eval()(x) == x).all()


def test_a_blend_lies_between_its_parents(
    small: tuple[NgramCounts, tuple[str, ...]], network: tuple[NDArray[np.float64], list[float]]
) -> None:
    """At 0 and 1 it is the one or the other; at the fitted weight no grid point is better, and so neither parent."""
    (counts, others), (table, _) = small, network
    other = kneser_ney.fit(counts)
    assert (blend.mix(table, other, 1.0) == table).all()
    assert (blend.mix(table, other, 0.0) == other).all()

    def dev_nll(mixed: NDArray[np.float64]) -> float:
        return table_nll(others, mixed, counts)

    asked = events_of(others, counts)
    weight = blend.best_weight(asked.of(table[asked.base]), asked.of(other[asked.base]))
    best = dev_nll(blend.mix(table, other, weight))
    assert all(best <= dev_nll(blend.mix(table, other, i / 20)) + 1e-12 for i in range(21))
    assert best < min(dev_nll(table), dev_nll(other)) - 0.005


def test_the_best_weight_at_the_ends() -> None:
    """A model that gives less to every event gets no weight, also where it gives nothing to one."""
    good, bad = np.array([0.5, 0.5]), np.array([0.0, 0.4])
    assert (blend.best_weight(good, bad), blend.best_weight(bad, good)) == (1.0, 0.0)
    assert blend.best_weight(np.array([0.8, 0.2]), np.array([0.2, 0.8])) == 0.5


def test_history_and_what_is_whole() -> None:
    """Symbols from the left, the boundary before a name's beginning, V where nothing is known."""
    counts = count_ngrams(["ab"], Vocabulary(".ab"), 4)
    rows = zip(counts.contexts().to_list(), counts.history.tolist(), counts.is_whole.tolist(), strict=True)
    assert {context: (history, whole) for context, history, whole in rows} == {
        ".": ([0, 0, 0], True),
        "a": ([3, 3, 1], False),
        "b": ([3, 3, 2], False),
        ".a": ([0, 0, 1], True),
        "ab": ([3, 1, 2], False),
        ".ab": ([0, 1, 2], True),
    }

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from namegen.corpus.corpus import Corpus, split
from namegen.corpus.ngrams import count_ngrams
from namegen.models import bigram, kneser_ney, neural_bigram
from namegen.training.evaluate import nll
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
@example(["λ", "λ", "φ", "λλλ", "λ  φ", "φ λλφφ", "φλφ   λ"], 3)
@given(some_names(max_size=40), st.integers(2, 6))
def test_kneser_ney_equals_its_definition(names: list[str], order: int) -> None:
    """Every probability, for random corpora, alphabets and orders; after the start the boundary has none."""
    vocabulary = Vocabulary.of([*names, "q"])
    counts = count_ngrams(names, vocabulary, order)
    table = kneser_ney.fit(counts).table
    reference = KneserNey(names, "".join(vocabulary.symbols), order)
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
    table = dict(zip(counts.contexts().to_list(), kneser_ney.fit(counts).table.tolist(), strict=True))
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
    automaton = quantise(kneser_ney.fit(counts).table, counts)
    names = getattr(parts, part)
    assert nll(names, automaton.log_prob(names))[1] <= bound


@given(some_names(max_size=40), st.integers(2, 6))
def test_the_contexts_of_a_walk(names: list[str], order: int) -> None:
    """Symbol by symbol it is the table's successors, and as long as the model says that its contexts are."""
    counts = count_ngrams(names, Vocabulary.of([*names, "q"]), order)
    model = kneser_ney.fit(counts)
    states = np.repeat(np.arange(counts.states, dtype=np.int32), len(counts.vocabulary) - 1)
    symbols = np.tile(np.arange(1, len(counts.vocabulary)), counts.states)
    assert (model.after(states, symbols) == counts.successor[states, symbols]).all()
    assert model.start().tolist() == [0]
    contexts = counts.contexts().to_list()
    assert counts.lengths.tolist() == [*map(len, contexts)]
    begins = counts.vocabulary.boundary
    kinds = [len(context) - 1 + (order - 1) * context.startswith(begins) for context in contexts]
    assert model.kind(np.arange(counts.states)).tolist() == kinds
    assert max(kinds) < model.kinds
    assert (model.predict(states[::7]) == model.table[states[::7]]).all()


def test_what_is_whole() -> None:
    """A context is whole if it cannot be longer: at the beginning of a name, or of n-1 symbols."""
    counts = count_ngrams(["ab"], Vocabulary(".ab"), 4)
    whole = dict(zip(counts.contexts().to_list(), counts.is_whole.tolist(), strict=True))
    assert whole == {".": True, "a": False, "b": False, ".a": True, "ab": False, ".ab": True}

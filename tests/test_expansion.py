"""Expansion adds states; it changes no distribution that was there."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from conftest import table_nll
from namegen.automaton.walk import walk
from namegen.corpus.corpus import Corpus, split
from namegen.corpus.ngrams import NgramCounts, count_ngrams
from namegen.errors import SettingError
from namegen.models import kneser_ney
from namegen.sampling.stream import sample
from namegen.training import events
from namegen.training.compile import expand, visits
from namegen.training.evaluate import nll
from namegen.training.events import exact_log_prob
from namegen.training.quantise import quantise
from namegen.vocabulary import Vocabulary
from strategies import names as some_names
from test_automaton import check_invariants


def oracle(history: NDArray[np.uint16], symbols: int) -> NDArray[np.float64]:
    """A model that knows every context, and has a different distribution for each; no name is empty."""
    rows = []
    for context in history:
        generator = np.random.default_rng(context.tolist())
        row = generator.exponential(size=symbols) ** 3 + 1e-3
        row[0] = 0 if not context.any() else row[0]
        rows.append(row / row.sum())
    return np.array(rows).reshape(-1, symbols)


def exact(name: str, counts: NgramCounts) -> float:
    """The log-probability of a name by the oracle itself, each context asked whole."""
    width, vocabulary = counts.order - 1, counts.vocabulary
    ids = [0] * width + vocabulary.encode([name])[0].tolist() + [0]
    rows = oracle(np.array([ids[i - width : i] for i in range(width, len(ids))], np.uint16), len(vocabulary))
    return float(np.log(rows[np.arange(len(rows)), ids[width:]]).sum())


@settings(max_examples=40)
@given(some_names(max_size=8), st.integers(2, 5))
def test_the_exact_log_probability(names: list[str], order: int) -> None:
    """It is that of every context asked whole; a model of the counts' contexts alone has its table's."""
    vocabulary = Vocabulary.of(names)
    counts = count_ngrams(names[:1], vocabulary, order)
    by_oracle = exact_log_prob(names, counts, lambda history, base: oracle(history, len(vocabulary)))
    assert by_oracle.tolist() == pytest.approx([exact(name, counts) for name in names])
    table = oracle(counts.history, len(vocabulary))
    walked = walk(names, vocabulary, counts.successor, np.log(np.maximum(table, 1e-300)))
    assert exact_log_prob(names, counts, lambda history, base: table[base]).tolist() == pytest.approx(walked.tolist())


def test_the_exact_log_probability_of_the_longest_and_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the 64th symbol the end is certain; taken in portions it is the same; no names have none."""
    names = ["ab", "a" * 64, "b", "ba" * 20]
    counts = count_ngrams(names[:1], Vocabulary(".ab"), 3)
    table = kneser_ney.fit(counts)
    walked = walk(names, counts.vocabulary, counts.successor, np.log(np.maximum(table, 1e-300)))
    for at_once in (1, 3, 100):
        monkeypatch.setattr(events, "AT_ONCE", at_once)
        found = exact_log_prob(names, counts, lambda history, base: table[base])
        assert found.tolist() == pytest.approx(walked.tolist())
    assert exact_log_prob([], counts, lambda history, base: table[base]).tolist() == []


@settings(max_examples=40)
@given(some_names(max_size=12), st.integers(2, 5), st.integers(0, 60))
def test_a_context_that_was_there_is_as_it_was(names: list[str], order: int, budget: int) -> None:
    """Old rows stay, at most `budget` come, each the model's own; A1 to A6 hold, and arrows lead to suffixes."""
    vocabulary = Vocabulary.of(names)
    counts = count_ngrams(names, vocabulary, order)
    table = oracle(counts.history, len(vocabulary))
    expanded = expand(counts, budget, lambda history, base: oracle(history, len(vocabulary)))
    states, total = counts.states, len(expanded.successor)
    assert states <= total <= states + budget
    assert (expanded.probabilities[:states] == table).all()
    assert (expanded.probabilities == oracle(expanded.history, len(vocabulary))).all()
    assert (expanded.history[:states] == counts.history).all()
    assert len(np.unique(expanded.history, axis=0)) == total
    automaton = quantise(expanded.probabilities, expanded)
    check_invariants(automaton, expanded.probabilities, counts)
    unknown = len(vocabulary)
    assert (expanded.base[:states] == np.arange(states)).all()
    for s in range(states, total):  # the longest suffix that the counts have, by trying each
        context = expanded.history[s].tolist()
        cut = [[unknown] * k + context[k:] for k in range(1, order)]
        longest = next(suffix for suffix in cut if suffix in counts.history.tolist())
        assert counts.history[expanded.base[s]].tolist() == longest
    for s in range(total):
        for v in range(1, len(vocabulary)):
            wanted = [*expanded.history[s, 1:].tolist(), v]
            found = expanded.history[expanded.successor[s, v]].tolist()
            known = [symbol for symbol in found if symbol != unknown]
            if expanded.history[s, 0] != unknown or counts.order == 2:
                assert found == wanted or wanted[-len(known) :] == known
                if wanted in expanded.history.tolist():
                    assert found == wanted


def test_with_room_for_all_nothing_is_forgotten() -> None:
    """Over a small alphabet every context fits, and the automaton's NLL is the model's own."""
    train, others = ["ab", "abb", "ba"], ["bb", "aab", "baba", "b"]
    counts = count_ngrams(train, Vocabulary(".ab"), 4)
    predict = lambda history, base: oracle(history, 3)  # noqa: E731 - as it is handed over
    own = nll(others, np.array([exact(name, counts) for name in others]))[1]
    gaps = []
    for budget in (0, 2, 6, 10_000):
        expanded = expand(counts, budget, predict)
        gaps.append(abs(table_nll(others, expanded.probabilities, expanded) - own))
    assert gaps[0] > 0.01
    assert gaps[-1] < 1e-12


def test_visits_are_those_of_samples(names: Corpus) -> None:
    """The forward pass expects what 20,000 samples do: starts once a name, and each letter as often.

    Each letter's mean over the names is within 4 standard errors of what is expected, and all of them together differ
    by as much as chance has it: the mean of 26 squares, in units of the error, is near 1.
    """
    counts = count_ngrams(names.names, names.vocabulary, 2)
    table = kneser_ney.fit(counts)
    expected = visits(table, counts.successor)
    drawn = sample(quantise(table, counts), 1, 0, 20_000)["name"].to_pylist()
    each = np.array([[name.count(symbol) for symbol in names.vocabulary.symbols[1:]] for name in drawn])
    error = each.std(axis=0) / math.sqrt(len(drawn))
    off = (each.mean(axis=0) - expected[1:]) / error
    assert expected[0] == 1
    assert np.abs(off).max() < 4
    assert 0.4 < (off**2).mean() < 1.8


def test_visits_are_powers_of_the_table() -> None:
    """They are the sum of start P^t, for the steps t = 0 to 63, where P leads on to a symbol's state."""
    names = ["ab", "abb", "ba", "bbbb"]
    counts = count_ngrams(names, Vocabulary(".ab"), 3)
    table = oracle(counts.history, 3)
    steps = np.zeros((counts.states, counts.states))
    for state, symbol in np.ndindex(counts.states, 2):
        steps[state, counts.successor[state, symbol + 1]] += table[state, symbol + 1]
    expected = sum(np.linalg.matrix_power(steps, t)[0] for t in range(64))
    np.testing.assert_allclose(visits(table, counts.successor), expected, atol=1e-6)
    onwards = np.tile([0, 0.5, 0.5], (counts.states, 1))  # no name ends before the 64th symbol
    assert visits(onwards, counts.successor).sum() == pytest.approx(64)


def test_the_most_visited_are_added_first(names: Corpus) -> None:
    """A larger budget brings the table closer to the names it would draw: fewer walks forget."""
    counts = count_ngrams(split(names).train[:2000], names.vocabulary, 5)
    table = kneser_ney.fit(counts)
    forgotten = []
    for budget in (0, 1000, 5000):
        expanded = expand(counts, budget, lambda history, base: table[base])
        assert len(expanded.successor) == counts.states + budget
        unknown = (expanded.history == len(names.vocabulary)).any(axis=1)
        forgotten.append(visits(expanded.probabilities, expanded.successor)[unknown].sum())
    assert forgotten[0] > 1.05 * forgotten[1] > 1.05 * forgotten[2] > 0


def test_the_same_budget_gives_the_same_bytes(names: Corpus) -> None:
    counts = count_ngrams(split(names).train[:500], names.vocabulary, 4)
    table = kneser_ney.fit(counts)
    one, two = (expand(counts, 300, lambda history, base: table[base]) for _ in range(2))
    assert quantise(one.probabilities, one).sha256 == quantise(two.probabilities, two).sha256


def test_contexts_that_do_not_fit() -> None:
    """14 symbols out of 27 need 70 bits: refused, with the largest order that does."""
    counts = count_ngrams(["emma"], Vocabulary("." + "abcdefghijklmnopqrstuvwxyz"), 15)
    table = kneser_ney.fit(counts)
    with pytest.raises(SettingError, match="Use --order 13 or less"):
        expand(counts, 10, lambda history, base: table[base])

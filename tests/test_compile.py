"""Compiling, beside a reference that follows its definition with dictionaries."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from namegen.automaton.walk import walk
from namegen.codes import Codes
from namegen.corpus.corpus import Corpus, corpus_of
from namegen.corpus.ngrams import count_ngrams
from namegen.corpus.pairs import allowed_pairs
from namegen.models import kneser_ney
from namegen.sampling.stream import sample
from namegen.training import compile as compiling
from namegen.training import exact
from namegen.training.compile import Histories, Table, compile_model, fold, threshold_for, walk_through
from namegen.training.exact import log_prob
from namegen.training.pool import Blend
from namegen.training.quantise import quantise
from namegen.vocabulary import Vocabulary

AB = Vocabulary(".ab")
Context = tuple[int, tuple[int, ...]]  # the position, and the last symbols


@dataclass
class Oracle:
    """Knows every history, and has a different distribution after each; no name is empty, or longer than `longest`."""

    seed: int
    symbols: int = 3
    longest: int = 6

    def start(self) -> NDArray[np.uint8]:
        return np.zeros((1, 0), np.uint8)

    def after(self, state: NDArray[np.uint8], symbols: NDArray[np.integer]) -> NDArray[np.uint8]:
        return np.concatenate([state, symbols[:, None].astype(np.uint8)], axis=1)

    def predict(self, state: NDArray[np.uint8]) -> NDArray[np.float64]:
        rows = []
        for history in state.tolist():
            row = np.random.default_rng([self.seed, len(history), *history]).exponential(size=self.symbols) ** 2 + 1e-3
            row[0] = row[0] if history else 0
            row[1:] = row[1:] if len(history) < self.longest else 0
            rows.append(row / row.sum())
        return np.array(rows).reshape(-1, self.symbols)


def test_with_room_for_all_nothing_is_lost() -> None:
    """Of every name of up to six letters the automaton has the model's own probability; of a longer one, none."""
    model = Oracle(1)
    walked = walk_through(model, 3, 0.0, 1000, 64)
    assert walked
    automaton = quantise((table := fold(walked, AB, 10**6, 6, 6)).probabilities, table)
    names = ["".join(letters) for n in range(1, 7) for letters in itertools.product("ab", repeat=n)]
    assert np.exp(automaton.log_prob(names)) == pytest.approx(np.exp(log_prob(model, AB, names)), abs=1e-9)
    assert math.fsum(np.exp(automaton.log_prob(names))) == pytest.approx(1, abs=1e-9)


class Reference:
    """Compiling by its definition: the kept contexts in order, their rows, and their successors."""

    def __init__(self, histories: Histories, budget: int, cap: int, window: int) -> None:
        self.cap, self.window = cap, window
        self.histories: list[tuple[int, ...]] = [()]
        for parent, symbol in zip(histories.parent[1:], histories.symbol[1:].tolist(), strict=True):
            self.histories.append((*self.histories[parent], symbol))
        self.flow = dict(zip(self.histories, histories.mass[:, None] * histories.distribution, strict=True))
        self.sums = self.added({history: self.ends(history) for history in self.histories})
        self.contexts = sorted(self.sums, key=lambda c: (c[0], len(c[1]), c[1][::-1]))
        best = self.best()
        order = sorted(self.contexts, key=lambda c: -best[c])  # stable: of equals the first
        kept = {context for context in order[:budget] if best[context] > 0}
        self.states = [context for context in self.contexts if context in kept]
        self.own = self.added({h: [[c for c in self.ends(h) if c in kept][-1]] for h in self.histories})

    def ends(self, history: tuple[int, ...]) -> list[Context]:
        """The contexts in which a history ends, the longest last."""
        longest = min(self.window, len(history))
        return [(min(len(history), self.cap), history[len(history) - k :]) for k in range(longest + 1)]

    def added(self, contexts: dict[tuple[int, ...], list[Context]]) -> dict[Context, NDArray[np.float64]]:
        """What flows through each context, for the contexts of each history."""
        sums: dict[Context, NDArray[np.float64]] = defaultdict(lambda: 0 * self.flow[()])
        for history, some in contexts.items():
            for context in some:
                sums[context] = sums[context] + self.flow[history]
        return sums

    def best(self) -> dict[Context, float]:
        """The worth of each context, or of the best one that needs it."""
        best = {}
        for context in self.contexts:
            flow, backoff = self.sums[context], self.sums[context[0], context[1][1:]]
            each = zip(flow / flow.sum(), backoff / backoff.sum(), strict=True)
            divergence = sum(p * math.log(p / q) for p, q in each if p > 0)
            worth = float(flow.sum()) * divergence if divergence > compiling.NOISE else 0.0
            best[context] = worth if context[1] else math.inf
        needs: dict[Context, set[Context]] = defaultdict(set)
        for history in self.histories[1:]:
            for position, suffix in self.ends(history)[1:]:
                before = min(len(history) - 1, self.cap)
                needs[position, suffix] |= {(position, suffix[1:]), (before, suffix[:-1])}
        for context in sorted(self.contexts, key=lambda c: (-c[0], -len(c[1]))):
            for other in needs[context]:
                best[other] = max(best[other], best[context])
        return best

    @property
    def rows(self) -> list[NDArray[np.float64]]:
        enough = {c for c in self.states if self.own[c].sum() > compiling.LITTLE * self.sums[c].sum()}
        rows = [self.own[context] if context in enough else self.sums[context] for context in self.states]
        return [row / row.sum() for row in rows]

    @property
    def successors(self) -> list[list[int]]:
        found, last = [], self.states[-1][0]
        for position, suffix in self.states:
            after = [
                [(min(position + 1, last), (*suffix, a)[k:]) for k in range(len(suffix) + 2)] for a in self.letters
            ]
            found.append([0, *(self.states.index(next(c for c in each if c in self.states)) for each in after)])
        return found

    @property
    def letters(self) -> range:
        return range(1, len(self.flow[()]))


@settings(max_examples=60, deadline=None)
@example(659405, 6, 0, 121, 0.0, 3)  # with room for contexts whose divergence is rounding
@given(
    st.integers(0, 10**6),
    st.integers(1, 7),
    st.integers(0, 7),
    st.integers(4, 400),
    st.sampled_from([0.0, 1e-3, 0.02]),
    st.sampled_from([2, 3, 4]),
)
def test_compiling_equals_its_definition(
    seed: int, cap: int, shorter: int, budget: int, threshold: float, symbols: int
) -> None:
    """The same contexts, rows and successors, for random models, caps, windows, budgets and thresholds."""
    window, longest = max(1, cap - shorter), 6 if symbols == 3 else 4
    walked = walk_through(Oracle(seed, symbols, longest), symbols, threshold, 10_000, 64)
    assert walked
    expected = Reference(walked, max(budget, cap + 1), cap, window)
    table = fold(walked, Vocabulary(".abc"[:symbols]), max(budget, cap + 1), cap, window)
    assert table.successor.tolist() == expected.successors
    np.testing.assert_allclose(table.probabilities, expected.rows, rtol=1e-9, atol=1e-12)
    lengths = [len(suffix) + (len(suffix) == position < cap) for position, suffix in expected.states]
    assert table.lengths.tolist() == lengths


@given(st.integers(0, 10**6), st.floats(1e-4, 0.2))
def test_the_histories(seed: int, threshold: float) -> None:
    """All that are likely enough and no others, each behind the one before it, in blocks of any size."""
    model = Oracle(seed)
    likely: dict[tuple[int, ...], float] = {(): 1.0}
    for n in range(6):
        for history in [h for h in likely if len(h) == n]:
            row = model.predict(np.array([history], np.uint8).reshape(1, n))[0]
            likely |= {(*history, a): likely[history] * row[a] for a in (1, 2) if likely[history] * row[a] >= threshold}
    for block in (1, 3, 1000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compiling, "BLOCK", block)
            walked = walk_through(model, 3, threshold, 10_000, 64)
        assert walked
        spelt: list[tuple[int, ...]] = [()]
        for parent, symbol in zip(walked.parent[1:], walked.symbol[1:].tolist(), strict=True):
            spelt.append((*spelt[parent], symbol))
        assert len(spelt) == len(likely)
        assert dict(zip(spelt, walked.mass.tolist(), strict=True)) == pytest.approx(likely)
        assert walked.level.tolist() == [*map(len, spelt)]
        for history, row in zip(spelt, walked.distribution, strict=True):
            assert (row == model.predict(np.array([history], np.uint8).reshape(1, -1))[0]).all()
    assert walk_through(model, 3, threshold, len(likely), 64)
    assert len(likely) == 1 or walk_through(model, 3, threshold, len(likely) - 1, 64) is None


def test_a_name_ends_at_the_cap() -> None:
    """Where names do not end, the walk does: at the longest history there may be."""
    walked = walk_through(Oracle(3, 2, longest=10**6), 2, 0.0, 100, 64)
    assert walked
    assert walked.level.max() == 64
    assert walk_through(Oracle(3, 2, longest=10**6), 2, 0.0, 60, 64) is None


def test_how_many_histories_there_are(names: Corpus) -> None:
    """The threshold is found from drawn names, to some hundredths; with few histories, it lets through all."""
    model = kneser_ney.fit(count_ngrams(names.names[:3000], names.vocabulary, 4))
    for histories in (2000, 30_000):
        walked = walk_through(model, 27, threshold_for(model, 27, histories, 64), 10**6, 64)
        assert walked
        assert len(walked.mass) == pytest.approx(histories, rel=0.1)
    assert threshold_for(Oracle(1), 3, 10**6, 64) == 0


def test_more_histories_than_expected(names: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the estimate is too low, the threshold rises until they fit."""
    model = Blend.alone(kneser_ney.fit(count_ngrams(names.names[:300], names.vocabulary, 3)))
    thresholds = []

    def watched(model: Blend, symbols: int, threshold: float, *rest: object) -> Histories | None:
        thresholds.append(threshold)
        return walk_through(model, symbols, threshold, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(compiling, "threshold_for", lambda *_: 1e-6)
    monkeypatch.setattr(compiling, "walk_through", watched)
    compile_model(model, names.vocabulary, 500, 2000)
    assert len(thresholds) > 3
    assert thresholds == [1e-6 * 2**i for i in range(len(thresholds))]


def test_a_table_of_names(names: Corpus) -> None:
    """Within the budget, the same twice, and with more states and histories nearer to the model itself."""
    train, others = names.names[:4000], names.names[4000:4400]
    model = Blend.alone(kneser_ney.fit(count_ngrams(train, names.vocabulary, 5)))
    own = log_prob(model, names.vocabulary, others).mean()
    losses = []
    for budget, histories in ((300, 5000), (3000, 20_000), (30_000, 200_000)):
        table = compile_model(model, names.vocabulary, budget, histories)
        assert len(table.successor) == budget
        losses.append(own - nats(table, others))
    assert losses[0] > losses[1] > losses[2] + 0.01
    again = compile_model(model, names.vocabulary, budget, histories)
    assert quantise(again.probabilities, again).sha256 == quantise(table.probabilities, table).sha256


def nats(table: Table, names: tuple[str, ...]) -> float:
    log_probabilities = np.log(np.maximum(table.probabilities, 1e-300))
    return float(walk(names, table.vocabulary, table.successor, log_probabilities).mean())


@pytest.mark.parametrize("codes", [Codes((3,), 2, 0, 0, 2), Codes((3,), 1, 1, 1, 2)])
def test_what_is_not_allowed_is_never_drawn(codes: Codes) -> None:
    """With the smallest table there is, no pair is drawn that the list does not have, and no part of a code."""
    listed = ["a-b", "x a", "-y", "zab", "ab-", "b a z"] * 3
    vocabulary = Vocabulary(". -ab", "xyz", codes)
    corpus = replace(corpus_of(listed), vocabulary=vocabulary)
    allowed = allowed_pairs(corpus)
    assert allowed is not None
    counts = count_ngrams(corpus.names, vocabulary, 3)
    model = Blend.alone(kneser_ney.fit(counts), allowed)
    for budget in (1, 90, 150, 2000):
        table = compile_model(model, vocabulary, budget, 3000, allowed=allowed)
        assert len(table.successor) <= max(budget, 9 * len(vocabulary))
        automaton = quantise(table.probabilities, table)
        assert automaton.is_sound
        for name in set(sample(automaton, 1, 0, 5000)["name"].to_pylist()):
            ids = [0, *vocabulary.encode([name])[0].tolist(), 0]
            assert allowed[ids[:-1], ids[1:]].all() or len(name) == 64, name


def test_the_log_probability_by_the_model_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is that of every history asked whole, in portions of any size; after 64 characters the end is certain."""
    names = ["ab", "a" * 64, "b", "ba" * 20, "ax", ""]
    model = Oracle(5, 3, longest=10**6)

    def whole(name: str) -> float:
        ids = [*AB.encode([name])[0].tolist(), 0][:64]
        rows = [model.predict(np.array([ids[:i]], np.uint8).reshape(1, i))[0, ids[i]] for i in range(len(ids))]
        return math.fsum(map(math.log, rows))

    for at_once in (1, 3, 100):
        monkeypatch.setattr(exact, "AT_ONCE", at_once)
        found = log_prob(model, AB, names)
        assert found[:4].tolist() == pytest.approx([*map(whole, names[:4])])
        assert found[4:].tolist() == [-math.inf, -math.inf]
    assert log_prob(model, AB, []).tolist() == []

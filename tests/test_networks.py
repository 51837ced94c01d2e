"""The networks and their training, and the pool of models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from namegen.corpus.corpus import Corpus, split
from namegen.corpus.ngrams import count_ngrams
from namegen.models import bigram, gru, kneser_ney, mlp, network, transformer
from namegen.models.predictor import Predictor
from namegen.training import pool as pooling
from namegen.training.evaluate import nll
from namegen.training.exact import log_prob
from namegen.training.fit import COURSES
from namegen.training.pool import Blend, pool
from namegen.vocabulary import Vocabulary
from strategies import names as some_names

MLP = mlp.Settings(window=4, embedding=16, hidden=48, passes=8, batch=128)
SMALL = {
    "mlp": MLP,
    "gru": gru.Settings(embedding=16, hidden=32, passes=6, batch=256, dropout=0.1, learning_rate=2e-2),
    "transformer": transformer.Settings(
        layers=1, width=32, heads=2, passes=6, batch=256, dropout=0.05, learning_rate=1e-2
    ),
}
FAMILIES = pytest.mark.parametrize("family", [*SMALL])


class Lists:
    """900 training names, and 400 others."""

    def __init__(self, names: Corpus) -> None:
        parts = split(names)
        self.vocabulary, self.train, self.dev = names.vocabulary, parts.train[:900], parts.dev[:400]

    def course(self, family: str, names: int = 900, **changed: object) -> network.Course:
        return COURSES[family](self.train[:names], self.vocabulary, replace(SMALL[family], **changed), "cpu")  # type: ignore[arg-type]

    def nll(self, model: Predictor) -> float:
        return nll(self.dev, log_prob(model, self.vocabulary, self.dev))[1]


@pytest.fixture(scope="module")
def lists(names: Corpus) -> Lists:
    return Lists(names)


@pytest.fixture(scope="module")
def trained(lists: Lists) -> dict[str, Predictor]:
    """A small network of each family, trained for real."""
    return {family: network.train([lists.course(family)])[0] for family in SMALL}


def after(model: Predictor, history: Sequence[int]) -> NDArray[np.float64]:
    """The distribution after one history, symbol by symbol."""
    state = model.start()
    for symbol in history:
        state = model.after(state, np.array([symbol]))
    row: NDArray[np.float64] = model.predict(state)[0]
    return row


@FAMILIES
def test_a_network_learns(lists: Lists, trained: dict[str, Predictor], family: str) -> None:
    """Its rows are distributions, and on names that it has not seen it is better than the bigram model."""
    model = trained[family]
    rows = np.array([after(model, history) for history in ([], [1], [3, 1], [26] * 70)])
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=0, atol=1e-12)
    assert (rows > 0).all()
    pairs = count_ngrams(lists.train, lists.vocabulary, 2)
    table = bigram.fit(pairs)
    letters = [[0, *lists.vocabulary.encode([name])[0].tolist(), 0] for name in lists.dev]
    by_pairs = -np.mean([np.log(table[a, b]) for name in letters for a, b in pairwise(name)])
    assert lists.nll(Blend.alone(model)) < by_pairs - 0.03


@FAMILIES
def test_a_step_at_a_time_is_all_at_once(lists: Lists, trained: dict[str, Predictor], family: str) -> None:
    """The model walks a name as the network saw it in training, and histories side by side do not mix."""
    import torch

    model = trained[family]
    if family == "mlp":
        width = MLP.window
        name = lists.vocabulary.encode(["katherine"])[0].tolist()
        windows = torch.tensor([([0] * width + name[:i])[-width:] for i in range(10)])
    else:
        windows = torch.tensor([[0, *lists.vocabulary.encode(["katherine"])[0].tolist()]])
    with torch.no_grad():
        whole = torch.softmax(model.network(windows), dim=-1).double().numpy().reshape(10, 27)  # type: ignore[attr-defined]
    name = lists.vocabulary.encode(["katherine"])[0].tolist()
    np.testing.assert_allclose([after(model, name[:i]) for i in range(10)], whole, rtol=1e-4, atol=1e-6)
    together = model.after(model.after(model.start(), np.array([5]))[[0, 0, 0]], np.array([1, 2, 3]))
    np.testing.assert_allclose(model.predict(together)[1], after(model, [5, 2]), rtol=1e-5)


@FAMILIES
def test_training_twice_gives_the_same_bytes(lists: Lists, trained: dict[str, Predictor], family: str) -> None:
    """Also where torch's own generator stands elsewhere, which training leaves as it was."""
    import torch

    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    (again,) = network.train([lists.course(family)])
    histories: list[list[int]] = [[], [1], [3, 1, 20]]
    for history in histories:
        assert (after(again, history) == after(trained[family], history)).all()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_interrupted_training_ends_as_an_uninterrupted_one(lists: Lists) -> None:
    """Three networks of two passes: from the state behind each pass, the rest gives the same bytes."""
    courses = [lists.course(family, 200, passes=2) for family in SMALL]
    arrays: list[network.Arrays] = []
    whole = network.train(courses, on_pass=lambda done: arrays.append(done.arrays()))
    assert len(arrays) == 6
    histories: list[list[int]] = [[], [1], [3, 1, 20]]
    for passes, state in enumerate(arrays, 1):
        numbers: list[int] = []
        rest = network.train(courses, resumed=state, on_pass=lambda done, n=numbers: n.append(done.number))  # type: ignore[misc]
        assert numbers == list(range(passes + 1, 7))
        for one, other in zip(rest, whole, strict=True):
            assert all((after(one, history) == after(other, history)).all() for history in histories)


def test_passes_go_over_everything_once(lists: Lists) -> None:
    """Every name is in one batch of a pass, in another order each time; no batch is much larger than it should be."""
    import torch

    course = lists.course("gru")
    seen: list[torch.Tensor] = []

    class Recorder(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return torch.zeros((*x.shape, 27))

    losses = [float(loss) for loss in course.losses(Recorder())]
    assert len(losses) == course.batches
    assert np.mean(losses) == pytest.approx(np.log(27), rel=1e-6)
    ids = [tuple(name) for batch in seen for name in batch.tolist()]
    listed = [(0, *lists.vocabulary.encode([name])[0].tolist()) for name in lists.train]
    assert Counter(ids) == Counter(listed)
    assert max(batch.numel() for batch in seen) <= 256 + max(map(len, listed))
    once = [batch.tolist() for batch in seen]
    seen.clear()
    assert len([*course.losses(Recorder())]) == course.batches
    assert [batch.tolist() for batch in seen] != once


@given(some_names(max_size=40), st.integers(1, 5))
def test_the_rows_of_an_mlp(names: list[str], window: int) -> None:
    """Each different window once, with how often each symbol follows it."""
    vocabulary = Vocabulary.of(names)
    expected: dict[tuple[int, ...], Counter[int]] = {}
    for name in names:
        ids = vocabulary.encode([name])[0].tolist()
        for i, symbol in enumerate([*ids, 0]):
            expected.setdefault(tuple(([0] * window + ids[:i])[-window:]), Counter())[symbol] += 1
    windows, first, symbols, counts = mlp._rows(names, vocabulary, mlp.Settings(window=window))
    assert len(windows) == len(expected)
    for row, begin, end in zip(windows.tolist(), first[:-1], first[1:], strict=True):
        assert dict(zip(symbols[begin:end].tolist(), counts[begin:end].tolist(), strict=True)) == expected[tuple(row)]


def test_the_loss_of_an_mlp_is_that_of_its_names(lists: Lists) -> None:
    """Over a pass, in nats per symbol, whatever a row weighs at most."""
    import torch

    class Constant(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linspace(0, 1, 27).expand(len(x), -1)

    log_probabilities = torch.log_softmax(torch.linspace(0, 1, 27), 0).numpy()
    symbols = [s for name in lists.train for s in [*lists.vocabulary.encode([name])[0].tolist(), 0]]
    expected = -log_probabilities[symbols].mean()
    for heaviest in (1.0, 16.0, 1e9):
        course = lists.course("mlp", heaviest=heaviest, batch=10**6)
        assert [float(loss) for loss in course.losses(Constant())] == [pytest.approx(expected, rel=1e-5)]


def test_dropout_drops_its_share() -> None:
    """A fifth of the numbers, other ones each time; what stays is scaled, so that the mean stays."""
    import torch

    dropout, x = network.dropout(0.2).train(), torch.ones(501, 201)  # no multiple of eight
    one, other = dropout(x), dropout(x)
    share = 51 / 256
    assert float((one == 0).float().mean()) == pytest.approx(share, abs=5 * (share * (1 - share) / x.numel()) ** 0.5)
    assert one.unique().tolist() == pytest.approx([0, 1 / (1 - share)])
    assert float(((one == 0) & (other == 0)).float().mean()) == pytest.approx(share**2, abs=0.005)
    assert (dropout.eval()(x) == x).all()


def test_no_tensor_is_left_on_the_cpu(lists: Lists) -> None:
    """On a stand-in device, which refuses to mix with the CPU, a training of mlp gives the same; the others run."""
    import torch
    import torch._lazy.ts_backend

    torch._lazy.ts_backend.init()  # type: ignore[no-untyped-call]
    few = lists.train[:60]
    found = []
    for device in ("cpu", "lazy"):
        (model,) = network.train([mlp.Course(few, lists.vocabulary, replace(MLP, passes=1), device)], device)
        found.append(log_prob(model, lists.vocabulary, few[:5]))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)
    for family in ("gru", "transformer"):  # "lazy" cannot do all they need, and "meta" computes nothing
        course = COURSES[family](few, lists.vocabulary, SMALL[family], "meta")
        for loss in course.losses(course.module().to("meta")):
            loss.backward()  # type: ignore[no-untyped-call]
            assert loss.device.type == "meta"


def by_hand(blend: Blend, history: Sequence[int], kind: int) -> NDArray[np.float64]:
    """The product of the members' distributions, each to the power of its weight."""
    row: NDArray[np.float64] = np.ones(27)
    for member, weight in zip(blend.members, blend.weights[kind], strict=True):
        row *= np.maximum(after(member, history), pooling.LEAST) ** weight
    row[0] *= np.exp(blend.ends[min(len(history), len(blend.ends) - 1)]) if history else 0
    row /= row.sum()
    return row


def test_a_blend_is_a_product(lists: Lists, trained: dict[str, Predictor]) -> None:
    """Of its members, to the powers of weights that depend on what the counts have seen, with an end by position."""
    counts = count_ngrams(lists.train, lists.vocabulary, 4)
    members = [kneser_ney.fit(counts), trained["mlp"], trained["gru"]]
    generator = np.random.default_rng(1)
    blend = Blend(members, generator.random((6, 3)), generator.normal(size=3))
    contexts = counts.contexts().to_list()
    for name in ("", "a", "em", "emm", "xqz", "emmaxq"):
        ids = lists.vocabulary.encode([name])[0].tolist()
        context = max((each for each in contexts if f".{name}".endswith(each)), key=len)
        kind = len(context) - 1 + 3 * context.startswith(".")
        np.testing.assert_allclose(after(blend, ids), by_hand(blend, ids, kind), rtol=1e-9)
    allowed = np.ones((27, 27), bool)
    allowed[1, 5:] = False
    row = after(replace(blend, allowed=allowed), [3, 1])
    assert (row[5:] == 0).all()
    np.testing.assert_allclose(row[:5], after(blend, [3, 1])[:5] / after(blend, [3, 1])[:5].sum(), rtol=1e-12)


def test_the_weights_are_the_best_ones(lists: Lists, trained: dict[str, Predictor]) -> None:
    """The pool is better than its members on dev, and no weight or end can be changed for the better."""
    counting = kneser_ney.fit(count_ngrams(lists.train, lists.vocabulary, 4))
    members = [counting, trained["mlp"], trained["transformer"]]
    found = pool(counting, members[1:], lists.vocabulary, lists.dev)
    assert lists.nll(found) < min(lists.nll(Blend.alone(member)) for member in members) - 0.02

    def penalised(blend: Blend) -> float:
        """What `pool` minimises, but for what holds the weights, which is the same for all of them here."""
        return -float(log_prob(blend, lists.vocabulary, lists.dev).sum())

    least = penalised(found)
    for k in range(3):
        for by in (-0.15, 0.15):
            assert penalised(replace(found, weights=found.weights + by * np.eye(3)[k])) > least
    for position in (4, 6):
        for by in (-0.6, 0.6):
            assert penalised(replace(found, ends=found.ends + by * np.eye(len(found.ends))[position])) > least


def test_usual_weights_without_dev(lists: Lists, trained: dict[str, Predictor]) -> None:
    """Half each, and with a few names of dev hardly more; a dev that is too large is used in part."""
    counting = kneser_ney.fit(count_ngrams(lists.train, lists.vocabulary, 4))
    members = [counting, trained["mlp"], trained["gru"]]
    without = pool(counting, members[1:], lists.vocabulary, ())
    assert without.weights.tolist() == [[0.55, 0.275, 0.275]] * 6
    assert not without.ends.any()
    few = pool(counting, members[1:], lists.vocabulary, lists.dev[:2])
    assert 0 < np.abs(few.weights - without.weights).max() < 0.2


def test_a_part_of_a_large_dev(lists: Lists, trained: dict[str, Predictor], monkeypatch: pytest.MonkeyPatch) -> None:
    """Only as many names as fit the memory are asked."""
    counting = kneser_ney.fit(count_ngrams(lists.train, lists.vocabulary, 3))
    members = [counting, trained["mlp"]]
    part = pool(counting, members[1:], lists.vocabulary, lists.dev[:40])
    letters = sum(map(len, lists.dev)) / len(lists.dev) + 1
    monkeypatch.setattr(pooling, "CELLS", int(40.5 * 2 * 27 * letters))
    assert (pool(counting, members[1:], lists.vocabulary, lists.dev).weights == part.weights).all()

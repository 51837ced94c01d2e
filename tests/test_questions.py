"""Questions: every probability beside brute force over all names of small automata, and the invariants of the rest."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import namegen
from conftest import on_disk
from namegen.automaton.automaton import TOTAL, Automaton
from namegen.automaton.walk import walk
from namegen.corpus.corpus import Corpus
from namegen.errors import ArtifactError, NothingAnswersError, SettingError
from namegen.model import Model, load
from namegen.outputs.about import LIKELIEST, LIKELIEST_NEW, Exact
from namegen.outputs.model_folder import ModelFolder
from namegen.questions import graph, pattern, product, race
from namegen.questions import temperature as temperature_module
from namegen.questions.figures import figures
from namegen.questions.graph import Graph, ask
from namegen.questions.question import Question, length_of
from namegen.questions.temperature import temper
from namegen.sampling.stream import SCHEMA
from namegen.vocabulary import Vocabulary
from test_codes import SMALL, THREE, fitted

Answers = Callable[[str], bool]


@st.composite
def automata(draw: st.DrawFn) -> Automaton:
    """Small ones: over two letters with any arrows, or over five of which three have codes; with caps of 1 to 5."""
    if draw(st.booleans()):
        words = draw(st.lists(st.text("abxyz", min_size=1, max_size=4), min_size=1, max_size=6))
        order, likely_end = draw(st.integers(2, 4)), draw(st.sampled_from([1.0, 0.01]))
        coded = fitted(words, order, likely_end, draw(st.sampled_from([SMALL, THREE])))
        return replace(coded, cap=draw(st.integers(1, 3)))
    states = draw(st.integers(1, 5))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    shares = generator.exponential(size=(states, 3)) ** draw(st.sampled_from([0.1, 1, 30]))
    shares[generator.random((states, 3)) < draw(st.sampled_from([0, 0.4]))] = 0
    weights = (shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-9) * (TOTAL - 3)).astype(np.int64)
    weights[:, 0] += TOTAL - weights.sum(axis=1)
    successor = generator.integers(0, states, (states, 3), dtype=np.int32)
    successor[:, 0] = 0
    return Automaton(Vocabulary(".ab"), 2, weights, successor, np.ones(states, np.uint8), draw(st.integers(1, 5)))


PATTERNS = ("a.*", "(a|bx)*", "[^b]{1,2}", ".*b.?", "(?i)A+[^a]", "a?(b|yz)*?x{0,2}", "(.a){2}", "", "[xy]z.*")
texts = st.text("abxyz", min_size=1, max_size=2)
lists = st.lists(st.text("abxyz", min_size=1, max_size=3), min_size=1, max_size=5)
questions: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "prefix": texts,
        "suffix": texts,
        "contains": texts,
        "pattern": st.sampled_from(PATTERNS),
        "length": st.tuples(st.integers(0, 3), st.none() | st.integers(3, 6)),
        "without": lists,
        "block": st.lists(texts, min_size=1, max_size=3),
    },
)


def answers(question: dict[str, Any]) -> Answers:
    """The question in plain Python."""
    q = Question.of(**question)
    first, last = q.length or (0, None)
    return lambda name: (
        name.startswith(q.prefix)
        and name.endswith(q.suffix)
        and q.contains in name
        and (q.pattern is None or re.fullmatch(q.pattern, name) is not None)
        and first <= len(name) <= (1000 if last is None else last)
        and name not in q.without
        and not any(piece in name for piece in q.block)
    )


def law(automaton: Automaton) -> dict[str, float]:
    """The probability of every name that an automaton can draw."""
    letters = automaton.vocabulary.characters
    names = ["".join(name) for n in range(automaton.cap + 1) for name in itertools.product(letters, repeat=n)]
    probabilities = np.exp(automaton.log_prob(names))
    return {name: float(p) for name, p in zip(names, probabilities, strict=True) if p > 0}


def before_rounding(part: Graph) -> tuple[float, Automaton, NDArray[np.float64]]:
    """The probability of an answer; an automaton with the graph's arrows, and its log-probabilities, unrounded."""
    base = part.weights
    flags = part.ends.view(np.uint8), part.free.view(np.uint8)
    value, kind, _ = product.backward(part.successor, base, *flags, graph.SWEEPS)
    table = np.empty(base.shape)
    product.conditional(part.successor, base, flags[0], value, kind, np.arange(len(base)), table)
    table[part.free] = base[part.free] / TOTAL  # where every continuation answers, nothing changes
    with np.errstate(divide="ignore"):
        logs = np.log(table)
    return float(value[0]) * 2.0 ** (-512 * int(kind[0] & product.SHIFTS)), part.automaton, logs


def check_invariants(automaton: Automaton) -> None:
    """A1, A4 to A6, and what the samplers rely on."""
    assert automaton.is_sound
    reached = automaton.weights[:, 0] > 0
    for _ in range(automaton.states):
        reached = reached | ((automaton.weights[:, 1:] > 0) & reached[automaton.successor[:, 1:]]).any(axis=1)
    assert reached.all(), "A6"


@given(automata(), questions)
def test_every_conditional_probability(automaton: Automaton, question: dict[str, Any]) -> None:
    """To 1e-12 before rounding; after it, only answers are drawn, and every answer can be."""
    every, is_answer = law(automaton), answers(question)
    wanted = {name: p for name, p in every.items() if is_answer(name)}
    total = math.fsum(wanted.values())
    asked = Question.of(**question)
    if not wanted:
        with pytest.raises(NothingAnswersError, match="no name of the model"):
            ask(automaton, asked.conditions(automaton.vocabulary, [], automaton.cap))
        return
    conditions = asked.conditions(automaton.vocabulary, [], automaton.cap)
    answer = ask(automaton, conditions)
    check_invariants(answer.automaton)
    part = graph._narrowed(Graph.whole(automaton), conditions).unfolded()
    probability, _, logs = before_rounding(part)
    assert probability == pytest.approx(total, rel=1e-12)
    assert answer.probability == pytest.approx(total, rel=1e-9)
    exact = walk([*wanted], automaton.vocabulary, np.maximum(part.successor, 0), logs, automaton.cap)
    np.testing.assert_allclose(exact + math.log(total), np.log([*wanted.values()]), rtol=0, atol=1e-12)
    drawn = law(answer.automaton)
    assert drawn.keys() == wanted.keys()
    steps = automaton.longest + 1
    apart = sum(abs(drawn[name] - p / total) for name, p in wanted.items()) / 2
    assert apart <= steps * len(automaton.vocabulary) / TOTAL


@given(st.integers(0, 2**32), questions)
def test_circles(seed: int, question: dict[str, Any]) -> None:
    """Where no name comes near the cap, states are not unfolded, and the result is the same."""
    generator = np.random.default_rng(seed)
    shares = generator.exponential(size=(4, 3)) / 20
    weights = (shares * TOTAL).astype(np.int64)
    weights[:, 0] += TOTAL - weights.sum(axis=1)
    successor = generator.integers(0, 4, (4, 3), dtype=np.int32)
    successor[:, 0] = 0
    automaton = Automaton(Vocabulary(".ab"), 2, weights, successor, np.ones(4, np.uint8))
    try:
        conditions = Question.of(**question).conditions(automaton.vocabulary, [])
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(graph, "FEW", 0)  # so few are unfolded otherwise
            answer = ask(automaton, conditions)
    except NothingAnswersError:
        return
    part = graph._narrowed(Graph.whole(automaton), conditions).unfolded()
    folded = graph._narrowed(Graph.whole(automaton), conditions)
    assert answer.automaton.states <= max(len(folded.row), 4)
    assert answer.probability == pytest.approx(before_rounding(part)[0], rel=1e-10)
    check_invariants(answer.automaton)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@given(st.text(r"ab|()*+?.{}1,2[]^$-\wi:", max_size=9), st.lists(st.text("ab1,-", max_size=6)))
def test_patterns_mean_what_they_mean_to_re(text: str, names: list[str]) -> None:
    """Whatever `re` takes is taken and means the same, or refused with a reason."""
    vocabulary = Vocabulary("." + "".join(sorted(",-1ab")))
    try:
        taken = pattern.pattern_condition(text, vocabulary)
    except SettingError as error:
        refused = str(error)
        assert "no regular expression" in refused or "which cannot be asked" in refused
        assert ("no regular expression" in refused) == (not compiles(text))
        return
    for name in names:
        state = 0
        for symbol in vocabulary.encode([name])[0].tolist():
            arrows = range(taken.first[state], taken.first[state + 1])
            own = [taken.target[k] for k in arrows if taken.symbol[k] == symbol]
            state = int(own[0] if own else taken.usual[state])
            if state < 0:
                break
        assert (state >= 0 and bool(taken.accepts[state])) == bool(re.fullmatch(text, name))


def compiles(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"prefix": "mar", "length": 2}, "no name of the model begins with 'mar' and has 2 characters"),
        ({"suffix": "marŵ"}, "no name of the model ends with 'marŵ': it has no 'ŵ'"),
        ({"prefix": "a", "block": ["a"]}, "begins with 'a' and contains none of 'a'"),
        ({"length": (65, None)}, "has 65 or more characters. Ask for 64 or fewer"),
        ({"prefix": "a" * 65}, "no name of the model, of 64 characters at most, begins with 'aaa"),
        ({"length": "8-5"}, "is no length. Write 5, "),
        ({"length": (-1, 5)}, "is no length. Write 5, "),
        ({"pattern": "a(?=b)"}, "has looking ahead or behind at character 2"),
        ({"pattern": "ab(a"}, r"missing \), unterminated subpattern at character 3"),
        ({"pattern": ".*a.{20}"}, "needs more than 16,384 states"),
        ({"pattern": "((a{60}){60}){60}"}, "is too long"),
        ({"pattern": "(" * 3000 + ")" * 3000}, "nested too deeply"),
    ],
)
def test_what_cannot_be_asked(automaton: Automaton, question: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Model(automaton).where(**question)


def test_lengths_as_people_write_them() -> None:
    for text, bounds in {"5": (5, 5), "5-8": (5, 8), "5-": (5, None), "-8": (0, 8), " 5-5 ": (5, 5)}.items():
        assert length_of(text) == bounds
    assert length_of(5) == (5, 5)
    assert length_of((5, None)) == (5, None)
    assert Question.of(length="5-", block=["b", "a", "b", "c", "d"]).words() == [
        "contains none of 4 pieces",
        "has 5 or more characters",
    ]


def test_a_question_that_is_too_large(automaton: Automaton, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "CELLS", 27 * 100)
    with pytest.raises(SettingError, match="needs more than the 100 states that are allowed"):
        Model(automaton).where(length=(5, 30))
    assert Model(automaton).where(length=(1, 2)).automaton.states <= 100


def test_what_can_hardly_be_is_not_impossible() -> None:
    """A name of probability 2^-1600: below what a float holds, and certain once it is asked for."""
    weights = np.array([[1, TOTAL - 2, 1], [TOTAL - 1, 1, 0]])
    successor = np.array([[0, 1, 0], [0, 1, 0]], np.int32)
    rare = Automaton(Vocabulary(".ab"), 2, weights, successor, np.ones(2, np.uint8))
    for question in ({"prefix": "b" * 50}, {"contains": "b" * 50}, {"length": 50, "block": ["a"]}):
        asked = Model(rare).where(**question)
        names = asked.sample(1000, into="list")
        assert all(map(answers(question), names))
        assert asked.probability == 0
    single = Automaton(
        Vocabulary(".a"), 2, np.array([[TOTAL - 1, 1]]), np.array([[0, 0]], np.int32), np.ones(1, np.uint8)
    )
    for seed in range(3):
        assert sorted(Model(single).distinct(65, seed, into="list")) == ["a" * n for n in range(65)]
        assert set(Model(single).distinct(30, seed, into="list")) <= {"a" * n for n in range(65)}
    assert Model(single).top(65)["name"].to_list() == ["a" * n for n in range(65)]
    assert Counter(Model(rare).where(prefix="b" * 50).sample(1000, into="list")).keys() == {"b" * 50 + "a"}


@pytest.fixture(scope="module")
def fitted_model(names: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Kneser-Ney of order 4, with its list of 3,000 names."""
    folder = tmp_path_factory.mktemp("model")
    namegen.fit(names.names[:3000], model="kneser-ney", order=4).save(folder)
    return load(folder)


ROWS = 1_700_000  # of each of six questions: 10^7 together
REAL: list[dict[str, Any]] = [
    {"prefix": "mar", "length": "5-8", "novel": True},
    {"suffix": "ella"},
    {"contains": "xy", "block": ["ass", "sex", "tit"]},
    {"pattern": "(jo|ma).*[aeiou]n?", "length": (4, 9)},
    {"novel": True},
    {"length": (12, None), "suffix": "e", "without": ["christopherlee"]},
]


@pytest.mark.parametrize("question", REAL)
def test_only_answers_are_drawn(fitted_model: Model, names: Corpus, question: dict[str, Any]) -> None:
    """Of 1.7 million names none violates the question, and they are as likely as among all names that answer it."""
    import pyarrow.compute as pc

    asked = fitted_model.where(**question)
    drawn = asked.sample(ROWS, into="arrow")
    is_answer, listed = answers({k: v for k, v in question.items() if k != "novel"}), {*names.names[:3000]}
    distinct = pc.value_counts(drawn["name"].combine_chunks())
    found = dict(zip(distinct.field("values").to_pylist(), distinct.field("counts").to_pylist(), strict=True))
    assert all(is_answer(name) and not (question.get("novel") and name in listed) for name in found)
    # what is drawn scores as it is drawn, and adds up with the question's probability
    some = sorted(found)[:: max(len(found) // 500, 1)]
    own, whole = np.array(asked.score(some)), np.array(fitted_model.score(some))
    np.testing.assert_allclose(own + math.log(asked.probability), whole, rtol=0, atol=1e-4)
    # chi-square over the likeliest names, and the rest as one
    often = sorted(found, key=lambda name: -found[name])[:50]
    expected = np.exp(np.array(fitted_model.score(often))) / asked.probability * ROWS
    seen = np.array([found[name] for name in often])
    rest = ROWS - expected.sum()
    statistic = ((seen - expected) ** 2 / expected).sum() + (ROWS - seen.sum() - rest) ** 2 / rest
    assert statistic < 110  # 50 degrees of freedom: one in 10^6


def test_the_share_that_answers(fitted_model: Model, names: Corpus) -> None:
    """P of a question is the share of a plain stream's names that answer it."""
    plain = fitted_model.sample(200_000, into="list")
    listed = {*names.names[:3000]}
    for question in REAL:
        is_answer = answers({k: v for k, v in question.items() if k != "novel"})
        hits = sum(is_answer(name) and not (question.get("novel") and name in listed) for name in plain)
        p = fitted_model.where(**question).probability
        assert abs(hits - p * 200_000) < 5 * math.sqrt(p * 200_000) + 1


def test_questions_combine(fitted_model: Model) -> None:
    """Asked one after another or at once, and in the words of each."""
    at_once = fitted_model.where(prefix="ma", length="5-7")
    later = fitted_model.where(length=(5, 7)).where(prefix="ma")
    assert later.probability == pytest.approx(at_once.probability, rel=1e-6)
    assert later.score("maria") == pytest.approx(at_once.score("maria"), abs=1e-6)
    assert later.asked == ("has 5 to 7 characters", "begins with 'ma'")
    assert "probability=0.0" in repr(at_once)
    assert fitted_model.where() is fitted_model
    assert at_once.score("emma") == -math.inf


def test_the_same_bytes_anywhere(automaton: Automaton) -> None:
    """Golden: of the notebook's bigram table."""
    asked = Model(automaton).where(prefix="ma", length="5-7", suffix="a")
    assert asked.automaton.sha256[:16] == "94e8c666a3a263b2"
    assert asked.sample(3, into="list") == ["mabeada", "mamadia", "masia"]


def test_lists_from_files(fitted_model: Model, tmp_path: Path) -> None:
    """Of any form that a list of names can have, in NFC."""
    (tmp_path / "bad.csv").write_text("name,why\nass,rude\ntit,rude\n")
    (tmp_path / "taken.txt").write_text("Jose\u0301\nmaria\n")
    asked = fitted_model.where(block=tmp_path / "bad.csv", without=str(tmp_path / "taken.txt"))
    assert asked.asked == ("contains none of 'ass', 'tit'", "is none of 'José', 'maria'")
    assert asked.score(["maria", "cassie", "emma"])[:2] == [-math.inf, -math.inf]
    assert asked.score("emma") > fitted_model.score("emma")


def test_text_is_normalised() -> None:
    """A prefix that is written with a combining mark."""
    model = namegen.fit(["José", "Jörg", "Joan"] * 10, model="kneser-ney")
    assert model.where(suffix="se\u0301").sample(20, into="list")[0].endswith("sé")
    assert model.where(pattern="Jo\u0308.*").score("Jörg") > model.score("Jörg")


def test_an_asked_model_is_saved(fitted_model: Model, tmp_path: Path) -> None:
    """As an automaton, which is all that is known of it."""
    asked = fitted_model.where(suffix="a")
    asked.save(tmp_path / "asked")
    again = load(tmp_path / "asked")
    assert again.sample(100).equals(asked.sample(100))
    with pytest.raises(ArtifactError, match="automaton alone"):
        again.where(novel=True)
    with pytest.raises(ArtifactError, match=r"is a question's \(ends with 'a'\)"):
        _ = asked.evaluation
    steps = asked.explain("maria")
    assert steps["known"].to_list()[:3] == [".", ".m", ".ma"]
    assert steps["log_prob"].sum() == pytest.approx(asked.score("maria"))


@given(automata(), st.sampled_from([0.1, 0.7, 1.3, 5.0]))
def test_temperature(automaton: Automaton, temperature: float) -> None:
    """Each distribution is the power of the other, normalised, before it is rounded."""
    tempered = temper(automaton, temperature)
    powers = (automaton.weights / TOTAL) ** (1 / temperature)
    powers /= powers.sum(axis=1, keepdims=True)
    assert ((tempered.weights > 0) == (automaton.weights > 0)).all()
    assert np.abs(tempered.weights / TOTAL - powers).max() <= 8 / TOTAL
    assert tempered.is_sound
    exact = temperature_module._powers(automaton.log_probabilities, temperature)
    np.testing.assert_allclose(exact, np.where(powers > 0, powers, 0), rtol=1e-12, atol=1e-290)
    assert temper(automaton, 1) is automaton


def test_a_tempered_model(automaton: Automaton) -> None:
    """Hot names reach the cap: a question asked then has no name that does not answer."""
    model = Model(automaton)
    cold, hot = model.temper(0.7), model.temper(5)
    assert cold.score("an") > model.score("an") > hot.score("an")
    assert sum(len(name) == 64 for name in hot.sample(10**5, into="list")) > 1000
    asked = hot.where(suffix="na")
    assert asked.asked == ("at temperature 5", "ends with 'na'")
    drawn = asked.sample(10**5, into="list")
    assert all(name.endswith("na") for name in drawn)
    assert any(len(name) == 64 for name in drawn)
    assert cold.automaton.sha256[:16] == "53e4a422c313cb6e"
    for wrong in (0.05, 6, math.nan):
        with pytest.raises(SettingError, match=r"is not in 0.1 to 5"):
            model.temper(wrong)


@given(automata(), st.integers(0, 30))
def test_the_most_probable(automaton: Automaton, count: int) -> None:
    """All names of small automata, sorted; and how many there are."""
    every = law(automaton)
    names = [*every]
    if count > len(every):
        with pytest.raises(SettingError, match=rf"there are only {len(every)} names, but {count} are asked for"):
            Model(automaton).top(count)
        count = len(every)
    scores = dict(zip(names, automaton.log_prob(names), strict=True))
    wanted = sorted(names, key=lambda name: (-scores[name], name.encode()))[:count]
    top = Model(automaton).top(count)
    assert top["name"].to_list() == wanted
    assert top["log_prob"].to_list() == [scores[name] for name in wanted]


def test_the_most_probable_answers(fitted_model: Model) -> None:
    """Of a question: what is left of the plain model's order."""
    plain = fitted_model.top(20_000)
    asked = fitted_model.where(suffix="a", length="4-6").top(100)["name"].to_list()
    assert asked == [name for name in plain["name"] if name.endswith("a") and 4 <= len(name) <= 6][:100]
    assert plain["log_prob"].is_sorted(descending=True)
    assert fitted_model.score(plain["name"]).equals(plain["log_prob"])
    with pytest.raises(SettingError, match="is no number of names for top"):
        fitted_model.top(-1)


def test_the_law_of_the_race(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first two names of 1,500 seeds are as likely as when they are drawn one after another."""
    weights = np.array([[TOTAL // 2, TOTAL // 4, TOTAL // 4], [TOTAL - 3, 2, 1]])
    automaton = Automaton(
        Vocabulary(".ab"), 2, weights, np.array([[0, 1, 0], [0, 1, 1]], np.int32), np.ones(2, np.uint8), cap=2
    )
    every, seeds = law(automaton), 1500
    monkeypatch.setattr(race, "DRAWN", 20)
    seen = Counter(tuple(Model(automaton).distinct(2, seed, into="list")) for seed in range(seeds))
    expected = {(x, y): every[x] * every[y] / (1 - every[x]) * seeds for x in every for y in every if x != y}
    often = [pair for pair, number in expected.items() if number >= 5]
    rest = seeds - sum(expected[pair] for pair in often)
    statistic = sum((seen[pair] - expected[pair]) ** 2 / expected[pair] for pair in often)
    statistic += (sum(n for pair, n in seen.items() if pair not in often) - rest) ** 2 / max(rest, 1)
    assert len(often) >= 6
    assert statistic < 60  # some ten degrees of freedom: one in 10^8


@given(automata(), st.integers(0, 2**64 - 1), st.data())
def test_different_names(automaton: Automaton, seed: int, data: st.DataObject) -> None:
    """Each name once, all if all are asked for; a smaller count is the beginning, for any number of workers."""
    every = law(automaton)
    whole = Model(automaton).distinct(len(every), seed)
    assert sorted(whole["name"]) == sorted(every)
    assert automaton.log_prob(whole["name"].to_list()).tolist() == whole["log_prob"].to_list()
    first, count = sorted((data.draw(st.integers(0, len(every))), data.draw(st.integers(0, len(every)))))
    some = pa.Table.from_batches(race.distinct(automaton, seed, first, count - first, 3), SCHEMA)
    assert pl.DataFrame(pl.from_arrow(some)).equals(whole[first:count])
    with pytest.raises(SettingError, match=rf"there are only {len(every)} names"):
        Model(automaton).distinct(len(every) + 1, seed)


def test_many_different_names(fitted_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """In windows and buffers of any size, the same; and of a question, too."""
    names = fitted_model.distinct(30_000)
    assert names["name"].n_unique() == 30_000
    assert names["index"].to_list() == list(range(30_000))
    assert fitted_model.score(names["name"]).equals(names["log_prob"])
    monkeypatch.setattr(race, "AT_ONCE", 7000)
    monkeypatch.setattr(race, "BUFFER", 100)
    assert fitted_model.distinct(30_000).equals(names)
    assert fitted_model.distinct(2000, first=11_000).equals(names[11_000:13_000])
    few = fitted_model.where(pattern="ma[rl](a|ia|y)")
    assert set(few.distinct(6, into="list")) == {"mara", "maria", "mary", "mala", "malia", "maly"}
    with pytest.raises(SettingError, match=r"there are only 6 names, but 7 are asked for\. Ask for 6"):
        few.distinct(7)


def test_the_same_race_anywhere(automaton: Automaton) -> None:
    """Golden: of the notebook's bigram table."""
    table = Model(automaton).distinct(10_000, seed=7, into="arrow")
    assert hashlib.sha256("\n".join(table["name"].to_pylist()).encode()).hexdigest()[:16] == "4a36dc49224496d0"
    assert table["name"][:3].to_pylist() == ["d", "kay", "zlyhimittreemio"]


@given(automata())
def test_figures(automaton: Automaton) -> None:
    """Sums over all names, beside those of brute force."""
    every = law(automaton)
    found = figures(automaton)
    assert found.expected_length == pytest.approx(sum(len(name) * p for name, p in every.items()), rel=1e-9)
    assert found.entropy == pytest.approx(-sum(p * math.log(p) for p in every.values()), rel=1e-9, abs=1e-9)
    assert found.equal == pytest.approx(sum(p * p for p in every.values()), rel=1e-9)


@given(automata(), st.data())
def test_what_is_said_of_all_names(automaton: Automaton, data: st.DataObject) -> None:
    """The share of new names is that of brute force, and those named as likeliest are."""
    every = law(automaton)
    listed = data.draw(st.lists(st.sampled_from(sorted(every)), max_size=8))
    exact = Exact.of(automaton, listed)
    new = {name: p for name, p in every.items() if name not in listed}
    assert exact.novel == pytest.approx(sum(new.values()), rel=1e-9, abs=1e-12)
    scores = dict(zip(every, automaton.log_prob([*every]), strict=True))
    order = sorted(every, key=lambda name: (-scores[name], name.encode()))
    assert exact.likeliest[LIKELIEST]["name"].to_pylist() == order[:20]
    if new:
        named = exact.likeliest[LIKELIEST_NEW]["name"].to_pylist()
        assert set(named) <= new.keys()
        assert len(named) == min(len(new), 20)
    lines = exact.text("m").splitlines()
    assert lines[0] == "All names that m can draw, computed from its automaton"
    assert len(lines) == 6 + sum(2 + len(table) for table in exact.likeliest.values())
    assert Exact.of(automaton, None).novel is None


def test_what_is_not_known_is_not_said(automaton: Automaton, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share of new names that would take too many states is left out, and is not taken for 0."""
    assert Exact.of(automaton, ["emma"]).novel == pytest.approx(1, abs=1e-4)
    monkeypatch.setattr(graph, "CELLS", 27)
    exact = Exact.of(automaton, ["emma"])
    assert (exact.novel, [*exact.likeliest]) == (None, [LIKELIEST])
    assert "not on the list" not in exact.text("m")


def test_a_model_s_folder_says_it(fitted_model: Model) -> None:
    """In `about.txt`."""
    assert isinstance(fitted_model.source, ModelFolder)
    about = on_disk(fitted_model.source.path / "about.txt").read_text()
    assert about == Exact.of(fitted_model.automaton, names_in(fitted_model)).text(fitted_model.source.manifest().model)
    assert "not on the list" in about


def names_in(model: Model) -> list[str]:
    listed = model.listed()
    assert listed is not None
    names: list[str] = listed.to_pylist()
    return names

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from numpy.typing import NDArray

from namegen.automaton.walk import walk
from namegen.corpus.corpus import Corpus, Split, corpus_of, split
from namegen.corpus.ngrams import count_ngrams
from namegen.models import bigram, neural_bigram, uniform
from namegen.report import text as tables
from namegen.training.evaluate import SCHEMA, nll, of_model, of_table
from namegen.training.quantise import quantise
from strategies import names as some_names


def evaluation_of(corpus: Corpus, parts: Split) -> pl.DataFrame:
    counts = count_ngrams(parts.train, corpus.vocabulary, 2)
    tables = {
        "uniform": uniform.fit(counts),
        "bigram": bigram.fit(counts),
        "neural-bigram": neural_bigram.fit(counts),
    }
    return pl.concat([of_table(name, table, quantise(table, counts), parts) for name, table in tables.items()])


@pytest.fixture(scope="module")
def evaluation(names: Corpus) -> pl.DataFrame:
    return evaluation_of(names, split(names))


def test_every_model_source_split_and_subset(names: Corpus, evaluation: pl.DataFrame) -> None:
    """Three models, two sources; all and seen in train, all, seen and unseen in dev and test; each row once."""
    assert evaluation.schema == SCHEMA
    keys = ["model", "source", "split", "subset"]
    assert len(evaluation) == 3 * 2 * (2 + 3 + 3) == len(evaluation.unique(keys))
    sizes = evaluation.filter(model="bigram", source="table").pivot("subset", index="split", values="names")
    parts = split(names)
    train = set(parts.train)
    seen = {part: sum(name in train for name in getattr(parts, part)) for part in ("dev", "test")}
    others = [(part, 3226, seen[part], 3226 - seen[part]) for part in ("dev", "test")]
    assert sizes.rows() == [("train", 25805, 25805, None), *others]


def test_table_and_automaton_agree(evaluation: pl.DataFrame) -> None:
    """Rounding to 2^-32 changes no NLL by more than 1e-6."""
    assert 0 < tables.largest_gap(evaluation) < 1e-6


def test_uniform_is_ln_v(evaluation: pl.DataFrame) -> None:
    rows = evaluation.filter(model="uniform", source="table")
    assert rows["nll"].to_list() == pytest.approx([math.log(27)] * 8, rel=1e-12)
    assert rows["perplexity"].to_list() == pytest.approx([27] * 8)


def test_reference_figures_of_the_makemore_list(makemore: Corpus) -> None:
    """The +1 bigram has 2.453 on dev and 2.458 on test, lecture split; about an eighth of the lines are seen."""
    rows = evaluation_of(makemore, split(makemore)).filter(model="bigram", source="automaton")
    figures = {(r["split"], r["subset"]): r for r in rows.iter_rows(named=True)}
    assert figures["dev", "all"]["nll"] == pytest.approx(2.453, abs=1e-3)
    assert figures["test", "all"]["nll"] == pytest.approx(2.458, abs=1e-3)
    for part in ("dev", "test"):
        assert 0.115 < figures[part, "seen"]["names"] / figures[part, "all"]["names"] < 0.135


@given(some_names(min_size=2))
def test_standard_error_of_a_ratio(names: list[str]) -> None:
    """The linearised error is close to the jackknife's, which leaves out one name at a time (equal to first order)."""
    generator = np.random.default_rng(len(names))
    log_prob = -generator.exponential(size=len(names)) - 2.0 * np.array([len(n) for n in names])
    symbols, mean, error, perplexity = nll(names, log_prob)
    lengths = np.array([len(n) + 1 for n in names])
    assert symbols == lengths.sum()
    assert mean == pytest.approx(-log_prob.sum() / symbols)
    assert perplexity == pytest.approx(math.exp(mean))
    left_out = -(log_prob.sum() - log_prob) / (symbols - lengths)
    n = len(names)
    jackknife = math.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())
    longest = lengths.max() / symbols
    assert error == pytest.approx(jackknife, rel=4 * longest / (1 - longest) + 0.05, abs=1e-9)


def test_the_error_covers() -> None:
    """Over 400 samples of 200 names, the true NLL lies within 2 standard errors in about 95 %."""
    generator = np.random.default_rng(3)
    hits = 0
    for _ in range(400):
        lengths = generator.integers(1, 12, 200)
        log_prob = -(lengths + 1) * 2.0 - generator.normal(size=200) * np.sqrt(lengths + 1)
        _, mean, error, _ = nll(["a" * int(k) for k in lengths], log_prob)
        hits += abs(mean - 2.0) < 1.96 * error
    assert 0.92 < hits / 400 < 0.98


def test_one_name_has_no_error() -> None:
    """A single name has no spread, and a name that cannot be spelt an infinite NLL."""
    assert math.isnan(nll(["ab"], np.array([-3.0]))[2])
    symbols, mean, _, perplexity = nll(["ab", "c"], np.array([-3.0, -np.inf]))
    assert (symbols, mean, perplexity) == (5, math.inf, math.inf)


def test_names_longer_than_training_saw() -> None:
    """Table and automaton agree also on 64 characters, where the end is certain in both."""
    corpus = corpus_of(["ab", "a" * 64, "ba", "b"])
    evaluation = evaluation_of(corpus, Split(corpus.names, ("a" * 64,), ("b" * 64,)))
    assert tables.largest_gap(evaluation) < 1e-6


def test_text_for_a_terminal(evaluation: pl.DataFrame) -> None:
    """A line a model, within 120 columns, its figures those of the frame."""
    lines = tables.evaluation_text(evaluation).splitlines()
    row = next(line for line in lines if line.startswith("bigram"))
    expected = evaluation.row(by_predicate=key("bigram", "automaton", "dev", "all"), named=True)
    assert f"{expected['nll']:.4f} ± {expected['standard_error']:.4f}" in row
    assert max(map(len, lines)) <= 120


def test_without_a_holdout_only_train_is_shown(names: Corpus, evaluation: pl.DataFrame) -> None:
    """And the text says that these are the names that the models were fitted to."""
    text = tables.evaluation_text(evaluation_of(names, split(names, 0)))
    assert "train perplexity" in text
    assert "dev" not in text
    assert tables.FITTED_ONLY in text.splitlines()
    assert tables.FITTED_ONLY not in tables.evaluation_text(evaluation)


def test_markdown_has_a_row_a_model(evaluation: pl.DataFrame) -> None:
    lines = tables.markdown(tables.evaluation_rows(evaluation)).splitlines()
    assert len(lines) == 2 + 3
    assert len({line.count("|") for line in lines}) == 1


def test_what_forgetting_costs(names: Corpus) -> None:
    """A model that knows more contexts has rows of its own, and the text says what its automaton loses to it."""
    parts = split(names)
    counts = count_ngrams(parts.train[:2000], names.vocabulary, 3)
    table = bigram.fit(counts)
    few = Split(parts.train[:2000], parts.dev[:50], parts.test[:50])
    automaton = quantise(table, counts.lower(2))
    by_table = of_table("mlp", table, automaton, few)
    worse = np.where(np.arange(27) == 0, table, 0.99 * table) / (0.99 + 0.01 * table[:, :1])
    itself = Bigram(worse)
    frame = pl.concat([by_table, of_model("mlp", itself, names.vocabulary, few)])
    assert set(frame["source"]) == {"table", "automaton", "exact"}
    exact = frame.filter(source="exact")
    assert set(exact["split"]) == {"dev", "test"}
    assert exact.select("split", "subset", "names").rows() == [
        row for row in by_table.filter(source="table").select("split", "subset", "names").rows() if row[0] != "train"
    ]
    for model, part, loss in tables.losses(frame):
        assert model == "mlp"
        some = getattr(few, part)
        own = -walk(some, names.vocabulary, np.tile(np.arange(27, dtype=np.int32), (27, 1)), np.log(worse)).sum()
        by_automaton = -automaton.log_prob(some).sum()
        assert loss == pytest.approx((by_automaton - own) / (sum(map(len, some)) + 50))
    assert [part for _, part, _ in tables.losses(frame)] == ["dev", "test"]
    assert "mlp loses 0.00" in tables.evaluation_text(frame)
    assert tables.losses(frame.filter(pl.col("source") != "exact")) == []
    better = frame.with_columns(pl.when(source="exact").then(pl.col("nll") + 0.5).otherwise(pl.col("nll")).alias("nll"))
    assert "mlp gains 0.4" in tables.evaluation_text(better)
    same = frame.with_columns(pl.lit(2.0).alias("nll"))
    assert "by compiling" in tables.evaluation_text(better)
    assert "by compiling" not in tables.evaluation_text(same)


@dataclass
class Bigram:
    """A table of the last symbol, asked as a model."""

    table: NDArray[np.float64]

    def start(self) -> NDArray[np.int64]:
        return np.zeros(1, np.int64)

    def after(self, _: NDArray[np.int64], symbols: NDArray[np.integer]) -> NDArray[np.int64]:
        return symbols.astype(np.int64)

    def predict(self, state: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.table[state]


def test_a_network_without_a_table_is_shown_by_itself(names: Corpus, evaluation: pl.DataFrame) -> None:
    """Before the model that is drawn from, with nothing where it was not measured."""
    parts = split(names)
    few = Split(parts.train[:200], parts.dev[:50], parts.test[:50])
    alone = of_model("mlp", Bigram(np.full((27, 27), 1 / 27)), names.vocabulary, few)
    title, *rows = tables.evaluation_rows(pl.concat([evaluation, alone]))
    assert [row[0] for row in rows] == ["uniform", "bigram", "mlp", "neural-bigram"]
    assert rows[2][title.index("train")] == ""
    assert rows[2][title.index("dev")].startswith("3.2958")


def key(model: str, source: str, split: str, subset: str) -> pl.Expr:
    columns = {"model": model, "source": source, "split": split, "subset": subset}
    return pl.all_horizontal(pl.col(name) == value for name, value in columns.items())

"""The notebook's printed figures: from the 27 x 27 counts, and from the list itself where it is at hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from namegen.corpus.corpus import Corpus, split
from namegen.corpus.ngrams import NgramCounts, count_ngrams
from namegen.models import bigram, neural_bigram
from namegen.training.evaluate import of_table
from namegen.training.quantise import quantise
from notebook_draws import COUNTS, notebook_counts, notebook_names

# as the notebook prints them; the 100th, which its page cuts off, as its loop computes it
LOSSES = {
    1: 3.768618583679199,
    2: 3.3788068294525146,
    3: 3.161090850830078,
    54: 2.507380485534668,
    100: 2.4901304244995117,
}
COUNTED_NAMES = "junide. janasah. p. cony. a. nn. kohin. tolian. juee. ksahnaauranilevias."
TRAINED_NAMES = "junide. janasah. p. cfay. a."
LOG_LIKELIHOOD, NLL = -559951.5625, 2.4543561935424805  # as printed, in float32


def exact_log_likelihood() -> float:
    """The +1 table's log-likelihood from the counts, each term in full precision."""
    totals = COUNTS.sum(axis=1) + 27
    terms = [c * (math.log(c + 1) - math.log(n)) for row, n in zip(COUNTS, totals, strict=True) for c in row.tolist()]
    return math.fsum(terms)


def test_log_likelihood_of_the_counts() -> None:
    """The +1 table's log-likelihood is -560,001.88, an NLL of 2.454577."""
    counts = notebook_counts()
    log_likelihood = float((COUNTS * np.log(bigram.fit(counts))).sum())
    assert log_likelihood == pytest.approx(exact_log_likelihood(), rel=1e-9)
    assert -log_likelihood / COUNTS.sum() == pytest.approx(560001.8832021174 / 228146, rel=1e-9)


def test_the_losses_of_gradient_descent() -> None:
    """One hundred steps over the counts have the losses of one hundred steps over the 228,146 pairs."""
    losses: dict[int, float] = {}
    neural_bigram.fit(notebook_counts(), on_step=lambda step, loss, _: losses.__setitem__(step, loss))
    assert list(losses) == list(range(1, 101))
    for step, loss in LOSSES.items():
        assert losses[step] == pytest.approx(loss, abs=1e-5)


def test_ten_names_from_the_counted_table() -> None:
    assert " ".join(notebook_names(bigram.fit(notebook_counts()), 10)) == COUNTED_NAMES


def test_five_names_from_the_trained_network() -> None:
    assert " ".join(notebook_names(neural_bigram.fit(notebook_counts()), 5)) == TRAINED_NAMES


@pytest.fixture(scope="module")
def counts(makemore: Corpus) -> NgramCounts:
    return count_ngrams(makemore.names, makemore.vocabulary, 2)


def test_the_list_has_the_counts_of_the_fixture(makemore: Corpus, counts: NgramCounts) -> None:
    """32,033 names, 228,146 bigrams, and the table that the notebook draws in blue."""
    assert len(makemore.names) == 32_033
    assert counts.counts.sum() == 228_146
    assert (counts.counts == COUNTS).all()


def test_nll_of_the_list_in_float64(makemore: Corpus, counts: NgramCounts) -> None:
    """The evaluation of a model trained on all names is the table's log-likelihood, to 1e-9."""
    table = bigram.fit(counts)
    row = of_table("bigram", table, quantise(table, counts), split(makemore, holdout=0)).row(0, named=True)
    assert (row["source"], row["split"], row["subset"]) == ("table", "train", "all")
    assert row["symbols"] == 228_146
    assert row["nll"] == pytest.approx(-exact_log_likelihood() / 228_146, rel=1e-9)


def test_nll_of_the_list_in_the_notebooks_float32(makemore: Corpus, counts: NgramCounts) -> None:
    """Added one by one in float32, as the notebook does, the same terms come to the figure it prints."""
    logs = np.log(bigram.fit(counts).astype(np.float32))
    ids = {symbol: i for i, symbol in enumerate(makemore.vocabulary.symbols)}
    terms = [logs[ids[a], ids[b]] for name in makemore.names for a, b in zip("." + name, name + ".", strict=True)]
    log_likelihood = np.add.accumulate(np.array(terms, np.float32))[-1]
    assert log_likelihood == pytest.approx(LOG_LIKELIHOOD, rel=1e-6)
    assert -log_likelihood / len(terms) == pytest.approx(NLL, rel=1e-6)

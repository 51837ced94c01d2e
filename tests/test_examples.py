"""The examples in the docstrings of the package, which are run as doctests."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module
from typing import Any

import numpy as np
import polars as pl
import pytest

import namegen
from namegen.automaton.automaton import Automaton
from namegen.model import Model

CENTRAL = {
    "namegen.automaton.alias_tables.build_alias_tables",
    "namegen.automaton.automaton.Automaton.log_prob",
    "namegen.automaton.logarithm.ln",
    "namegen.automaton.walk.walk",
    "namegen.corpus.corpus.corpus_of",
    "namegen.corpus.corpus.split",
    "namegen.corpus.ngrams.count_ngrams",
    "namegen.model.Model.explain",
    "namegen.model.Model.sample",
    "namegen.model.Model.score",
    "namegen.models.kneser_ney.discounts",
    "namegen.outputs.ranges.ranges",
    "namegen.pipeline.fit",
    "namegen.sampling.cpu_sampler.CpuSampler.draw",
    "namegen.sampling.philox.philox4x32",
    "namegen.sampling.reference.ReferenceSampler.name",
    "namegen.sampling.stream.sample",
    "namegen.training.evaluate.nll",
    "namegen.training.quantise.quantise",
    "namegen.automaton.rounding.round_to_weights",
    "namegen.vocabulary.Vocabulary.encode",
}


def examples() -> dict[str, doctest.DocTest]:
    """Every object of the package whose docstring has an example, by its full name."""
    names = ["namegen", *(module.name for module in pkgutil.walk_packages(namegen.__path__, "namegen."))]
    finder = doctest.DocTestFinder()
    return {test.name: test for name in names for test in finder.find(import_module(name), name) if test.examples}


EXAMPLES = examples()


def differences(example: doctest.DocTest, **names: Any) -> str:  # noqa: ANN401 - whatever an example needs
    """What the example prints that its docstring does not expect; empty if they agree."""
    report: list[str] = []
    copy = doctest.DocTest(
        example.examples, {**example.globs, **names}, example.name, example.filename, example.lineno, example.docstring
    )
    doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(copy, out=report.append)
    return "".join(report)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name: str, automaton: Automaton, model: Model) -> None:
    """Each example prints what its docstring says."""
    assert not differences(EXAMPLES[name], automaton=automaton, model=model, pl=pl, np=np)


def test_central_functions_have_examples() -> None:
    """The functions that a reader meets first all have one."""
    assert CENTRAL - EXAMPLES.keys() == set()


def test_a_wrong_example_is_found() -> None:
    """An example that prints something else is reported with both."""
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    report = differences(wrong)
    assert "Expected:\n    3\nGot:\n    2\n" in report

"""The README's figures are those of a run, its code runs, and its two commands are what CI runs."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import polars as pl
import pytest

import namegen
from conftest import ROOT, on_disk
from namegen import tables
from telling import Made

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def beside_outputs(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory in which `outputs` is that of a run."""
    (tmp_path / "outputs").symlink_to(on_disk(made.model.path).parents[1], target_is_directory=True)
    monkeypatch.chdir(tmp_path)


def test_the_report_is_that_of_a_run(made: Made) -> None:
    """The first screen, line by line: what is counted to the last digit, what is trained roughly.

    A network's figures differ from machine to machine; the largest difference of table and automaton is rounding.
    """
    evaluation = tables.evaluation_text(made.model.table("evaluation"))
    quality = tables.quality_text(made.model.table("quality"))
    printed = [*evaluation.splitlines(), "", *quality.partition("\n\nbigram:")[0].splitlines()]
    shown = blocks("text")[0].splitlines()
    assert len(shown) == len(printed)
    for ours, theirs in zip(shown, printed, strict=True):
        if ours.startswith(("mlp", "blend")):
            for a, b in zip(ours.split(), theirs.split(), strict=True):
                assert a == b or float(a) == pytest.approx(float(b), rel=0.03, abs=0.03), (ours, theirs)
        else:
            assert ours.rpartition(" at most ")[0] == theirs.rpartition(" at most ")[0]
            assert " at most " in ours or ours == theirs


def test_the_names_are_the_first(made: Made) -> None:
    """Of the counting models just these; of the blend, which differs from machine to machine, names it can draw."""
    rows = dict(re.findall(r"^\| (bigram|kneser-ney|blend) \| ([a-z ]+) \|$", README, re.MULTILINE))
    drawn = dict(made.model.table("quality").select("model", "examples").iter_rows())
    for model in ("bigram", "kneser-ney"):
        assert rows[model].split() == drawn[model][:10]
    log_prob = namegen.load(made.model.path).log_prob(rows["blend"].split())
    assert len(log_prob) == 10
    assert (log_prob > -40).all()


@pytest.mark.usefixtures("beside_outputs")
def test_the_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Every Python block runs beside a run's outputs, and prints."""
    programs = blocks("python")
    assert len(programs) == 2
    for program in programs:
        exec(program, {})  # noqa: S102 - our own README
        assert capsys.readouterr().out


@pytest.mark.usefixtures("beside_outputs")
def test_the_sql_runs_and_agrees() -> None:
    """DuckDB and polars give the same five names."""
    (query,), program = blocks("sql"), blocks("python")[0]
    by_duckdb = duckdb.connect().execute(query).fetchall()
    scope: dict[str, pl.LazyFrame] = {}
    exec(program, scope)  # noqa: S102 - our own README
    by_polars = scope["names"].unique("name").top_k(5, by="log_prob").sort("log_prob", descending=True).collect()
    assert by_duckdb == by_polars.select("name", "log_prob").rows()
    assert len(by_duckdb) == 5


def test_the_two_commands() -> None:
    """The first block has exactly two commands: one ends with the job, the other with the tests."""
    job, tests = blocks("sh")[0].splitlines()
    assert job.endswith("python flows/generate.py --count 100000")
    assert tests.endswith("pytest")
    assert README.index("```") == README.index("```sh")

"""The README's figures are those of a run, its code runs, and its two commands are what CI runs."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import polars as pl
import pytest

import namegen
from conftest import ROOT
from generate import Made
from namegen import report

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def beside_outputs(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory in which `outputs` is that of a run."""
    (tmp_path / "outputs").symlink_to(made.model.path.parents[1], target_is_directory=True)
    monkeypatch.chdir(tmp_path)


def test_the_evaluation_is_that_of_a_run(made: Made) -> None:
    """The table on the first screen, to the last digit but for the largest difference, which is rounding."""
    table = blocks("text")[0]
    printed = report.evaluation_text(made.model.evaluation())
    assert table.strip().rpartition("at most")[0] == printed.rpartition("at most")[0]


def test_the_ten_names_are_the_first_ten(made: Made) -> None:
    rows = re.findall(r"^\| ([a-z]+) \| (-[\d.]+) \| ([a-z]+) \| (-[\d.]+) \|$", README, re.MULTILINE)
    shown = [(a, b) for a, b, _, _ in rows] + [(c, d) for _, _, c, d in rows]
    drawn = namegen.load(made.model.path).sample(10)
    assert shown == [(name, f"{log_prob:.4f}") for name, log_prob in drawn.select("name", "log_prob").rows()]


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

"""The README's figures are those of a run, its code runs, and its two commands are what CI runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import namegen
from conftest import ROOT, on_disk
from namegen.__main__ import main
from namegen.commands import NAMES
from namegen.report import text as tables
from telling import Made

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def beside_outputs(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory in which `outputs` is that of a run, and `data` the project's."""
    (tmp_path / "data").symlink_to(ROOT / "data", target_is_directory=True)
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
    assert len(programs) == 4
    for program in programs:
        assert len(program.splitlines()) < 40
        exec(program, {})  # noqa: S102 - our own README
        assert capsys.readouterr().out


def test_the_commands_run(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every line on `namegen` does what it says, beside the outputs of one run."""
    monkeypatch.chdir(tmp_path)
    for folder in (on_disk(made.model.path), on_disk(made.names)):
        alone = tmp_path / "outputs" / folder.relative_to(on_disk(made.model.path).parents[1])
        alone.parent.mkdir(parents=True)
        alone.symlink_to(folder, target_is_directory=True)
    (block,) = [block for block in blocks("sh") if block.startswith("namegen sample")]
    Path("data").symlink_to(ROOT / "data", target_is_directory=True)
    (model,) = Path("outputs/models").iterdir()
    lines = block.replace("outputs/models/blend-...", str(model)).splitlines()
    assert {line.split()[1] for line in lines} == set(NAMES)
    for line in lines:
        command = line.partition("#")[0].partition(">")[0]
        assert main(command.split()[1:]) == 0, line
        assert capfd.readouterr().out or line.split()[1] in {"verify", "prune"}


def test_the_picture_is_there() -> None:
    """Of those that a page has, and small."""
    (picture,) = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert (ROOT / picture).stat().st_size < 100_000
    assert "best published, 1.9775" in (ROOT / picture).read_text()


def test_the_two_commands() -> None:
    """The first block has exactly two commands: one ends with the job, the other with the tests."""
    job, tests = blocks("sh")[0].splitlines()
    assert job.endswith("python flows/generate.py --count 100000")
    assert tests.endswith("pytest")
    assert README.index("```") == README.index("```sh")

"""Jobs, repairs, prunes and readers in one store, in a hundred orders; `benchmarks/schedules.py` tries thousands."""

from __future__ import annotations

from pathlib import Path

import pytest

from namegen.outputs.dataset import State
from simulation import play


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the list may lie."""
    return tmp_path_factory.mktemp("simulation") / "names.txt"


def test_nothing_is_lost(names: Path) -> None:
    """Rows never get fewer, readers see none twice, and in the end there is what a job alone would have made."""
    assert {seed: broken for seed in range(120) if (broken := play(names, seed))} == {}


def test_it_finds_what_is_wrong(names: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that does not look at what there was before makes a data set smaller."""
    monkeypatch.setattr(State, "sealed", lambda *_: None)
    assert any("fewer rows than before" in str(play(names, seed)) for seed in range(300))

"""Jobs, repairs, prunes and readers in one store, in a hundred orders; `benchmarks/schedules.py` tries thousands."""

from __future__ import annotations

from pathlib import Path

import pytest

from namegen.outputs.dataset import State
from namegen.upkeep import prune
from simulation import play


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the list may lie."""
    return tmp_path_factory.mktemp("simulation") / "names.txt"


def test_nothing_is_lost(names: Path) -> None:
    """Rows never get fewer, readers see none twice, and in the end there is what a job alone would have made."""
    assert {seed: broken for seed in range(120) if (broken := play(names, seed))} == {}


@pytest.mark.parametrize(
    ("owner", "name", "replacement", "finds"),
    [
        (State, "sealed", lambda *_: None, "fewer rows than before"),  # a job does not look at what there was before
        (prune, "_has_datasets", lambda *_: False, "there is no model"),  # a prune does not look under its lock
    ],
)
def test_it_finds_what_is_wrong(
    names: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, replacement: object, finds: str
) -> None:
    """A fault in one place is found within some schedules."""
    monkeypatch.setattr(owner, name, replacement)
    assert any(finds in str(play(names, seed)) for seed in range(300))

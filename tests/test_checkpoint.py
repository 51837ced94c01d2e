"""An interrupted training goes on where it stood, and a checkpoint that cannot be trusted is passed over."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import NAMES, ROOT
from namegen.corpus.corpus import Corpus
from namegen.errors import ArtifactError
from namegen.training.checkpoint import Checkpoint
from namegen.training.fit import Fitted
from small_training import NETWORK, fit

STATE = {"passes": np.array(3), "0.weight": np.arange(6, dtype=np.float32).reshape(2, 3)}
CURVE = [(1, 2.5, 2.25), (2, 2.25, None), (3, 2.125, 2.0)]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return Checkpoint(tmp_path / "model" / "checkpoint.safetensors", "blend-1234")


def test_what_is_kept_is_found(checkpoint: Checkpoint) -> None:
    """Arrays, their types and the curve; nothing where nothing was kept, or it was removed."""
    assert checkpoint.load() is None
    checkpoint.save(STATE, CURVE)
    found = checkpoint.load()
    assert found
    state, curve = found
    assert curve == CURVE
    assert state.keys() == STATE.keys()
    assert all((state[name] == STATE[name]).all() and state[name].dtype == STATE[name].dtype for name in STATE)
    assert [file.name for file in checkpoint.path.parent.iterdir()] == ["checkpoint.safetensors"]
    checkpoint.remove()
    checkpoint.remove()
    assert checkpoint.load() is None


def test_every_damage_is_found(checkpoint: Checkpoint) -> None:
    """Cut anywhere, or any bit turned, it is refused, unless nothing that counts has changed."""
    checkpoint.save(STATE, CURVE)
    whole = checkpoint.path.read_bytes()
    for cut in range(len(whole)):
        checkpoint.path.write_bytes(whole[:cut])
        with pytest.raises(ArtifactError):
            checkpoint.load()
    for place in range(len(whole)):
        checkpoint.path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            found = checkpoint.load()
        except ArtifactError:
            continue
        assert found
        assert all((found[0][name] == STATE[name]).all() for name in STATE)
        assert found[1] == CURVE


def test_absurd_numbers_are_refused(checkpoint: Checkpoint) -> None:
    """JSON has infinities in Python, and a pass has not."""
    checkpoint.save(STATE, [(float("inf"), 1.0, 1.0)])  # type: ignore[list-item]
    with pytest.raises(ArtifactError):
        checkpoint.load()


def test_another_models_is_refused(checkpoint: Checkpoint) -> None:
    checkpoint.save(STATE, CURVE)
    with pytest.raises(ArtifactError, match="another model"):
        replace(checkpoint, identity="blend-5678").load()


def same(one: Fitted, other: Fitted) -> bool:
    """Whether two networks, and the weights of their blends, have the same bytes."""
    models = [fitted.others[name] for fitted in (one, other) for name in ("mlp", "blend")]
    rows = [model.predict(model.after(model.start(), np.array([5]))).tobytes() for model in models]
    return rows[:2] == rows[2:] and one.training.equals(other.training)


# The same training in a process of its own, slowed down so that it can be hit in the middle of a pass.
PROGRAM = """
import sys, time
from pathlib import Path
sys.path[:0] = ["tests"]
from namegen.training.checkpoint import Checkpoint
from namegen.corpus.corpus import read_corpus
from namegen.models import network
from small_training import fit
rate = network._rate
network._rate = lambda step, steps: time.sleep(0.02) or rate(step, steps)
fit(read_corpus(sys.argv[1]), Checkpoint(Path(sys.argv[2]), "blend-1234"))
"""


def test_a_training_that_is_killed_resumes(
    names: Corpus, checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """After kill -9 in the middle, the next training runs the passes that are missing, to the same bytes."""
    command = [sys.executable, "-c", PROGRAM, str(NAMES), str(checkpoint.path)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        while not (checkpoint.path.exists() and len((checkpoint.load() or ({}, []))[1]) >= 2):
            assert process.poll() is None
            time.sleep(0.02)  # the machine is the other's
        process.send_signal(signal.SIGKILL)
    kept = checkpoint.load()
    assert kept
    passes = len(kept[1])
    assert 2 <= passes < NETWORK.passes
    with caplog.at_level(logging.INFO, "namegen"):
        resumed = fit(names, checkpoint)
    assert f"The training was interrupted: it resumes after pass {passes}" in caplog.messages
    assert resumed.training.filter(model="mlp")["step"].to_list() == list(range(1, NETWORK.passes + 1))
    assert same(resumed, fit(names, None))


def test_a_damaged_checkpoint_costs_time_only(
    names: Corpus, checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """A line says so, and the training starts again."""
    whole = fit(names, checkpoint)
    data = checkpoint.path.read_bytes()
    checkpoint.path.write_bytes(data[: len(data) // 2])
    caplog.clear()
    with caplog.at_level(logging.INFO, "namegen"):
        assert same(fit(names, checkpoint), whole)
    first = caplog.messages[0]
    assert first.startswith(f"{checkpoint.path}: is cut short or not a checkpoint")
    assert first.endswith("The training starts again")

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

import small_training
from namegen import device
from namegen.corpus.corpus import Corpus
from namegen.device import free_memory, memory_of, repeatable, resolve_device, sampling_device
from namegen.errors import DeviceError


def test_a_device_without_memory() -> None:
    """Real allocations that no machine can serve, by torch and by numpy, become one line that says what to do."""
    with pytest.raises(DeviceError, match=r"is out of memory.* Use a smaller --preset"), memory_of("cpu"):
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(DeviceError, match=r"device 'cpu' is out of memory"), memory_of("cpu"):
        np.zeros(2**60, np.uint8)


def test_the_free_memory_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what the machine has available, or less if the container's limit leaves less; cached files give way."""
    monkeypatch.setattr(device, "CGROUP", tmp_path)
    whole = free_memory()
    assert 10**6 < whole < psutil.virtual_memory().total
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\nactive_file 50\n")
    for limit, expected in (("1000\n", 1000 - 700 + 150), ("max\n", whole), (f"{2**60}\n", whole)):
        (tmp_path / "memory.max").write_text(limit)
        assert free_memory() == pytest.approx(expected, rel=0.2)


def test_a_gpu_without_memory() -> None:
    """Torch's own error of a full GPU; there the CPU is one way out."""
    with pytest.raises(DeviceError, match="or --device cpu"), memory_of("cuda"):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


def test_any_other_error_stays() -> None:
    with pytest.raises(RuntimeError, match="a shape"), memory_of("cpu"):
        raise RuntimeError("a shape does not fit")


def test_sampling_without_a_gpu_knows_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no driver of a GPU can be loaded nothing is asked of torch; where one can, torch says what is there."""
    monkeypatch.setattr(device, "DRIVERS", ("libnone.so.0",))
    monkeypatch.setattr(device, "resolve_device", pytest.fail)
    assert [sampling_device(wish) for wish in ("cpu", "mps", "auto")] == ["cpu"] * 3
    monkeypatch.setattr(device, "DRIVERS", ("libc.so.6",))
    monkeypatch.setattr(device, "resolve_device", resolve_device)
    assert sampling_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


def test_only_a_gpu_has_to_be_told_to_repeat_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    for where, told in (("cpu", False), ("cuda", True)):
        with repeatable(where):
            assert torch.are_deterministic_algorithms_enabled() is told
            assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) is told
        assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_a_gpu_trains_the_same_network_twice(names: Corpus) -> None:
    with repeatable("cuda"):
        models = [small_training.fit(names, None, "cuda").others["mlp"] for _ in range(2)]
        once, again = (model.predict(model.after(model.start(), np.array([5]))) for model in models)
    assert np.array_equal(once, again)

"""Which device to train and sample on, and what to say when its memory is full."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

from namegen.errors import DeviceError, SettingError

DRIVERS = ("libcuda.so.1", "nvcuda.dll", "libamdhip64.so")  # NVIDIA's, and AMD's, which torch calls cuda
MOST_CORES = 8  # each has a part in memory


def resolve_device(device: str) -> str:
    """A torch device that is there, for a wish: "auto" is the GPU where there is one, else the CPU.

    Raises:
        SettingError: for a device that is not there.
    """
    if device == "cpu":
        return device
    import torch  # slow to import, and not needed to say that the CPU is there

    there = [name for name, backend in (("cuda", torch.cuda), ("mps", torch.backends.mps)) if backend.is_available()]
    if device == "auto":
        return (*there, "cpu")[0]
    if device not in there:
        choices = " or ".join((*there, "cpu", "auto"))
        raise SettingError(f"device {device!r} is not there", remedy=f"Use {choices}")
    return device


def sampling_device(device: str) -> str:
    """Like `resolve_device`, for sampling: "cuda" or "cpu", as MPS has no float64 for the log-probabilities.

    Without the driver of a GPU torch is not even imported.
    """
    if device in {"cpu", "mps"} or (device == "auto" and not any(map(_can_be_loaded, DRIVERS))):
        return "cpu"
    return "cuda" if resolve_device(device) == "cuda" else "cpu"


def cores() -> int:
    """How many threads sample and write, unless someone says otherwise: the cores of this process, up to 8."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, MOST_CORES)


@contextmanager
def memory_of(device: str) -> Iterator[None]:
    """What runs inside and finds no memory raises DeviceError: torch and numpy say it in several ways."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
            remedy = "Use a smaller --preset, --states or --order" + (", or --device cpu" if device != "cpu" else "")
            raise DeviceError(f"device {device!r} is out of memory", remedy=remedy) from error
        raise


def _can_be_loaded(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True

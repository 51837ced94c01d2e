"""The choice of a device to train and sample on, its free memory, and the error for one that is out of memory."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from namegen.errors import DeviceError, SettingError

DRIVERS = (
    "libcuda.so.1",
    "nvcuda.dll",
    "libamdhip64.so",
)  # NVIDIA's, and AMD's: torch calls both cuda
MOST_CORES = 8  # each thread holds a part in memory
CGROUP = Path("/sys/fs/cgroup")  # a container's own limits, in version 2; see the kernel's cgroup-v2.rst


def resolve_device(device: str) -> str:
    """The torch device to use: "auto" is the GPU if there is one, else the CPU.

    Raises:
        SettingError: if the device is not available.
    """
    if device == "cpu":
        return device
    import torch  # slow to import, and not needed for the CPU

    gpus = [name for name, backend in (("cuda", torch.cuda), ("mps", torch.backends.mps)) if backend.is_available()]
    if device == "auto":
        return (*gpus, "cpu")[0]
    if device not in gpus:
        choices = " or ".join((*gpus, "cpu", "auto"))
        raise SettingError(f"device {device!r} is not available", remedy=f"Use {choices}")
    return device


def sampling_device(device: str) -> str:
    """Like `resolve_device`, for sampling: "cuda" or "cpu", because MPS lacks the float64 of log-probabilities.

    If "auto" finds no GPU driver, torch is not even imported.
    """
    if device in {"cpu", "mps"} or (device == "auto" and not any(map(_can_be_loaded, DRIVERS))):
        return "cpu"
    return "cuda" if resolve_device(device) == "cuda" else "cpu"


def cores() -> int:
    """The default number of threads that sample and write: the cores that this process may use, up to 8."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, MOST_CORES)


def free_memory() -> int:
    """The bytes that this process can take without swapping: what the machine has available, or its container."""
    import psutil  # takes a while, and few calls need it

    free = int(psutil.virtual_memory().available)
    with suppress(OSError, ValueError, KeyError):  # there is no container, or it has no limit: "max"
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text())
        kept = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        free = min(free, limit - used + int(kept["inactive_file"]))  # the cache of files gives way
    return free


@contextmanager
def repeatable(device: str) -> Iterator[None]:
    """Inside the block, torch computes the same bits on a GPU every time; on a CPU it does so anyway.

    Raises:
        RuntimeError: for an operation that has no such form; so none can slip in.
    """
    if device != "cuda":
        yield
        return
    import torch

    # What cuBLAS needs for it. It is read once, at the first product of matrices in the process.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(mode=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=before)


@contextmanager
def memory_of(device: str) -> Iterator[None]:
    """Turns any out-of-memory error inside the block into a DeviceError. Torch and numpy report it in several ways."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
            remedy = "Use a smaller --preset or --cells" + (", or --device cpu" if device != "cpu" else "")
            raise DeviceError(f"device {device!r} is out of memory", remedy=remedy) from error
        raise


def _can_be_loaded(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True

"""Which device to train and sample on."""

from __future__ import annotations

from namegen.errors import SettingError

DEVICES = ("auto", "cpu", "cuda", "mps")


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

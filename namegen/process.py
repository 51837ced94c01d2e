"""What a command settles for its own process first: the standard streams, the signals, and numba's variables."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

STREAMS = ("stdin", "stdout", "stderr")
COLOURS, CACHE = "NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "NUMBA_CACHE_DIR"  # these take any value


def open_streams() -> set[str]:
    """Opens /dev/null for each standard stream that is closed; the names of those.

    A file that the job opens would otherwise get the stream's number, and what a library prints would end up in it.
    `sys.stderr` becomes a stream again, which print and the libraries expect; the others stay None.
    """
    closed = set()
    for number, name in enumerate(STREAMS):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
            os.set_inheritable(opened, True)  # noqa: FBT003 - it takes no name
            closed.add(name)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - it stays open
    return closed


def end_at_once(*signals: signal.Signals) -> None:
    """Lets these signals end the process, until there is something to say or to clean up. Ignored ones stay ignored.

    The kernel's own action would do, but process 1, which is what a container starts, has none: it ignores a signal
    that it has no handler for.
    """
    for each in signals:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, _end if os.getpid() == 1 else signal.SIG_DFL)


def without_numba_s_colours() -> None:
    """Keeps numba from loading a package that ends the process with an escape code on stdout."""
    os.environ.setdefault(COLOURS, "1")


def numba_settings() -> list[str]:
    """The variables that numba may be unable to read, each as NAME=value; almost always there are none."""
    names = sorted(name for name in os.environ if name.startswith("NUMBA_") and name not in {COLOURS, CACHE})
    return [f"{name}={os.environ[name]}" for name in names]


def _end(number: int, _: FrameType | None) -> NoReturn:
    os._exit(128 + number)

"""Real processes that want the same folder."""

from __future__ import annotations

import errno
import json
import logging
import os
import platform
import signal
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import portalocker
import pytest

import namegen
from conftest import ROOT
from namegen.errors import OutputError
from namegen.storage import flocks
from namegen.storage.files import LOCK
from namegen.storage.locks import alone_in, holder_of, is_busy
from servers import wait_until

HOLDER = """
import sys, time
from pathlib import Path
from namegen.storage.locks import alone_in
with alone_in(Path(sys.argv[1])):
    print("in", flush=True)
    time.sleep(float(sys.argv[2]))
    Path(sys.argv[1], "done").touch()
"""


def hold(folder: Path, seconds: float) -> subprocess.Popen[str]:
    """A process that is in the folder."""
    command = [sys.executable, "-c", HOLDER, str(folder), str(seconds)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "in\n"
    return process


def test_the_second_waits_for_the_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It says so in a line, and goes in only when the first has left."""
    caplog.set_level(logging.INFO, "namegen")
    with hold(tmp_path, 0.5), alone_in(tmp_path):
        assert (tmp_path / "done").exists()
    assert caplog.messages == [f"Another job is working in {tmp_path}: waiting for it to end"]


def test_a_process_that_was_killed_is_no_obstacle(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its lock is gone with it, though its file is there; what it had half-written is removed, and nothing else."""
    caplog.set_level(logging.INFO, "namegen")
    with hold(tmp_path, 60) as process:
        (tmp_path / f".part-000000.parquet.{32 * '0'}.tmp").touch()
        (tmp_path / "part-000000.parquet").touch()
        (tmp_path / ".mine.tmp").touch()
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / LOCK).exists()
    with alone_in(tmp_path):
        assert sorted(file.name for file in tmp_path.iterdir()) == [LOCK, ".mine.tmp", "part-000000.parquet"]
    assert caplog.messages == []


def test_a_folder_that_goes_while_another_waits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As a prune takes it away: the one that waits makes it again, and holds the lock that is there."""
    caplog.set_level(logging.INFO, "namegen")
    folder = tmp_path / "f"

    def wait() -> bool:
        with alone_in(folder):
            return (folder / LOCK).exists() and is_busy(folder)

    with ThreadPoolExecutor(1) as pool:
        with alone_in(folder):
            waiter = pool.submit(wait)
            assert wait_until(lambda: bool(caplog.messages), 10)
            folder.rename(tmp_path / "gone")
        assert waiter.result(10)


def test_a_folder_that_goes_at_once(tmp_path: Path) -> None:
    """As often as that happens before its lock is made, it is made again."""
    tries = iter([False, False, True])

    def make(folder: Path) -> None:
        if next(tries):
            folder.mkdir()

    with flocks.locked(tmp_path / "f", make) as holder:
        assert json.loads((tmp_path / "f" / LOCK).read_text())["owner"] == holder.owner
    assert next(tries, None) is None


def test_a_stopped_process_keeps_its_lock(tmp_path: Path) -> None:
    """And the file says whose it is; when it has ended, the file says that."""
    with hold(tmp_path, 0.5) as process:
        process.send_signal(signal.SIGSTOP)
        try:
            said = json.loads((tmp_path / LOCK).read_text())
            is_held = is_busy(tmp_path)
        finally:
            process.send_signal(signal.SIGCONT)
    assert is_held
    assert (said["host"], said["process"], said["is_released"]) == (platform.node(), process.pid, False)
    holder = holder_of(tmp_path)
    assert holder
    assert (holder.owner, holder.is_released) == (said["owner"], True)
    with alone_in(tmp_path) as after:
        assert after.key.startswith(f"{said['generation'] + 1}-")


def test_what_a_lock_says(tmp_path: Path) -> None:
    """Whole words also over longer ones; whoever may write in the folder may write it."""
    (tmp_path / LOCK).write_bytes(b"?" * 5000)
    before = os.umask(0o002)
    try:
        for generation, folder in ((1, tmp_path), (2, tmp_path), (1, tmp_path / "new")):
            with alone_in(folder) as held:
                said = json.loads((folder / LOCK).read_text())
            own = {"host": platform.node(), "process": os.getpid(), "is_released": False}
            assert said == {"owner": said["owner"], "generation": generation, **own}
            assert held.key == f"{generation}-{said['owner']}"
            assert json.loads((folder / LOCK).read_text()) == {**said, "is_released": True}
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new" / LOCK).stat().st_mode) == 0o664


def test_a_process_that_only_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two may look at once; one that looked for an instant is not taken for a job, and one that works is after 1 s."""
    with alone_in(tmp_path):
        pass
    clock, waits = [100.0], list[float]()
    tries = iter([False, False, True, *[False] * 100])

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock[0] += 0.25

    monkeypatch.setattr(flocks, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep))
    with (tmp_path / LOCK).open("rb") as file:
        portalocker.lock(file, portalocker.LockFlags.SHARED | portalocker.LockFlags.NON_BLOCKING)
        assert not is_busy(tmp_path)
    assert waits == []
    monkeypatch.setattr(flocks, "_try", lambda *_: next(tries))
    assert not is_busy(tmp_path)
    assert waits == [0.05] * 2
    assert is_busy(tmp_path)
    assert waits == [0.05] * 7


def test_an_error_inside_leaves_no_lock(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), alone_in(tmp_path):
        raise KeyboardInterrupt
    with alone_in(tmp_path / "new" / "folder"), alone_in(tmp_path):
        assert (tmp_path / "new" / "folder" / LOCK).exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be somebody else")
def test_who_may_not_look() -> None:
    """Is told so, and not that the job has died."""
    with tempfile.TemporaryDirectory() as folder:  # others cannot enter pytest's own
        model = Path(folder, "models", "kneser-ney-0123456789ab")
        with alone_in(model):
            (model / LOCK).chmod(0o600)
            Path(folder).chmod(0o755)
            os.seteuid(65534)  # nobody
            try:
                with pytest.raises(PermissionError):
                    is_busy(model)
                (line,) = namegen.verify(folder)
            finally:
                os.seteuid(0)
    assert f"{LOCK}: cannot be read (Permission denied). Check its permissions" in line


def test_who_is_busy(tmp_path: Path) -> None:
    """A look leaves nothing where no job was, and does not wait for one that is there."""
    assert not is_busy(tmp_path)
    assert not list(tmp_path.iterdir())
    with hold(tmp_path, 60) as process:
        assert is_busy(tmp_path)
        process.kill()
    assert not is_busy(tmp_path)
    with alone_in(tmp_path):
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is refused at once, with what to do, and nothing waits for ever."""

    def none(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("portalocker.portalocker.LOCKER", none)  # it is fcntl.flock
    with (
        pytest.raises(OutputError, match=r"is on a file system without locks .* Name another folder"),
        alone_in(tmp_path),
    ):
        pass
    assert not is_busy(tmp_path)

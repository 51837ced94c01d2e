"""Whether an output folder can take what a job will write."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from namegen.errors import OutputError
from namegen.outputs.room import check_room, check_writable, readable_size
from namegen.storage import disk
from namegen.storage.disk import file_system_of
from namegen.storage.files import DISK

LEFT = ["datasets", "datasets/.lock", "models", "models/.lock", "names"]


def entries(folder: Path) -> list[str]:
    """All that is below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the way, a path that no folder can have, and a disk that is full after the first file."""
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "below"
    for folder, why in ((tmp_path / "file", "Not a dir"), (below, "Not a dir"), (Path("a\0b"), "embedded null")):
        with pytest.raises(OutputError, match=rf"cannot be written .{why}"):
            check_writable(folder)

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "touch", full)
    with pytest.raises(OutputError, match=r"cannot be written .No space left"):
        check_writable(tmp_path)


def test_a_folder_that_can_be_written_is_left_without_files(tmp_path: Path) -> None:
    """But for the locks: there are only the three folders that a job needs, and `names` is empty."""
    check_writable(tmp_path / "new" / "folder")
    assert entries(tmp_path / "new" / "folder") == LEFT


def test_what_a_job_that_died_left_is_removed(tmp_path: Path) -> None:
    for folder in ("models", "datasets"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f".probe.{32 * 'a'}.tmp").touch()
    check_writable(tmp_path)
    assert entries(tmp_path) == LEFT


@pytest.mark.parametrize("kind", ["fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "mountpoint-s3"])
def test_file_systems_that_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Those before an object store are refused by their type."""
    monkeypatch.setattr(disk, "file_system_of", lambda folder: kind)
    with pytest.raises(OutputError, match=f"without atomic renames .type: {kind}."):
        check_writable(tmp_path)


@pytest.mark.parametrize("found", [None, b"", b"newer"])
def test_a_rename_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: bytes | None) -> None:
    """Of whatever type the file system is: what is seen counts, be it two files or the wrong one."""

    def replace(new: Path, old: Path) -> None:
        if found is None:
            shutil.copyfile(new, old)
        else:
            new.unlink()
            old.write_bytes(found)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(disk, "file_system_of", lambda folder: "")
    with pytest.raises(OutputError, match=r"without atomic renames .type: unknown."):
        check_writable(tmp_path)
    assert entries(tmp_path) == LEFT


def test_folders_on_two_file_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are made in the last of the folders, and from there a rename has to reach their readers."""
    devices, stat_of, asked = {"a": 1, "b": 2, "c": 3, "names": 3}, Path.stat, list[str]()

    def kind(folder: Path) -> str:
        asked.append(folder.name)
        return ""

    def stat(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        status = list(stat_of(path, follow_symlinks=follow_symlinks))
        status[2] = devices.get(path.name, status[2])
        return os.stat_result(status) if path.name in devices else stat_of(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setattr(disk, "file_system_of", kind)
    DISK.check_writable(tmp_path, "abc", "names")
    for devices["names"] in (1, 2, 4):
        with pytest.raises(OutputError, match=r"names: is not on one file system with .*/c. Move them to one"):
            DISK.check_writable(tmp_path, "abc", "names")
    assert asked == ["c"] * 4


def test_the_type_of_a_file_system() -> None:
    """By the table of mounts; empty where there is none."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        assert not file_system_of(Path.cwd())
        return
    types = {line.split()[2] for line in mounts.read_text().splitlines()}
    assert file_system_of(Path("/proc")) == "proc"
    assert file_system_of(Path("/dev")) in types


def test_a_table_of_mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The type follows a dash, with any number of fields before it; only the folder's own device counts."""
    device = tmp_path.stat().st_dev
    major, minor = os.major(device), os.minor(device)
    others = [f"1 1 {major}:{minor + step} / /- rw - other source rw" for step in (-1, 1)]
    for before in ("", "shared:1 ", "shared:1 master:2 "):
        lines = [*others, f"2 1 {major}:{minor} / / rw {before}- own source rw"]
        monkeypatch.setattr(Path, "read_text", lambda path, errors, lines=lines: "\n".join(lines))
        assert file_system_of(tmp_path) == "own"
    monkeypatch.setattr(Path, "read_text", lambda path, errors: "\n".join(others))
    assert not file_system_of(tmp_path)


def test_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight bytes a row and its name, less the parts that are there already, against what is free."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=12_000))
    check_room(tmp_path / "not" / "there", 1000, ["emma", "olive", "ava"])
    with pytest.raises(OutputError, match=r"has 12 kB free, but 1,001 names need about 12 kB. Free some space"):
        check_room(tmp_path / "not" / "there", 1001, ["emma", "olive", "ava"])
    (tmp_path / "part-000000.parquet").write_bytes(bytes(500))
    check_room(tmp_path, 1001, ["emma", "olive", "ava"])
    monkeypatch.undo()
    with pytest.raises(OutputError, match="need about 120 EB"):
        check_room(tmp_path, 10**19, ["emma"])
    assert readable_size(999) == "999 bytes"
    assert readable_size(1.25e9) == "1.25 GB"

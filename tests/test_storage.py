from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from namegen.errors import ArtifactError, LeaseError, NamegenError, OutputError, SettingError, printable
from namegen.outputs import manifests
from namegen.outputs.manifests import Manifest, Writing, open_manifest, write_manifest
from namegen.storage import disk
from namegen.storage.files import (
    DISK,
    STORE,
    UNHELD,
    location,
    make_folder,
    open_regular,
    read_checked,
    sha256_of,
    write_atomically,
)
from namegen.storage.object_store import EXTRAS, Found, RemotePath, Tag


@pytest.mark.parametrize("written", ["ha", ""])
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, written: str) -> None:
    """An exception while writing, or before it, leaves what was there, and no temporary file."""
    path = tmp_path / "file"
    path.write_text("old")

    def half(temporary: Path) -> None:
        if written:
            temporary.write_text(written)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, half)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("file", "old")]


def test_the_temporary_file_is_beside_and_hidden(tmp_path: Path) -> None:
    """It lies in the same folder, so that the rename is atomic, under a name that readers pass over."""
    seen: list[Path] = []

    def write(temporary: Path) -> None:
        seen.append(temporary)
        temporary.touch()

    write_atomically(tmp_path / "part.parquet", write)
    assert seen[0].parent == tmp_path
    assert seen[0].name.startswith(".")
    assert seen[0].suffix != ".parquet"


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
def test_files_have_the_users_mode(tmp_path: Path) -> None:
    """A written file can be read by whom the umask lets, not by its owner alone."""
    before = os.umask(0o022)
    try:
        write_manifest(tmp_path, Example(rows=3))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / Example.FILE).stat().st_mode) == 0o644


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256_of(tmp_path / "f") == hashlib.sha256(b"abc").hexdigest()


def test_places_as_users_name_them(remote: RemotePath) -> None:
    """A path, a URL of a file or of a store, or what they were made into before."""
    for path in ("a", "a::b", "C:/a", "C://a", "a:b", "~/a", "x/memory://bucket/a"):
        assert location(path) == Path(path)
    for path in ("file:///tmp/a", "local:///tmp/a", "FILE:///tmp/a"):
        assert location(path) == Path("/tmp/a")  # noqa: S108
    for place in (Path("a"), Path("a::b://c"), remote):
        assert location(place) is place
    for url in (str(remote), str(remote).replace("memory", "Memory")):
        assert location(url) == remote
    nothing: list[Any] = ["", None, 3, b"a", [], True]
    for text in nothing:
        with pytest.raises(SettingError, match="is not a path or a URL"):
            location(text)
    for url, what in {
        "Memory:/a": "Memory:/ is not a URL. Write memory://, with two slashes",
        "memory:/a": "memory:/ is not a URL. Write memory://, with two slashes",
        "cache::memory://bucket/a": "chained URLs",
        "memory://bucket/a::b": "chained URLs",
    }.items():
        with pytest.raises(SettingError, match=what):
            location(url)


def test_a_file_whose_checksum_is_known(tmp_path: Path) -> None:
    """Its bytes are given only if they match; the error says what to do."""
    (tmp_path / "f").write_bytes(b"abc")
    known = hashlib.sha256(b"abc").hexdigest()
    assert read_checked(tmp_path / "f", known, "Restore it") == b"abc"
    for other in ("0" * 64, "f" * 64):
        with pytest.raises(ArtifactError, match=r"f: was altered: its checksum does not match\. Restore it"):
            read_checked(tmp_path / "f", other, "Restore it")
    with pytest.raises(ArtifactError, match=r"none: is missing\. Restore it"):
        read_checked(tmp_path / "none", known, "Restore it")


class Example(Manifest):
    FILE: ClassVar[str] = "manifest.json"

    rows: int


def test_manifests(tmp_path: Path) -> None:
    """A manifest is read as written; none is None; anything else is refused, also a number in place of a string."""
    path = tmp_path / "manifest.json"
    assert open_manifest(path.parent, Example).sound() is None
    write_manifest(tmp_path, Example(rows=3))
    written = open_manifest(path.parent, Example).sound()
    assert written
    assert written.rows == 3
    contents = json.loads(path.read_text())
    assert list(contents)[0] == "format_version"  # noqa: RUF015 - the order is the point
    others = [{**contents, "rows": "3"}, {**contents, "format_version": "1"}, {**contents, "versions": []}, {}, [], 3]
    deep = "[" * 100_000
    for text in ["", "{", deep, '{"format_version": 4, "rows": ' + deep, "\xff", *map(json.dumps, others)]:
        path.write_text(text, encoding="latin-1")
        with pytest.raises(ArtifactError, match="is not a manifest"):
            open_manifest(path.parent, Example).sound()
    path.write_text(json.dumps({"format_version": 5}))
    with pytest.raises(ArtifactError, match="format version 5, but this version of namegen only reads up to 4"):
        open_manifest(path.parent, Example).sound()
    path.write_text(json.dumps({"format_version": 3}))
    with pytest.raises(ArtifactError, match=r"old format version 3.*Remove the output folder, and run the job again"):
        open_manifest(path.parent, Example).sound()


def test_everything_written_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is on the disk before its name is, and the name before the call returns."""
    events: list[str] = []
    replace, fsync = Path.replace, os.fsync

    def recorded_replace(self: Path, target: Path) -> Path:
        events.append("rename")
        return replace(self, target)

    def recorded_fsync(descriptor: int) -> None:
        events.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    monkeypatch.setattr(Path, "replace", recorded_replace)
    monkeypatch.setattr(os, "fsync", recorded_fsync)
    write_atomically(tmp_path / "f", Path.touch)
    assert events == ["file", "rename", "folder"] if os.name == "posix" else events == ["file", "rename"]


def test_every_byte_of_a_manifest_counts(tmp_path: Path) -> None:
    """Any bit turned and any byte lost is found, in the time and in white space, too."""
    path = tmp_path / "manifest.json"
    write_manifest(tmp_path, Example(rows=3, written=Writing(origin={"seconds": 1.5, "names": "\u202eé"})))
    data = path.read_bytes()
    written = open_manifest(path.parent, Example).sound()
    assert written
    assert written.written.origin["names"] == "\u202eé"
    for place in range(len(data)):
        for changed in (data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :], data[:place] + data[place + 1 :]):
            path.write_bytes(changed)
            with pytest.raises(ArtifactError):
                open_manifest(path.parent, Example).sound()


def test_a_manifest_is_a_file_of_some_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe, a device and a folder are refused at once, and what is larger than any manifest is not read."""
    path = tmp_path / "manifest.json"
    os.mkfifo(path)
    with pytest.raises(ArtifactError, match="it is not a regular file"):
        open_manifest(path.parent, Example).sound()
    with pytest.raises(ArtifactError, match="it is not a regular file"):
        sha256_of(Path("/dev/zero"))
    with pytest.raises(OSError, match="it is not a regular file"), open_regular(tmp_path):
        pass
    path.unlink()
    path.write_bytes(bytes(1000))
    monkeypatch.setattr(manifests, "LARGEST_MANIFEST", 999)
    with pytest.raises(ArtifactError, match="more than 999 bytes"):
        open_manifest(path.parent, Example).sound()


@pytest.mark.skipif(os.name != "posix", reason="Windows cannot open folders")
def test_new_folders_are_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in the one above it; a folder that is there costs nothing."""
    flushed: list[Path] = []
    monkeypatch.setattr(disk, "_flush_folder", flushed.append)
    make_folder(tmp_path / "a" / "b")
    assert set(flushed) == {tmp_path, tmp_path / "a"}
    make_folder(tmp_path / "a" / "b")
    assert len(flushed) == 2


def test_errors_are_one_printable_line() -> None:
    """Escapes, line breaks and bidirectional overrides in a path or a name come out as escapes."""
    text = str(NamegenError("what\x1b[31m", "a\nb\u202e", "Do"))
    assert text == "a\\nb\\u202e: what\\x1b[31m. Do."
    assert printable("é ok\t") == "é ok\\t"


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO, errno.ENOSPC])
def test_a_folder_that_cannot_be_flushed(number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On some mounts a folder has nothing to flush; a disk that fails is another matter."""
    flush = os.fsync

    def only_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    fails = pytest.raises(OSError, match=os.strerror(number))
    with nullcontext() if number == errno.EINVAL else fails:
        write_atomically(tmp_path / "file", lambda path: path.write_bytes(b"whole"))
    assert (tmp_path / "file").read_bytes() == b"whole"


def test_a_system_that_opens_no_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is tried there."""
    for name in ("other", "unix"):
        monkeypatch.setattr(os, "name", name)
        disk._flush_folder(tmp_path / "none")


def test_what_is_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes; None for a folder, also behind a link; -1 for a link that leads nowhere or to itself."""
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    for link, target in {"to": "file", "in": "folder", "nowhere": "none", "loop": "loop"}.items():
        (tmp_path / link).symlink_to(target)
    own = {"file": 5, "empty": 0, "folder": None, "to": 5, "in": None, "nowhere": -1, "loop": -1}
    assert DISK.entries(tmp_path) == own
    monkeypatch.setattr(os, "scandir", lambda _: nullcontext([FailingEntry()]))
    with pytest.raises(OSError, match="Input/output error"):
        DISK.entries(tmp_path)


class FailingEntry:
    """A file on a disk that fails."""

    name = "file"

    def is_dir(self) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_walk(tmp_path: Path) -> None:
    """In order, behind links too, but into no folder twice; not where the list is emptied; what fails is said."""
    for folder in ("top/c/d", "top/a", "top/b/below", "elsewhere/e"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "top" / "a" / "up").symlink_to(tmp_path / "top")
    (tmp_path / "top" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "top" / "c" / "file").touch()
    errors: list[OSError] = []
    walked = []
    for path, folders, files in DISK.walk(tmp_path / "top", errors.append):
        walked.append((str(path.relative_to(tmp_path)), files))
        if path.name == "b":
            folders.clear()
    none: list[str] = []
    found = [("top", none), ("top/a", none), ("top/b", none), ("top/c", ["file"]), ("top/c/d", none)]
    assert walked == [*found, ("top/link", none), ("top/link/e", none)]
    assert errors == []
    assert list(DISK.walk(tmp_path / "none", errors.append)) == []
    assert [error.errno for error in errors] == [errno.ENOENT]


def test_a_walk_over_two_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of the same number on different disks are two."""
    (tmp_path / "other").mkdir()
    stat_of = Path.stat

    def same(path: Path) -> os.stat_result:
        status = list(stat_of(path))
        status[stat.ST_INO], status[stat.ST_DEV] = 7, len(path.parts)
        return os.stat_result(status)

    monkeypatch.setattr(Path, "stat", same)
    assert [path.name for path, *_ in DISK.walk(tmp_path, print)] == [tmp_path.name, "other"]


def test_what_disappears_for_readers(tmp_path: Path) -> None:
    """Each folder goes whole, under a name of its own; one that is not there is passed over."""
    for name in ("one", "two"):
        (tmp_path / name / "below").mkdir(parents=True)
        (tmp_path / name / "file").write_text(name)
    DISK.discard([tmp_path / name for name in ("none", "one", "two")], tmp_path / ".away-", UNHELD, len)
    away = sorted(tmp_path.iterdir(), key=lambda folder: (folder / "file").read_text())
    assert [(folder / "file").read_text() for folder in away] == ["one", "two"]
    assert all(len(folder.name) == len(".away-") + 32 and folder.name.startswith(".away-") for folder in away)


def test_what_is_in_the_way_of_a_file(tmp_path: Path) -> None:
    """A link and a pipe are removed, and what a link leads to stays; a file stays; a line is added to what is there."""
    link, pipe, file, missing = (tmp_path / name for name in ("link", "pipe", "file", "missing"))
    file.write_text("a")
    link.symlink_to(file)
    os.mkfifo(pipe)
    for path in (link, pipe, file, missing):
        DISK.append(path, b"b")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "link": "b",
        "pipe": "b",
        "file": "ab",
        "missing": "b",
    }
    assert not link.is_symlink()
    (tmp_path / "broken").symlink_to("none")
    DISK.clear(tmp_path / "broken")
    assert not (tmp_path / "broken").is_symlink()


def test_places_on_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absolute paths follow no links; times are in UTC; what is free counts where a folder will be."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    assert DISK.absolute(Path("link/../link")) == tmp_path / "link"
    os.utime(tmp_path / "folder", (1, 86400))
    assert DISK.changed(Path("link")) == datetime(1970, 1, 2, tzinfo=UTC)
    assert DISK.changed(Path("none")) is None
    usage = shutil.disk_usage(tmp_path)
    free = {Path("folder"): 1, tmp_path / "folder": 2, tmp_path: 3}
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=free[place]))
    assert [DISK.free(Path(place)) for place in ("folder", "folder/none/none", "none")] == [1, 2, 3]
    DISK.remove_empty(tmp_path)
    DISK.remove_empty(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_what_dead_jobs_left(tmp_path: Path) -> None:
    """Files that `temporary_beside` named, in order; neither others nor folders."""
    made = sorted(DISK.temporary_beside(tmp_path / name) for name in ("b", "a", "b"))
    assert len(set(made)) == 3
    for path in made:
        path.touch()
    (tmp_path / f".a.{32 * '0'}.tmp").mkdir()
    (tmp_path / ".a.tmp").touch()
    assert DISK.temporaries(tmp_path) == made
    assert DISK.temporaries(tmp_path / "none") == []


def test_what_a_disk_keeps(tmp_path: Path) -> None:
    """A disk may lose contents and keep sizes, so files are read; the lock may be anybody's words."""
    assert not DISK.keeps_contents
    assert DISK.puts_at_once is None
    assert DISK.holder(tmp_path) is None
    for text in ("", "{}", "?"):
        (tmp_path / ".lock").write_text(text)
        assert DISK.holder(tmp_path) is None


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> RemotePath:
    """An empty place in a store that nobody but this process sees."""
    monkeypatch.setitem(EXTRAS, "memory", "")
    place = location(f"memory://bucket/{request.node.name.replace('[', '-').replace(']', '-')}")
    assert isinstance(place, RemotePath)
    return place


def fill(place: RemotePath, *names: str) -> None:
    for name in names:
        (place / name).write_bytes(name.encode())


def test_a_walk_in_a_store(remote: RemotePath) -> None:
    """Folders in order; below one whose list is emptied nothing follows, and beside it everything."""
    fill(remote, "a/x", "b/c/d/x", "b/c/x", "b/x", "b/y", "bc/x", "c/e/x")
    walked = []
    for path, folders, files in STORE.walk(remote, lambda error: None):
        walked.append((str(path).removeprefix(f"{remote}/"), files))
        if path.name == "b":
            folders.clear()
    assert walked == [("a", ["x"]), ("b", ["x", "y"]), ("bc", ["x"]), ("c/e", ["x"])]


def test_what_is_put_into_a_store(remote: RemotePath, tmp_path: Path) -> None:
    """In place of what is there, once we have looked whether the folder is still ours, but of nothing that is newer."""
    temporary, checks = tmp_path / "temporary", list[bytes]()
    place = remote / "file"

    def put(data: bytes, then: Callable[[], object]) -> None:
        def check() -> None:
            checks.append(place.read_bytes())
            then()

        temporary.write_bytes(data)
        try:
            STORE.put(temporary, place, check)
        finally:
            assert not temporary.exists()

    put(b"1", lambda: None)
    assert (place.read_bytes(), checks) == (b"1", [])
    put(b"2", lambda: None)
    assert (place.read_bytes(), checks) == (b"2", [b"1"])
    with pytest.raises(ZeroDivisionError):
        put(b"3", lambda: 1 / 0)
    assert place.read_bytes() == b"2"
    with pytest.raises(LeaseError, match=r"was written by another job in the meantime\. Run the job again"):
        put(b"4", lambda: place.write_bytes(b"late"))
    assert place.read_bytes() == b"late"


def test_a_line_that_another_adds(remote: RemotePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the same time: neither is lost."""
    place, write = remote / "file", RemotePath.write
    others = iter([b"a", b"b", None, None])

    def late(path: RemotePath, data: bytes, known: Tag | None) -> Tag:
        if other := next(others):
            write(path, (path.read_bytes() if path.is_file() else b"") + other, path.tag())
        return write(path, data, known)

    monkeypatch.setattr(RemotePath, "write", late)
    STORE.append(place, b"1")
    STORE.append(place, b"2")
    assert place.read_bytes() == b"ab12"


def test_what_disappears_from_a_store(remote: RemotePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """One object after the other, by turns and then by name, each after a look at the lock, which stays."""
    fill(remote, "f/.lock", "f/b", "f/a", "f/last", "g/a", "g/first")
    steps: list[str] = []
    unlink = RemotePath.unlink

    def recorded(path: RemotePath) -> None:
        steps.append(str(path).removeprefix(f"{remote}/"))
        unlink(path)

    class Held:
        key = ""

        def check(self) -> None:
            steps.append("?")

        put = UNHELD.put

    monkeypatch.setattr(RemotePath, "unlink", recorded)
    turns = {"first": -1, "last": 1}
    STORE.discard([remote / "g", remote / "f"], remote / "away", Held(), lambda name: turns.get(name, 0))
    assert steps == [step for name in ("g/first", "f/a", "f/b", "g/a", "f/last") for step in ("?", name)]
    assert [str(path) for path, _ in remote.files_below()] == [f"{remote}/f"]
    assert STORE.entries(remote / "f") == {".lock": 7}


@pytest.mark.parametrize("ignored", ["", "create", "exchange", "all", "writes", "requests"])
def test_what_a_store_has_to_do(remote: RemotePath, monkeypatch: pytest.MonkeyPatch, ignored: str) -> None:
    """Create and exchange an object, and refuse both where another is there; nothing is left of the probe."""
    write = RemotePath.write

    def careless(path: RemotePath, data: bytes, known: Tag | None) -> Tag:
        there = path.tag()
        if there and ignored == "writes":
            return there
        if there and ignored == "requests":
            raise OSError(errno.ETIMEDOUT, "no answer")
        return write(path, data, there if ignored in {"all", "exchange" if known else "create"} else known)

    monkeypatch.setattr(RemotePath, "write", careless)
    what = r"cannot be written .no answer" if ignored == "requests" else "asked only to create or to exchange one"
    with pytest.raises(OutputError, match=what) if ignored else nullcontext():
        STORE.check_writable(remote, [], "")
    assert not list(remote.files_below())


def test_places_in_a_store(remote: RemotePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have no end, no folders and no temporary files; a local copy lasts as long as it is read."""
    fill(remote, "folder/a", "folder/b")
    STORE.make_folder(remote / "new")
    STORE.remove_empty(remote / "folder")
    STORE.clear(remote / "folder" / "a")
    assert STORE.entries(remote) == {"folder": None}
    assert STORE.absolute(remote) is remote
    assert STORE.free(remote) is None
    assert STORE.temporaries(remote) == []
    assert STORE.keeps_contents
    with STORE.local_copy(remote / "folder" / "a") as copy:
        assert copy.read_bytes() == b"folder/a"
        assert copy.name.startswith("namegen.a.")
        assert STORE.temporary_beside(remote / "folder" / "a") != copy
    assert not copy.exists()
    with pytest.raises(FileNotFoundError) as caught, STORE.local_copy(remote / "none"):
        pass
    assert caught.value.filename == str(remote / "none")
    assert STORE.changed(remote / "none") is None
    times = [datetime(2026, 10, day, tzinfo=UTC) for day in (2, 3, 1)]
    found = {str(time): Found(1, time, Tag("")) for time in times}
    monkeypatch.setattr(RemotePath, "objects", lambda _: found)
    assert STORE.changed(remote) == times[1]

"""Files and folders in an object store. `object_store` has the requests, and `leases` the locks."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from namegen.errors import LeaseError, OutputError
from namegen.storage import leases
from namegen.storage.object_store import RemotePath
from namegen.storage.storage import LOCK, Hold, Holder, Walk


class Store:
    """An object store. The protocol documents the methods."""

    keeps_contents: bool = True
    puts_at_once: int | None = 8  # an upload takes longer than a write to a disk

    def make_folder(self, folder: RemotePath) -> None:
        pass  # a store has none

    def remove_empty(self, folder: RemotePath) -> None:
        pass

    def entries(self, folder: RemotePath) -> dict[str, int | None]:
        return folder.entries()

    def walk(self, folder: RemotePath, on_error: Callable[[OSError], None]) -> Walk[RemotePath]:  # noqa: ARG002
        skipped: set[str] = set()
        for path, files in folder.files_below():
            above = [path.key[:end] for end, letter in enumerate(path.key) if letter == "/"]
            if skipped.isdisjoint(above):
                folders = ["whatever is in it"]
                yield path, folders, files
                if not folders:
                    skipped.add(path.key)

    def changed(self, folder: RemotePath) -> datetime | None:
        return max((found.modified for found in folder.objects().values()), default=None)

    def free(self, folder: RemotePath) -> int | None:  # noqa: ARG002
        return None

    def absolute(self, path: RemotePath) -> RemotePath:
        return path

    def open(self, path: RemotePath) -> BinaryIO:
        return BytesIO(path.read_bytes())

    @contextmanager
    def local_copy(self, path: RemotePath) -> Iterator[Path]:
        copy = self.temporary_beside(path)
        try:
            copy.write_bytes(path.read_bytes())
            yield copy
        finally:
            copy.unlink(missing_ok=True)

    def temporary_beside(self, path: RemotePath) -> Path:
        return Path(tempfile.gettempdir()) / f"namegen.{path.name}.{uuid.uuid4().hex}.tmp"

    def temporaries(self, folder: RemotePath) -> list[Path]:  # noqa: ARG002
        return []

    def put(self, temporary: Path, path: RemotePath, check: Callable[[], None]) -> None:
        try:
            with suppress(FileExistsError):
                path.write(temporary, None)
                return
            known = path.tag()
            check()
            path.write(temporary, known)
        except FileExistsError as error:
            raise LeaseError("was written by another job in the meantime", str(path), leases.AGAIN) from error
        finally:
            temporary.unlink(missing_ok=True)

    def append(self, path: RemotePath, line: bytes) -> None:
        while True:
            try:
                before, known = path.read()
            except FileNotFoundError:
                before, known = b"", None
            with suppress(FileExistsError):  # somebody else was faster
                path.write(before + line, known)
                return

    def clear(self, path: RemotePath) -> None:
        pass

    def discard(
        self,
        folders: Sequence[RemotePath],
        away: RemotePath,  # noqa: ARG002
        hold: Hold,
        turn: Callable[[str], int],
    ) -> None:
        there = [folder / name for folder in folders for name in folder.entries() if name != LOCK]
        for place in sorted(there, key=lambda place: (turn(place.name), str(place))):
            hold.check()
            place.unlink()

    def check_writable(self, output: RemotePath, made: Sequence[str], readable: str) -> None:  # noqa: ARG002
        leases.term()  # refuses a bad setting; later would be too late
        probe = output / f".probe-{uuid.uuid4().hex}"
        try:
            first = probe.write(b"first", None)
            try:
                second = probe.write(b"second", first)
                for known in (None, first):  # if either succeeds, two jobs could not be kept apart
                    with suppress(FileExistsError):
                        probe.write(b"third", known)
                is_kept = probe.read() == (b"second", second)
            finally:
                probe.unlink()
        except OSError as error:
            remedy = "Check the credentials, its permissions and the network, or name another folder with --output"
            raise OutputError(f"cannot be written ({error.strerror})", str(output), remedy) from error
        if not is_kept:
            what = "is in a store that overwrites an object when asked only to create or to exchange one"
            raise OutputError(f"{what}, and locks need that", str(output), "Name another folder with --output")

    @contextmanager
    def hold(self, folder: RemotePath) -> Iterator[Hold]:
        with leases.leased(folder) as lease:
            yield lease

    def holder(self, folder: RemotePath) -> Holder | None:
        return leases.Seen.now(folder).holder

    def is_held(self, folder: RemotePath) -> bool:
        return leases.is_leased(folder)

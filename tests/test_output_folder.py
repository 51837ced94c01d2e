from __future__ import annotations

from pathlib import Path

import pytest

from namegen.errors import OutputError
from namegen.locking import LOCK
from namegen.output_folder import check_writable


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A file in the way, and a path that no folder can have."""
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("a\0b")):
        with pytest.raises(OutputError, match="cannot be written"):
            check_writable(folder)


def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "folder")
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == [LOCK]

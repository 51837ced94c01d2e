from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from namegen import dataset, verify
from namegen.dataset import Written, write_dataset
from namegen.errors import ArtifactError

PART = 1000  # rows, in place of 2^20
STREAM = {"automaton_sha256": "00", "stream_version": 1, "seed": 7}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "PART_ROWS", PART)


class Maker:
    """Makes rows, and remembers which it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def __call__(self, first: int, rows: int) -> pa.Table:
        self.asked.append((first, rows))
        return pa.table({"index": np.arange(first, first + rows)})


def make(
    folder: Path,
    count: int,
    workers: int = 1,
    **stream: Any,  # noqa: ANN401 - JSON
) -> tuple[Written, list[tuple[int, int]]]:
    maker = Maker()
    written = write_dataset(folder, count, {**STREAM, **stream}, maker, {"model": "bigram-0"}, workers)
    return written, sorted(maker.asked)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file, the manifest's one timestamp aside."""
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    manifest = json.loads(files["_manifest.json"])
    del manifest["created_at"]
    return {**files, "_manifest.json": json.dumps(manifest).encode()}


def rows_of(folder: Path) -> list[int]:
    index: list[int] = pq.read_table(folder)["index"].to_pylist()
    return sorted(index)


def test_parts_and_manifest(tmp_path: Path) -> None:
    """2,500 rows are two full parts and a shorter one; the manifest has each one's rows and SHA-256."""
    written, asked = make(tmp_path, 2500)
    assert written == Written(rows=2500, kept=0, made=3)
    assert asked == [(0, 1000), (1000, 1000), (2000, 500)]
    assert sorted(contents(tmp_path)) == ["_manifest.json", *(f"part-00000{k}.parquet" for k in range(3))]
    manifest = json.loads((tmp_path / "_manifest.json").read_bytes())
    assert list(manifest)[0] == "format_version"  # noqa: RUF015 - the order is the point
    assert manifest["rows"] == 2500
    assert [part["rows"] for part in manifest["parts"]] == [1000, 1000, 500]
    assert manifest["configuration"] == {"model": "bigram-0"}
    assert {"namegen", "pyarrow", "torch"} <= set(manifest["versions"])
    assert rows_of(tmp_path) == list(range(2500))
    assert verify(tmp_path) == []


def test_as_many_again_does_nothing(tmp_path: Path) -> None:
    """The second time nothing is made, and no file is touched, not even the manifest."""
    make(tmp_path, 2500)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert make(tmp_path, 2500) == (Written(2500, kept=3, made=0), [])
    assert make(tmp_path, 10) == (Written(2500, kept=3, made=0), [])
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before


def test_more_later_is_as_many_at_once(tmp_path: Path) -> None:
    """A larger count keeps the full parts, replaces the shorter one, and ends with the same bytes."""
    make(tmp_path / "grown", 2500)
    assert make(tmp_path / "grown", 4000) == (Written(4000, kept=2, made=2), [(2000, 1000), (3000, 1000)])
    make(tmp_path / "at once", 4000)
    assert contents(tmp_path / "grown") == contents(tmp_path / "at once")
    assert verify(tmp_path / "grown") == []


def test_any_number_of_workers_makes_the_same_files(tmp_path: Path) -> None:
    """Also where the parts take turns to be slow, and some are there already; progress is told in order."""
    make(tmp_path / "one", 20_500)

    def uneven(first: int, rows: int) -> pa.Table:
        time.sleep(0.01 * (first // PART % 3))
        return Maker()(first, rows)

    for workers in (2, 4, 16):
        folder, told = tmp_path / str(workers), list[int]()
        make(folder, 5500)
        write_dataset(folder, 20_500, STREAM, uneven, {"model": "bigram-0"}, workers, told.append)
        assert told == [1000] * 20 + [500]
        assert contents(folder) == contents(tmp_path / "one")


def test_as_many_parts_are_under_way_as_there_are_workers(tmp_path: Path) -> None:
    """Memory is bounded by the workers, whatever the count, and none of them idles."""
    lock, busy, most = threading.Lock(), 0, 0

    def count_in(first: int, rows: int) -> pa.Table:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.005)
        with lock:
            busy -= 1
        return Maker()(first, rows)

    write_dataset(tmp_path, 40_000, STREAM, count_in, {}, workers=3)
    assert most == 3


def test_where_one_fails_no_other_begins(tmp_path: Path) -> None:
    """The error is the caller's; what was finished before it is whole, and no temporary file stays."""
    asked: list[int] = []

    def fails(first: int, rows: int) -> pa.Table:
        asked.append(first)
        if first == 3000:
            raise OSError(28, "No space left on device")
        return Maker()(first, rows)

    with pytest.raises(OSError, match="No space left"):
        write_dataset(tmp_path, 1_000_000, STREAM, fails, {}, workers=4)
    assert len(asked) < 30
    kept = json.loads((tmp_path / "_manifest.json").read_bytes())["parts"]
    assert [part["first"] for part in kept] == [0, 1000, 2000]
    names = sorted(file.name for file in tmp_path.iterdir() if file.name != "_manifest.json")
    assert all(name.startswith("part-") and len(pq.read_table(tmp_path / name)) == PART for name in names)
    make(tmp_path, 10_000, workers=4)
    assert verify(tmp_path) == []


def test_a_run_that_died_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest vouches for the parts that were finished, and they are kept; the end has the same bytes."""
    monkeypatch.setattr(dataset, "MANIFEST_SECONDS", 0.0)
    make(tmp_path / "whole", 4000)

    def dies(first: int, rows: int) -> pa.Table:
        if first == 2000:
            raise KeyboardInterrupt
        return Maker()(first, rows)

    died = tmp_path / "died"
    with pytest.raises(KeyboardInterrupt):
        write_dataset(died, 4000, STREAM, dies, {"model": "bigram-0"})
    assert verify(died) == []
    assert rows_of(died) == list(range(2000))
    assert make(died, 4000) == (Written(4000, kept=2, made=2), [(2000, 1000), (3000, 1000)])
    assert contents(died) == contents(tmp_path / "whole")


def test_a_run_that_died_forgets_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest written on the way still vouches for the parts that were not looked at yet."""
    monkeypatch.setattr(dataset, "MANIFEST_SECONDS", 0.0)
    make(tmp_path, 6000)
    before = contents(tmp_path)
    for number in (1, 3):
        (tmp_path / f"part-00000{number}.parquet").write_bytes(b"")

    def dies(first: int, rows: int) -> pa.Table:
        if first == 3000:
            raise KeyboardInterrupt
        return Maker()(first, rows)

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path, 6000, STREAM, dies, {"model": "bigram-0"})
    assert make(tmp_path, 10)[0] == Written(6000, kept=5, made=1, mended=("part-000003.parquet",))
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"rows": 2499}, "says 2499 rows, and its parts have 2500"),
        ({"rows": "2500"}, "is not a manifest"),
        ({"parts": None}, "is not a manifest"),
        ({"parts": [3]}, "is not a manifest"),
        ({"parts": [{"file": "../part-000000.parquet", "first": 0, "rows": 1, "sha256": ""}]}, "is not a manifest"),
        ({"format_version": 2}, "Upgrade"),
    ],
)
def test_a_manifest_that_does_not_hold(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    """Verify says what is wrong with the manifest itself, and raises nothing."""
    make(tmp_path, 2500)
    path = tmp_path / "_manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert any(problem in line for line in verify(tmp_path))


def test_a_gap_between_parts(tmp_path: Path) -> None:
    make(tmp_path, 2500)
    path = tmp_path / "_manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["parts"][1]
    path.write_text(json.dumps(manifest))
    problems = verify(tmp_path)
    assert "starts at row 2000, not 1000" in problems[0]
    assert "is none of the data set's parts" in problems[1]


def test_a_part_that_nothing_vouches_for_is_made_again(tmp_path: Path) -> None:
    """Without its manifest a part may be anything, also a damaged one: it is not taken over."""
    make(tmp_path, 2500)
    before = contents(tmp_path)
    part = tmp_path / "part-000001.parquet"
    part.write_bytes(part.read_bytes().replace(b"PAR1", b"PAR2"))
    (tmp_path / "_manifest.json").unlink()
    assert "is missing" in verify(tmp_path)[0]
    assert make(tmp_path, 2500)[0] == Written(2500, kept=0, made=3)
    assert contents(tmp_path) == before


def test_parts_of_a_longer_run_that_died_go(tmp_path: Path) -> None:
    """Nothing vouches for parts behind the manifest's: a reader of the folder would take them for the data set's."""
    make(tmp_path, 3000)
    (tmp_path / "_manifest.json").unlink()
    assert make(tmp_path, 1500)[0] == Written(1500, kept=0, made=2, removed=("part-000002.parquet",))
    assert rows_of(tmp_path) == list(range(1500))
    assert verify(tmp_path) == []


def test_what_is_no_data_set(tmp_path: Path) -> None:
    assert "no such folder" in verify(tmp_path / "none")[0]
    assert "unless this is not a data set's folder" in verify(tmp_path)[0]


@pytest.mark.parametrize("damage", ["cut", "flip", "delete", "swap", "empty", "foreign", "stray"])
def test_damage_is_found_and_mended(tmp_path: Path, damage: str) -> None:
    """Verify names the part at fault, and the same command makes it again."""
    make(tmp_path, 2500)
    before = contents(tmp_path)
    part, other = tmp_path / "part-000001.parquet", tmp_path / "part-000000.parquet"
    data = part.read_bytes()
    if damage == "cut":
        part.write_bytes(data[:-1])
    elif damage == "flip":
        part.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    elif damage == "delete":
        part.unlink()
    elif damage == "swap":
        part.write_bytes(other.read_bytes())
        other.write_bytes(data)
    elif damage == "empty":
        part.write_bytes(b"")
    elif damage == "foreign":
        pq.write_table(pa.table({"index": np.arange(1000, 2000)}), part)
    else:
        part = tmp_path / "part-000007.parquet"
        part.write_bytes(data)
    problems = verify(tmp_path)
    assert len(problems) == (2 if damage == "swap" else 1)
    assert any(str(part) in problem for problem in problems)
    mended = make(tmp_path, 2500)[0].mended
    assert mended == {"swap": (other.name, part.name), "stray": ()}.get(damage, (part.name,))
    assert contents(tmp_path) == before


def test_another_stream_is_refused(tmp_path: Path) -> None:
    """Rows of another automaton or seed are not mixed in."""
    make(tmp_path, 1500)
    before = contents(tmp_path)
    with pytest.raises(ArtifactError, match="another output folder"):
        make(tmp_path, 1500, seed=8)
    assert contents(tmp_path) == before


def test_a_failure_in_the_middle_leaves_whole_parts(tmp_path: Path) -> None:
    """When making a part fails, those before it are a data set of fewer rows, and a next run goes on from it."""

    def fails(first: int, rows: int) -> pa.Table:
        if first == 1000:
            raise OSError(28, "No space left on device")
        return Maker()(first, rows)

    with pytest.raises(OSError, match="No space"):
        write_dataset(tmp_path, 2500, STREAM, fails, {})
    assert sorted(file.name for file in tmp_path.iterdir()) == ["_manifest.json", "part-000000.parquet"]
    assert verify(tmp_path) == []
    assert make(tmp_path, 2500) == (Written(2500, kept=1, made=2), [(1000, 1000), (2000, 500)])
    assert verify(tmp_path) == []

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import on_disk
from namegen.errors import ArtifactError, LeaseError
from namegen.outputs import dataset
from namegen.outputs.journal import Journal, Part
from namegen.outputs.layout import dataset_folder, part_name, part_number, record_folder
from namegen.outputs.writer import Survey, Written, in_order, make_parts, restore_parts, write_dataset, write_part
from namegen.storage.files import UNHELD, sha256_of
from namegen.upkeep.dataset_check import DatasetCheck
from tiny import tree

JOURNAL = "journal-000000.jsonl"
NAMES, RECORD = (f"{top}/model=bigram-0123456789ab/seed=7" for top in ("names", "datasets"))
PART = 1000  # rows, in place of 2^20
STREAM = {"automaton_sha256": "00", "stream_version": 1, "seed": 7}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "PART_ROWS", PART)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a data set belongs in the output folder `tmp_path`."""
    return place(tmp_path)


def place(output: Path) -> Path:
    """Where a data set belongs in an output folder."""
    return dataset_folder(output, "bigram-0123456789ab", 7)


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
    written = write_dataset(folder, count, {**STREAM, **stream}, maker, {"model": "bigram-0"}, workers=workers)
    return written, sorted(maker.asked)


def verify(folder: Path) -> list[str]:
    """What is wrong with files and manifest; these rows have no model to be compared with."""
    return [text for text in map(str, DatasetCheck(folder).faults()) if "cannot be compared with its model" not in text]


def rows_of(folder: Path) -> list[int]:
    index: list[int] = pq.read_table(folder)["index"].to_pylist()
    return sorted(index)


def test_parts_and_manifest(tmp_path: Path, folder: Path) -> None:
    """2,500 rows are two full parts and a shorter one; the manifest has each one's SHA-256 and bytes.

    It lies apart from them, with a copy.
    """
    written, asked = make(folder, 2500)
    assert written == Written(rows=2500, kept=0, made=3)
    assert asked == [(0, 1000), (1000, 1000), (2000, 500)]
    manifests = [f"{RECORD}/manifest.copy.json", f"{RECORD}/manifest.json"]
    assert list(tree(tmp_path)) == [*manifests, *(f"{NAMES}/part-00000{k}.parquet" for k in range(3))]
    data, copy = ((tmp_path / path).read_bytes() for path in manifests)
    assert data == copy
    manifest = json.loads(data)
    assert list(manifest)[0] == "format_version"  # noqa: RUF015 - the order is the point
    assert manifest["rows"] == 2500
    assert manifest["part_rows"] == 1000
    files = [(folder / part_name(number)).read_bytes() for number in range(3)]
    assert manifest["part_sha256"] == [hashlib.sha256(data).hexdigest() for data in files]
    assert manifest["part_bytes"] == [len(data) for data in files]
    assert manifest["configuration"] == {"model": "bigram-0"}
    assert {"namegen", "pyarrow", "torch"} <= set(manifest["versions"])
    assert rows_of(folder) == list(range(2500))
    assert verify(folder) == []


def test_as_many_again_does_nothing(tmp_path: Path, folder: Path) -> None:
    """The second time nothing is made, and no file is touched, not even the manifest."""
    make(folder, 2500)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    assert make(folder, 2500) == (Written(2500, kept=3, made=0), [])
    assert make(folder, 10) == (Written(2500, kept=3, made=0), [])
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before


def test_more_later_is_as_many_at_once(tmp_path: Path) -> None:
    """A larger count keeps the full parts, replaces the shorter one, and ends with the same bytes."""
    grown = place(tmp_path / "grown")
    make(grown, 2500)
    assert make(grown, 4000) == (Written(4000, kept=2, made=2), [(2000, 1000), (3000, 1000)])
    make(place(tmp_path / "at once"), 4000)
    assert tree(tmp_path / "grown") == tree(tmp_path / "at once")
    assert verify(grown) == []


def test_any_number_of_workers_makes_the_same_files(tmp_path: Path) -> None:
    """Also where the parts take turns to be slow, and some are there already; progress is told in order."""
    make(place(tmp_path / "one"), 20_500)

    def uneven(first: int, rows: int) -> pa.Table:
        time.sleep(0.01 * (first // PART % 3))
        return Maker()(first, rows)

    for workers in (2, 4, 16):
        folder, told = place(tmp_path / str(workers)), list[int]()
        make(folder, 5500)
        write_dataset(folder, 20_500, STREAM, uneven, {"model": "bigram-0"}, workers=workers, on_part=told.append)
        assert told == [1000] * 20 + [500]
        assert tree(tmp_path / str(workers)) == tree(tmp_path / "one")


def test_as_many_parts_are_under_way_as_there_are_workers(folder: Path) -> None:
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

    write_dataset(folder, 40_000, STREAM, count_in, {}, workers=3)
    assert most == 3


def test_where_one_fails_no_other_begins(tmp_path: Path, folder: Path) -> None:
    """The error is the caller's; what was finished is whole and is kept, and no temporary file stays."""
    asked: list[int] = []

    def fails(first: int, rows: int) -> pa.Table:
        asked.append(first)
        if first == 3000:
            raise OSError(28, "No space left on device")
        return Maker()(first, rows)

    with pytest.raises(OSError, match="No space left"):
        write_dataset(folder, 1_000_000, STREAM, fails, {}, workers=4)
    assert len(asked) < 30
    finished = sorted(set(asked) - {3000})
    assert sorted(number * PART for number in Journal(record_folder(folder), STREAM).read().parts) == finished
    parts = {f"{NAMES}/{part_name(first // PART)}" for first in finished}
    assert set(tree(tmp_path)) == {f"{RECORD}/{JOURNAL}", *parts}
    assert all(len(pq.read_table(file)) == PART for file in folder.iterdir())
    assert any("is unfinished" in problem for problem in verify(folder))
    written, made = make(folder, 40_000, workers=4)
    assert written == Written(40_000, kept=len(finished), made=40 - len(finished))
    assert {first for first, _ in made}.isdisjoint(finished)
    assert verify(folder) == []


@pytest.mark.parametrize("end", [b"", b"\n", b"{", b'\n{"stream": "', b"\xff\x00" * 5000, b"[" * 10_000])
def test_a_run_that_died_is_taken_up(tmp_path: Path, end: bytes) -> None:
    """Each part that was finished is kept, wherever the journal was cut off; the end has the same bytes."""
    make(place(tmp_path / "whole"), 6000)

    def dies(first: int, rows: int) -> pa.Table:
        if first == 2000:
            raise KeyboardInterrupt
        return Maker()(first, rows)

    died = place(tmp_path / "died")
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            write_dataset(died, 6000, STREAM, dies, {"model": "bigram-0"})
        with on_disk(record_folder(died) / JOURNAL).open("ab") as journal:
            journal.write(end)
    assert make(died, 6000) == (Written(6000, kept=2, made=4), [(first, 1000) for first in range(2000, 6000, 1000)])
    assert tree(tmp_path / "died") == tree(tmp_path / "whole")


def test_a_run_that_died_while_it_added(tmp_path: Path) -> None:
    """The manifest is still the old one, and says that the data set is not as it has it; either count is made right."""
    make(place(tmp_path / "small"), 2500)
    make(place(tmp_path / "large"), 5000)

    def dies(first: int, rows: int) -> pa.Table:
        if first == 3000:
            raise KeyboardInterrupt
        return Maker()(first, rows)

    for count, end, kept in ((5000, "large", 3), (2500, "small", 2), (1, "small", 2)):
        folder = place(tmp_path / f"{count}")
        make(folder, 2500)
        with pytest.raises(KeyboardInterrupt):
            write_dataset(folder, 5000, STREAM, dies, {"model": "bigram-0"})
        assert any("the job that was adding to it died" in problem for problem in verify(folder))
        assert make(folder, count)[0].kept == kept
        assert tree(tmp_path / f"{count}") == tree(tmp_path / end)


def test_readers_see_whole_parts_only(folder: Path) -> None:
    """While parts are made, and a short one becomes a full one, whoever reads the folder sees nothing else."""
    make(folder, 500)
    seen, stopped = set[int](), threading.Event()

    def read() -> None:
        while not stopped.is_set():
            for path in folder.iterdir():
                index = pq.read_table(path)["index"].to_pylist()
                assert index == list(range(index[0], index[0] + len(index)))
                seen.add(len(index))

    def slowly(first: int, rows: int) -> pa.Table:
        time.sleep(0.005)
        return Maker()(first, rows)

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        while 500 not in seen and not reader.done():
            time.sleep(0.001)
        write_dataset(folder, 60_700, STREAM, slowly, {"model": "bigram-0"}, workers=2)
        while 700 not in seen and not reader.done():
            time.sleep(0.001)
        stopped.set()
        reader.result()
    assert seen == {500, 700, 1000}


def test_a_journal_of_another_stream_vouches_for_nothing(folder: Path) -> None:
    """Where the model was made anew, on another machine say, what was drawn from the old one is not taken over."""

    def dies(first: int, rows: int) -> pa.Table:
        if first == 1000:
            raise KeyboardInterrupt
        return Maker()(first, rows)

    with pytest.raises(KeyboardInterrupt):
        write_dataset(folder, 2500, STREAM, dies, {})
    assert list(Journal(record_folder(folder), STREAM).read(JOURNAL).parts) == [0]
    assert make(folder, 2500, seed=8)[0] == Written(2500, kept=0, made=3)


def test_the_names_of_parts() -> None:
    """A part's number and its file's name are one to one."""
    for number in (0, 1, 999_999, 1_000_000, 10**12):
        assert part_number(part_name(number)) == number
    for name in ("part-00001.parquet", "part-0000001.parquet", "part-000001.parquet.tmp", "part--00001.parquet", "x"):
        assert part_number(name) is None


def lose_manifest(folder: Path) -> None:
    """Removes the manifest and its copy."""
    for file in on_disk(record_folder(folder)).glob("manifest*"):
        file.unlink()


def test_a_part_that_nothing_vouches_for_is_made_again(tmp_path: Path, folder: Path) -> None:
    """Without its manifest a part may be anything, also a damaged one: it is not taken over."""
    make(folder, 2500)
    before = tree(tmp_path)
    part = folder / "part-000001.parquet"
    part.write_bytes(part.read_bytes().replace(b"PAR1", b"PAR2"))
    lose_manifest(folder)
    assert "is missing" in verify(folder)[0]
    assert make(folder, 2500)[0] == Written(2500, kept=0, made=3)
    assert tree(tmp_path) == before


def test_a_part_that_is_not_as_recorded(tmp_path: Path, folder: Path) -> None:
    """It is made again, and named, also if it is as long as it was; one that is gone is not named."""
    make(folder, 3500)
    before = tree(tmp_path)
    same, longer = folder / part_name(1), folder / part_name(2)
    same.write_bytes(same.read_bytes().replace(b"PAR1", b"PAR2"))
    longer.write_bytes(longer.read_bytes() + b"\0")
    (folder / part_name(3)).unlink()
    written, asked = make(folder, 1)
    assert written == Written(3500, kept=1, made=3, replaced=(same.name, longer.name))
    assert asked == [(1000, 1000), (2000, 1000), (3000, 500)]
    assert tree(tmp_path) == before


def test_parts_of_a_longer_run_that_died_go(folder: Path) -> None:
    """Nothing vouches for parts behind the manifest's: a reader of the folder would take them for the data set's."""
    make(folder, 3000)
    lose_manifest(folder)
    assert make(folder, 1500)[0] == Written(1500, kept=0, made=2, removed=("part-000002.parquet",))
    assert rows_of(folder) == list(range(1500))
    assert verify(folder) == []


def test_another_stream_is_refused(tmp_path: Path, folder: Path) -> None:
    """Rows of another automaton or seed are not mixed in."""
    make(folder, 1500)
    before = tree(tmp_path)
    with pytest.raises(ArtifactError, match="another output folder"):
        make(folder, 1500, seed=8)
    assert tree(tmp_path) == before


def test_what_a_part_is(tmp_path: Path) -> None:
    """Row groups of 131,072, encodings that every reader knows, and what the rows are."""
    rows = 2**17 + 1
    table = pa.table({"index": np.arange(rows), "name": ["ab"] * rows, "log_prob": np.ones(rows)})
    write_part(tmp_path / "~part", table, {"seed": 7})
    file = pq.ParquetFile(tmp_path / "~part")
    groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    assert [group.num_rows for group in groups] == [2**17, 1]
    columns = [groups[0].column(number) for number in range(3)]
    encodings = ["DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY", "PLAIN"]
    assert [set(column.encodings) - {"RLE"} for column in columns] == [{encoding} for encoding in encodings]
    assert {column.compression for column in columns} == {"ZSTD"}
    assert file.schema_arrow.metadata[b"namegen"] == b'{"seed": 7}'


@pytest.mark.parametrize("workers", [1, 3])
def test_how_far_work_runs_ahead(workers: int) -> None:
    """Four for each worker beyond the oldest; what follows is not even asked for until that one is taken."""
    asked: list[int] = []

    def arguments() -> Iterator[int]:
        for number in range(20):
            asked.append(number)
            yield number

    results = in_order(lambda number: -number, arguments(), workers)  # type: ignore[arg-type]
    for number in range(20):
        assert next(results) == -number
        assert len(asked) == min(4 * workers + 1 + number, 20)
    assert not list(results)


class Watched:
    """A lock that tells what is asked of it; `fails` says at which check it turns out to be another's."""

    key = ""

    def __init__(self, record: Path, fails: int = -1) -> None:
        self.events, self.record, self.fails = list[str](), record, fails

    def check(self) -> None:
        if len(self.events) == self.fails:
            for left in self.record.glob(".*.tmp"):  # as its new holder does
                left.unlink()
            raise LeaseError("was taken over", "", "")
        self.events.append("check")

    def put(self, temporary: Path, path: Any) -> None:  # noqa: ANN401 - a path
        self.events.append(path.name)
        UNHELD.put(temporary, path)


def test_when_the_lock_is_looked_at(tmp_path: Path, folder: Path) -> None:
    """Before the first line of the journal, each part, and each manifest, of which the copy comes first."""
    record = on_disk(record_folder(folder))
    watched = Watched(record)
    write_dataset(folder, 1500, STREAM, Maker(), {}, watched)
    assert watched.events == [*["check"] * 4, "manifest.copy.json", "check", "manifest.json"]
    whole = tree(tmp_path)
    again = Watched(record)
    write_dataset(folder, 1500, STREAM, Maker(), {}, again)
    assert again.events == ["check"]
    for fails, left in enumerate([[], [JOURNAL], [JOURNAL], [JOURNAL]]):
        shutil.rmtree(tmp_path / "names")
        shutil.rmtree(tmp_path / "datasets")
        with pytest.raises(LeaseError, match="was taken over"):
            write_dataset(folder, 1500, STREAM, Maker(), {}, Watched(record, fails))
        assert [file.name for file in record.iterdir()] == left
        assert len(list(folder.iterdir())) == max(fails - 1, 0)
    write_dataset(folder, 1500, STREAM, Maker(), {})
    assert tree(tmp_path) == whole


def test_parts_that_are_made_elsewhere(tmp_path: Path, folder: Path) -> None:
    """The full ones that are missing; the last one is made here, and what dead workers left is removed."""
    make(place(tmp_path / "whole"), 3500)
    make(folder, 1500)
    record, asked = on_disk(record_folder(folder)), list[int]()
    told: list[int] = []

    def elsewhere(surveyed: Survey, numbers: Sequence[int]) -> list[Part]:
        asked.extend(numbers)
        (record / f".part-000002.parquet.{32 * '0'}.tmp").touch()
        return make_parts(folder, numbers, surveyed.count, STREAM, Maker(), journal_from=1)

    maker, configuration = Maker(), {"model": "bigram-0"}
    options: dict[str, Any] = {"on_part": told.append, "elsewhere": elsewhere}
    written = write_dataset(folder, 3500, STREAM, maker, configuration, **options)
    assert written == Written(3500, kept=1, made=3, replaced=())
    assert (asked, maker.asked, told) == ([1, 2], [(3000, 500)], [1000, 500])
    assert {file.name for file in record.iterdir()} == {"manifest.json", "manifest.copy.json"}
    assert tree(folder) == tree(place(tmp_path / "whole"))
    assert write_dataset(folder, 3500, STREAM, maker, configuration, **options).made == 0
    assert asked == [1, 2]
    (folder / part_name(0)).write_bytes(b"PAR1")
    assert write_dataset(folder, 3500, STREAM, maker, configuration, **options).replaced == (part_name(0),)
    assert asked == [1, 2, 0]


def test_parts_that_are_restored(tmp_path: Path, folder: Path) -> None:
    """Those that become what is recorded, also in the place of a link; of the others nothing changes."""
    make(folder, 2500)
    whole = tree(tmp_path)
    parts = [Part(number, rows, "", 0) for number, rows in ((0, 1000), (2, 500))]
    parts = [part._replace(sha256=sha256_of(folder / part_name(part.number))) for part in parts]
    (folder / part_name(0)).unlink()
    (folder / part_name(0)).symlink_to(folder / part_name(1))
    (folder / part_name(2)).unlink()
    wrong = parts[0]._replace(sha256=64 * "0")
    checks: list[None] = []
    assert restore_parts(folder, [wrong], STREAM, Maker(), check_alone=lambda: checks.append(None)) == 0
    assert (folder / part_name(0)).is_symlink()
    assert checks == []
    assert restore_parts(folder, [*parts, wrong], STREAM, Maker(), check_alone=lambda: checks.append(None)) == 2
    assert len(checks) >= 2
    assert not (folder / part_name(0)).is_symlink()
    assert tree(tmp_path) == whole
    assert not list(on_disk(record_folder(folder)).glob(".*.tmp"))


def test_folders_in_the_way(folder: Path) -> None:
    """Of a part, or of anything in the record: each is named, and nothing is changed."""
    make(folder, 1500)
    record = on_disk(record_folder(folder))
    for blocked in (folder / part_name(7), record / "manifest.copy.json.old"):
        blocked.mkdir()
        with pytest.raises(ArtifactError, match="is a folder where a file of the data set belongs") as caught:
            make(folder, 2500)
        assert caught.value.where == str(blocked)
        blocked.rmdir()
    (folder / "notes").mkdir()
    assert make(folder, 1500)[0].kept == 2

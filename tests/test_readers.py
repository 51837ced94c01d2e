"""What others read while a job writes and a prune removes: whole parts, each row once, or nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import dask
import dask.dataframe as dd
import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import tiny
from namegen.outputs import dataset
from namegen.outputs.layout import dataset_folder
from namegen.upkeep import prune

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")  # of dask, for pandas 3
COUNT = 2 * tiny.PART + 50
GONE = re.compile(r"No such file|not found|No files (found|satisfy)|does not exist|paths were empty|failed to open")


def by_dask(folder: Path) -> list[int]:
    with dask.config.set({"scheduler": "synchronous", "dataframe.convert-string": False}):
        return list(dd.read_parquet(folder, columns=["index"]).compute()["index"])


READERS: dict[str, Callable[[Path], list[int]]] = {
    "polars": lambda folder: pl.read_parquet(folder)["index"].to_list(),
    "polars, lazily": lambda folder: pl.scan_parquet(folder).select("index").collect()["index"].to_list(),
    "duckdb": lambda folder: [
        row[0]
        for row in duckdb.execute(f"SELECT index FROM read_parquet('{folder}/**/*.parquet')").fetchall()  # noqa: S608
    ],
    "pandas": lambda folder: list(pd.read_parquet(folder).get("index", [])),  # of an empty folder an empty frame
    "pyarrow": lambda folder: pq.read_table(folder)["index"].to_pylist(),
    "pyarrow's data sets": lambda folder: ds.dataset(folder, partitioning="hive").to_table()["index"].to_pylist(),
    "dask": by_dask,
}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An output folder with two data sets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "PART_ROWS", tiny.PART)
        output = tmp_path_factory.mktemp("readers") / "o"
        for seed in (1, 2):
            tiny.job(output, count=COUNT, seed=seed)
        yield output


def folders(output: Path) -> list[Path]:
    """All names, those of a model, and those of a seed."""
    seed = dataset_folder(output, tiny.place(output).path.name, 1)
    return [output / "names", seed.parent, seed]


@pytest.mark.parametrize("reader", READERS)
def test_any_folder_as_it_is(output: Path, reader: str) -> None:
    """A reader that is given the folder, and nothing else, finds every row."""
    rows = list(range(COUNT))
    assert [sorted(READERS[reader](folder)) for folder in folders(output)] == [sorted(rows * 2), sorted(rows * 2), rows]


def test_while_a_job_writes_and_a_prune_removes(output: Path) -> None:
    """A read may find that a file has just gone. It sees no row of a seed twice, and nothing but parts."""
    names, model, _ = folders(output)
    growing = dataset_folder(output, tiny.place(output).path.name, 3)
    has_enough, rounds = Event(), 0
    broken: list[tuple[str, Path, str]] = []

    def work() -> None:
        nonlocal rounds
        while not has_enough.is_set():
            for count in (tiny.PART, COUNT):
                tiny.job(output, count=count, seed=3)
            pruned = prune.find_old(output, 0)
            pruned.removable = [old for old in pruned.removable if old.path == growing]
            list(prune.remove(output, pruned))
            rounds += 1

    worker = Thread(target=work)
    worker.start()
    reads = failures = 0
    while rounds < 6 or reads < 60:
        for name, read in READERS.items():
            for folder in (names, model, growing):
                others = 0 if folder == growing else 2
                reads += 1
                try:
                    rows = read(folder)
                except Exception as error:  # noqa: BLE001 - each has its own
                    failures += 1
                    if not isinstance(error, FileNotFoundError) and not GONE.search(str(error)):
                        broken.append((name, folder, repr(error)))
                    continue
                if any(rows.count(row) not in {others, others + 1} for row in {0, tiny.PART, COUNT - 1}):
                    broken.append((name, folder, str(sorted(rows))))
        assert worker.is_alive()
    has_enough.set()
    worker.join()
    assert broken == []
    assert failures < reads / 2

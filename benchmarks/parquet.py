"""How a part is best written: bytes a name, names a second, and how fast polars and DuckDB answer from it.

    python benchmarks/parquet.py MODEL_FOLDER [--parts 4] [--repeats 5]

The same rows, drawn from the model, are written once a setting; the settings take turns, `--repeats` times, so that a
noisy machine is noisy to all of them. Medians are shown, and of the writing the smallest and largest as well.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq
from notebook import NAMES, seconds

import namegen
from namegen.corpus.corpus import read_corpus
from namegen.outputs.dataset import PART_ROWS
from namegen.outputs.writer import PARQUET
from namegen.sampling.stream import arrow_strings, sample, with_novelty


def encoded(column: str, encoding: str | None = None) -> dict[str, Any]:
    """A column in another encoding; None for Arrow's default, a dictionary."""
    others = {name: own for name, own in PARQUET["column_encoding"].items() if name != column}
    if encoding:
        return {"column_encoding": {**others, column: encoding}}
    return {"use_dictionary": [column], "column_encoding": others}


VARIANTS: dict[str, dict[str, Any]] = {  # what differs from how the job writes
    "as the job writes": {},
    "Arrow's defaults": {
        "compression": "snappy",
        "row_group_size": None,
        "use_dictionary": True,
        "column_encoding": None,
    },
    "no compression": {"compression": "none"},
    "snappy": {"compression": "snappy"},
    "lz4": {"compression": "lz4"},
    "zstd 3": {"compression_level": 3},
    "zstd 9": {"compression_level": 9},
    "index plain": encoded("index", "PLAIN"),
    "index dictionary": encoded("index"),
    "name plain": encoded("name", "PLAIN"),
    "name delta": encoded("name", "DELTA_BYTE_ARRAY"),
    "name dictionary": encoded("name"),
    "log_prob split": encoded("log_prob", "BYTE_STREAM_SPLIT"),
    "log_prob dictionary": encoded("log_prob"),
    "is_novel run lengths": encoded("is_novel", "RLE"),
    "row groups of 2^15": {"row_group_size": 2**15},
    "row groups of 2^20": {"row_group_size": 2**20},
    "page index": {"write_page_index": True},
    "no statistics": {"write_statistics": False},
}


def queries(folder: Path) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """What people ask, in polars and in DuckDB."""
    glob = f"{folder}/*.parquet"

    def scan() -> pl.LazyFrame:
        return pl.scan_parquet(glob)

    def sql(select: str, rest: str = "") -> Callable[[], object]:
        return lambda: duckdb.connect().execute(f"SELECT {select} FROM '{glob}' {rest}").fetchall()  # noqa: S608

    return {
        "top": (
            lambda: scan().top_k(20, by="log_prob").select("name", "log_prob").collect(),
            sql("name, log_prob", "ORDER BY log_prob DESC LIMIT 20"),
        ),
        "distinct": (lambda: scan().select(pl.col("name").n_unique()).collect(), sql("count(DISTINCT name)")),
        "novel": (lambda: scan().select(pl.col("is_novel").mean()).collect(), sql("avg(is_novel::INT)")),
        "prefix": (
            lambda: scan().filter(pl.col("name").str.starts_with("mar")).select(pl.len()).collect(),
            sql("count(*)", "WHERE starts_with(name, 'mar')"),
        ),
        "range": (
            lambda: scan().filter(pl.col("index").is_between(1_000_000, 1_000_999)).collect(),
            sql("*", "WHERE index BETWEEN 1000000 AND 1000999"),
        ),
    }


def main() -> None:
    """Writes and asks every variant, and prints the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model's folder")
    parser.add_argument("--names", type=Path, default=NAMES)
    parser.add_argument("--parts", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()

    automaton, known = namegen.load(arguments.model).automaton, arrow_strings(read_corpus(arguments.names).names)
    parts = [
        with_novelty(sample(automaton, 42, k * PART_ROWS, PART_ROWS), known, automaton.vocabulary)
        for k in range(arguments.parts)
    ]
    rows = PART_ROWS * len(parts)
    root = Path(tempfile.mkdtemp())
    times: dict[tuple[str, str], list[float]] = {}
    try:
        for _ in range(arguments.repeats):
            for number, (name, changes) in enumerate(VARIANTS.items()):
                folder = root / str(number)
                folder.mkdir(exist_ok=True)

                def write(settings: dict[str, Any] = PARQUET | changes, folder: Path = folder) -> None:
                    for k, part in enumerate(parts):
                        pq.write_table(part, folder / f"part-{k}.parquet", **settings)

                times.setdefault((name, "write"), []).append(seconds(write))
                for what, asked in queries(folder).items():
                    for engine, ask in zip(("polars", "duckdb"), asked, strict=True):
                        times.setdefault((name, f"{what} {engine}"), []).append(seconds(ask))
        columns = [f"{what} {engine}" for what in queries(root) for engine in ("polars", "duckdb")]
        print(f"{rows:,} names; queries in ms\n")
        print(" | ".join(["", "", "bytes a name", "million names/s", *columns, ""]).strip())
        print("|---" * (3 + len(columns)) + "|")
        for number, name in enumerate(VARIANTS):
            size = sum(file.stat().st_size for file in (root / str(number)).iterdir()) / rows
            rates = sorted(rows / 1e6 / s for s in times[name, "write"])
            spread = f"{statistics.median(rates):.2f} ({rates[0]:.2f} to {rates[-1]:.2f})"
            cells = [f"{1000 * statistics.median(times[name, column]):.0f}" for column in columns]
            print(" | ".join(["", name, f"{size:.2f}", spread, *cells, ""]).strip())
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()

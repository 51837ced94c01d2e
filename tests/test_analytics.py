"""The queries of docs/analytics.md run on two models' names, two seeds each, and give one answer in every language."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from conftest import ROOT
from namegen.corpus.corpus import Corpus, names_frame, split
from namegen.corpus.ngrams import bigram_frame, count_ngrams
from namegen.models import bigram, kneser_ney
from namegen.outputs.layout import dataset_folder, model_folder, part_name
from namegen.outputs.model_folder import model_name
from namegen.outputs.rows import Source
from namegen.outputs.writer import write_dataset
from namegen.sampling.stream import arrow_strings
from namegen.storage.files import make_folder, write_frame
from namegen.training.quantise import quantise
from namegen.training.recipe import choose

PAGE = (ROOT / "docs" / "analytics.md").read_text()
ROWS = 20_000  # a seed
SEEDS = (1, 2)
HOLDOUT = 0.2
Rows = list[tuple[Any, ...]]
Answer = tuple[list[str], Rows]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


BEFORE, *SECTIONS = re.split(r"^## (?=\d+\. )", PAGE, flags=re.MULTILINE)
QUESTIONS = {section.partition("\n")[0]: section for section in SECTIONS}
(PYTHON_SETUP,), (SQL_SETUP,) = blocks(BEFORE, "python"), blocks(BEFORE, "sql")
OTHERS = [
    (question, library)
    for question in QUESTIONS
    for library in ("pandas", "pyarrow")
    if f"\nIn {library}" in QUESTIONS[question]
]


@pytest.fixture(scope="module")
def working_directory(names: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `outputs` has names from Kneser-Ney and from the bigrams, some of which are empty, by two seeds.

    Of the models' folders it has what the page reads.
    """
    root = tmp_path_factory.mktemp("analytics")
    output, known = root / "outputs", arrow_strings(names.names)
    counts = count_ngrams(split(names, HOLDOUT).train, names.vocabulary, 6)
    bigrams = counts.lower(2)
    smoothed = bigram.fit(bigrams)
    automata = {"kneser-ney": quantise(kneser_ney.fit(counts).table, counts), "bigram": quantise(smoothed, bigrams)}
    tables = {
        "names": names_frame(names, HOLDOUT),
        "bigrams": bigram_frame(names.names, counts, smoothed, smoothed),
    }
    for model, automaton in automata.items():
        configuration = choose(names, model, "default", HOLDOUT).configuration(names.sha256)
        folder = model_folder(output, model_name(configuration))
        make_folder(folder)
        for table, frame in tables.items():
            write_frame(folder / f"{table}.parquet", frame)
        for seed in SEEDS:
            source = Source(folder, configuration, automaton, known, seed)
            target = dataset_folder(output, folder.name, seed)
            write_dataset(target, ROWS, source.stream, source.rows, configuration)
    return root


@pytest.fixture(autouse=True)
def _in_it(working_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(working_directory)


def run(program: str) -> Answer:
    """The columns and rows of the `answer` that a Python block comes to, in whatever library's table."""
    scope: dict[str, Any] = {}
    exec(PYTHON_SETUP + program, scope)  # noqa: S102 - our own page
    answer = scope["answer"]
    frame = answer if isinstance(answer, pl.DataFrame) else pl.DataFrame(answer)
    return frame.columns, frame.rows()


def query(program: str) -> Answer:
    """The columns and rows of an SQL block."""
    with duckdb.connect() as connection:
        connection.execute("SET preserve_insertion_order = false")  # only ORDER BY may order the rows
        result = connection.execute(SQL_SETUP).execute(program)
        return [column for column, *_ in result.description or []], result.fetchall()


def by_polars(question: str) -> Answer:
    """What the first Python block of a question comes to."""
    return run(blocks(QUESTIONS[question], "python")[0])


def check_agreement(one: Answer, other: Answer) -> None:
    """Same columns, same rows in the same order, floats within 1e-9, and not empty."""
    assert one[0] == other[0]
    assert one[1]
    assert len(one[1]) == len(other[1])
    for a, b in zip(one[1], other[1], strict=True):
        assert list(map(type, a)) == list(map(type, b)), (a, b)
        assert all(
            math.isclose(x, y, rel_tol=1e-9) if isinstance(x, float) else x == y for x, y in zip(a, b, strict=True)
        ), (a, b)


def test_there_are_ten_questions() -> None:
    """They are numbered, each has polars and then SQL, and two have pandas and pyarrow besides."""
    assert [int(question.partition(".")[0]) for question in QUESTIONS] == list(range(1, 11))
    assert len(SECTIONS) == len(QUESTIONS) == 10
    assert all(len(blocks(section, "sql")) == 1 for section in SECTIONS)
    assert all(re.findall(r"^```(\w+)", section, re.MULTILINE)[:2] == ["python", "sql"] for section in SECTIONS)
    assert sum(len(blocks(section, "python")) for section in SECTIONS) == 10 + len(OTHERS)
    assert len(OTHERS) == 4


@pytest.mark.parametrize("question", QUESTIONS)
def test_polars_and_sql_agree(question: str) -> None:
    """The two blocks of a question give the same columns and rows."""
    check_agreement(by_polars(question), query(blocks(QUESTIONS[question], "sql")[0]))


def test_answers_fit_the_rows() -> None:
    """What the page calls chance is chance: seeds and counts are within 5 standard errors. An empty name is a name."""
    by_number = {int(question.partition(".")[0]): by_polars(question) for question in QUESTIONS}
    for number, fewest in ((6, 2), (8, 10)):
        columns, rows = by_number[number]
        assert len(rows) == fewest
        assert all(abs(row[columns.index("z")]) < 5 for row in rows)
    columns, rows = by_number[2]
    totals = [row for row in rows if row[columns.index("rows")] == ROWS]
    assert len(totals) == 4
    parts = pl.scan_parquet("outputs/names/**/*.parquet", hive_partitioning=True)
    different = parts.group_by("model", "seed").agg(pl.col("name").n_unique()).sort("model", "seed").collect()
    assert [row[columns.index("different")] for row in totals] == different["name"].to_list()
    for number in (5, 9):
        columns, rows = by_number[number]
        assert sum(row[columns.index("names")] for row in rows) == 4 * ROWS
    columns, rows = by_number[10]
    assert rows[0][columns.index("letter")] == rows[0][columns.index("name")] == ""


@pytest.mark.parametrize(("question", "library"), OTHERS)
def test_other_libraries_agree(question: str, library: str) -> None:
    """What is given in pandas and in pyarrow is what polars gives."""
    ((program, *_),) = [
        blocks(text, "python")
        for text in re.findall(rf"^In {library}.*", QUESTIONS[question], re.MULTILINE | re.DOTALL)
    ]
    assert f"import {library}" in program
    check_agreement(run(program), by_polars(question))


def test_the_schema_is_that_of_a_part(working_directory: Path) -> None:
    """Names, order and types of the page's table are those of the files, none nullable, and then the folders' names."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", BEFORE, re.MULTILINE)
    parts = sorted(working_directory.rglob(part_name(0)))
    assert len(parts) == 4
    in_files = pa.schema([pa.field(name, pa.type_for_alias(kind), nullable=False) for name, kind in rows[:-2]])
    for part in parts:
        assert pq.read_schema(part).equals(in_files)
    assert rows[-2:] == [("model", "string"), ("seed", "integer")]
    schema = ds.dataset("outputs/names", partitioning="hive").schema
    assert schema.names == [name for name, _ in rows]
    assert schema.field("model").type == pa.string()
    assert pa.types.is_integer(schema.field("seed").type)

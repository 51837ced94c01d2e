"""The flow in this process, on a real Prefect server, and what people do with what it leaves.

One run, `made`, serves them all, which is why they stand in one file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any, cast

import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset as pads
import pytest
from prefect.artifacts import Artifact
from prefect.states import Failed

import artifacts
import generate as script
import namegen
from command_line import Beginning, finish
from conftest import NAMES, attempt, on_disk
from generate import generate
from namegen import pipeline, progress
from namegen.corpus.corpus import Corpus, read_corpus
from namegen.errors import ArtifactError, CorpusError
from namegen.outputs import writer
from namegen.outputs.writer import write_dataset
from namegen.parameters import Parameters
from namegen.pipeline import Made
from retries import is_transient

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def output(made: Made) -> Path:
    """The output folder of `made`."""
    return on_disk(made.model.path).parents[1]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but the locks; of the manifests all but how they came to be written."""
    files = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name != ".lock":
            files[str(file.relative_to(folder))] = file.read_bytes()
            if file.suffix == ".json":
                manifest = json.loads(file.read_bytes())
                del manifest["written"]
                files[str(file.relative_to(folder))] = json.dumps(manifest).encode()
    return files


def test_what_a_run_leaves(made: Made, output: Path) -> None:
    """The folders of the contract, with nothing else in them."""
    model = on_disk(made.model.path)
    assert sorted(file.name for file in model.iterdir()) == [
        ".lock",
        "about.txt",
        "automaton.safetensors",
        "bigrams.parquet",
        "evaluation.parquet",
        "manifest.json",
        "names.parquet",
        "ngrams.parquet",
        "quality.parquet",
        "training.parquet",
    ]
    assert on_disk(made.names) == output / "names" / f"model={model.name}" / "seed=42"
    assert sorted(file.name for file in on_disk(made.names).iterdir()) == ["part-000000.parquet"]
    record = output / "datasets" / f"model={model.name}" / "seed=42"
    assert sorted(file.name for file in record.iterdir()) == [".lock", "manifest.copy.json", "manifest.json"]
    assert {path.name for path in output.iterdir()} == {"models", "names", "datasets", "reports"}
    assert namegen.verify(on_disk(made.names)) == []
    manifest = json.loads((model / "manifest.json").read_bytes())
    configuration = manifest["configuration"]
    identity = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()
    assert model.name == f"blend-{identity[:12]}"
    assert configuration["names_sha256"] == hashlib.sha256(NAMES.read_bytes()).hexdigest()
    assert set(manifest["files"]) == {file.name for file in model.iterdir()} - {"manifest.json", ".lock"}


def test_the_model_s_tables(made: Made, names: Corpus) -> None:
    """27 x 27 bigrams, all n-grams up to order 6, the losses of three models, and an evaluation of seven."""
    model = on_disk(made.model.path)
    bigrams = pl.read_parquet(model / "bigrams.parquet")
    assert bigrams.columns == ["first", "second", "count", "train_count", "probability", "neural_probability"]
    assert bigrams.height == 27 * 27
    assert bigrams["count"].sum() == sum(len(name) + 1 for name in names.names)
    assert bigrams.group_by("first").agg(pl.col("probability").sum())["probability"].to_list() == pytest.approx(
        [1] * 27
    )
    assert pl.read_parquet_metadata(model / "ngrams.parquet")["namegen.order"] == "6"
    assert pl.read_parquet(model / "ngrams.parquet")["context"].str.len_chars().max() == 5
    training = pl.read_parquet(model / "training.parquet")
    assert training.columns == ["model", "step", "loss", "dev_nll"]
    for name, steps in (("neural-bigram", 100), ("mlp", 14), ("mlp-2", 14)):
        curve = training.filter(model=name)
        assert curve["step"].to_list() == list(range(1, steps + 1))
        assert curve["loss"][-1] < curve["loss"][0]
        assert curve["dev_nll"].null_count() == 0
        assert curve["dev_nll"][-1] < curve["dev_nll"][0]
    drawn_from = ["bigram", "neural-bigram", "kneser-ney", "blend"]
    evaluation = pl.read_parquet(model / "evaluation.parquet")
    assert evaluation["model"].unique(maintain_order=True).to_list() == ["uniform", *drawn_from, "mlp", "mlp-2"]
    quality = pl.read_parquet(model / "quality.parquet")
    assert quality["model"].to_list() == drawn_from
    assert quality["names"].unique().to_list() == [100_000]


def test_the_figures_of_the_default(made: Made) -> None:
    """On held-out names the blend is better than all that it is made of, and compiling loses less than 0.01."""
    evaluation = pl.read_parquet(on_disk(made.model.path) / "evaluation.parquet").filter(subset="all", split="test")
    figures = {(r["model"], r["source"]): r["nll"] for r in evaluation.iter_rows(named=True)}
    others = [figures[model, "exact"] for model in ("mlp", "mlp-2", "kneser-ney")]
    assert figures["blend", "automaton"] < min(others) - 0.03
    assert 0 < figures["blend", "automaton"] - figures["blend", "exact"] < 0.01


def test_rows_are_the_automatons(made: Made, names: Corpus) -> None:
    """Index, name, log-probability and novelty of every row are what the loaded automaton and the list say."""
    model = namegen.load(on_disk(made.model.path))
    frame = pl.read_parquet(on_disk(made.names) / "*.parquet")
    assert frame.schema == {"index": pl.Int64, "name": pl.String, "log_prob": pl.Float64, "is_novel": pl.Boolean}
    assert frame.drop("is_novel").equals(model.sample(20_000))
    assert (model.score(frame["name"]) == frame["log_prob"]).all()
    known = set(names.names)
    assert frame["is_novel"].to_list() == [name not in known for name in frame["name"]]


def test_readers_see_a_hive_tree(made: Made, output: Path) -> None:
    """DuckDB, pandas and pyarrow read the folder as it is, polars its Parquet files; model and seed are columns."""
    folder, model = output / "names", made.model.path.name
    expected = pl.read_parquet(on_disk(made.names) / "part-000000.parquet")
    columns = ["index", "name", "log_prob", "is_novel"]
    by_polars = pl.read_parquet(folder / "**/*.parquet", hive_partitioning=True)
    assert by_polars.select(columns).equals(expected)
    assert by_polars.select("model", "seed").unique().rows() == [(model, 42)]
    query = f"SELECT * FROM read_parquet('{folder}/**/*.parquet') ORDER BY index"  # noqa: S608 - our own folder
    by_duckdb = duckdb.connect().execute(query).fetchall()
    assert by_duckdb == [(*row, model, 42) for row in expected.rows()]
    by_pandas = pd.read_parquet(folder)
    assert by_pandas["name"].tolist() == expected["name"].to_list()
    assert by_pandas["seed"].astype(int).unique().tolist() == [42]
    by_pyarrow = pads.dataset(folder, partitioning="hive").to_table()
    assert pl.DataFrame(pl.from_arrow(by_pyarrow)).select(columns).equals(expected)


def test_again_nothing_then_more(made: Made, output: Path) -> None:
    """The same run again makes nothing; a larger count adds."""

    def times() -> dict[Path, int]:
        files = [file for file in output.rglob("*") if file.is_file() and file.name != ".lock"]
        return {file: file.stat().st_mtime_ns for file in files}

    before = times()
    again = generate(report=False, count=20_000, names=str(NAMES), output=str(output))
    assert (again.written.rows, again.written.made) == (20_000, 0)
    assert times() == before
    more = generate(report=False, count=30_000, names=str(NAMES), output=str(output))
    assert (more.written.rows, more.written.made) == (30_000, 1)
    assert on_disk(more.model.path) == on_disk(made.model.path)


def test_grown_is_as_made_at_once(tmp_path: Path) -> None:
    """Asked for twice, a data set and its model have the bytes of a run that asked at once."""
    trees = []
    for counts in ((20_000, 30_000), (30_000,)):
        output = tmp_path / str(len(counts))
        for count in counts:
            generate(report=False, count=count, names=str(NAMES), model="kneser-ney", output=str(output), device="cpu")
        trees.append(tree(output))
    assert trees[0] == trees[1]
    assert len(trees[0]) == 12


def test_any_number_of_workers_makes_the_same_files(tmp_path: Path) -> None:
    """Three parts of a real model, made by one worker and by four; the rows across a border are the sampler's."""
    trees = []
    for workers in (1, 4):
        output = tmp_path / str(workers)
        made = generate(
            report=False, count=2**21 + 1000, names=str(NAMES), model="bigram", output=str(output), workers=workers
        )
        trees.append(tree(on_disk(made.names)))
    assert trees[0] == trees[1]
    assert len(trees[0]) == 3
    border = pl.scan_parquet(on_disk(made.names) / "*.parquet").filter(
        pl.col("index").is_between(2**20 - 50, 2**20 + 49)
    )
    drawn = namegen.load(on_disk(made.model.path)).sample(100, seed=42, first=2**20 - 50)
    assert border.collect().drop("is_novel").equals(drawn)


def test_a_working_directory_that_is_not_utf_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is escaped where it is shown, and the names and pages are there."""
    place = tmp_path / os.fsdecode(b"caf\xe9")
    place.mkdir()
    monkeypatch.chdir(place)
    names = "\n".join(NAMES.read_text().split()[:300])
    Path("names.txt").write_text(names)
    generate(count=100, names="names.txt", model="kneser-ney", output="outputs")
    assert len(list(place.glob("outputs/reports/**/report.html"))) == 2
    assert namegen.verify("outputs") == []


def test_progress_that_cannot_be_shown(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The job goes on."""

    def fails(*_: object, **__: object) -> None:
        raise OSError("the server is gone")

    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    monkeypatch.setattr("artifacts.create_progress_artifact", fails)
    monkeypatch.setattr("artifacts.TaskRunContext.get", object)
    with artifacts.progress(10, "Sampling names") as advance:
        advance(10)
    assert "The progress of 'Sampling names' could not be shown" in caplog.text


def test_progress_is_shown_on_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that takes long has a progress artifact, which ends at 100 %."""
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    generate(report=False, count=2**20 + 10, names=str(NAMES), model="bigram", output=str(tmp_path))
    artifact = cast("Artifact | None", Artifact.get("sampling-names"))
    assert artifact is not None
    assert (artifact.type, artifact.data) == ("progress", 100)


def test_a_checkpoint_that_was_left_is_removed(made: Made, output: Path) -> None:
    """A job that died between its last file and the end leaves one; the next run takes it away."""
    left = made.model.checkpoint
    left.save({}, [])
    generate(report=False, count=20_000, names=str(NAMES), output=str(output))
    assert left.load() is None


def test_a_short_list_of_short_names(tmp_path: Path) -> None:
    """Two letters a name are shorter than the default order, which gives way; one that is asked for does not."""
    path = tmp_path / "names.txt"
    path.write_text("\n".join(a + b for a in "abcdefghij" for b in "aeiou"))
    made = generate(report=False, count=100, names=str(path), preset="quick", output=str(tmp_path))
    assert made.model.manifest().configuration["order"] == 4
    state = attempt(report=False, count=100, names=str(path), order=5, output=str(tmp_path))
    assert "Use --order 4 or less" in str(state.message)


def test_output_folders_that_mean_something_to_polars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brackets, wildcards and ~ in a path are just characters."""
    monkeypatch.chdir(tmp_path)
    for folder in ("~/é [1] a*b",):
        made = generate(report=False, count=10, names=str(NAMES), model="kneser-ney", output=folder, device="cpu")
        assert on_disk(made.names).is_relative_to(folder)
        assert made.model.manifest().configuration["order"] == 6
        assert made.model.table("evaluation").height > 0
    assert {path.name for path in tmp_path.iterdir()} == {"~"}


def test_artifacts(output: Path) -> None:
    """A table with the evaluation, and Markdown that says where the data set lies and how to read it."""
    generate(report=False, count=1, names=str(NAMES), output=str(output))  # the last run is that which is shown
    table, markdown = (cast("Artifact | None", Artifact.get(key)) for key in ("evaluation", "data-set"))
    assert table is not None
    rows = json.loads(str(table.data))
    assert {row["model"] for row in rows} == {
        "uniform",
        "bigram",
        "neural-bigram",
        "kneser-ney",
        "mlp",
        "mlp-2",
        "blend",
    }
    assert all(isinstance(row["nll"], float) for row in rows)
    assert markdown is not None
    assert "names" in str(markdown.data)
    assert "polars.read_parquet" in str(markdown.data)
    assert str(markdown.data).count("| bigram |") == 2  # how well it predicts, and how good its names are


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (OSError(errno.EIO, "Input/output error"), 3),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), 3),
        (OSError(errno.ENOSPC, "No space left on device"), 1),
        (PermissionError(errno.EACCES, "Permission denied"), 1),
        (ArtifactError("was altered", "part", "Remove it"), 1),
        (ValueError("a bug"), 1),
    ],
)
def test_transient_errors_are_retried(
    made: Made, output: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, tries: int
) -> None:
    """A network disk may be back in a second; a full disk and bad input stay as they are."""
    assert made.written
    tried: list[int] = []

    def write(*arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401 - those of write_dataset
        tried.append(len(tried))
        if len(tried) < 3:
            raise error
        return write_dataset(*arguments, **keywords)

    monkeypatch.setattr(writer, "write_dataset", write)
    monkeypatch.setattr(script.TASKS[pipeline.sample], "retry_delay_seconds", [0.01])
    state = attempt(report=False, count=10, names=str(NAMES), output=str(output))
    assert len(tried) == tries
    assert state.is_completed() == (tries == 3)
    if tries == 1:
        assert str(error) in str(state.message)


def test_an_error_with_a_remedy_says_what_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """A names file that cannot be read for a passing reason is read again, though the error is one of ours."""

    def stale(self: Path) -> bytes:
        raise OSError(errno.ESTALE, "Stale file handle", str(self))

    monkeypatch.setattr(Path, "read_bytes", stale)
    with pytest.raises(CorpusError, match="Stale file handle") as caught:
        read_corpus(NAMES)
    assert is_transient(None, None, Failed(data=caught.value))
    assert not is_transient(None, None, Failed(data=CorpusError("has no names in it")))


def test_control_characters_are_never_printed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither those in the path of the names nor the marks in names that turn the direction of a line."""
    path = tmp_path / "\x1b[31mred\n.txt"
    path.write_text("\n".join(f"{name}\u202e" for name in NAMES.read_text().split()[:500]))
    arguments: dict[str, Any] = {"count": 50, "names": str(path), "model": "kneser-ney", "output": str(tmp_path / "o")}
    assert finish(Beginning(Parameters(**arguments)), generate) == 0
    printed = "".join(capsys.readouterr())
    assert "\\x1b[31mred\\n.txt" in caplog.text
    assert "\\u202e" in printed
    assert not {"\x1b", "\u202e"} & {*caplog.text, *printed}
    assert namegen.verify(tmp_path / "o") == []
    pages = [page.read_text() for page in (tmp_path / "o").rglob("*.html")]
    assert len(pages) == 2
    assert not any("\u202e" in page for page in pages)


def test_the_command_prints_the_evaluation_and_the_folder(
    made: Made, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments: dict[str, Any] = {"count": 20_000, "names": str(NAMES), "output": str(output)}
    assert finish(Beginning(Parameters(**arguments)), generate) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("neural-bigram") for line in lines)
    assert lines[-1] == str(on_disk(made.names))

"""The flow in this process, through Prefect's test harness, and what people do with what it leaves."""

from __future__ import annotations

import hashlib
import inspect
import json
import uuid
from pathlib import Path
from typing import Any, cast, get_args

import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset as pads
import pytest
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.exceptions import ParameterTypeError

import generate as script
import namegen
from conftest import NAMES
from generate import Made, generate
from namegen.corpus import Corpus
from namegen.ngrams import read_parquet
from parameters import PARAMETERS, find_model

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def output(made: Made) -> Path:
    """The output folder of `made`."""
    return made.model.path.parents[1]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder; of the manifests everything but the time and the duration."""
    files = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            files[str(file.relative_to(folder))] = file.read_bytes()
            if file.suffix == ".json":
                manifest = json.loads(file.read_bytes())
                del manifest["created_at"]
                manifest.get("notes", {}).pop("training_seconds", None)
                files[str(file.relative_to(folder))] = json.dumps(manifest).encode()
    return files


def test_what_a_run_leaves(made: Made, output: Path) -> None:
    """The two folders of the contract, with nothing else in them."""
    model = made.model.path
    assert sorted(file.name for file in model.iterdir()) == [
        "automaton.safetensors",
        "bigrams.parquet",
        "evaluation.parquet",
        "manifest.json",
        "ngrams.parquet",
        "training.parquet",
    ]
    assert made.names == output / "names" / f"model={model.name}" / "seed=42"
    assert sorted(file.name for file in made.names.iterdir()) == ["_manifest.json", "part-000000.parquet"]
    assert {path.name for path in output.iterdir()} == {"models", "names"}
    assert namegen.verify(made.names) == []
    manifest = json.loads((model / "manifest.json").read_bytes())
    configuration = manifest["configuration"]
    identity = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()
    assert model.name == f"kneser-ney-{identity[:12]}"
    assert configuration["names_sha256"] == hashlib.sha256(NAMES.read_bytes()).hexdigest()
    assert set(manifest["files"]) == {file.name for file in model.iterdir()} - {"manifest.json"}


def test_the_model_s_tables(made: Made, names: Corpus) -> None:
    """27 x 27 bigrams, all n-grams up to order 6, one hundred losses, and an evaluation of four models."""
    model = made.model.path
    bigrams = pl.read_parquet(model / "bigrams.parquet")
    assert bigrams.columns == ["first", "second", "count", "train_count", "probability"]
    assert bigrams.height == 27 * 27
    assert bigrams["count"].sum() == sum(len(name) + 1 for name in names.names)
    assert bigrams.group_by("first").agg(pl.col("probability").sum())["probability"].to_list() == pytest.approx(
        [1] * 27
    )
    assert read_parquet(model / "ngrams.parquet").order == 6
    training = pl.read_parquet(model / "training.parquet")
    assert training.columns == ["model", "step", "loss", "dev_nll"]
    assert training["step"].to_list() == list(range(1, 101))
    assert training["loss"].is_sorted(descending=True)
    evaluation = pl.read_parquet(model / "evaluation.parquet")
    assert set(evaluation["model"]) == {"uniform", "bigram", "neural-bigram", "kneser-ney"}


def test_rows_are_the_automatons(made: Made, names: Corpus) -> None:
    """Index, name, log-probability and novelty of every row are what the loaded automaton and the list say."""
    automaton = namegen.load(made.model.path)
    frame = pl.read_parquet(made.names / "*.parquet")
    assert frame.schema == {"index": pl.Int64, "name": pl.String, "log_prob": pl.Float64, "is_novel": pl.Boolean}
    assert frame.drop("is_novel").equals(automaton.sample(20_000))
    assert (automaton.score(frame["name"].to_list()) == frame["log_prob"].to_numpy()).all()
    known = set(names.names)
    assert frame["is_novel"].to_list() == [name not in known for name in frame["name"]]


def test_readers_see_a_hive_tree(made: Made, output: Path) -> None:
    """DuckDB, pandas and pyarrow read the folder as it is, polars its Parquet files; model and seed are columns."""
    folder, model = output / "names", made.model.path.name
    expected = pl.read_parquet(made.names / "part-000000.parquet")
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


def test_again_nothing_then_more(made: Made, output: Path, tmp_path: Path) -> None:
    """The same run again makes nothing; a larger count adds, and ends with the bytes of a run that asked at once."""
    before = {file: file.stat().st_mtime_ns for file in output.rglob("*") if file.is_file()}
    again = generate(count=20_000, names=str(NAMES), output=str(output))
    assert (again.written.rows, again.written.made) == (20_000, 0)
    assert {file: file.stat().st_mtime_ns for file in output.rglob("*") if file.is_file()} == before
    more = generate(count=30_000, names=str(NAMES), output=str(output))
    assert (more.written.rows, more.written.made) == (30_000, 1)
    assert more.model.path == made.model.path
    at_once = generate(count=30_000, names=str(NAMES), output=str(tmp_path), device="cpu")
    assert tree(at_once.names) == tree(more.names)
    assert tree(at_once.model.path) == tree(more.model.path)


def test_one_setting_has_one_folder(names: Corpus) -> None:
    """0, 0.0 and -0.0 are the same holdout."""
    folders = {find_model(names, "bigram", holdout, 7, 0, "out").path for holdout in (0, 0.0, -0.0)}
    assert len(folders) == 1


def test_output_folders_that_mean_something_to_polars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brackets, wildcards and ~ in a path are just characters."""
    monkeypatch.chdir(tmp_path)
    for folder in ("o[1]", "~", "a*b", "é ñ"):
        made = generate(count=10, names=str(NAMES), output=folder, device="cpu")
        assert made.names.is_relative_to(folder)
        assert read_parquet(made.model.path / "ngrams.parquet").order == 6
        assert made.model.evaluation().height > 0
    assert {path.name for path in tmp_path.iterdir()} == {"o[1]", "~", "a*b", "é ñ"}


def test_what_changes_the_model_changes_its_folder(made: Made, output: Path, tmp_path: Path) -> None:
    """Names, model, holdout and order do; a BOM, CRLF, the seed and the device do not."""
    other = tmp_path / "names.txt"
    other.write_bytes(b"\xef\xbb\xbf" + NAMES.read_bytes().replace(b"\n", b"\r\n"))
    same = generate(count=10, names=str(other), seed=2**64 - 1, output=str(output), device="cpu")
    assert same.model.path == made.model.path
    assert pl.read_parquet(same.names / "*.parquet")["name"].to_list() == (
        namegen.load(made.model.path).sample(10, seed=2**64 - 1)["name"].to_list()
    )
    other.write_bytes(NAMES.read_bytes() + b"zz\n")
    changes: list[dict[str, Any]] = [{"names": str(other)}, {"model": "bigram"}, {"holdout": 0}, {"order": 3}]
    folders = {
        generate(**{"count": 10, "names": str(NAMES), "output": str(tmp_path), **c}).model.path.name for c in changes
    }
    assert len({*folders, made.model.path.name}) == 5


@pytest.mark.usefixtures("made")
def test_artifacts() -> None:
    """A table with the evaluation, and Markdown that says where the data set lies and how to read it."""
    table, markdown = (cast("Artifact | None", Artifact.get(key)) for key in ("evaluation", "data-set"))
    assert table is not None
    rows = json.loads(str(table.data))
    assert {row["model"] for row in rows} == {"uniform", "bigram", "neural-bigram", "kneser-ney"}
    assert all(isinstance(row["nll"], float) for row in rows)
    assert markdown is not None
    assert "names" in str(markdown.data)
    assert "polars.read_parquet" in str(markdown.data)
    assert "| bigram |" in str(markdown.data)


def test_parameters_are_typed_and_described() -> None:
    """The flow's schema, which Prefect's interface shows, has every parameter's type, bounds, default and meaning."""
    properties = generate.parameters.model_dump()["properties"]
    assert list(properties) == list(PARAMETERS)
    for name, (_, default) in PARAMETERS.items():
        assert properties[name]["default"] == default
        assert properties[name]["description"]
    assert (properties["count"]["type"], properties["count"]["minimum"]) == ("integer", 1)
    assert properties["model"]["enum"] == ["bigram", "neural-bigram", "kneser-ney", "mlp", "blend"]
    assert properties["seed"]["maximum"] == 2**64 - 1
    signature = inspect.signature(generate.fn)
    assert {n: (p.annotation, p.default) for n, p in signature.parameters.items()} == PARAMETERS


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("count", 0, "greater than or equal to 1"),
        ("count", "many", "valid integer"),
        ("seed", -1, "greater than or equal to 0"),
        ("model", "gpt", "'bigram', 'neural-bigram', 'kneser-ney', 'mlp' or 'blend'"),
        ("holdout", 1, "less than 1"),
    ],
)
def test_parameters_are_validated(parameter: str, value: Any, message: str) -> None:  # noqa: ANN401 - as JSON has it
    with pytest.raises(ParameterTypeError, match=message):
        generate(**{parameter: value})


def test_bad_input_fails_the_run_with_its_message(tmp_path: Path) -> None:
    """The state of the failed run says what is wrong and what to do."""
    name = f"bad-{uuid.uuid4()}"
    path = tmp_path / "names.txt"
    path.write_text("emma\nst. john\n")
    state = generate.with_options(flow_run_name=name)(names=str(path), output=str(tmp_path), return_state=True)
    assert state.is_failed()
    assert "line 2" in str(state.message)
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs()
    (run,) = (run for run in runs if run.name == name)
    assert "Remove the character or the name" in str(run.state and run.state.message)
    assert not (tmp_path / "models").exists()


def test_the_types_of_the_signature_are_those_of_the_table() -> None:
    """Every parameter carries its description in its type, for --help as for Prefect."""
    for kind, _ in PARAMETERS.values():
        assert get_args(kind)[1].description


def test_main_prints_the_evaluation_and_the_folder(
    made: Made, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {"count": 20_000, "names": str(NAMES), "output": str(output)}
    assert script.main(arguments, None) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("neural-bigram") for line in lines)
    assert lines[-1] == str(made.names)

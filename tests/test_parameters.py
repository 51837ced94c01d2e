"""The flow's parameters: their types, bounds and meaning, and what becomes of bad ones."""

from __future__ import annotations

import inspect
import uuid
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.exceptions import ParameterTypeError

import namegen
from conftest import NAMES, on_disk
from generate import generate
from namegen import pipeline
from namegen.errors import SettingError
from namegen.parameters import DEFAULT, Parameters, description, types
from namegen.pipeline import Made

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def output(made: Made) -> Path:
    """The output folder of `made`."""
    return on_disk(made.model.path).parents[1]


def test_what_changes_the_model_changes_its_folder(made: Made, output: Path, tmp_path: Path) -> None:
    """Names, model, preset, holdout, order and cells do; a BOM, CRLF, the seed and the device do not."""
    other = tmp_path / "names.txt"
    other.write_bytes(b"\xef\xbb\xbf" + NAMES.read_bytes().replace(b"\n", b"\r\n"))
    same = generate(report=False, count=10, names=str(other), seed=2**64 - 1, output=str(output), device="cpu")
    assert on_disk(same.model.path) == on_disk(made.model.path)
    assert pl.read_parquet(on_disk(same.names) / "*.parquet")["name"].to_list() == (
        namegen.load(on_disk(made.model.path)).sample(10, seed=2**64 - 1)["name"].to_list()
    )
    other.write_bytes(NAMES.read_bytes() + b"zz\n")
    changes: list[dict[str, Any]] = [
        {},
        {"names": str(other)},
        {"model": "bigram"},
        {"model": "mlp"},
        {"preset": "quick"},
        {"holdout": 0},
        {"order": 3},
        {"cells": 10_000},
    ]
    asked = [Parameters(**{"names": str(NAMES), "output": str(output), **change}) for change in changes]
    folders = {pipeline.plan(parameters).model.path for parameters in asked}
    assert len(folders) == len(changes)
    assert on_disk(made.model.path) in folders


def test_parameters_are_typed_and_described() -> None:
    """The flow's schema, which Prefect's interface shows, has every parameter's type, bounds, default and meaning."""
    properties = generate.parameters.model_dump()["properties"]
    assert list(properties) == list(types())
    for name in types():
        assert properties[name]["default"] == getattr(DEFAULT, name)
        assert properties[name]["description"] == description(name)
    assert (properties["count"]["type"], properties["count"]["minimum"]) == ("integer", 1)
    assert properties["model"]["enum"] == [
        "bigram",
        "neural-bigram",
        "kneser-ney",
        "mlp",
        "gru",
        "transformer",
        "blend",
    ]
    assert properties["preset"]["enum"] == ["quick", "default", "best"]
    assert properties["order"]["anyOf"][0]["maximum"] == 66
    assert properties["seed"]["anyOf"][0]["maximum"] == 2**64 - 1
    signature = inspect.signature(generate.fn)
    assert {n: p.annotation for n, p in signature.parameters.items()} == types()
    assert {n: p.default for n, p in signature.parameters.items()} == DEFAULT.model_dump()


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("count", 0, "greater than or equal to 1"),
        ("count", "many", "valid integer"),
        ("seed", -1, "greater than or equal to 0"),
        ("preset", "huge", "'quick', 'default' or 'best'"),
        ("order", 67, "less than or equal to 66"),
        ("model", "gpt", "'bigram', 'neural-bigram', 'kneser-ney', 'mlp', 'gru', 'transformer' or 'blend'"),
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
    path.write_text("emma\njo\x07hn\n")
    run: Any = generate.with_options(flow_run_name=name)
    state = run(names=str(path), output=str(tmp_path), return_state=True)
    assert state.is_failed()
    assert "line 2" in str(state.message)
    with get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs(flow_run_filter=FlowRunFilter(name=FlowRunFilterName(any_=[name])))
    assert "Remove the character" in str(run.state and run.state.message)
    assert not (tmp_path / "models").exists()


def test_a_seed_has_to_be_given_where_no_schedule_gives_it() -> None:
    """`null` is for runs of a deployment."""
    with pytest.raises(SettingError, match="Choose a seed"):
        pipeline.plan(Parameters(seed=None, names=str(NAMES)))

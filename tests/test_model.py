"""`Model`, what users hold: fitted to names, saved, loaded and looked after."""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import namegen
import tiny
from conftest import NAMES, on_disk
from namegen.commands.main import main
from namegen.errors import ArtifactError, CorpusError, OutputError, SettingError
from namegen.model import Model
from namegen.outputs.layout import PAGE, report_folder

LIST = NAMES.read_text().split()[:400]


@pytest.fixture(scope="module")
def fitted() -> Model:
    """Kneser-Ney of some hundred names."""
    return namegen.fit(LIST, model="kneser-ney")


@pytest.fixture
def saved(fitted: Model, tmp_path: Path) -> Path:
    """Where it was saved; not called as a job calls its folders."""
    folder = tmp_path / "models" / "first-names"
    fitted.save(folder)
    return folder


@pytest.mark.parametrize("kind", [tuple, iter, pl.Series, pd.Series, pa.array, lambda names: pa.chunked_array([names])])
def test_names_of_any_kind(fitted: Model, kind: Any) -> None:  # noqa: ANN401 - of any type
    """Whatever holds them, the same names make the same model, and so does their file."""
    assert namegen.fit(kind(LIST), model="kneser-ney").automaton.sha256 == fitted.automaton.sha256


def test_a_file(fitted: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The model says where it comes from, and the log how many names it has."""
    path = tmp_path / "names.txt"
    path.write_text("\n".join(LIST))
    caplog.set_level(logging.INFO, "namegen")
    model = namegen.fit(str(path), model="kneser-ney")
    assert model.automaton.sha256 == fitted.automaton.sha256
    model.save(tmp_path / "model")
    assert namegen.load(tmp_path / "model").evaluation.equals(fitted.evaluation)
    assert f"{path}: 400 names (320 train, 40 dev, 40 test), 26 characters, 0 blank lines skipped" in caplog.messages


def test_the_job_makes_the_same_model(tmp_path: Path) -> None:
    """With the same settings `fit` has the job's automaton and figures."""
    tiny.job(tmp_path / "o")
    model = namegen.fit(tiny.corpus().names, model="kneser-ney", order=4)
    made = namegen.load(tmp_path / "o")
    assert model.automaton.sha256 == made.automaton.sha256
    assert model.evaluation.equals(made.evaluation)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (pd.DataFrame({"first": LIST, "last": LIST}), "has 2 columns of text .first, last.. Read one column with"),
        (pl.DataFrame({"births": [1, 2]}), "has no column of text .births."),
        ({"emma": 1}, "dict is not a list of names"),
        (set(LIST), "a set has no order"),
        (None, "NoneType is not a list of names"),
        (3, "int is not a list of names"),
        (b"emma", "bytes is not a list of names"),
        ([], "has no names in it. Pass at least one name"),
        (["emma", None], "names, item 2: 'None' is not text"),
        (["emma", 3], "names, item 2: '3' is not text"),
        (["emma", "a\nb"], "names, item 2: it contains the control character U\\+000A"),
        (["emma", "a\ud800"], "names, item 2: it contains U\\+D800, half of a surrogate pair"),
        (LIST[:5], "5 names are too few to hold out 20 % of them .* holdout=0"),
    ],
)
def test_what_is_no_list_of_names(names: Any, says: str) -> None:  # noqa: ANN401 - of any type
    with pytest.raises(CorpusError, match=says):
        namegen.fit(names, model="kneser-ney")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model": "gpt"}, "model: 'gpt' should be 'bigram'"),
        ({"preset": "huge"}, "preset: 'huge' should be"),
        ({"holdout": 1}, "holdout: 1 should be less than 1"),
        ({"order": 40}, r"order 40 is too high: the longest name has \d+ characters.*in Python order="),
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingError, match=says):
        namegen.fit(LIST, **settings)


def test_a_saved_model_is_as_it_was(fitted: Model, saved: Path, tmp_path: Path) -> None:
    """Loaded, it draws, scores and shows the same, and its copy is the same, byte for byte."""
    loaded = namegen.load(saved)
    assert loaded.sample(5).equals(fitted.sample(5))
    assert loaded.evaluation.equals(fitted.evaluation)
    loaded.save(tmp_path / "copy")
    assert tiny.tree(tmp_path / "copy") == tiny.tree(saved)
    fitted.save(saved)  # over the same
    assert namegen.verify(saved, deep=True) == []


@pytest.mark.parametrize("file", ["evaluation.parquet", "automaton.safetensors", "manifest.json"])
def test_a_saved_model_is_repaired(saved: Path, file: str) -> None:
    """Whatever its folder is called."""
    before = tiny.tree(saved)
    data = bytearray((saved / file).read_bytes())
    data[data.index(b'"at": "20') + 9 if file == "manifest.json" else -9] ^= 1
    (saved / file).write_bytes(data)
    assert namegen.verify(saved)
    assert namegen.verify(saved, repair=True) == []
    assert tiny.tree(saved) == before


def test_an_automaton_alone(fitted: Model, saved: Path, tmp_path: Path) -> None:
    """It draws and scores; what else was known of it is gone, and says so."""
    alone = namegen.load(saved / "automaton.safetensors")
    assert alone.score("emma") == fitted.score("emma")
    with pytest.raises(ArtifactError, match="is an automaton alone"):
        _ = alone.evaluation
    alone.save(tmp_path / "new" / "folder")
    assert namegen.load(tmp_path / "new" / "folder").sample(3).equals(fitted.sample(3))
    assert "or an automaton alone" in namegen.verify(tmp_path / "new" / "folder")[0]


def test_nothing_else_is_overwritten(fitted: Model, saved: Path, tmp_path: Path) -> None:
    """Neither another model, whole or alone, nor anything else."""
    other = namegen.fit(LIST[:300], model="kneser-ney")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("precious")
    Model(other.automaton).save(tmp_path / "alone")
    before = tiny.tree(tmp_path)
    for model in (fitted, Model(fitted.automaton)):
        for folder in ("mine", "alone"):
            with pytest.raises(OutputError, match="is not empty, and does not hold this model"):
                model.save(tmp_path / folder)
        with pytest.raises(OutputError, match="is a file"):
            model.save(tmp_path / "mine" / "notes.txt")
    with pytest.raises(OutputError, match="does not hold this model"):
        other.save(saved)
    assert tiny.tree(tmp_path) == before


def test_the_page_of_a_saved_model(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is written into the model's folder, and nowhere else."""
    assert main(["report", str(saved)]) == 0
    assert capsys.readouterr().out == f"{saved}/report/{PAGE}\n"
    assert on_disk(report_folder(saved)) == saved / "report"
    assert {path.name for path in tmp_path.iterdir()} == {"models"}
    assert namegen.verify(saved) == []
    shutil.rmtree(saved / "report")


INTO: dict[str, Any] = {name: {"into": name} for name in ("polars", "arrow", "list")}


def test_more_names_than_the_memory_holds(fitted: Model) -> None:
    """They are refused before one of them takes memory, with what they would need and what to do."""
    says = r"^1,000,000,000,000 names need about \d+(\.\d+)? TB of memory, and .* are free. Draw them in pieces"
    for into in INTO.values():
        with pytest.raises(SettingError, match=says):
            fitted.sample(10**12, **into)
    with pytest.raises(SettingError, match=r"not in 0 .. 2\^63-1"):
        fitted.sample(2**63, first=1)


def test_the_memory_that_names_take(fitted: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for twice the table, or for the table and a list of strings, is enough, and a tenth less is not."""
    monkeypatch.setattr("namegen.model.MANY", 10_000)
    table = fitted.sample(20_000, into="arrow")
    texts = sum(sys.getsizeof(name) + 8 for name in table["name"].to_pylist())
    sizes = {"arrow": 2 * table.nbytes, "polars": 2 * table.nbytes, "list": table.nbytes + texts}
    for name, needed in sizes.items():
        into = INTO[name]
        monkeypatch.setattr("namegen.model.free_memory", lambda needed=needed: round(1.05 * needed))
        assert len(fitted.sample(20_000, **into)) == 20_000
        monkeypatch.setattr("namegen.model.free_memory", lambda needed=needed: round(0.95 * needed))
        assert len(fitted.sample(10_000, **into)) == 10_000
        with pytest.raises(SettingError, match=r"20,000 names need about .* [kM]B of memory"):
            fitted.sample(20_000, **into)


@pytest.mark.parametrize("path", [None, "", 3])
def test_what_is_not_a_path(fitted: Model, path: Any) -> None:  # noqa: ANN401 - of any type
    for use in (namegen.load, fitted.save):
        with pytest.raises(SettingError, match="is not a path or a URL"):
            use(path)


@pytest.mark.parametrize("name", [3, ["emma"], None])
def test_only_a_name_is_explained(fitted: Model, name: Any) -> None:  # noqa: ANN401 - of any type
    with pytest.raises(TypeError, match="a name must be text"):
        fitted.explain(name)

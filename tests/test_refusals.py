"""What the job refuses before it begins, in this process: a line, exit code 2, and nothing made."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

import command_line
from conftest import KNESER_NEY, NAMES, on_disk, refusal, rewrite
from namegen.commands.main import describe
from namegen.corpus.corpus import Corpus
from namegen.errors import unreadable
from namegen.outputs import layout
from namegen.outputs.dataset import DatasetManifest
from namegen.outputs.manifests import FORMAT_VERSION, open_manifest
from namegen.outputs.model_folder import ModelManifest, model_name
from namegen.storage.files import LOCK
from namegen.training.recipe import choose


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--count", "0"], ["--count", "greater than or equal to 1", "'0'"]),
        (["--count", "-5"], ["--count", "greater than or equal to 1"]),
        (["--count", "many"], ["--count", "integer", "'many'"]),
        (["--count", "1.5"], ["--count", "integer"]),
        (["--count", str(2**63 + 1)], ["--count", "less than or equal to"]),
        (["--seed", "-1"], ["--seed", "greater than or equal to 0"]),
        (["--seed", str(2**64)], ["--seed", "less than or equal to 18446744073709551615"]),
        (["--seed", "x\x1b[31m"], ["--seed", "integer"]),
        (
            ["--model", "gpt"],
            ["--model", "'bigram', 'neural-bigram', 'kneser-ney', 'mlp', 'gru', 'transformer' or 'blend'"],
        ),
        (["--device", "tpu"], ["--device", "'auto', 'cpu', 'cuda' or 'mps'"]),
        (["--holdout", "1"], ["--holdout", "less than 1"]),
        (["--holdout", "nan"], ["--holdout"]),
        (["--order", "1"], ["--order", "greater than or equal to 2"]),
        (["--order", "67"], ["--order", "less than or equal to 66"]),
        (["--cells", "9999"], ["--cells", "greater than or equal to 10000"]),
        (["--workers", "0"], ["--workers", "greater than or equal to 1"]),
        (["--preset", "huge"], ["--preset", "'quick', 'default' or 'best'"]),
        (["--names", ""], ["--names"]),
        (["--output", "out\x1b[31m"], ["--output", "control characters"]),
        (["--output", "out\n"], ["--output", "control characters"]),
        (["--coutn", "7"], ["--coutn", "--help"]),
        (["names.txt"], ["names.txt", "--help"]),
        (["--count"], ["--count", "--help"]),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]) -> None:
    """Exit 2 and one line that names the argument and the rule."""
    line = refusal(capsys, *arguments)
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, ["no such file"]),
        (b"", ["no names"]),
        (b"emma\n\xff\n", ["line 2", "byte 1", "not UTF-8"]),
        (b"emma\nz\x1b[31moe\n", ["line 2", "U+001B"]),
        (b"emma;F\nava;F\n", ["looks like a table", "--column"]),
        (b"a" * 65, ["line 1", "65 characters"]),
        (("a" + 40 * "\u0316").encode(), ["line 1", "41 code points"]),
    ],
)
def test_names_that_cannot_be_used(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, data: bytes | None, words: list[str]
) -> None:
    """Exit 2 and one line with file, line and remedy; nothing is made."""
    path = tmp_path / "names.txt"
    if data is not None:
        path.write_bytes(data)
    line = refusal(capsys, "--names", path, "--output", tmp_path / "out")
    assert all(word in line for word in words), line
    assert not (tmp_path / "out").exists()


def test_too_few_names_to_hold_some_out(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("emma\nava\nzoe\n")
    for asked in (["--model", "bigram"], ["--holdout", "0.2"]):
        line = refusal(capsys, "--names", path, "--output", tmp_path / "out", *asked)
        assert "3 names are too few" in line
        assert "--holdout 0" in line
    assert not (tmp_path / "out").exists()


def test_a_folder_as_names(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "is a folder" in refusal(capsys, "--names", tmp_path)


def test_an_order_that_is_too_high_for_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, "--names", NAMES, "--model", "kneser-ney", "--order", "20")
    assert "the longest name has 15 characters" in line
    assert "--order 17 or less" in line


def test_an_output_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot be written" in refusal(capsys, "--names", NAMES, "--output", "/dev/null/x")


def test_a_disk_without_room(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """More names than any disk holds are refused before anything is fitted."""
    line = refusal(capsys, "--names", NAMES, "--output", tmp_path, "--count", 2**60)
    assert "free, but 1,152,921,504,606,846,976 names need about 16.3 EB" in line
    assert not list(tmp_path.glob("models/*/*"))


def test_a_data_set_of_a_newer_version(capsys: pytest.CaptureFixture[str], tmp_path: Path, names: Corpus) -> None:
    """It is found before a model is fitted, also where the model is gone."""
    recipe = choose(names, "kneser-ney", "default", 0.2)
    folder = layout.dataset_folder(tmp_path, model_name(recipe.configuration(names.sha256)), 42)
    manifest = on_disk(DatasetManifest.path(folder))
    manifest.parent.mkdir(parents=True)
    manifest.write_text(f'{{"format_version": {FORMAT_VERSION + 1}}}')
    assert "Upgrade namegen" in refusal(capsys, *KNESER_NEY, "--names", NAMES, "--output", tmp_path)


def test_a_device_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """No machine has both CUDA and MPS."""
    import torch

    absent = "mps" if torch.cuda.is_available() else "cuda"
    assert f"device '{absent}' is not available" in refusal(capsys, "--names", NAMES, "--device", absent)


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file; a lock, which says who was there last, without its text."""
    return {file: b"" if file.name == LOCK else file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("damage", ["cut", "flip", "newer", "missing", "table", "manifest", "data set"])
def test_what_lies_there_is_damaged(
    capsys: pytest.CaptureFixture[str], output: Path, tmp_path: Path, damage: str
) -> None:
    """A model or manifest that is cut short, altered, gone, or of a newer version: exit 2, nothing touched."""
    shutil.copytree(output, tmp_path, dirs_exist_ok=True)
    (file,) = tmp_path.glob("models/*/automaton.safetensors")
    data = file.read_bytes()
    word = "emove"
    if damage == "cut":
        file.write_bytes(data[:-1])
    elif damage == "flip":
        file.write_bytes(data[:-9] + bytes([data[-9] ^ 4]) + data[-8:])
    elif damage == "newer":
        file.write_bytes(data.replace(b'\\"format_version\\": 3', b'\\"format_version\\": 4'))
        assert file.read_bytes() != data
        word = "Upgrade"
    elif damage == "missing":
        file.unlink()
    elif damage == "table":
        file.with_name("bigrams.parquet").write_bytes(b"")
    elif damage == "manifest":
        file.with_name("manifest.json").write_text("{")
    else:
        (manifest,) = tmp_path.glob("datasets/*/*/manifest.json")
        ours, newer = (f'"format_version": {version}' for version in (FORMAT_VERSION, FORMAT_VERSION + 1))
        manifest.write_text(manifest.read_text().replace(ours, newer))
        word = "Upgrade"
    before = contents(tmp_path)
    line = refusal(capsys, *KNESER_NEY, "--names", NAMES, "--output", tmp_path)
    assert str(tmp_path) in line
    assert word in line or damage == "missing"
    assert contents(tmp_path) == before


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("damage", ["another model", "another stream", "another automaton", "other files"])
def test_what_lies_there_is_of_something_else(
    capsys: pytest.CaptureFixture[str], output: Path, tmp_path: Path, damage: str
) -> None:
    """Manifests that are whole, and do not fit what they lie with."""
    shutil.copytree(output, tmp_path, dirs_exist_ok=True)
    (model,) = tmp_path.glob("models/*/")
    (names,) = tmp_path.glob("names/*/*/")
    own = open_manifest(model, ModelManifest).sound()
    assert own
    if damage == "another model":
        configuration = {**own.configuration, "order": 5}
        rewrite(model, ModelManifest, configuration=configuration, model=model_name(configuration))
    elif damage == "other files":
        rewrite(model, ModelManifest, files={**own.files, "../bigrams.parquet": ""})
    elif damage == "another automaton":
        rewrite(model, ModelManifest, automaton_sha256="0" * 64)
    else:
        rewrite(names, DatasetManifest, stream={"seed": 43})
    assert "emove" in refusal(capsys, *KNESER_NEY, "--names", NAMES, "--output", tmp_path, "--count", 9000)


@pytest.mark.parametrize(("number", "code"), [(errno.EIO, 1), (errno.ESTALE, 1), (errno.EACCES, 2)])
def test_what_may_pass_is_no_bad_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    """A disk that fails now may work tomorrow: exit status 1, in both commands; permissions are the user's: 2."""
    error = unreadable(OSError(number, "it failed"), "names.txt")

    def fails(_: object) -> None:
        raise error

    monkeypatch.setattr("namegen.pipeline.plan", fails)
    with pytest.raises(SystemExit) as caught:
        command_line.begin(["--count", "1"])
    assert caught.value.code == code
    assert "names.txt: cannot be read (it failed). Check its permissions and the disk." in capsys.readouterr().err
    assert describe(error)[0] == code

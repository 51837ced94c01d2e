"""Whatever happens to the files of a finished job, `verify` finds it, and `--repair` mends it.

One file, as each case is a few lines against the same finished job.
"""

from __future__ import annotations

import errno
import logging
import os
import random
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import command_line
import tiny
from conftest import NAMES, on_disk, rewrite
from namegen import pipeline, verify
from namegen.errors import ArtifactError
from namegen.outputs import dataset
from namegen.outputs.dataset import DatasetManifest, State
from namegen.outputs.journal import Journal, Part
from namegen.outputs.layout import aside_folder, part_number, record_folder
from namegen.outputs.manifests import Writing, open_manifest
from namegen.outputs.model_folder import ModelManifest
from namegen.outputs.wish import Wish
from namegen.outputs.writer import PARQUET, write_dataset
from namegen.questions.question import Question
from namegen.storage.files import sha256_of
from namegen.storage.locks import alone_in
from namegen.upkeep.dataset_check import DatasetCheck, Findings, _options
from tiny import PART, job, place, tree

SEEDS = (1, 2)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "PART_ROWS", PART)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and two data sets of 900 names, five parts each."""
    output = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "PART_ROWS", PART)
        for seed in SEEDS:
            job(output, seed=seed)
    return output


@pytest.fixture
def output(whole: Path, tmp_path: Path) -> Path:
    """A copy of `whole`."""
    return Path(shutil.copytree(whole, tmp_path / "o"))


def names_of(output: Path, seed: int = 1) -> Path:
    return output / "names" / f"model={place(output).path.name}" / f"seed={seed}"


def record_of(output: Path, seed: int = 1) -> Path:
    return on_disk(record_folder(names_of(output, seed)))


def contents(output: Path) -> dict[Path, bytes]:
    """Every byte of every file."""
    return {file.relative_to(output): file.read_bytes() for file in output.rglob("*") if file.is_file()}


def damage(output: Path, draw: random.Random) -> str:
    """Does something to a tree, and says what."""
    files = [file for file in sorted(output.rglob("*")) if file.is_file() and file.name != ".lock"]
    parts = [file for file in files if file.name.startswith("part-")]
    file = draw.choice(draw.choice([parts, files]))  # half of the time a part
    other = draw.choice([each for each in files if each.suffix == file.suffix and each != file] or parts)
    how = draw.choice(["change", "change", "delete", "swap", "duplicate", "overwrite", "folders"])
    what = f"{how} {file.relative_to(output)} {other.relative_to(output)}"
    if how == "change":
        file.write_bytes(tiny.damaged(file.read_bytes(), draw))
    elif how == "delete":
        file.unlink()
    elif how == "swap":
        data = file.read_bytes()
        file.write_bytes(other.read_bytes())
        other.write_bytes(data)
    elif how == "overwrite":
        shutil.copyfile(other, file)
    elif how == "duplicate":
        name = draw.choice(["part-000005.parquet", "part-000009.parquet", "copy.parquet", "_copy.parquet", "a b"])
        shutil.copyfile(draw.choice(parts), names_of(output) / name)
    else:
        one, two = (names_of(output, seed) for seed in SEEDS)
        aside = one.rename(one.with_name("aside"))
        two.rename(one)
        aside.rename(two)
    return what


def test_whole_trees_are_right(output: Path) -> None:
    """Nothing is wrong with the folder, its model, or its data sets, in whole or in part; nothing is changed."""
    before = tree(output)
    for folder in (output, output / "names", on_disk(place(output).path), names_of(output)):
        for deep in (False, True):
            assert verify(folder, deep=deep, repair=True) == []
    assert tree(output) == before


def test_random_damage_is_found_and_mended(whole: Path, tmp_path: Path, times: int) -> None:
    """Each thing that is done to the tree is found, and a repair leaves the bytes of the whole one."""
    expected = tree(whole)
    for number in range(20 * times):
        output = Path(shutil.copytree(whole, tmp_path / "o"))
        what = f"{number}: {damage(output, random.Random(number))}"  # noqa: S311 - the same each time
        is_changed = contents(output) != contents(whole)  # unless a file was swapped with its like
        assert bool(verify(output)) == is_changed, what
        assert verify(output, repair=True) == [], what
        assert tree(output) == expected, what
        shutil.rmtree(output)


def test_only_what_is_wrong_is_made_again(output: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The other files are not touched, and the lines say what was wrong and what was done."""
    folder = names_of(output)
    part = folder / "part-000003.parquet"
    part.write_bytes(part.read_bytes()[:-1])
    others = [file for file in output.rglob("*") if file.is_file() and file != part and file.name != ".lock"]
    before = {file: file.stat().st_mtime_ns for file in others}
    (problem,) = verify(output)
    assert (
        problem == f"{part}: was altered: its checksum does not match. Repair it with namegen verify --repair {folder}."
    )
    caplog.set_level(logging.INFO, "namegen")
    assert verify(output, repair=True) == []
    assert f"repairing {part}: was altered: its checksum does not match" in caplog.messages
    assert f"{folder}: 1 of 5 parts were made again" in caplog.messages
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_a_foreign_part_that_the_manifest_vouches_for(output: Path) -> None:
    """Rows of another seed, with a checksum that fits: a sample of rows tells, and a repair leaves them."""
    one, two = (names_of(output, seed) for seed in SEEDS)
    part = "part-000002.parquet"
    shutil.copyfile(two / part, one / part)
    vouch_for(one, part)
    before = tree(output)
    (problem,) = verify(one)
    assert "has the row {'index': 400, 'name':" in problem
    assert "but the model draws {'index': 400, 'name':" in problem
    assert "a repair leaves it" in problem
    assert verify(one, repair=True) == [problem]
    assert tree(output) == before


def test_a_single_wrong_row_is_found_by_a_deep_look(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the rows that are compared otherwise, only `deep` sees it."""
    monkeypatch.setattr("namegen.outputs.rows.SAMPLE", 10)
    folder, part = names_of(output), "part-000001.parquet"
    table = pq.read_table(folder / part)
    novel = table["is_novel"].to_pylist()
    changed = table.set_column(3, table.schema.field(3), [[*novel[:150], not novel[150], *novel[151:]]])
    pq.write_table(changed, folder / part, **PARQUET)
    vouch_for(folder, part)
    before = tree(output)
    assert verify(folder) == []
    (problem,) = verify(folder, deep=True)
    assert "has the row {'index': 350," in problem
    assert verify(folder, deep=True, repair=True) == [problem]
    assert tree(output) == before


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda table: table.drop_columns("is_novel"), "does not have the columns of a data set"),
        (lambda table: table.set_column(0, "index", table["index"].cast("int32")), "does not have the columns"),
        (lambda table: table.slice(0, 199), "has 199 rows"),
        (lambda table: table.slice(0, 0), "has 0 rows"),
        (lambda table: table.slice(1).take([*range(199), 0]), "has the row {'index': 201,"),
        (None, "cannot be read as Parquet"),
    ],
)
def test_parts_that_are_no_parts(output: Path, change: Callable[[pa.Table], pa.Table] | None, word: str) -> None:
    """Other columns, types, rows or formats, each with a checksum that fits."""
    folder, part = names_of(output), "part-000001.parquet"
    if change:
        pq.write_table(change(pq.read_table(folder / part)), folder / part)
    else:
        (folder / part).write_bytes(b"PAR1 and more PAR1")
    vouch_for(folder, part)
    before = tree(output)
    (problem,) = verify(folder)
    assert word in problem
    assert verify(folder, repair=True) == [problem]
    assert tree(output) == before


def vouch_for(folder: Path, part: str) -> None:
    """Makes the manifest have a part as it is."""
    manifest = open_manifest(folder, DatasetManifest).sound()
    assert manifest
    sha256, number = list(manifest.part_sha256), part_number(part)
    assert number is not None
    sha256[number] = sha256_of(folder / part)
    rewrite(folder, DatasetManifest, part_sha256=tuple(sha256))


def test_a_link_to_itself(output: Path) -> None:
    """It stops neither a job nor verify."""
    before = tree(output)
    (names_of(output) / "loop").symlink_to("loop")
    job(output)
    (problem,) = verify(output)
    assert "loop: is not a part of the data set" in problem
    assert verify(output, repair=True) == []
    assert tree(output) == before


def test_a_path_that_is_not_utf_8(tmp_path: Path) -> None:
    """The job makes its model and names there all the same."""
    output = tmp_path / os.fsdecode(b"caf\xe9") / "o"
    output.mkdir(parents=True)
    job(output)
    assert verify(output) == []


def test_what_is_not_ours_is_put_aside(output: Path) -> None:
    """Whatever lies among the parts is moved out of the readers' way, and nothing of it is lost."""
    folder = names_of(output)
    strays = {"mine.parquet": b"mine", "_SUCCESS": b"", ".part-000001.parquet.crc": b"?"}
    for name, data in strays.items():
        (folder / name).write_bytes(data)
    problems = verify(output)
    assert len(problems) == 3
    assert any("mine.parquet: is not a part of the data set" in problem for problem in problems)
    assert verify(output, repair=True) == []
    aside = on_disk(aside_folder(folder))
    assert {file.name: file.read_bytes() for file in aside.iterdir()} == strays
    assert all(part_number(file.name) is not None for file in folder.iterdir())


def test_a_second_file_of_the_same_name(output: Path) -> None:
    """Neither of them is lost, also where it is called what a part is called."""
    folder = names_of(output)
    for name in ("notes.txt", "part-000007.parquet"):
        for number in range(3):
            (folder / name).write_text(f"{name} {number}")
            assert verify(folder, repair=True) == []
        aside = [on_disk(aside_folder(folder)) / f"{name}{suffix}" for suffix in ("", ".1", ".2")]
        assert [file.read_text() for file in aside] == [f"{name} {number}" for number in range(3)]


def test_links_pipes_and_folders_in_the_way(output: Path, tmp_path: Path) -> None:
    """A link to what is not the part is replaced, what it points to stays; a pipe keeps nobody waiting."""
    before = tree(output)
    folder = names_of(output)
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    (folder / "part-000000.parquet").unlink()
    (folder / "part-000000.parquet").symlink_to(outside)
    (folder / "part-000001.parquet").unlink()
    os.mkfifo(folder / "part-000001.parquet")
    (record_of(output) / "journal-000000.jsonl").symlink_to(outside)
    (on_disk(place(output).path) / "quality.parquet").unlink()
    (on_disk(place(output).path) / "quality.parquet").symlink_to("/dev/zero")
    problems = verify(output)
    assert len(problems) >= 4
    assert sum("it is not a regular file" in problem for problem in problems) >= 2
    assert verify(output, repair=True) == []
    assert tree(output) == before
    assert outside.read_bytes() == b"precious"
    os.mkfifo(record_of(output) / "journal-000000.jsonl")
    (folder / "part-000000.parquet").unlink()
    (folder / "part-000009.parquet").symlink_to(tmp_path / "nowhere")
    job(output)
    assert tree(output) == before
    (folder / "part-000002.parquet").unlink()
    (folder / "part-000002.parquet").mkdir()
    (folder / "part-000002.parquet" / "precious").touch()
    with pytest.raises(ArtifactError, match=r"is a folder where a file of the data set belongs.*Move it elsewhere"):
        job(output)
    assert verify(folder, repair=True) == []
    assert (on_disk(aside_folder(folder)) / "part-000002.parquet" / "precious").exists()
    assert tree(output) == before


def test_what_readers_would_take_for_a_part(output: Path) -> None:
    """Wherever it lies below `names`, in a link's folder and under another seed's name as well."""
    names, part = output / "names", names_of(output) / "part-000000.parquet"
    for place_of in ("", "other", f"model={place(output).path.name}", f"model={place(output).path.name}/seed=1/_old"):
        file = names / place_of / "copy.parquet"
        file.parent.mkdir(exist_ok=True)
        shutil.copyfile(part, file)
        (problem,) = verify(output)
        assert str(file if "_old" not in place_of else file.parent) in problem
        shutil.rmtree(file.parent) if place_of.endswith(("other", "_old")) else file.unlink()
    names.rename(output / "elsewhere")
    names.symlink_to("elsewhere", target_is_directory=True)
    (output / "elsewhere" / "loop").symlink_to(output, target_is_directory=True)
    assert verify(names) == []
    part.write_bytes(b"")
    assert len(verify(names)) == 1
    names_of(output, 2).rename(names_of(output, 2).with_name("seed=02"))
    assert sum("is not a valid name for a seed's folder" in problem for problem in verify(names)) == 1


def test_however_the_folder_is_named(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From within, from above, with dots and slashes: sound is sound, and damage is mended."""
    before = tree(output)
    model, names = on_disk(place(output).path), names_of(output)
    for folder in (output, model, names):
        monkeypatch.chdir(folder)
        for way in (".", f"../{folder.name}", f"{folder}/", os.path.relpath(folder.parent) + f"/./{folder.name}"):
            assert verify(way, repair=True) == [], (folder, way)
            damaged = [
                part for part in (model / "quality.parquet", names / "part-000001.parquet") if folder in part.parents
            ]
            for file in damaged:
                file.write_bytes(b"")
            assert verify(way), (folder, way)
            assert verify(way, repair=True) == [], (folder, way)
            assert tree(output) == before, (folder, way)


def test_folders_that_are_no_models(tmp_path: Path, output: Path) -> None:
    """An output folder below one that is called models, and a folder with some manifest."""
    shutil.copytree(output, tmp_path / "models" / "run1")
    (tmp_path / "models" / ".cache").mkdir()
    (tmp_path / "models" / "manifest.json").write_text("{}")
    assert verify(tmp_path / "models") == []
    assert verify(tmp_path / "models" / "run1") == []


def test_a_job_that_died_while_it_added(output: Path) -> None:
    """Verify says so, and nothing else; a repair keeps what was finished, and the job goes on from there."""
    folder = names_of(output)
    source = DatasetCheck(folder)._source()[0]
    assert source

    def dies(first: int, rows: int) -> pa.Table:
        if first == 7 * PART:
            raise KeyboardInterrupt
        return source.rows(first, rows)

    with pytest.raises(KeyboardInterrupt):
        write_dataset(folder, 2000, source.stream, dies, source.configuration)
    (problem,) = verify(folder)
    assert (
        "seed=1: is unfinished: the job that was adding to it died. Finish it with python flows/generate.py" in problem
    )
    assert f"--seed 1 --count 2000 --output {output}." in problem
    kept = {file: file.stat().st_mtime_ns for file in folder.glob("part-*")}
    assert len(kept) == 7
    assert verify(folder, repair=True) == [problem]
    (folder / "part-000004.parquet").unlink()  # it was short, and is not any more
    (folder / "part-000001.parquet").unlink()
    assert len(verify(folder)) == 3
    assert verify(folder, repair=True) == [problem]
    job(output, count=2000)
    del kept[folder / "part-000001.parquet"], kept[folder / "part-000004.parquet"]
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert verify(folder) == []
    assert not (output / "aside").exists()


@pytest.mark.parametrize("name", [f".part-000000.parquet.{32 * '0'}.tmp", "journal-000000.jsonl"])
def test_what_a_dead_job_left(output: Path, name: str) -> None:
    """An unfinished file, and a journal whose parts the manifest has: each is said, and removed by a repair."""
    before = tree(output)
    (record_of(output) / name).touch()
    (problem,) = verify(output)
    assert problem.startswith(f"{record_of(output) / name}: was left by a job that died. Repair it with")
    assert verify(output, repair=True) == []
    assert tree(output) == before


def test_a_part_that_came_too_late(output: Path) -> None:
    """A shorter one, of a job that another had taken over from: it is found, though the journal vouches for it."""
    folder, before = names_of(output), tree(output)
    source = DatasetCheck(folder)._source()[0]
    assert source
    stream, configuration = source.stream, source.configuration
    late = output / "late" / "names" / "model=m" / "seed=1"
    write_dataset(late, 3 * PART + 7, stream, source.rows, configuration)
    name = "part-000003.parquet"
    shutil.copy(late / name, folder / name)
    Journal(record_of(output), stream).add(Part(3, 7, sha256_of(late / name), (late / name).stat().st_size))
    shutil.rmtree(output / "late")
    assert any(name in problem for problem in verify(folder))
    assert verify(folder, repair=True) == []
    assert tree(output) == before


def test_without_a_manifest_nothing_is_decided(output: Path) -> None:
    """It comes back from its copy; without that as well, nobody knows how many rows there were, and all is left."""
    whole, folder, record = tree(output), names_of(output), record_of(output)
    (record / "manifest.json").unlink()
    assert verify(folder, repair=True) == []
    assert tree(output) == whole
    for name in ("manifest.json", "manifest.copy.json"):
        (record / name).unlink()
    (folder / "part-000004.parquet").unlink()
    before = tree(output)
    (problem,) = verify(folder, repair=True)
    assert "manifest.json: is missing, and so is its copy" in problem
    assert tree(output) == before
    job(output)
    assert tree(output) == whole


@pytest.mark.parametrize("left", ["manifest.json", "manifest.copy.json"])
def test_one_manifest_that_cannot_be_used(output: Path, left: str) -> None:
    """Altered, or of another data set, where there is no other: it says so, and leaves all as it is."""
    record, other = (record_of(output, seed) for seed in SEEDS)
    good = (record / left).read_bytes()
    for name in ("manifest.json", "manifest.copy.json"):
        (record / name).unlink()
    for data, what in (
        (good.replace(b'"rows": 900', b'"rows": 800'), "is not a manifest"),
        ((other / left).read_bytes(), "is not that of this data set"),
    ):
        (record / left).write_bytes(data)
        before = tree(output)
        (problem,) = verify(names_of(output), repair=True)
        assert what in problem
        assert "; nor can its copy be used. If nothing can be recovered" in problem
        assert tree(output) == before


@pytest.mark.parametrize("files", [("manifest.json",), ("manifest.json", "manifest.copy.json")])
def test_a_repair_never_shrinks(output: Path, files: tuple[str, ...]) -> None:
    """One byte of a manifest is wrong, and the last part is missing: there are 900 rows again, or nothing changes."""
    whole, folder, record = tree(output), names_of(output), record_of(output)
    for name in files:
        data = (record / name).read_bytes()
        (record / name).write_bytes(data.replace(b'"rows": 900', b'"rows": 800'))
    (folder / "part-000004.parquet").unlink()
    before = tree(output)
    problems = verify(folder, repair=True)
    assert bool(problems) == (len(files) == 2)
    assert tree(output) == (before if problems else whole)


def test_a_repair_finishes_nothing(output: Path) -> None:
    """A job that died after two parts has made no data set; verify has the command that finishes it."""
    folder = names_of(output, 3)
    source = DatasetCheck(names_of(output))._source()[0]
    assert source

    def dies(first: int, rows: int) -> pa.Table:
        if first == 2 * PART:
            raise KeyboardInterrupt
        return replace(source, seed=3).rows(first, rows)

    stream = source.automaton.stream(3)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(folder, 5000, stream, dies, source.configuration)
    before = tree(output)
    (problem,) = verify(output, repair=True)
    assert "is unfinished: the job that was making it died" in problem
    assert "--count 5000" in problem
    assert tree(output) == before


@pytest.mark.parametrize("model", ["bigram", "kneser-ney", "mlp", "blend"])
@pytest.mark.parametrize("preset", ["quick", "best"])
def test_the_command_that_finishes_is_of_the_same_model(output: Path, model: str, preset: str) -> None:
    """Whatever decides what a model is stands in the command that verify prints."""
    asked = ["--model", model, "--preset", preset, "--holdout", "0.2", "--names", str(NAMES)]
    parameters = command_line.parse(asked)
    fit = pipeline.plan_fit(tiny.corpus(), parameters, {"names": parameters.names, "preset": parameters.preset})
    rewrite(on_disk(place(output).path), ModelManifest, written=Writing(origin=dict(fit.origin)))
    check = DatasetCheck(names_of(output))
    source = check._source()[0]
    assert source
    state = replace(State.of(names_of(output), source.stream), asked=5000)
    for unknown in (Findings(state), Findings(replace(state, asked=None), source=source)):
        assert check._command(unknown) == "Run its job again, with its --count"
    said = check._command(Findings(state, source=replace(source, configuration=fit.configuration)))
    command = shlex.split(said.partition("generate.py ")[2])
    again = command_line.parse(command)
    assert pipeline.plan_fit(tiny.corpus(), again, {}).configuration == fit.configuration
    assert (again.count, again.seed, again.names, Path(again.output)) == (5000, 1, str(NAMES), output)


@pytest.mark.parametrize(
    ("wish", "options"),
    [
        (Wish(), ""),
        (Wish(Question(prefix="a b", suffix="c", contains="d", pattern="e|f")),
         "--prefix 'a b' --suffix c --contains d --pattern 'e|f'"),
        (Wish(Question(length=(4, None), without=("a",))), "--length 4- --without FILE"),
        (Wish(Question(length=(0, 8), block=("a",))), "--length 0-8 --block FILE"),
        (Wish(Question(novel=True), temperature=0.5), "--temperature 0.5 --novel"),
        (Wish(distinct=True), "--distinct"),
    ],
)  # fmt: skip
def test_the_options_of_what_was_asked_for(wish: Wish, options: str) -> None:
    assert " ".join(_options(wish)) == options


def test_a_repair_of_a_data_set_that_was_growing(output: Path) -> None:
    """A growth died with parts 4 to 8 in the journal, and part 3 is short: only that is made again."""
    folder = names_of(output)
    source = DatasetCheck(folder)._source()[0]
    assert source

    def dies(first: int, rows: int) -> pa.Table:
        if first == 9 * PART:
            raise KeyboardInterrupt
        return source.rows(first, rows)

    with pytest.raises(KeyboardInterrupt):
        write_dataset(folder, 4000, source.stream, dies, source.configuration)
    before = tree(output)
    (folder / "part-000003.parquet").write_bytes(b"PAR1")
    (problem,) = verify(folder, repair=True)
    assert "is unfinished" in problem
    assert tree(output) == before
    assert len(list(folder.iterdir())) == 9


def test_names_that_unpack_to_very_many(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file of a column that repeats is not unpacked, where nothing vouches for it."""
    monkeypatch.setattr("namegen.upkeep.model_check.MOST_UNCHECKED", 1000)
    before = tree(output)
    path = on_disk(place(output).path) / "names.parquet"
    pq.write_table(pa.table({"name": pa.array(["abc"] * 1001).dictionary_encode()}), path)
    with pytest.raises(ArtifactError, match="has more than 1,000 names"):
        place(output).names(1000)
    assert verify(output, repair=True) == []  # from the file that the manifest names
    assert tree(output) == before


def test_a_data_set_that_lies_apart_from_its_model(output: Path, tmp_path: Path) -> None:
    """It says so, and is right when the model is named; a model that is not its own is refused."""
    apart = tmp_path / "apart"
    for top in ("names", "datasets"):
        shutil.copytree(output / top, apart / top)
    alone = names_of(apart)
    (problem,) = verify(alone)
    assert "cannot be compared with its model, which is missing" in problem
    assert "name the model with --model" in problem
    assert verify(alone, model=on_disk(place(output).path), deep=True) == []
    (alone / "part-000004.parquet").unlink()
    assert len(verify(alone, model=on_disk(place(output).path))) == 1
    assert verify(alone, model=on_disk(place(output).path), repair=True) == []
    assert tree(apart / "names") == tree(output / "names")
    other = tmp_path / "other"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tiny.RECIPES, "kneser-ney", replace(tiny.RECIPES["kneser-ney"], order=3))
        job(other)
        (folder,) = (other / "models").glob("kneser-ney-*")
    before = tree(apart)
    for folders in (alone, names_of(output)):  # one typo must not replace names by those of another model
        assert "was not drawn from" in verify(folders, model=folder, repair=True)[0]
    assert tree(apart) == before
    shutil.rmtree(on_disk(place(output).path))
    before = tree(output)
    assert any("its model, which is missing" in problem for problem in verify(names_of(output), repair=True))
    assert tree(output) == before


def test_a_model_that_this_machine_makes_otherwise(output: Path) -> None:
    """A repair that would come to another automaton writes nothing, and says what is left to do."""
    rewrite(on_disk(place(output).path), ModelManifest, automaton_sha256="0" * 64)
    before = tree(output)
    problems = verify(on_disk(place(output).path), repair=True)
    assert any("fitted here, it is another model" in problem for problem in problems)
    assert tree(output) == before


def test_a_folder_where_a_job_is_busy(output: Path) -> None:
    """It is not looked at."""
    with alone_in(record_of(output)):
        (problem,) = verify(names_of(output))
    assert "a job is working in it" in problem
    assert verify(names_of(output)) == []


def test_a_job_that_began_in_the_meantime(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has not made yet is no fault."""
    (names_of(output) / "part-000002.parquet").unlink()
    busy = iter([False, True])
    monkeypatch.setattr("namegen.upkeep.verify.is_busy", lambda _: next(busy))
    (problem,) = verify(names_of(output))
    assert "a job is working in it" in problem


def test_a_tree_that_cannot_be_repaired_says_so(output: Path) -> None:
    """Nothing left says how many rows there were, or what the settings were."""
    shutil.rmtree(names_of(output, 2))
    shutil.rmtree(record_of(output, 2))
    for folder in (names_of(output), record_of(output)):
        for file in folder.iterdir():
            file.unlink()
    problems = verify(names_of(output), repair=True)
    assert any("is unfinished" in problem for problem in problems)
    (on_disk(place(output).path) / "manifest.json").unlink()
    problems = verify(on_disk(place(output).path), repair=True)
    assert any("has lost its settings" in problem for problem in problems)


def test_a_newer_format(output: Path) -> None:
    """It is left alone, and so is an older one."""
    for folder, record in ((names_of(output), record_of(output)), (on_disk(place(output).path),) * 2):
        file = record / "manifest.json"
        now = file.read_text()
        file.write_text(now.replace('"format_version": 4', '"format_version": 3'))
        assert any("has the old format version 3" in problem for problem in verify(folder))
        file.write_text(now.replace('"format_version": 4', '"format_version": 5'))
        before = tree(output)
        (problem,) = verify(folder, repair=True)
        assert "Upgrade namegen" in problem
        assert tree(output) == before


def test_what_is_no_data_set(tmp_path: Path) -> None:
    assert "there is no such folder" in verify(tmp_path / "none")[0]
    assert "holds no model and no data set" in verify(tmp_path)[0]


def test_places_that_are_no_folders(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, a name that no folder can have, and a disk that does not answer."""
    assert "test_damage.py: is not a folder. Name one that a job has printed" in verify(__file__)[0]
    for name in ("a\0b", "x" * 300):
        assert "there is no such folder" in verify(name)[0]

    numbers = [errno.EIO, errno.ESTALE]

    def fails(path: Path) -> bool:
        raise OSError(numbers[0], os.strerror(numbers.pop(0)), str(path))

    monkeypatch.setattr(Path, "is_dir", fails)
    for why in ("Input/output error", "Stale file handle"):
        (problem,) = verify(output)
        assert problem.startswith(f"{output}: cannot be read ({why})")


def test_what_is_logged(output: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A line for each folder that was checked, models first: what was compared, or how many faults there are."""
    caplog.set_level(logging.INFO, "namegen")
    one, two = (names_of(output, seed) for seed in SEEDS)
    job(output, count=PART, seed=3)
    caplog.clear()
    (one / "x").touch()
    (one / "y").touch()
    (two / "x").touch()
    assert [line.partition(": ")[0] for line in verify(output)] == [f"{one}/x", f"{one}/y", f"{two}/x"]
    model, *datasets = caplog.messages
    assert model.startswith(f"{place(output).path}: ")
    small = f"{names_of(output, 3)}: 200 names in 1 part, up to 4,096 rows of each compared with the model"
    assert sorted(datasets) == [f"{one}: 2 faults", f"{two}: 1 fault", small]
    caplog.clear()
    assert verify(one.parent, deep=True, repair=True) == []
    compared = "900 names in 5 parts, every row compared with the model"
    assert {f"{one}: {compared}", f"{two}: {compared}"} < set(caplog.messages)
    assert f"{one}/x is now {on_disk(aside_folder(one)) / 'x'}" in caplog.messages
    assert not any("were made again" in message for message in caplog.messages)
    check = DatasetCheck(one)
    assert check.faults() == []
    assert check.summary.endswith("up to 4,096 rows of each compared with the model")


@pytest.mark.parametrize("file", [None, "/x/y"])
def test_a_repair_that_fails(output: Path, monkeypatch: pytest.MonkeyPatch, file: str | None) -> None:
    """It says why, and of what; nothing is repaired that is right."""

    def full(_: DatasetCheck) -> None:
        raise OSError(errno.ENOSPC, "No space left", file)

    monkeypatch.setattr(DatasetCheck, "repair", full)
    assert verify(names_of(output), repair=True) == []
    (names_of(output) / "x").touch()
    assert len(verify(names_of(output))) == 1
    (problem,) = verify(names_of(output), repair=True)
    assert problem == f"{file or names_of(output)}: could not be repaired (No space left)."

    def newer(_: DatasetCheck) -> None:
        raise ArtifactError("of a newer kind", "a place", "Upgrade")

    monkeypatch.setattr(DatasetCheck, "repair", newer)
    assert verify(names_of(output), repair=True) == ["a place: of a newer kind. Upgrade."]


def test_a_folder_that_cannot_be_looked_at(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a fault of its own, and the others are looked at all the same."""
    scandir = os.scandir

    def fails(path: Path | str) -> object:
        if str(path).endswith("names"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", fails)
    on_disk(place(output).path / "names.parquet").unlink()
    first, second = verify(output)
    assert "names.parquet: is missing" in first
    assert second.startswith(f"{output / 'names'}: cannot be read (Permission denied)")
    monkeypatch.setattr("namegen.upkeep.verify.is_busy", lambda place: fails(place / "names"))
    (problem,) = verify(names_of(output))
    assert problem.startswith(f"{record_of(output) / 'names'}: cannot be read (Permission denied)")

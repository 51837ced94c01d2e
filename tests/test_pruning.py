"""Old data sets and models: which are found, and what is never touched."""

from __future__ import annotations

import errno
import os
import shutil
import time
from datetime import timedelta
from pathlib import Path

import pytest

import tiny
from conftest import on_disk, rewrite
from namegen import verify
from namegen.commands.main import main
from namegen.errors import ArtifactError, LeaseError, SettingError
from namegen.outputs import dataset
from namegen.outputs.dataset import DatasetManifest
from namegen.outputs.layout import dataset_folder, record_folder, report_folder
from namegen.outputs.manifests import Writing
from namegen.outputs.model_folder import ModelManifest
from namegen.outputs.room import readable_size
from namegen.storage.files import Location, location
from namegen.storage.leases import Lease
from namegen.storage.locks import alone_in
from namegen.storage.object_store import EXTRAS, RemotePath
from namegen.upkeep import prune as pruning
from namegen.upkeep.prune import Pruned, find_old


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five nights of one model, 1 to 5 October, and a model that has no names."""
    output = tmp_path_factory.mktemp("pruning") / "o"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "PART_ROWS", tiny.PART)
        for seed in range(1, 6):
            tiny.job(output, count=300, seed=seed)
        for seed in range(1, 6):
            written = Writing(at=f"2026-10-0{seed}T03:00:00+02:00")
            rewrite(night(output, seed), DatasetManifest, written=written)
        model = output / "models" / tiny.place(output).path.name
        rewrite(model, ModelManifest, written=Writing(at="2026-10-01T02:00:00+02:00"))
    return output


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "PART_ROWS", tiny.PART)


@pytest.fixture
def output(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "o"))


def night(output: Path, seed: int) -> Path:
    return dataset_folder(output, tiny.place(output).path.name, seed)


def record(output: Path, seed: int) -> Path:
    return on_disk(record_folder(night(output, seed)))


def put(made: Path, output: RemotePath) -> None:
    for file in made.rglob("*"):
        if file.is_file() and file.name != ".lock":
            (output / str(file.relative_to(made))).write_bytes(file.read_bytes())


def prune(output: Location, keep: int, *, remove: bool = False) -> Pruned:
    """What is old; what was removed in the end, if it is to be."""
    pruned = find_old(output, keep)
    if remove:
        pruned.removable = list(pruning.remove(output, pruned))
    return pruned


def names(pruned: Pruned) -> list[str]:
    return sorted(old.path.name for old in pruned.removable)


def everything(output: Path) -> set[str]:
    return {str(path.relative_to(output)) for path in output.rglob("*") if path.name != ".lock"}


def test_dry_by_default(output: Path) -> None:
    """It says what it would remove, and touches nothing."""
    before = everything(output)
    assert names(prune(output, 2)) == ["seed=1", "seed=2", "seed=3"]
    assert everything(output) == before


def test_the_newest_stay(output: Path) -> None:
    """With the model that they come from; what is left is whole, and a second call finds nothing."""
    assert names(prune(output, 2, remove=True)) == ["seed=1", "seed=2", "seed=3"]
    assert sorted(path.name for path in night(output, 4).parent.iterdir()) == ["seed=4", "seed=5"]
    assert verify(output) == []
    assert names(prune(output, 2, remove=True)) == []
    assert names(prune(output, 5, remove=True)) == []


def test_a_model_goes_with_its_last_data_set(output: Path) -> None:
    model = tiny.place(output).path.name
    assert names(prune(output, 0, remove=True)) == [model, *(f"seed={seed}" for seed in range(1, 6))]
    assert not [
        path for path in (*(output / "models").iterdir(), *(output / "names").iterdir()) if path.name != ".lock"
    ]


def test_a_model_that_no_data_set_is_of_yet(output: Path) -> None:
    """It is old only if it is older than what is kept."""
    for seed in range(1, 6):
        shutil.rmtree(night(output, seed))
        shutil.rmtree(record(output, seed))
    assert names(prune(output, 1)) == []


def test_what_a_job_is_busy_in_stays(output: Path) -> None:
    """And its model with it, also where nothing else is kept."""
    with alone_in(record(output, 2)):
        pruned = prune(output, 0, remove=True)
    assert [old.path.name for old in pruned.busy] == ["seed=2"]
    assert names(pruned) == ["seed=1", "seed=3", "seed=4", "seed=5"]
    assert verify(output) == []


def test_what_a_job_has_added_to_in_the_meantime_stays(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the removal."""
    monkeypatch.setattr("namegen.upkeep.prune.is_busy", lambda path: tiny.job(output, count=500, seed=1) and False)
    assert "seed=1" not in names(prune(output, 3, remove=True))
    assert night(output, 1).is_dir()


def test_an_unfinished_one_that_is_new_stays(output: Path) -> None:
    """The job may be run again; what was left before the oldest that is kept is old."""
    for seed in (1, 5):
        for name in ("manifest.json", "manifest.copy.json"):
            (record(output, seed) / name).unlink()
    assert names(prune(output, 2)) == ["seed=2"]


@pytest.mark.parametrize(("minutes", "is_old"), [(9, False), (11, True)])
def test_when_an_unfinished_one_is_old(output: Path, minutes: float, is_old: bool) -> None:  # noqa: FBT001 - pytest
    """If nothing was added for ten minutes to its parts, nor to its record."""
    for name in ("manifest.json", "manifest.copy.json"):
        (record(output, 1) / name).unlink()
    for one, other in ((night(output, 1), record(output, 1)), (record(output, 1), night(output, 1))):
        os.utime(one, (0, time.time() - 60 * minutes))
        os.utime(other, (0, 86400))
        assert ("seed=1" in names(prune(output, 0))) == is_old


def test_what_a_line_says(output: Path) -> None:
    """The place, the names, the size of parts and record, and when they were made; or that it is unfinished."""
    (night(output, 1) / f".empty.{32 * '0'}.tmp").touch()
    size = sum(file.stat().st_size for folder in (night(output, 1), record(output, 1)) for file in folder.iterdir())
    (old,) = prune(output, 4).removable
    assert (old.rows, old.size) == (300, size)
    made = "2026-10-01T01:00:00+00:00"
    assert str(old) == f"{night(output, 1)} (300 names, {readable_size(size)}, {made})"
    for name in ("manifest.json", "manifest.copy.json"):
        (record(output, 1) / name).unlink()
    os.utime(night(output, 1), (0, 86400))
    os.utime(record(output, 1), (0, 86400))
    *_, unfinished, model = prune(output, 0).removable
    assert str(unfinished) == f"{night(output, 1)} (unfinished, {readable_size(unfinished.size)})"
    assert str(model) == f"{model.path} (a model, {readable_size(model.size)}, 2026-10-01T00:00:00+00:00)"


def test_what_begins_in_the_meantime(output: Path) -> None:
    """A model of which names are being made again stays, also where they lie in the record alone."""
    model = on_disk(tiny.place(output).path)
    for folder in (night(output, 9), record(output, 9)):
        pruned = find_old(output, 0)
        folder.mkdir(parents=True)
        (folder / "file").touch()
        removed = [old.path for old in pruning.remove(output, pruned)]
        assert pruned.removable[-1].path == model
        assert model not in removed
        assert model.is_dir()
        shutil.rmtree(folder)


def test_what_is_ours(output: Path) -> None:
    """What dead jobs left is; another file is not, in the record and in the model's folder neither."""
    model = on_disk(tiny.place(output).path)
    for folder in (night(output, 1), record(output, 1), model):
        (folder / f".file.{32 * '0'}.tmp").touch()
    assert prune(output, 0).foreign == []
    for folder, foreign in (
        (night(output, 1), night(output, 1)),
        (record(output, 1), night(output, 1)),
        (model, model),
    ):
        for name in ("mine", "journal-0.jsonl", ".removed-1"):
            (folder / name).touch()
            assert [old.path for old in prune(output, 0).foreign] == [foreign]
            (folder / name).unlink()
    (output / ".removed-1").mkdir()
    assert len(prune(output, 0, remove=True).removable) == 6
    assert (output / ".removed-1").is_dir()


def test_what_a_newer_version_made_is_not_judged(output: Path) -> None:
    (record(output, 1) / "manifest.json").write_text('{"format_version": 5}')
    with pytest.raises(ArtifactError, match="Upgrade namegen"):
        prune(output, 1, remove=True)
    assert night(output, 2).is_dir()


def test_a_folder_with_a_file_s_name_is_not_ours(output: Path) -> None:
    """Whatever is in it."""
    (night(output, 1) / "part-000009.parquet").mkdir()
    precious = night(output, 1) / "part-000009.parquet" / "precious"
    precious.touch()
    pruned = prune(output, 1, remove=True)
    assert [old.path for old in pruned.foreign] == [night(output, 1)]
    assert precious.exists()


def test_a_model_stays_with_what_is_left_of_its_names(output: Path, tmp_path: Path) -> None:
    """Of a data set behind a link, say, or one that has begun a moment ago."""
    night(output, 1).rename(tmp_path / "moved")
    night(output, 1).symlink_to(tmp_path / "moved")
    model = on_disk(tiny.place(output).path)
    assert model not in [old.path for old in prune(output, 0, remove=True).removable]
    night(output, 1).unlink()
    night(output, 7).mkdir(parents=True)
    assert names(prune(output, 0, remove=True)) == ["seed=1"]  # the record of what lay behind the link
    night(output, 7).rmdir()
    assert [old.path for old in prune(output, 0, remove=True).removable] == [model]


def test_one_that_cannot_be_removed(
    output: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named, with the reason; the others are removed, and each is told when it is."""
    rename = Path.rename

    def unless_it_is_the_second(path: Path, target: Path) -> Path:
        if path == night(output, 2):
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", unless_it_is_the_second)
    assert main(["prune", str(output), "--keep", "1", "--yes"]) == 1
    said = capsys.readouterr()
    assert f"{night(output, 2)}: could not be removed (Permission denied). Check the permissions." in said.err
    assert [line.split()[1] for line in said.out.splitlines()] == [str(night(output, seed)) for seed in (4, 3, 1)]
    assert night(output, 2).is_dir()


def test_other_things_stay(output: Path) -> None:
    """A folder with something else in it, what a link leads to, and whatever lies beside."""
    (night(output, 1) / "notes.txt").write_text("mine")
    (output / "names" / "mine").mkdir()
    elsewhere = output.parent / "elsewhere"
    night(output, 2).rename(elsewhere)
    night(output, 2).symlink_to(elsewhere)
    pruned = prune(output, 1, remove=True)
    assert [old.path.name for old in pruned.foreign] == ["seed=1"]
    assert names(pruned) == ["seed=3", "seed=4"]
    assert (night(output, 1) / "notes.txt").read_text() == "mine"
    assert (output / "names" / "mine").is_dir()
    assert any(elsewhere.iterdir())


def test_what_a_call_that_died_has_left_goes(output: Path) -> None:
    night(output, 1).rename(output / f".removed-{'0' * 32}")
    prune(output, 4, remove=True)
    assert not list(output.rglob(".removed-*"))


def test_in_a_store(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk."""
    monkeypatch.setenv("NAMEGEN_LEASE_SECONDS", "1")
    monkeypatch.setitem(EXTRAS, "memory", "")  # which nobody but this process sees
    output = location("memory://bucket/pruning")
    assert isinstance(output, RemotePath)
    put(made, output)
    assert names(prune(output, 3)) == ["seed=1", "seed=2"]
    assert names(prune(output, 3, remove=True)) == ["seed=1", "seed=2"]
    assert verify(output) == []
    prune(output, 0, remove=True)
    assert list(output.files_below()) == []


def test_a_lock_that_was_lost_in_a_store(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more is removed, and the line says why."""
    monkeypatch.setenv("NAMEGEN_LEASE_SECONDS", "1")
    monkeypatch.setitem(EXTRAS, "memory", "")
    output = location("memory://bucket/lost")
    assert isinstance(output, RemotePath)
    put(made, output)
    before = [name for _, names in output.files_below() for name in names]

    def fails(_: object) -> None:
        raise LeaseError("was taken over by another job")

    monkeypatch.setattr("namegen.storage.leases.Lease.check", fails)
    pruned = find_old(output, 4)
    assert list(pruning.remove(output, pruned)) == []
    assert [(old.path.name, why) for old, why in pruned.failed] == [("seed=1", "was taken over by another job")]
    left = [name for _, names in output.files_below() for name in names]
    assert sorted(left) == sorted([*before, ".lock", ".lock"])


def test_a_call_that_died_in_a_store(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers see at once that the data set is gone, and the next call goes on."""
    monkeypatch.setenv("NAMEGEN_LEASE_SECONDS", "1")
    monkeypatch.setitem(EXTRAS, "memory", "")
    output = location("memory://bucket/died")
    assert isinstance(output, RemotePath)
    put(made, output)
    unlink, removed = RemotePath.unlink, []

    def dies(path: RemotePath, missing_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - as Path has it
        if path.name != ".lock":
            removed.append(path.name)
            if len(removed) == 2:
                raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(RemotePath, "unlink", dies)
        with pytest.raises(KeyboardInterrupt):
            prune(output, 4, remove=True)
    assert removed == ["manifest.json", "part-000000.parquet"]
    assert names(prune(output, 4, remove=True)) == ["seed=1"]
    assert not [path for path, _ in output.files_below() if "seed=1" in str(path)]


def test_the_lock_of_a_frozen_job(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody renews it, so the model goes; when the job wakes up, it finds that its lock is not its own any more."""
    monkeypatch.setattr(pruning, "BETWEEN_STEPS", timedelta(0))
    monkeypatch.setenv("NAMEGEN_LEASE_SECONDS", "1")
    monkeypatch.setitem(EXTRAS, "memory", "")
    output = location("memory://bucket/frozen")
    assert isinstance(output, RemotePath)
    put(made, output)
    frozen = Lease(output / "datasets" / f"model={tiny.place(output).path.name}" / "seed=9")
    frozen.acquire()
    prune(output, 0, remove=True)
    assert not tiny.place(output).path.is_dir()
    frozen._written = time.monotonic()  # its own clock stood still
    with pytest.raises(LeaseError, match="was taken over"):
        frozen.check()


def test_a_reader_that_has_enough(
    output: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was begun is done all the same, pages included; that nobody could be told is all that failed."""
    pages = [on_disk(report_folder(night(output, seed))) for seed in (1, 2)]
    for page in pages:
        page.mkdir(parents=True)
        (page / "report.html").touch()

    def full(line: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", line)

    monkeypatch.setattr("namegen.commands.prune.click.echo", full)
    assert main(["prune", str(output), "--keep", "3", "--yes"]) == 1
    assert "No space left" in capsys.readouterr().err
    assert not any(path.exists() for path in (night(output, 1), night(output, 2), *pages))
    assert night(output, 3).exists()


def test_the_command(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What would be or was removed on stdout, all else on stderr; 2 for what is no output folder."""
    assert main(["prune", str(output), "--keep", "4"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"would remove {night(output, 1)} (300 names, ")
    assert "2026-10-01T01:00:00+00:00)" in out
    assert "--yes removes them" in err
    assert main(["prune", str(output), "--keep", "4", "--yes", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert (out.partition(" (")[0], err) == (f"removed {night(output, 1)}", "")
    assert main(["prune", str(output / "nothing"), "--keep", "4"]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    with pytest.raises(SettingError, match="cannot be negative: -1"):
        prune(output, -1)
    with pytest.raises(ArtifactError):
        prune(output / "nothing", 1)

"""Data sets that are asked for more than a plain stream: in their place, with all that holds for plain ones."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

import command_line
import namegen
import tiny
from conftest import on_disk
from generate import generate
from namegen import pipeline
from namegen.errors import NamegenError, SettingError
from namegen.outputs import dataset, layout, ranges
from namegen.outputs.dataset import DatasetManifest
from namegen.outputs.manifests import open_manifest
from namegen.outputs.rows import Source
from namegen.outputs.wish import FILE, Wish, wish_of
from namegen.parameters import Parameters
from namegen.questions import race
from namegen.questions.question import Question
from namegen.upkeep.prune import find_old, remove
from namegen.upkeep.verify import verify

MANY = Wish(Question(length=(4, None), novel=True, block=("aa", "ii")), temperature=1.2)
ONCE = Wish(Question(prefix="a"), distinct=True)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "PART_ROWS", tiny.PART)
    monkeypatch.setattr(race, "AHEAD", 3 * tiny.PART)


def names_of(output: Path, wish: Wish) -> Path:
    folder = tiny.plan(output, wish=wish).names
    assert isinstance(folder, Path)
    return folder


@pytest.mark.parametrize("wish", [MANY, ONCE], ids=["many", "once"])
def test_all_that_holds_for_plain_ones(wish: Wish, tmp_path: Path) -> None:
    """Growing gives the bytes of one job; a check finds no fault; a repair and a job make what is missing."""
    tiny.job(tmp_path / "grown", count=500, wish=wish)
    tiny.job(tmp_path / "grown", count=900, wish=wish)
    tiny.job(tmp_path / "once", count=900, wish=wish)
    whole = tiny.tree(tmp_path / "once")
    assert tiny.tree(tmp_path / "grown") == whole
    assert verify(tmp_path / "once", deep=True) == []

    folder = names_of(tmp_path / "once", wish)
    rows = pl.read_parquet(folder / "*.parquet")
    asked = namegen.load(folder)
    expected = asked.distinct(900, seed=1) if wish.distinct else asked.sample(900, seed=1)
    assert rows.drop("is_novel").equals(expected)
    assert asked.asked

    (folder / "part-000001.parquet").write_bytes(b"?")
    (folder / "part-000003.parquet").unlink()
    assert len(verify(tmp_path / "once")) == 2
    assert verify(tmp_path / "once", repair=True) == []
    (folder / "part-000002.parquet").unlink()
    tiny.job(tmp_path / "once", count=900, wish=wish)
    assert tiny.tree(tmp_path / "once") == whole


def test_where_it_lies(tmp_path: Path) -> None:
    """Beside the plain one, with the same two keys for readers; its manifest says in words what was asked."""
    tiny.job(tmp_path)
    tiny.job(tmp_path, wish=ONCE)
    folder = names_of(tmp_path, ONCE)
    assert folder.parent.name == f"model={tiny.place(tmp_path).path.name}+{ONCE.key}"
    assert (layout.model_of(folder), layout.key_of(folder)) == (tiny.place(tmp_path).path.name, ONCE.key)
    read = pl.read_parquet(tmp_path / "names" / "**" / "*.parquet", hive_partitioning=True)
    assert read["model"].n_unique() == 2
    manifest = open_manifest(folder, DatasetManifest).sound()
    assert manifest
    assert manifest.configuration["asked"]["words"] == "begins with 'a', each name once"
    assert 0.05 < manifest.configuration["asked"]["probability"] < 0.4
    assert wish_of(folder) == ONCE


def test_the_key_is_of_what_is_asked(tmp_path: Path) -> None:
    """Of the names in a list, not of its path; in any order, and with names twice."""
    (tmp_path / "a.txt").write_text("mia\nava\n")
    (tmp_path / "b.csv").write_text("name\nava\nmia\nava\n")
    one, two = (Wish.of(Parameters(without=str(tmp_path / file), length="5")) for file in ("a.txt", "b.csv"))
    assert one.key == two.key
    assert one.text == '{"question": {"length": [5, 5], "without": ["ava", "mia"]}}'
    assert Wish.of(Parameters()).key == ""
    assert len({one.key, Wish.of(Parameters(length="5")).key, MANY.key, ONCE.key}) == 4


def test_a_job_that_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is resumed to the same bytes, and until then a check says how."""
    tiny.job(tmp_path / "whole", wish=MANY)
    drawn = Source.rows

    def dies(self: Source, first: int, count: int) -> object:
        if first >= 2 * tiny.PART:
            raise KeyboardInterrupt
        return drawn(self, first, count)

    with monkeypatch.context() as patched:
        patched.setattr(Source, "rows", dies)
        with pytest.raises(KeyboardInterrupt):
            tiny.job(tmp_path / "cut", wish=MANY)
    (fault,) = verify(tmp_path / "cut")
    assert "--length 4- --temperature 1.2 --block FILE --novel" in fault
    tiny.job(tmp_path / "cut", wish=MANY)
    assert tiny.tree(tmp_path / "cut") == tiny.tree(tmp_path / "whole")


def test_a_lost_question(tmp_path: Path) -> None:
    """A check says so, whatever is wrong with it; nothing is touched, and the job puts it back."""
    tiny.job(tmp_path, wish=ONCE)
    whole = tiny.tree(tmp_path)
    file = layout.record_folder(names_of(tmp_path, ONCE)) / FILE
    assert isinstance(file, Path)
    for wrong, why in (
        (None, "is missing"),
        ("{", "is no question"),
        ("5", "is no question"),
        ('{"question": {"prefix": 5}}', "is another question"),
        ('{"distinct": true}', "is another question"),
    ):
        file.unlink()
        if wrong:
            file.write_text(wrong)
        assert any(why in str(fault) for fault in verify(tmp_path)), wrong
        verify(tmp_path, repair=True)
        tiny.job(tmp_path, wish=ONCE)
        assert tiny.tree(tmp_path) == whole
    file.unlink()
    with pytest.raises(NamegenError, match="is missing"):
        namegen.load(names_of(tmp_path, ONCE))


def test_more_than_there_are(tmp_path: Path) -> None:
    """Refused with their number, and before any part is made."""
    few = Wish(Question(pattern="an(n|)a"), distinct=True)
    with pytest.raises(SettingError, match="there are only 2 names, but 900 are asked for"):
        tiny.job(tmp_path, wish=few)
    assert not list((tmp_path / "names").rglob("*.parquet"))
    assert tiny.job(tmp_path, count=2, wish=few).rows == 2
    with pytest.raises(SettingError, match="no name of the model begins with 'qqqq'"):
        tiny.job(tmp_path, wish=Wish(Question(prefix="qqqq", length=(2, 3))))


def test_prune_knows_its_model(tmp_path: Path) -> None:
    """A model stays as long as a data set of it does, and goes with the last one."""
    tiny.job(tmp_path, wish=ONCE)
    assert [old.path for old in find_old(tmp_path, 1).removable] == []
    pruned = find_old(tmp_path, 0)
    assert len(list(remove(tmp_path, pruned))) == 2
    assert not [path for path in tmp_path.rglob("*.parquet") if "names.parquet" not in path.name]
    assert not (tmp_path / "models" / tiny.place(tmp_path).path.name).exists()


def test_a_model_that_only_its_answers_describe(tmp_path: Path) -> None:
    """A model that lost its manifest is fitted again by what the data set's says."""
    tiny.job(tmp_path, wish=ONCE)
    whole = tiny.tree(tmp_path)
    (on_disk(tiny.place(tmp_path).path) / "manifest.json").unlink()
    assert verify(tmp_path, repair=True) == []
    assert tiny.tree(tmp_path) == whole


def test_a_worker_asks_the_same(tmp_path: Path) -> None:
    """A process of an engine finds the question in the data set's record."""
    tiny.job(tmp_path, wish=ONCE)
    folder = names_of(tmp_path, ONCE)
    manifest = open_manifest(folder, DatasetManifest).sound()
    assert manifest
    model = str(tiny.place(tmp_path).path)
    source = ranges._source(str(folder), model, 1, "cpu", manifest.stream["automaton_sha256"])
    assert source.stream == manifest.stream
    later, earlier = source.rows(700, 100), source.rows(100, 100)
    rows = pl.read_parquet(folder / "*.parquet")
    assert pl.DataFrame(pl.from_arrow(later)).equals(rows[700:800])
    assert pl.DataFrame(pl.from_arrow(earlier)).equals(rows[100:200])


@pytest.mark.usefixtures("prefect_server")
def test_the_flow(tmp_path: Path) -> None:
    """From the words on the command line to the files."""
    names = tmp_path / "names.txt"
    names.write_text("\n".join(tiny.corpus().names))
    words = "--model kneser-ney --no-report --prefix ma --length 4-7 --novel --distinct --count 300 --temperature 0.9"
    parameters = command_line.parse([*words.split(), "--names", str(names), "--output", str(tmp_path / "out")])
    folder = on_disk(generate(**parameters.model_dump()).names)
    rows = pl.read_parquet(folder / "*.parquet")
    assert rows["name"].n_unique() == len(rows) == 300
    assert rows["name"].str.starts_with("ma").all()
    assert rows["name"].str.len_chars().is_between(4, 7).all()
    assert rows["is_novel"].all()
    question = on_disk(layout.record_folder(folder) / FILE)
    assert json.loads(question.read_text())["temperature"] == 0.9
    with pytest.raises(SettingError, match="has looking ahead or behind at character 2"):
        pipeline.plan(parameters.model_copy(update={"pattern": "m(?=a)"}))

"""`namegen` sample, score, explain and inspect: real names, pipes, formats, and what they say of bad input."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import namegen
import tiny
from conftest import NAMEGEN, ROOT, inside, on_disk
from namegen.commands.main import NAMES, group, main
from namegen.commands.sample import FEW
from namegen.outputs.layout import record_folder


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and a data set."""
    output = tmp_path_factory.mktemp("commands") / "o"
    tiny.job(output)
    return output


@pytest.fixture(scope="module")
def loaded(output: Path) -> namegen.Model:
    return namegen.load(on_disk(tiny.place(output).path))


def run(*arguments: object, stdin: bytes = b"") -> bytes:
    """The real command's stdout; whatever goes wrong is shown."""
    done = subprocess.run([*NAMEGEN, *map(str, arguments)], cwd=ROOT, input=stdin, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


@pytest.mark.parametrize("count", [0, 3, FEW + 1])
def test_sample(output: Path, loaded: namegen.Model, count: int, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """Every format holds the same rows, which are those of the API, few of them or many."""
    listed = pl.read_parquet(on_disk(tiny.place(output).path) / "names.parquet")["name"]
    expected = loaded.sample(count, seed=7, first=5).with_columns(is_novel=~pl.col("name").is_in(listed.to_list()))
    drawn = {}
    for form in ("csv", "jsonl", "names", "table", "parquet", "arrow"):
        arguments = ("sample", output, "--count", count, "--seed", 7, "--first", 5, "--format", form)
        drawn[form] = inside(capsysbinary, *arguments)
    schema = expected.schema
    assert pl.read_csv(drawn["csv"], schema=schema).equals(expected)
    assert pl.read_ndjson(io.BytesIO(drawn["jsonl"]), schema=schema).equals(expected)
    assert pl.read_parquet(io.BytesIO(drawn["parquet"])).equals(expected)
    assert pl.read_ipc_stream(io.BytesIO(drawn["arrow"])).equals(expected)
    assert drawn["names"].decode().splitlines() == expected["name"].to_list()
    assert [line.split()[1] for line in drawn["table"].decode().splitlines()[1:]] == expected["name"].to_list()


def test_questions(output: Path, loaded: namegen.Model, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """The words of `Model.where`, of the other commands, too."""
    asked = loaded.temper(0.9).where(prefix="ma", length=(4, 8), novel=True)
    question = ("--prefix", "ma", "--length", "4-8", "--novel", "--temperature", "0.9")
    drawn = pl.read_csv(inside(capsysbinary, "sample", output, *question, "--format", "csv"))
    assert drawn.drop("is_novel").equals(asked.sample(10))
    assert drawn["is_novel"].all()
    once = pl.read_csv(inside(capsysbinary, "sample", output, *question, "--distinct", "--count", 300))
    assert once.drop("is_novel").equals(asked.distinct(300))
    best = pl.read_csv(inside(capsysbinary, "top", output, 5, *question))
    assert best.equals(asked.top(5))
    shown = json.loads(inside(capsysbinary, "inspect", output, *question, "--json"))
    assert shown["asked"] == "at temperature 0.9, begins with 'ma', has 4 to 8 characters, is not on the model's list"
    assert shown["probability"] == asked.probability
    assert shown["names"]["share_novel"] == pytest.approx(1)
    assert main(["sample", str(output), "--length", "x"]) == 2
    assert b"length 'x' is no length" in capsysbinary.readouterr().err


def test_score_of_a_pipe(output: Path, loaded: namegen.Model) -> None:
    """A row for each line, in order: odd ones, too, and the last one without an end."""
    lines = ["emma", "Zoë", "", "a\tb", "мария", "\x1b[31m", 'a"b,c', "x" * 80, " emma", "emma"]
    data = "\ufeff" + "\n".join(lines[:2]) + "\r\n" + "\n".join(lines[2:])
    scored = pl.read_csv(run("score", "--quiet", output, stdin=data.encode()))
    scored = scored.with_columns(pl.col("name").fill_null(""))
    assert scored["name"].to_list() == lines
    assert scored["log_prob"].to_list() == loaded.score(lines)
    assert pl.read_csv(run("score", output)).is_empty()
    done = subprocess.run([*NAMEGEN, "score", output], cwd=ROOT, input=b"emma\nEmma", capture_output=True, check=True)
    assert done.stderr == b"The model cannot spell 1 of 2 names: -inf\n"


def test_score_of_files(output: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """What was drawn has just the log-probability that it was drawn with, from Parquet and from text."""
    (part,) = output.rglob("part-*.parquet")
    drawn = pl.read_parquet(part)
    text = tmp_path / "names.txt"
    text.write_text("".join(f"{name}\n" for name in drawn["name"]))
    for file in (part, text):
        scored = pl.read_parquet(io.BytesIO(inside(capsysbinary, "score", output, file, "--format", "parquet")))
        assert scored.equals(drawn.select("name", "log_prob"))
    with part.open("rb") as opened:
        done = subprocess.run([*NAMEGEN, "score", output, "-"], cwd=ROOT, stdin=opened, capture_output=True, check=True)
    assert pl.read_csv(done.stdout)["log_prob"].equals(drawn["log_prob"])
    piped: list[str | Path] = ["bash", "-c", '"$@" < <(cat "$0") --format parquet', part, *NAMEGEN, "score", output]
    done = subprocess.run(piped, cwd=ROOT, capture_output=True, check=True)
    assert pl.read_parquet(done.stdout).equals(drawn.select("name", "log_prob"))
    other = tmp_path / "other.parquet"
    pl.DataFrame({"who": pl.Series(["emma", None], dtype=pl.Categorical)}).write_parquet(other)
    rows = inside(capsysbinary, "score", output, other, "--column", "who", "--format", "jsonl").splitlines()
    assert json.loads(rows[1]) == {"name": None, "log_prob": None}


def test_explain(output: Path, loaded: namegen.Model, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """A line a symbol and its context, and the sum."""
    lines = inside(capsysbinary, "explain", output, "mia").decode().splitlines()
    assert [line.split()[:3:2] for line in lines[1:5]] == [[".", "m"], [".m", "i"], [".mi", "a"], ["mia", "."]]
    assert f"log-probability {loaded.score('mia'):.6f} nats" in lines[-1]
    lines = inside(capsysbinary, "explain", output, "m\x1b[31mé").decode().splitlines()
    assert "\\x1b" in lines[2]
    assert lines[-1] == "log-probability -inf: none of the model's names has a “\\x1b”"
    lines = inside(capsysbinary, "explain", output, "").decode().splitlines()
    assert lines[-1] == "log-probability -inf: “.” cannot follow here"


@pytest.mark.parametrize("damage", ["gone", "cut", "of another"])
@pytest.mark.parametrize("table", ["evaluation", "training", "part"])
def test_what_a_page_is_drawn_from_is_checked(
    output: Path, tmp_path: Path, table: str, damage: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Nothing is shown of a file that is not the one that was written: a line names it, and how to mend it."""
    own = Path(shutil.copytree(output, tmp_path / "o"))
    (file,) = own.rglob("part-000000.parquet" if table == "part" else f"{table}.parquet")
    (other,) = own.rglob("bigrams.parquet")
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:1000] if damage == "cut" else other.read_bytes())
    commands = ["report", "inspect"] if table == "evaluation" else ["report"]
    for command in commands:
        said = inside(capsysbinary, command, file.parent, code=2).decode()
        assert said.startswith(f"namegen: error: {file}: {'is missing' if damage == 'gone' else 'was altered'}")
        assert f"namegen verify --repair {file.parent}" in said


def test_an_unfinished_data_set(output: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    own = Path(shutil.copytree(output, tmp_path / "o"))
    (folder,) = (own / "names").glob("*/*")
    (record_folder(folder) / "manifest.json").unlink()
    for command in ("sample", "inspect", "report"):
        assert b"is an unfinished data set. Run its job again" in inside(capsysbinary, command, folder, code=2)


def test_inspect(output: Path, loaded: namegen.Model, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """A model, its automaton alone, and a data set; as JSON, and for the eye."""
    model = on_disk(tiny.place(output).path)
    (names,) = (output / "names").glob("*/*")
    found = {path: json.loads(inside(capsysbinary, "inspect", path, "--json")) for path in (output, model, names)}
    assert found[output] == found[model]
    assert found[model]["kind"] == "model"
    assert found[model]["automaton_sha256"] == found[names]["automaton_sha256"] == loaded.automaton.sha256
    assert found[model]["states"] == loaded.automaton.states
    evaluation = pl.read_parquet(model / "evaluation.parquet")
    own = evaluation.filter(model="kneser-ney", source="automaton", split="test", subset="all")
    assert found[model]["figures"]["nll_test_all"] == own["nll"].item()
    assert (found[names]["kind"], found[names]["rows"], found[names]["seed"]) == ("data set", 900, 1)
    alone = json.loads(inside(capsysbinary, "inspect", model / "automaton.safetensors", "--json"))
    assert alone["kind"] == "model"
    assert b"kneser-ney" in inside(capsysbinary, "inspect", names)


def test_the_model_of_a_data_set(output: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """A data set leads to its model; without that, or beside another, it says so."""
    (names,) = (output / "names").glob("*/*")
    model = on_disk(tiny.place(output).path)
    by_names, by_model = (inside(capsysbinary, "sample", path) for path in (names, model))
    assert by_names == by_model
    moved = tmp_path / "names" / names.parent.name / names.name
    moved.parent.mkdir(parents=True)
    moved.symlink_to(names)
    shutil.copytree(on_disk(record_folder(names)), on_disk(record_folder(moved)))
    for command in ("sample", "report"):
        assert b"is not in the same output folder" in inside(capsysbinary, command, moved, code=2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sample", "none"], "there is no such file or folder"),
        (["sample", "a\0b"], "there is no such file"),
        (["sample", "README.md"], "is cut short or not an automaton"),
        (["sample", "flows"], "holds no model"),
        (["inspect", "README.md"], "not an automaton"),
        (["report", "README.md"], "is a file"),
        (["explain", "s4://bucket/model", "emma"], "s4:// is not supported"),
        (["sample", "OUTPUT", "--count", "-1"], "--count"),
        (["sample", "OUTPUT", "--seed", "18446744073709551616"], "--seed"),
        (["sample", "OUTPUT", "--first", "9223372036854775807"], "2^63-1"),
        (["sample", "OUTPUT", "--format", "xml"], "--format"),
        (["explain", "OUTPUT", "-emma"], "put -- before a name that begins with a hyphen"),
        (["score", "OUTPUT", "none.txt"], "none.txt: there is no such file"),
        (["score", "OUTPUT", "none.parquet"], "none.parquet: there is no such file"),
        (["score", "OUTPUT", "."], "is a folder"),
        (["score", "OUTPUT", "MODEL/automaton.safetensors"], "is not UTF-8"),
        (["score", "OUTPUT", "MODEL/names.parquet", "--column", "nam\x1be"], "it has name"),
        (
            ["score", "OUTPUT", "MODEL/bigrams.parquet", "--column", "count"],
            "has no text in the column 'count', but Int64",
        ),
        (["score", "OUTPUT", "README.md", "--column", "name"], "README.md: cannot be read as a table"),
        (["score", "OUTPUT", "FAKE-cut"], "cannot be read as parquet"),
        (["score", "OUTPUT", "FAKE-twice"], "has several columns 'name'"),
        (["score", "OUTPUT", "FAKE-latin"], "UTF8"),
    ],
)
def test_bad_input(
    output: Path, tmp_path: Path, arguments: list[str], says: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """One line that says what, where and what to do; exit code 2."""
    (tmp_path / "fake-cut").write_bytes(b"PAR1emma")
    latin = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xe9")])
    pq.write_table(pa.table([latin], ["name"]), tmp_path / "fake-latin")
    pq.write_table(pa.table([["emma"], ["mia"]], ["name", "name"]), tmp_path / "fake-twice")
    real = {"OUTPUT": str(output), "MODEL": str(tiny.place(output).path), "FAKE": str(tmp_path / "fake")}
    for word, path in real.items():
        arguments = [argument.replace(word, path) for argument in arguments]
    line = inside(capsysbinary, *arguments, code=2).decode()
    assert says in line
    assert (line.count("\n"), "\x1b" in line) == (1, False)


def test_what_is_imported(output: Path) -> None:
    """No command needs torch or Prefect, and a few names are drawn without compiled code."""
    program = f"""
import sys
from namegen.commands.main import main
heavy = {{"torch", "prefect", "pandas", "numba", "matplotlib"}}
for command in ("sample --count 2", "inspect --json"):
    print(main([*command.split(), {str(output)!r}]), sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    last = [line for line in done.stdout.splitlines() if line.startswith("0 [")]
    assert last[-2:] == ["0 []", "0 ['numba']"]


def test_help_and_completion() -> None:
    """Each command has its help; the shell completes commands and options."""
    for name in NAMES:
        shown = CliRunner().invoke(group, [name, "--help"])
        assert shown.exit_code == 0
        assert "Usage: " in shown.output
        assert "--quiet" in shown.output
    for typed, offered in (
        ("namegen ex", "plain,explain"),
        ("namegen sample --co", "plain,--count\nplain,--contains"),
        ("namegen sample ou", "file,ou"),
        ("namegen score outputs na", "file,na"),
        ("namegen report outputs --to re", "file,re"),
    ):
        words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1), "_NAMEGEN_COMPLETE": "bash_complete"}
        done = subprocess.run(
            [Path(sys.executable).with_name("namegen")], env={**os.environ, **words}, capture_output=True, check=True
        )
        assert done.stdout.decode() == f"{offered}\n"

"""Lists in the forms in which people have them: each is read, or refused with what it is and the way to read it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import namegen
from conftest import refusal
from namegen import pipeline
from namegen.corpus.corpus import corpus_of, read_corpus
from namegen.errors import CorpusError, SettingError

NAMES = ("Zoë", "Anna Lena", "Doe, Jane", 'O"Hara')
FRAME = pl.DataFrame({"births": [3, 1, 4, 1], "name": NAMES, "note": ["x", None, "y", "z"]})


def ipc(stream: bool) -> bytes:  # noqa: FBT001 - called in two places
    sink = io.BytesIO()
    table = FRAME.to_arrow()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def parquet() -> bytes:
    sink = io.BytesIO()
    FRAME.write_parquet(sink)
    return sink.getvalue()


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


FORMS: dict[str, Callable[[], bytes]] = {
    "a.txt": lambda: "\n".join(NAMES).encode(),
    "a.csv": lambda: FRAME.write_csv().encode(),
    "a.tsv": lambda: FRAME.write_csv(separator="\t").encode(),
    "semicolons.csv": lambda: FRAME.write_csv(separator=";").encode(),
    "a.jsonl": lambda: FRAME.write_ndjson().encode(),
    "a.parquet": parquet,
    "a parquet under another name.txt": parquet,
    "a.arrow": lambda: ipc(stream=False),
    "a.arrows": lambda: ipc(stream=True),
}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd, bz2.compress], ids=["", "gz", "zst", "bz2"])
@pytest.mark.parametrize("name", FORMS)
def test_every_form(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    """The same names, compressed or not; a column called `name` needs no word."""
    path = tmp_path / (name if pack is bytes else f"{name}.{pack.__name__[:2]}")
    path.write_bytes(pack(FORMS[name]()))
    assert read_corpus(path).names == NAMES


@pytest.mark.parametrize(
    "names",
    [
        NAMES,
        pl.Series(NAMES),
        pd.Series(NAMES),
        pa.array(NAMES),
        FRAME,
        FRAME.lazy(),
        FRAME.to_pandas(),
        FRAME.to_arrow(),
        (name for name in NAMES),
    ],
    ids=lambda names: f"{type(names).__module__.partition('.')[0]}.{type(names).__name__}",
)
def test_what_is_in_memory(names: object) -> None:
    assert corpus_of(names).names == NAMES


def test_which_column(tmp_path: Path) -> None:
    """The one that is named, or the only one with text; by its number, where no line names them."""
    path = tmp_path / "a.csv"
    path.write_text("first,births\nEmma,3\nAva,\n,5\n")
    assert read_corpus(path).names == ("Emma", "Ava")
    assert read_corpus(path).blank_lines == 1
    path.write_text("Given,Family\nEmma,Noether\nAda,Lovelace\n")
    assert read_corpus(path, column="Family").names == ("Noether", "Lovelace")
    with pytest.raises(CorpusError, match=r"has 2 columns of text \(Given, Family\)\. Read one column with --column"):
        read_corpus(path)
    with pytest.raises(CorpusError, match=r"has no column 'Surname'\. .* it has Given, Family"):
        read_corpus(path, column="Surname")
    path.write_text("Emma,F,18688\nOlivia,F,17921\n")
    with pytest.raises(CorpusError, match=r"has no header: its first line has 18688\. .* --column 1"):
        read_corpus(path)
    assert read_corpus(path, column="1").names == ("Emma", "Olivia")
    path.write_text("Name,2017,2018\nEmma,1,2\n")
    assert read_corpus(path).names == ("Emma",)
    text = tmp_path / "a.txt"
    text.write_text("Emma;F\nOlivia;F\n")
    assert read_corpus(text, column="1").names == ("Emma", "Olivia")
    assert namegen.fit(str(text), column="1", model="bigram", holdout=0).sample(1).height == 1


LOOKS = {
    '["Arvid", "Bodil"]': "looks like a JSON array. Make lines of it: jq",
    '[\n  "Arvid",\n  "Bodil"\n]': "looks like a JSON array",
    '{"name": "Arvid"}\n{"name": "Bodil"}': "looks like JSON Lines. Read one of its keys with --column",
    "Jean,F,334\nMarie,F,333\nLuc,M,2": "columns with a comma between them. Read one column with --column",
    "Arvid;M\nBodil;F": "columns with a semicolon between them",
    "Arvid\tM\nBodil\tF": "columns with a tab between them",
    "1) Arvid\n2) Bodil": "looks like a list whose items have numbers or marks in front. Remove them: sed",
    "- Arvid\n- Bodil": "numbers or marks in front",
    "Arvid, Bodil, Carin, Dag": "looks like one line with commas between the names. Make lines of it: tr",
    "# Swedish names\nArvid\nBodil": "line 1: '# Swedish names' looks like a comment. Remove the line",
}


@pytest.mark.parametrize("text", LOOKS)
def test_what_a_text_looks_like(tmp_path: Path, text: str) -> None:
    """It is neither learnt as it stands, nor refused for a character in it."""
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(CorpusError) as caught:
        read_corpus(path)
    assert LOOKS[text] in str(caught.value)


def test_names_with_commas_and_numbers_are_names() -> None:
    """Not every comma makes a table."""
    names = ["Doe, Jane", "Roe, Richard", "Louis XIV, King", "Area 51", "3M"]
    assert corpus_of(names).names == tuple(names)


FOREIGN = {
    "a.xlsx": (b"PK\x03\x04...", "is a zip archive or a spreadsheet"),
    "a.txt": ("Arvid\nBodil".encode("utf-16"), "is UTF-16. Convert it: iconv -f UTF-16"),
    "b.txt": ("Åsa\nBodil".encode("latin-1"), "if it is Latin-1: iconv -f LATIN1"),
    "a.xz": (lzma.compress(b"Arvid"), "is compressed with xz"),
    "a.gz": (gzip.compress(b"Arvid")[:-9], "cannot be unpacked"),
    "a.parquet": (b"PAR1 and nothing else", "cannot be read as parquet"),
    "b.parquet": (b"Arvid", "cannot be read as parquet"),
    "a.jsonl": (b"Arvid", "cannot be read as json"),
    "a.arrow": (b"Arvid", "cannot be read as arrow"),
    "numbers.csv": (b"a,b\n1,2\n", "has no column of text (a, b)"),
    "empty.csv": (b"", "cannot be read as csv"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_list(tmp_path: Path, name: str) -> None:
    data, what = FOREIGN[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CorpusError) as caught:
        read_corpus(tmp_path / name)
    assert what in str(caught.value)
    assert caught.value.remedy
    assert str(caught.value).isprintable()


def test_the_web_is_not_read() -> None:
    with pytest.raises(CorpusError, match="Download it first: curl -LO https"):
        read_corpus("https://example.org/names.txt")


def test_all_offenders_are_counted(tmp_path: Path) -> None:
    """The first is shown, with its line; left out, they are counted."""
    path = tmp_path / "a.txt"
    path.write_text("Emma\n" + "a" * 65 + "\nAva\x07\n\nZoe\n")
    with pytest.raises(CorpusError) as caught:
        read_corpus(path)
    assert caught.value.where.endswith("a.txt, line 2")
    assert "(the first of 2 lines that are refused)" in caught.value.what
    assert "--skip-bad" in caught.value.remedy
    corpus = read_corpus(path, skip_bad=True)
    assert (corpus.names, corpus.left_out, corpus.blank_lines) == (("Emma", "Zoe"), 2, 1)


def test_characters_that_nobody_sees(caplog: pytest.LogCaptureFixture) -> None:
    """They are counted, and dropped where that is asked for."""
    names = ["Em\u200bma", "Ava\ufeff", "Zo\xade", "Mia"]
    assert corpus_of(names).invisible == 3
    assert corpus_of(names, drop_invisible=True).names == ("Emma", "Ava", "Zoe", "Mia")
    with caplog.at_level("WARNING"):
        namegen.fit(names * 40, model="bigram")
    assert "120 names have characters that nobody sees" in caplog.text
    assert "dev has only 16 names" in caplog.text
    assert "100 % of the dev names are among the training names" in caplog.text


def test_standard_input() -> None:
    """It is read once, although the job asks for it twice; and it can be compressed."""
    code = "from namegen.corpus.corpus import read_corpus as read; print(read('-').names, read('-').names)"
    for data in (b"Ava\nZoe\n", gzip.compress(b"Ava\nZoe\n")):
        done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=False)
        assert done.stdout == b"('Ava', 'Zoe') ('Ava', 'Zoe')\n", done.stderr


def test_the_same_reading_everywhere() -> None:
    """A model reads what it scores as it read what it was fitted to."""
    model = namegen.fit(["Zoe\u0308", " Emma\t"] * 20, model="kneser-ney", holdout=0)
    one, other, padded = model.score(["Zo\xeb", "Zoe\u0308", "\u3000Zo\xeb "])
    assert one == other == padded > -20
    assert model.score("Zoe\u0308") == one
    assert model.score(pl.Series(["Zoe\u0308 "])).to_list() == [one]
    assert model.explain(" Zoe\u0308")["log_prob"].sum() == pytest.approx(one)


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("Emma;F\nAva;F\n")
    assert "Read one column with --column" in refusal(capsys, "--names", path)


def test_tables_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is fitted, a line says how much a fit may need; with fewer cells it needs less."""
    names = ["emma", "olivia", "ava"] * 10
    monkeypatch.setattr(pipeline, "free_memory", lambda: 1000 * 10**6)
    namegen.fit(names, model="kneser-ney", cells=10_000)
    with pytest.raises(SettingError, match=r"a table of 5,600,000 cells needs about .* GB of memory, and .* are free"):
        namegen.fit(names, model="kneser-ney")

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from namegen.corpus.corpus import Corpus, corpus_of, read_corpus, split
from namegen.errors import CorpusError, SettingError
from namegen.vocabulary import Vocabulary
from strategies import names as some_names


def read(folder: Path, data: bytes) -> Corpus:
    path = folder / "names.txt"
    path.write_bytes(data)
    return read_corpus(path)


def test_the_projects_list(names: Corpus) -> None:
    """32,257 names of 2 to 15 letters a to z."""
    assert len(names.names) == 32_257
    assert {len(name) for name in names.names} == set(range(2, 16))
    assert names.vocabulary.symbols == ".abcdefghijklmnopqrstuvwxyz"
    assert names.blank_lines == 0
    # the file as it stands: lower case, one name a line
    assert names.sha256 == "bd02dfd33179e23ec2dd093cbd4de619834f75d660ef1ae04d3127e7a0110053"


@pytest.mark.parametrize(
    "data",
    [
        b"emma\nava\n\nzoe",
        b"\xef\xbb\xbfemma\nava\n\nzoe\n",
        b"emma\r\nava\r\n\r\nzoe\r\n",
        b"emma\rava\r\rzoe\r",
        b"  emma\t\nava \n \t \n\xe3\x80\x80zoe\xc2\xa0\n",
    ],
    ids=["plain", "BOM", "CRLF", "CR", "white space"],
)
def test_what_files_may_look_like(tmp_path: Path, data: bytes) -> None:
    """A BOM, CRLF, CR, white space and a missing last line end make no difference; a blank line is counted."""
    corpus = read(tmp_path, data)
    assert corpus.names == ("emma", "ava", "zoe")
    assert corpus.blank_lines == 1
    assert corpus.sha256 == corpus_of(["emma", "ava", "zoe"]).sha256


def test_text_is_nfc_and_keeps_its_case(tmp_path: Path) -> None:
    """A decomposed é becomes one character; E and e stay two."""
    corpus = read(tmp_path, "Ele\u0301a\nel\u00e9\nel\u00e9\n".encode())
    assert corpus.names == ("El\u00e9a", "el\u00e9", "el\u00e9")
    assert corpus.vocabulary.symbols == ".Eael\u00e9"


def test_255_characters_are_accepted(tmp_path: Path) -> None:
    alphabet = [chr(0x4E00 + i) for i in range(255)]
    assert len(read(tmp_path, "\n".join(alphabet).encode()).vocabulary) == 256


def test_a_name_of_64_characters_is_accepted(tmp_path: Path) -> None:
    assert read(tmp_path, b"a" * 64).names == ("a" * 64,)


@pytest.mark.parametrize(
    ("data", "line", "what"),
    [
        (b"", None, "has no names"),
        (b"\xef\xbb\xbf\r\n \n", None, "has no names"),
        (b"emma\nav\xffa\n", 2, "byte 3 of the line (0xff) is not UTF-8"),
        (b"\xef\xbb\xbfemma\n\xc3", 2, "byte 1 of the line (0xc3) is not UTF-8"),
        (b"\xef\xbb\xbf\xff", 1, "byte 4 of the line (0xff) is not UTF-8"),
        ("emma".encode("utf-16"), None, "is UTF-16"),
        (b"emma\nzoe\x1b[31m\n", 2, "control character U+001B"),
        (b"em\tma\n", 1, "control character U+0009"),
        (b"emma\n\x0c\n", 2, "control character U+000C"),
        ("emma\u2028ava".encode(), 1, "control character U+2028"),
        (b"emma\n" + b"a" * 65, 2, "has 65 characters, but 64 is the limit"),
        (("a" + 40 * "\u0316").encode(), 1, "a letter with so many marks that they are 41 code points"),
    ],
)
def test_refusals(tmp_path: Path, data: bytes, line: int | None, what: str) -> None:
    """Every refusal is one line that names the file, the line, what is wrong, and a remedy."""
    with pytest.raises(CorpusError) as caught:
        read(tmp_path, data)
    error = caught.value
    where = str(tmp_path / "names.txt")
    assert error.where == (f"{where}, line {line}" if line else where)
    assert what in error.what
    assert error.remedy
    assert str(error).isprintable()


def test_what_is_no_file(tmp_path: Path) -> None:
    for path, what in [(tmp_path / "none.txt", "no such file"), (tmp_path, "folder"), (Path("a\0b"), "cannot be read")]:
        with pytest.raises(CorpusError, match=what):
            read_corpus(path)


def test_errors_survive_pickling() -> None:
    """Prefect keeps the exception of a failed run by pickling it."""
    import pickle

    error = CorpusError("has no names in it", "names.txt", "Write one")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "names.txt: has no names in it. Write one."  # noqa: S301


@given(some_names(min_size=10), st.sampled_from([0.2, 0.3, 0.5, 0.9]))
def test_a_split_is_a_partition(names: list[str], holdout: float) -> None:
    """Every line goes to exactly one part, of the size that the holdout says."""
    corpus = corpus_of(names)
    assume((1 - holdout) * len(names) >= 1)
    parts = split(corpus, holdout)
    assert sorted(parts.train + parts.dev + parts.test) == sorted(names)
    assert len(parts.train) == int((1 - holdout) * len(names))
    assert len(parts.train) + len(parts.dev) == int((1 - holdout / 2) * len(names))


def test_the_split_is_the_lecture_series_own(names: Corpus) -> None:
    """random.seed(42), shuffle, cut at 80 and 90 %."""
    lines = list(names.names)
    random.seed(42)
    random.shuffle(lines)
    n1, n2 = int(0.8 * len(lines)), int(0.9 * len(lines))
    parts = split(names)
    assert (list(parts.train), list(parts.dev), list(parts.test)) == (lines[:n1], lines[n1:n2], lines[n2:])


def test_without_a_holdout_all_names_train(names: Corpus) -> None:
    parts = split(names, holdout=0)
    assert (parts.train, parts.dev, parts.test) == (names.names, (), ())


def test_a_holdout_that_cannot_be() -> None:
    for holdout in (-0.1, 1.0, float("nan")):
        with pytest.raises(SettingError, match="holdout"):
            split(corpus_of(["a", "b"]), holdout)
    with pytest.raises(CorpusError, match="3 names are too few"):
        split(corpus_of(["a", "b", "c"]), 0.2)


@pytest.mark.parametrize(("names", "symbols"), [("ab", ".ab"), ("a.b", "|.ab"), (".a|", "␃.a|"), (".|␃", "\ue000.|␃")])
def test_the_boundary_is_no_character(names: str, symbols: str) -> None:
    """It is shown as something that the names do not have, and "." is a letter like any other."""
    vocabulary = corpus_of([names]).vocabulary
    assert vocabulary.symbols == symbols
    ids, _ = vocabulary.encode([names, vocabulary.boundary])
    assert ids.tolist() == [*(vocabulary.symbols.index(letter) for letter in names), -1]


def test_encoding_unknown_characters() -> None:
    """A character outside the vocabulary is -1, also the boundary, a lone surrogate, and any beyond the largest."""
    ids, lengths = Vocabulary(".ab").encode(["ab", "", "b.\ud800\U0010ffff\x00"])
    assert ids.tolist() == [1, 2, 2, -1, -1, -1, -1]
    assert lengths.tolist() == [2, 0, 5]


@pytest.mark.parametrize(
    "symbols", ["", ".", "ab", ".ba", ".aa", "..a", "|ab", "." + "".join(map(chr, range(300, 556)))]
)
def test_what_is_no_vocabulary(symbols: str) -> None:
    with pytest.raises(ValueError, match="vocabulary"):
        Vocabulary(symbols)

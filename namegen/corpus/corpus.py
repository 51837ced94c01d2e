"""A names file becomes a Corpus, and a Corpus its train, dev and test split.

Text in, text out: symbol ids begin in `vocabulary`, counts in `ngrams`.
"""

from __future__ import annotations

import hashlib
import random
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from namegen.errors import CorpusError, SettingError
from namegen.vocabulary import BOUNDARY, MAX_LENGTH, MAX_SYMBOLS, Vocabulary

if TYPE_CHECKING:
    import polars as pl

PARTS = ("train", "dev", "test")
SPLIT_SEED = 42  # the lecture series' own, so that its published figures can be compared

# Control characters, line and paragraph separators, and a byte order mark that is not at the start of the file.
# Tabs and carriage returns are white space around a name, and controls inside it.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
_INNER_CONTROLS = re.compile("[\t\r]")


@dataclass(frozen=True)
class Corpus:
    """The names of a file, in its order, duplicates kept.

    Args:
        names: NFC-normalised, none empty, none longer than 64 characters.
        vocabulary: the boundary and every character of the names.
        blank_lines: how many lines held nothing but white space.
    """

    names: tuple[str, ...]
    vocabulary: Vocabulary
    blank_lines: int = 0

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the names, one a line, in UTF-8: equal for files that mean the same."""
        return hashlib.sha256("".join(f"{name}\n" for name in self.names).encode()).hexdigest()


@dataclass(frozen=True)
class Split:
    """The names a model learns from, those its settings are chosen on, and those it is judged by."""

    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]


def read_corpus(path: Path | str) -> Corpus:
    """Reads a names file: UTF-8, one name a line.

    A byte order mark, CRLF and white space around a name are accepted; blank lines are skipped and counted; text
    is NFC-normalised and its case kept.

    Raises:
        CorpusError: with file, line and remedy, where the file or a name in it breaks a rule.
    """
    path = Path(path)
    data = _read_bytes(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # utf-8-sig counts from behind the mark
        start = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        line = data.count(b"\n", 0, start) + 1
        column = start - data.rfind(b"\n", 0, start)
        raise CorpusError(
            f"byte {column} of the line (0x{data[start]:02x}) is not UTF-8",
            f"{path}, line {line}",
            "Save the file as UTF-8",
        ) from None
    return _parse(text, str(path))


def corpus_of(names: Iterable[str]) -> Corpus:
    """A corpus of names already in memory, by the rules of a file with one name a line."""
    return _parse("\n".join(names), "names")


def split(corpus: Corpus, holdout: float = 0.2) -> Split:
    """Shuffles the names (seed 42) and cuts them: half of `holdout` is dev, half is test.

    The default is the lecture series' 80 / 10 / 10 %. `holdout=0` trains on everything, in the file's order.

    Raises:
        SettingError: for a holdout outside 0 <= holdout < 1.
        CorpusError: where a part would be empty.
    """
    train, dev, test = (tuple(corpus.names[i] for i in rows) for rows in split_rows(len(corpus.names), holdout))
    return Split(train, dev, test)


def split_rows(names: int, holdout: float) -> tuple[list[int], list[int], list[int]]:
    """The positions of the train, dev and test names in the list, as `split` has them."""
    if not 0 <= holdout < 1:
        raise SettingError(f"holdout {holdout} is not in 0 <= holdout < 1", remedy="0.2 gives 80 / 10 / 10 %")
    rows = list(range(names))
    if holdout == 0:
        return rows, [], []
    random.Random(SPLIT_SEED).shuffle(rows)  # noqa: S311 - reproducible is the point
    first, second = int((1 - holdout) * names), int((1 - holdout / 2) * names)
    parts = rows[:first], rows[first:second], rows[second:]
    if not all(parts):
        raise CorpusError(
            f"{names} names are too few to hold out {holdout:g} of them for dev and test",
            remedy="Add names, or train on all of them with --holdout 0",
        )
    return parts


def names_frame(corpus: Corpus, holdout: float) -> pl.DataFrame:
    """`name` and `split`, "train", "dev" or "test", of every name in the file's order."""
    import polars as pl  # not needed to check a names file

    labels = [""] * len(corpus.names)
    for part, rows in zip(PARTS, split_rows(len(corpus.names), holdout), strict=True):
        for row in rows:
            labels[row] = part
    return pl.DataFrame({"name": corpus.names, "split": labels})


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise CorpusError("is a folder", str(path), "Name a text file with one name a line")
        if path.exists() and not path.is_file():
            # a pipe can be read only once, and the job reads its names when it is checked and when it runs
            raise CorpusError("is not a regular file", str(path), "Save the names in a file first")
        return path.read_bytes()
    except FileNotFoundError:
        raise CorpusError(
            "there is no such file", str(path), "Name a text file with one name a line; paths start from this folder"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CorpusError(f"cannot be read ({reason})", str(path), "Check the path and its permissions") from error


def _parse(text: str, where: str) -> Corpus:
    names: list[str] = []
    characters: set[str] = set()
    lines = text.removesuffix("\n").split("\n")
    for number, line in enumerate(lines, 1):
        name = unicodedata.normalize("NFC", line.strip())
        problem = _problem(line, name, characters)
        if problem:
            raise CorpusError(problem[0], f"{where}, line {number}", problem[1])
        if name:
            names.append(name)
    if not names:
        raise CorpusError("has no names in it", where, "Write one name a line")
    return Corpus(tuple(names), Vocabulary.of(characters), len(lines) - len(names))


def _problem(line: str, name: str, characters: set[str]) -> tuple[str, str] | None:
    """What is wrong with a line, and the remedy; `characters`, those of the lines above, takes in those of this one."""
    if control := _CONTROLS.search(line) or _INNER_CONTROLS.search(name):
        return f"the line contains the control character U+{ord(control[0]):04X}", "Remove the character"
    if len(name) > MAX_LENGTH:
        return f"the name has {len(name)} characters, and {MAX_LENGTH} is the most", "Shorten or remove it"
    if BOUNDARY in name:
        marks = "which marks the start and the end of a name"
        return f"the name {name!r} contains {BOUNDARY!r}, {marks}", "Remove the character or the name"
    if not characters.issuperset(name):
        characters.update(name)
        if len(characters) >= MAX_SYMBOLS:
            different = f"{len(characters)} different characters, and {MAX_SYMBOLS - 1} is the most"
            return f"with the name {name!r} the file has {different}", "Split the file by script, or transliterate it"
    return None

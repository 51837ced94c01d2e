"""A list of names becomes a Corpus, and a Corpus its train, dev and test split.

Text in, text out: symbol ids begin in `vocabulary`, and counts in `ngrams`.
"""

from __future__ import annotations

import hashlib
import random
import re
import unicodedata
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from namegen.errors import CorpusError, SettingError
from namegen.vocabulary import BOUNDARY, MAX_LENGTH, MAX_SYMBOLS, Vocabulary

if TYPE_CHECKING:
    import polars as pl

SPLITS = ("train", "dev", "test")
SPLIT_SEED = 42  # the lecture series' own, so that its published figures can be compared

# Control characters, line and paragraph separators, and a byte order mark that is not at the start of the file. Tabs
# and line breaks are white space around a name, and control characters inside it.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
_INNER_CONTROLS = re.compile("[\t\r\n]")
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Corpus:
    """The names of a list, in its order. A name that is listed twice counts twice.

    Args:
        names: NFC-normalised; none is empty or longer than 64 characters.
        vocabulary: the boundary and every character of the names.
        blank_lines: how many lines held nothing but white space.
    """

    names: tuple[str, ...]
    vocabulary: Vocabulary
    blank_lines: int = 0

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the names, one per line, in UTF-8: equal for files that mean the same."""
        return hashlib.sha256("".join(f"{name}\n" for name in self.names).encode()).hexdigest()


@dataclass(frozen=True)
class Split:
    """The names that models are fitted to, those that settings are chosen on, and those that models are judged by."""

    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]


def read_corpus(path: Path | str) -> Corpus:
    """Reads a names file: UTF-8, one name per line.

    A byte order mark, CRLF, and white space around a name are accepted. Blank lines are skipped and counted. Text is
    NFC-normalised, and its case is kept.

    Raises:
        CorpusError: with file, line and remedy, if the file or a name in it breaks a rule.
    """
    path = Path(path)
    data = _read_bytes(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # utf-8-sig counts from after the byte order mark
        start = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        line = data.count(b"\n", 0, start) + 1
        column = start - data.rfind(b"\n", 0, start)
        what = f"byte {column} of the line (0x{data[start]:02x}) is not UTF-8"
        raise CorpusError(what, f"{path}, line {line}", "Save the file as UTF-8") from None
    return _parse(text.removesuffix("\n").split("\n"), str(path), "line")


def corpus_of(names: Iterable[str]) -> Corpus:
    """A corpus of names in memory, by the rules of a file with one name per line.

    >>> corpus_of(["Zoë", " emma ", ""]).names
    ('Zoë', 'emma')

    Args:
        names: a list, or anything else with an order: a polars or pandas Series, an Arrow array.

    Raises:
        CorpusError: with the number of the name, if it breaks a rule; or if there is no list of names.
    """
    kind = type(names).__name__
    if isinstance(names, Mapping) or hasattr(names, "columns"):
        raise CorpusError(f"{kind} is not a list of names", "names", "Pass one column, such as frame['name']")
    if isinstance(names, AbstractSet):
        raise CorpusError("a set has no order, so the model would change from run to run", "names", "Pass a list")
    if isinstance(names, bytes) or not isinstance(names, Iterable):
        raise CorpusError(f"{kind} is not a list of names", "names", "Pass a list, a Series, or the path of a file")
    to_list = getattr(names, "to_pylist", None)  # of Arrow, whose items are not text
    return _parse(to_list() if to_list else names, "names", "item")


def split(corpus: Corpus, holdout: float = 0.2) -> Split:
    """Shuffles the names (seed 42) and cuts them: half of `holdout` becomes dev, and half test.

    The default is the lecture series' 80 / 10 / 10 %. With `holdout=0` all names are for training, in their order.

    >>> split(corpus_of("abcdefghij"))
    Split(train=('h', 'd', 'c', 'i', 'f', 'g', 'j', 'e'), dev=('a',), test=('b',))

    Raises:
        SettingError: for a holdout outside 0 <= holdout < 1.
        CorpusError: if a split would be empty.
    """
    train, dev, test = (tuple(corpus.names[i] for i in rows) for rows in split_rows(len(corpus.names), holdout))
    return Split(train, dev, test)


def split_rows(names: int, holdout: float) -> tuple[list[int], list[int], list[int]]:
    """The positions of the train, dev and test names in a list of so many names; see `split`."""
    if not 0 <= holdout < 1:
        raise SettingError(f"holdout {holdout} is not in 0 <= holdout < 1", remedy="0.2 gives 80 / 10 / 10 %")
    rows = list(range(names))
    if holdout == 0:
        return rows, [], []
    random.Random(SPLIT_SEED).shuffle(rows)  # noqa: S311 - reproducible is the point
    first, second = int((1 - holdout) * names), int((1 - holdout / 2) * names)
    splits = rows[:first], rows[first:second], rows[second:]
    if not all(splits):
        raise CorpusError(
            f"{names} names are too few to hold out {100 * holdout:g} % of them for dev and test",
            remedy="Add names, or train on all of them with --holdout 0 (in Python holdout=0)",
        )
    return splits


def names_frame(corpus: Corpus, holdout: float) -> pl.DataFrame:
    """`name` and `split`, "train", "dev" or "test", of every name in the order of the list."""
    import polars as pl  # not needed to check a names file

    labels = [""] * len(corpus.names)
    for label, rows in zip(SPLITS, split_rows(len(corpus.names), holdout), strict=True):
        for row in rows:
            labels[row] = label
    return pl.DataFrame({"name": corpus.names, "split": labels})


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise CorpusError("is a folder", str(path), "Name a text file with one name per line")
        if path.exists() and not path.is_file():
            # a pipe can be read only once, but the job reads its names when it is planned and when it runs
            raise CorpusError("is not a regular file", str(path), "Save the names in a file first")
        return path.read_bytes()
    except FileNotFoundError:
        remedy = "Name a text file with one name per line; relative paths start in the working directory"
        raise CorpusError("there is no such file", str(path), remedy) from None
    except (OSError, ValueError) as error:  # ValueError: the path has a null character
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CorpusError(f"cannot be read ({reason})", str(path), "Check the path and its permissions") from error


def _parse(lines: Iterable[str], where: str, unit: str) -> Corpus:
    names: list[str] = []
    characters: set[str] = set()
    count = 0
    for count, line in enumerate(lines, 1):
        if not isinstance(line, str):
            raise CorpusError(f"{str(line)[:50]!r} is not text", f"{where}, {unit} {count}", "Leave it out")
        name = unicodedata.normalize("NFC", line.strip())
        problem = _problem(line, name, characters)
        if problem:
            raise CorpusError(problem[0], f"{where}, {unit} {count}", problem[1])
        if name:
            names.append(name)
    if not names:
        remedy = "Write one name per line" if unit == "line" else "Pass at least one name"
        raise CorpusError("has no names in it", where, remedy)
    return Corpus(tuple(names), Vocabulary.of(characters), count - len(names))


def _problem(line: str, name: str, characters: set[str]) -> tuple[str, str] | None:
    """What is wrong with a line, and what to do. Its characters are added to `characters`, those of the lines above."""
    if control := _CONTROLS.search(line) or _INNER_CONTROLS.search(name):
        return f"it contains the control character U+{ord(control[0]):04X}", "Remove the character"
    if half := _SURROGATES.search(name):
        return f"it contains U+{ord(half[0]):04X}, half of a surrogate pair, which is not text", "Remove the character"
    if len(name) > MAX_LENGTH:
        return f"the name has {len(name)} characters, but {MAX_LENGTH} is the limit", "Shorten or remove it"
    if BOUNDARY in name:
        marks = "which marks the start and the end of a name"
        return f"the name {name!r} contains {BOUNDARY!r}, {marks}", "Remove the character or the name"
    if not characters.issuperset(name):
        characters.update(name)
        if len(characters) >= MAX_SYMBOLS:
            different = f"{len(characters)} different characters, but {MAX_SYMBOLS - 1} is the limit"
            return f"with the name {name!r} the list has {different}", "Split the list by script, or transliterate it"
    return None

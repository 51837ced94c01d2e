"""A list of names becomes a Corpus, and a Corpus its train, dev and test split.

Text in, text out: the forms of lists are in `reading`, symbol ids begin in `vocabulary`, and counts in `ngrams`.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from namegen.characters import MAX_CODE_POINTS, characters_of
from namegen.corpus.reading import Listing, listing_of, read_listing
from namegen.errors import CorpusError, SettingError
from namegen.vocabulary import MAX_LENGTH, Vocabulary, as_read

if TYPE_CHECKING:
    import polars as pl

SPLITS = ("train", "dev", "test")
SPLIT_SEED = 42  # the lecture series' own, so that its published figures can be compared

# Control characters, line and paragraph separators. Tabs and line breaks are white space around a name, and control
# characters inside it.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")
_INNER_CONTROLS = re.compile("[\t\r\n]")
_SURROGATES = re.compile("[\ud800-\udfff]")
# Soft hyphens, zero-width characters, marks of direction, and a byte order mark that is not at the start of a file.
_INVISIBLE = re.compile("[\xad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
# Any of these, and what a comment begins with: few lines have one.
_SUSPECTS = (pattern.pattern.strip("[]") for pattern in (_CONTROLS, _INNER_CONTROLS, _SURROGATES, _INVISIBLE))
_SUSPECT = re.compile(f"[#{''.join(_SUSPECTS)}]")


@dataclass(frozen=True)
class Corpus:
    """The names of a list, in its order. A name that is listed twice counts twice.

    Args:
        names: NFC-normalised; none is empty or longer than 64 characters.
        vocabulary: the boundary and every character of the names.
        blank_lines: how many lines held nothing but white space.
        left_out: how many lines were bad, and left out.
        invisible: how many names have a character that nobody sees.
    """

    names: tuple[str, ...]
    vocabulary: Vocabulary
    blank_lines: int = 0
    left_out: int = 0
    invisible: int = 0

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the names, one per line, in UTF-8: equal for files that mean the same."""
        return sha256_of(self.names)


def sha256_of(names: Sequence[str]) -> str:
    """SHA-256 of names, one per line, in UTF-8."""
    return hashlib.sha256("".join(f"{name}\n" for name in names).encode()).hexdigest()


@dataclass(frozen=True)
class Split:
    """The names that models are fitted to, those that settings are chosen on, and those that models are judged by."""

    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]


def read_corpus(
    source: Path | str, *, column: str | None = None, skip_bad: bool = False, drop_invisible: bool = False
) -> Corpus:
    """Reads a list of names: a text, a table or JSON Lines, from a file, a store or standard input; see `reading`.

    A byte order mark, any line ends, and white space around a name are accepted. Blank lines are skipped and counted.
    Text is NFC-normalised, and its case is kept.

    Args:
        column: of a table.
        skip_bad: leave out the names that break a rule, and count them.
        drop_invisible: leave out the characters that nobody sees, such as zero-width spaces.

    Raises:
        CorpusError: with file, line and remedy, if the list cannot be read or a name in it breaks a rule.
    """
    return _parse(read_listing(source, column), skip_bad=skip_bad, drop_invisible=drop_invisible)


def corpus_of(
    names: object, *, column: str | None = None, skip_bad: bool = False, drop_invisible: bool = False
) -> Corpus:
    """A corpus of names in memory, by the rules of a file with one name per line.

    >>> corpus_of(["Zoë", " emma ", ""]).names
    ('Zoë', 'emma')

    Args:
        names: a list, or anything else with an order: a polars or pandas Series or frame, an Arrow array or table.
        column, skip_bad, drop_invisible: as for `read_corpus`.

    Raises:
        CorpusError: with the number of the name, if it breaks a rule; or if there is no list of names.
    """
    return _parse(listing_of(names, column), skip_bad=skip_bad, drop_invisible=drop_invisible)


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


def _parse(listing: Listing, *, skip_bad: bool, drop_invisible: bool) -> Corpus:
    names: list[str] = []
    problems: list[tuple[int, str, str]] = []
    blank = invisible = 0
    for number, text in enumerate(listing.texts, 1):
        if text is None and listing.unit == "row":  # an empty field of a table
            blank += 1
            continue
        if not isinstance(text, str):
            problems.append((number, f"{str(text)[:50]!r} is not text", "Leave it out"))
            continue
        line = _INVISIBLE.sub("", text) if drop_invisible else text
        name = as_read(line)
        if len(name) > MAX_CODE_POINTS or _SUSPECT.search(line):
            if problem := _problem(line, name):
                problems.append((number, *problem))
                continue
            invisible += bool(_INVISIBLE.search(name))
        if not name:
            blank += 1
            continue
        names.append(name)
    if problems and not skip_bad:
        raise _refusal(listing, problems)
    if not names:
        remedy = "Write one name per line" if listing.unit == "line" else "Pass at least one name"
        raise CorpusError("has no names in it", listing.where, remedy)
    try:
        vocabulary = Vocabulary.of(names)
    except ValueError as error:
        remedy = "Split the list by script, or transliterate it"
        raise CorpusError(f"has {error}", listing.where, remedy) from None
    return Corpus(tuple(names), vocabulary, blank, len(problems), invisible)


def _refusal(listing: Listing, problems: list[tuple[int, str, str]]) -> CorpusError:
    """The error for all that is wrong: the first in full, and how many there are."""
    number, what, remedy = problems[0]
    if len(problems) > 1:
        what = f"{what} (the first of {len(problems):,} {listing.unit}s that are refused)"
        remedy = f"{remedy}, or leave such {listing.unit}s out with --skip-bad (skip_bad=True in Python)"
    return CorpusError(what, f"{listing.where}, {listing.unit} {number}", remedy)


def _problem(line: str, name: str) -> tuple[str, str] | None:
    """What is wrong with a line or the name in it, and what to do."""
    if control := _CONTROLS.search(line) or _INNER_CONTROLS.search(name):
        return f"it contains the control character U+{ord(control[0]):04X}", "Remove the character"
    if half := _SURROGATES.search(name):
        return f"it contains U+{ord(half[0]):04X}, half of a surrogate pair, which is not text", "Remove the character"
    characters = characters_of(name)
    if len(characters) > MAX_LENGTH:
        return f"the name has {len(characters)} characters, but {MAX_LENGTH} is the limit", "Shorten or remove it"
    if (longest := max(map(len, characters), default=0)) > MAX_CODE_POINTS:
        what = f"it has a letter with so many marks that they are {longest} code points"
        return f"{what}, but {MAX_CODE_POINTS} is the limit", "Remove the marks"
    if name.startswith("# "):
        return f"{name[:20]!r} looks like a comment", "Remove the line"
    return None

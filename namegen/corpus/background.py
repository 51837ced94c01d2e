"""Names of others that help a short list: a *background*. The project's own list is one, and ships with the package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from unicodedata import normalize

from namegen.corpus.corpus import Corpus, sha256_of

OWN = "names.txt"
LEAST = 100  # names; fewer are no help
MOST = 0.5  # a list shares most of the background's letters if so many of its own are among them


@dataclass(frozen=True)
class Background:
    """Names from which no listed one can be learnt.

    Args:
        where: what the log calls them.
    """

    names: tuple[str, ...]
    where: str

    @cached_property
    def sha256(self) -> str:
        """As of a corpus."""
        return sha256_of(self.names)


def without_listed(names: Sequence[str], corpus: Corpus, where: str) -> Background | None:
    """The background that other names make for a list: without those that are listed, whatever their case.

    Held-out names are listed, too. So what is measured on them is not known from the background.

    Returns:
        None if few names remain.
    """
    listed = set(map(_folded, corpus.names))
    kept = tuple(name for name in names if _folded(name) not in listed)
    return Background(kept, where) if len(kept) >= LEAST else None


def shares_letters(corpus: Corpus, names: Sequence[str]) -> bool:
    """Whether most letters of a list, as often as they stand there, are letters of other names, whatever their case."""
    letters = [letter for letter in _folded("".join(corpus.names)) if letter.isalpha()]
    known = set(_folded("".join(names)))
    return sum(letter in known for letter in letters) > MOST * len(letters)


def own_names() -> tuple[str, ...]:
    """The project's own list."""
    shipped = files("namegen") / OWN
    path = shipped if shipped.is_file() else Path(__file__).parents[2] / "data" / OWN  # not installed, or editable
    return tuple(path.read_text("utf-8").split())


def _folded(text: str) -> str:
    return normalize("NFC", text.casefold())

"""A question in the words of those who ask it: read, checked, and turned into conditions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

from namegen.automaton.automaton import Automaton
from namegen.characters import characters_of
from namegen.corpus.corpus import corpus_of, read_corpus
from namegen.errors import NothingAnswersError, SettingError
from namegen.questions import condition
from namegen.questions.condition import Condition
from namegen.questions.pattern import pattern_condition
from namegen.vocabulary import MAX_LENGTH, Vocabulary

if TYPE_CHECKING:
    from namegen.questions.graph import Answer

Length = int | str | tuple[int, int | None]
Listed = str | Path | Sequence[str]  # the path of a file, or what stands in it
_LENGTH = re.compile(r"(\d{0,4})(-?)(\d{0,4})")


@dataclass(frozen=True)
class Question:
    """Which names are wanted: those that answer every part.

    Args:
        prefix, suffix, contains: how a name begins and ends, and what stands anywhere in it.
        pattern: a regular expression for the whole name.
        length: the least and the most characters; None for no limit.
        novel: not on the model's list.
        without: none of these names.
        block: contains none of these pieces.
    """

    prefix: str = ""
    suffix: str = ""
    contains: str = ""
    pattern: str | None = None
    length: tuple[int, int | None] | None = None
    novel: bool = False
    without: tuple[str, ...] = ()
    block: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        *,
        prefix: str | None = None,
        suffix: str | None = None,
        contains: str | None = None,
        pattern: str | None = None,
        length: Length | None = None,
        novel: bool = False,
        without: Listed = (),
        block: Listed = (),
    ) -> Question:
        """A question as it is asked: see `Model.where`.

        Raises:
            SettingError: for a length that is none.
            CorpusError: if a list cannot be read.
        """
        return cls(
            normalize("NFC", prefix or ""),
            normalize("NFC", suffix or ""),
            normalize("NFC", contains or ""),
            None if pattern is None else normalize("NFC", pattern),
            None if length is None else length_of(length),
            bool(novel),
            _listed(without),
            _listed(block),
        )

    @property
    def is_empty(self) -> bool:
        """Whether every name answers."""
        return self == Question()

    def words(self) -> list[str]:
        """Each part in words, as of a name: "begins with 'mar'"."""
        return [words for words, _ in self._parts()]

    def conditions(
        self, vocabulary: Vocabulary, known: Sequence[str], cap: int = MAX_LENGTH
    ) -> list[tuple[str, Condition]]:
        """Each part in words, and as a condition; those that leave fewest states come first.

        Args:
            known: the names of the model's list.
            cap: the most characters of a name.

        Raises:
            SettingError: for a part that no name can answer, or a pattern that is none.
        """
        return [(words, self._condition(part, words, vocabulary, known, cap)) for words, part in self._parts()]

    def ask(self, automaton: Automaton, known: Sequence[str] = ()) -> Answer:
        """The names of an automaton that answer.

        Args:
            known: the names of the model's list, for `novel`.

        Raises:
            NothingAnswersError: if none does.
            SettingError: if it takes too many states, or as `conditions`.
        """
        from namegen.questions.graph import Answer, ask  # slow to import

        if self.is_empty:
            return Answer(automaton, 1.0)
        return ask(automaton, self.conditions(automaton.vocabulary, known, automaton.cap))

    def _parts(self) -> Iterator[tuple[str, str]]:
        if self.prefix:
            yield f"begins with {self.prefix!r}", "prefix"
        if self.pattern is not None:
            yield f"matches {self.pattern!r}", "pattern"
        if self.contains:
            yield f"contains {self.contains!r}", "contains"
        if self.suffix:
            yield f"ends with {self.suffix!r}", "suffix"
        if self.block:
            yield f"contains none of {_few(self.block, 'pieces')}", "block"
        if self.length:
            yield f"has {length_words(*self.length)}", "length"
        if self.without:
            yield f"is none of {_few(self.without, 'names')}", "without"
        if self.novel:
            yield "is not on the model's list", "novel"

    def _condition(self, part: str, words: str, vocabulary: Vocabulary, known: Sequence[str], cap: int) -> Condition:
        if part == "pattern":
            assert self.pattern is not None
            return pattern_condition(self.pattern, vocabulary)
        if part == "length":
            assert self.length
            shortest, longest = self.length
            if shortest > cap:
                raise NothingAnswersError(f"no name of the model {words}", remedy=f"Ask for {cap} or fewer")
            if longest is None or longest >= cap:  # then the cap sees to it
                return condition.at_least(shortest, vocabulary)
            return condition.length(shortest, longest, vocabulary)
        if part == "block":
            pieces = [piece for piece in self.block if not _unknown(piece, vocabulary)]
            return condition.block([vocabulary.encode([piece])[0].tolist() for piece in pieces])
        if part in {"without", "novel"}:
            return condition.without(known if part == "novel" else self.without, vocabulary)
        text: str = getattr(self, part)
        if unknown := _unknown(text, vocabulary):
            what = f"no name of the model {words}: it has no {unknown!r}"
            raise NothingAnswersError(what, remedy="Ask for something else")
        build = {"prefix": condition.prefix, "suffix": condition.suffix, "contains": condition.contains}[part]
        return build(vocabulary.encode([text])[0].tolist())


def length_of(length: Length) -> tuple[int, int | None]:
    """The least and the most characters; of "5-8", "5-", "-8", "5", 5, (5, 8) or (5, None).

    Raises:
        SettingError: if it is none of these.
    """
    bounds: tuple[object, ...]
    if isinstance(length, str):
        match = _LENGTH.fullmatch(length.strip())
        if not match or not (match[1] or match[3]) or (match[3] and not match[2]):
            raise SettingError(f"length {length!r} is no length", remedy="Write 5, 5-8, 5- or -8")
        shortest = int(match[1] or 0)
        bounds = shortest, int(match[3]) if match[3] else None if match[2] else shortest
    else:
        bounds = (length, length) if isinstance(length, int) else tuple(length)
    if len(bounds) == 2 and type(bounds[0]) is int and (bounds[1] is None or type(bounds[1]) is int):
        first, last = bounds[0], bounds[1]
        if first >= 0 and (last is None or first <= last):
            return first, last
    raise SettingError(f"length {length!r} is no length", remedy="Write 5, (5, 8) or (5, None)")


def length_words(shortest: int, longest: int | None) -> str:
    """How many characters a name has, in words."""
    if shortest == longest:
        return f"{shortest} character{'s' * (shortest != 1)}"
    if longest is None:
        return f"{shortest} or more characters"
    return f"{shortest} to {longest} characters" if shortest else f"{longest} or fewer characters"


def _listed(names: Listed) -> tuple[str, ...]:
    """What a list or a file holds, each once, sorted, and by the rules of a list of names."""
    if isinstance(names, str | Path):
        corpus = read_corpus(names)
    elif len(names):
        corpus = corpus_of(list(names))
    else:
        return ()
    return tuple(sorted(set(corpus.names)))


def _few(listed: Sequence[str], kind: str) -> str:
    """Up to three, or how many there are."""
    return ", ".join(map(repr, listed)) if len(listed) <= 3 else f"{len(listed):,} {kind}"


def _unknown(text: str, vocabulary: Vocabulary) -> str:
    """The first character that no name has, or nothing."""
    return next((each for each in characters_of(text) if vocabulary.encode([each])[0][0] < 0), "")

"""A regular expression for the whole name becomes a deterministic automaton.

The standard library's `re` parses it, and says of each character whether a part matches it, so that classes, escapes
and flags mean what they mean there. The parts that match one character are numbered (Glushkov 1961); a state of the
automaton is the set of those that may have matched the last character, as the bits of a number.

A character of several code points is one to a pattern, too: there, a private code point stands for it.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from re import _compiler, _parser  # type: ignore[attr-defined] # the parser of `re`; it has no other door
from typing import Any

from namegen.characters import characters_of
from namegen.errors import SettingError
from namegen.questions.condition import NOWHERE, Condition, condition
from namegen.vocabulary import MAX_LENGTH, Vocabulary

MOST_PARTS = 4000  # that match one character, with each repetition counted
MOST_STATES = 2**14
_TOKENS = re.compile(
    r"(?P<other>\\[^1-9bBAZ]|\[\^?\]?(?:\\.|[^\]\\])*\])"  # escapes and classes, which are taken
    r"|(?P<back>\\[1-9]|\(\?P=|\(\?\()|(?P<look>\(\?<?[=!])|(?P<greedy>\(\?>|[*+?}]\+)|(?P<at>\\[bBAZ]|[\^$])|.",
    re.DOTALL,
)
_SPECIAL = frozenset(".^$*+?{}[]\\|()")  # with a mark they still mean what they mean to `re`
_REFUSED = {
    "back": "a reference to a group",
    "look": "looking ahead or behind",
    "greedy": "a part that gives nothing back",
    "at": "an anchor inside the pattern",
}


@dataclass
class _Part:
    """A piece of a pattern: the parts that can match its first and last character, and whether it can be empty."""

    first: int = 0
    last: int = 0
    is_nullable: bool = True


@dataclass
class _Parts:
    """The parts that match one character: for each the character set, and the parts that may come next, as bits.

    Args:
        alphabet: all characters.
        meant: the characters that private code points of the pattern stand for.
    """

    pattern: str
    alphabet: Sequence[str]
    meant: dict[int, str]
    matches: list[frozenset[str]] = field(default_factory=list)
    follow: list[int] = field(default_factory=list)
    seen: dict[str, frozenset[str]] = field(default_factory=dict)

    def sequence(self, items: Iterable[_Part]) -> _Part:
        """One piece after another."""
        whole = _Part()
        for part in items:
            for k in _bits(whole.last):
                self.follow[k] |= part.first
            whole.first |= part.first if whole.is_nullable else 0
            whole.last = part.last | (whole.last if part.is_nullable else 0)
            whole.is_nullable &= part.is_nullable
        return whole

    def of(self, parsed: Any, flags: int) -> _Part:  # noqa: ANN401 - of `re`, which has no types
        """The piece that `re` has parsed."""
        return self.sequence(self.piece(parsed, op, value, flags) for op, value in parsed)

    def piece(self, parsed: Any, op: Any, value: Any, flags: int) -> _Part:  # noqa: ANN401
        """One operation of what `re` has parsed."""
        kind = str(op)
        if kind in {"LITERAL", "NOT_LITERAL", "ANY", "IN"}:
            return self.leaf(parsed, op, value, flags)
        if kind == "BRANCH":
            return _either([self.of(branch, flags) for branch in value[1]])
        if kind == "SUBPATTERN":
            _, added, removed, inner = value
            return self.of(inner, (flags | added) & ~removed)
        if kind in {"MAX_REPEAT", "MIN_REPEAT"}:
            least, most, inner = value
            return self.repeat(least, most, inner, flags)
        raise _refused(self.pattern, kind)

    def leaf(self, parsed: Any, op: Any, value: Any, flags: int) -> _Part:  # noqa: ANN401
        """A part that matches one character."""
        if len(self.matches) == MOST_PARTS:
            what = f"pattern {self.pattern!r} is too long: it has over {MOST_PARTS:,} parts, each repetition counted"
            raise SettingError(what, remedy="Use fewer repetitions")
        key = f"{op} {value} {flags}"
        if key not in self.seen:
            single = _parser.SubPattern(parsed.state, [(op, value)])
            matcher = _compiler.compile(single, flags)
            self.seen[key] = frozenset(
                character
                for character in self.alphabet
                if (matcher.fullmatch(character) if len(character) == 1 else self.is_in(character, op, value, flags))
            )
        self.matches.append(self.seen[key])
        self.follow.append(0)
        bit = 1 << (len(self.matches) - 1)
        return _Part(bit, bit, is_nullable=False)

    def is_in(self, character: str, op: Any, value: Any, flags: int) -> bool:  # noqa: ANN401
        """Whether a character of several code points is matched: as such, all in a range, or its first by its kind."""
        kind = str(op)
        if kind == "IN":
            is_other = str(value[0][0]) == "NEGATE"
            return is_other != any(self.is_in(character, op, each, flags) for op, each in value[is_other:])
        if kind == "NOT_LITERAL":
            return not self.is_in(character, "LITERAL", value, flags)
        if kind == "LITERAL":
            meant = self.meant.get(value, "")
            return meant == character or bool(flags & re.IGNORECASE and meant.casefold() == character.casefold())
        if kind == "RANGE":
            return all(value[0] <= ord(code_point) <= value[1] for code_point in character)
        if kind == "CATEGORY":
            single = _parser.SubPattern(_parser.State(), [(_parser.IN, [(op, value)])])
            return _compiler.compile(single, flags).fullmatch(character[0]) is not None
        return True  # any character

    def repeat(self, least: int, most: Any, inner: Any, flags: int) -> _Part:  # noqa: ANN401
        """A piece several times. More often than a name has characters is as often as one likes."""
        least = min(int(least), MAX_LENGTH + 1)
        pieces = [self.of(inner, flags) for _ in range(least)]
        if most is _parser.MAXREPEAT or int(most) > MAX_LENGTH:
            loop = self.of(inner, flags)
            for k in _bits(loop.last):
                self.follow[k] |= loop.first
            pieces.append(_Part(loop.first, loop.last))
            return self.sequence(pieces)
        rest = _Part()
        for _ in range(int(most) - least):  # from the inside: (x(x(x)?)?)?
            one = self.sequence([self.of(inner, flags), rest])
            rest = _Part(one.first, one.last)
        return self.sequence([*pieces, rest])


def pattern_condition(pattern: str, vocabulary: Vocabulary) -> Condition:
    """Names that a regular expression matches as a whole.

    Raises:
        SettingError: if it is none, or uses what depends on more than the characters so far; with the place.
    """
    text, meant = _one_by_one(pattern)
    parts = _Parts(pattern, vocabulary.characters, meant)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of what may once mean something else, such as "[["
            parsed = _parser.parse(text)
        flags = parsed.state.flags
        body = list(parsed)
        if body and str(body[0][0]) == "AT" and "BEGINNING" in str(body[0][1]):
            body = body[1:]
        if body and str(body[-1][0]) == "AT" and "END" in str(body[-1][1]):
            body = body[:-1]
        whole = parts.of(_parser.SubPattern(parsed.state, body), flags)
    except re.error as error:
        place = "" if error.pos is None else f" at character {error.pos + 1}"
        raise SettingError(f"pattern {pattern!r} is no regular expression: {error.msg}{place}") from None
    except (RecursionError, OverflowError):
        raise SettingError(f"pattern {pattern!r} is nested too deeply") from None
    return _determinised(parts, whole, vocabulary)


def _one_by_one(pattern: str) -> tuple[str, dict[int, str]]:
    """The pattern with a private code point for each character of several, and which ones these are."""
    private = (chr(number) for number in range(0x100000, 0x10FFFE) if chr(number) not in pattern)
    found: dict[str, str] = {}
    parts: list[str] = []
    for character in characters_of(pattern):
        is_escape = character[0].isascii() and parts[-1:] == ["\\"]
        if len(character) > 1 and character[0] not in _SPECIAL and not is_escape:
            if character not in found:
                found[character] = next(private)
            parts.append(found[character])
        else:
            parts.append(character)
    return "".join(parts), {ord(stand_in): character for character, stand_in in found.items()}


def _determinised(parts: _Parts, whole: _Part, vocabulary: Vocabulary) -> Condition:
    """The automaton of the sets of parts that can be reached."""
    alike: dict[int, list[int]] = {}  # the parts that match a character, to the characters that just they match
    characters = vocabulary.characters
    for i, character in enumerate(characters):
        bits = sum(1 << k for k, matched in enumerate(parts.matches) if character in matched)
        alike.setdefault(bits, []).append(i)
    states = _States(vocabulary, [*alike], [*alike.values()])
    start = -1  # no set of parts, as nothing has been matched
    states.number(start)
    for reached in states.waiting:
        after = whole.first if reached == start else reduce(or_, (parts.follow[k] for k in _bits(reached)), 0)
        states.add([after & bits for bits in states.classes])
        if len(states.rows) > MOST_STATES:
            what = f"pattern {parts.pattern!r} needs more than {MOST_STATES:,} states"
            raise SettingError(what, remedy="Write it with fewer counted repetitions")
    accepts = [bool(reached & whole.last) if reached != start else whole.is_nullable for reached in states.waiting]
    return states.condition(accepts)


class _States:
    """The states of the automaton, as they are found.

    Args:
        classes: for each class of characters the parts that match them, as bits.
        members: and the characters, as numbers among those of the vocabulary.
    """

    def __init__(self, vocabulary: Vocabulary, classes: Sequence[int], members: Sequence[Sequence[int]]) -> None:
        self.classes = classes
        self.vocabulary = vocabulary
        self.waiting: list[int] = []
        self.numbers: dict[int, int] = {}
        self.rows: list[list[int]] = []  # for each state, the next one by class
        # the states inside codes, by the first of the symbols that may come next and the states after them
        self.inside: dict[tuple[int, tuple[int, ...]], int] = {}
        self.single = vocabulary.first_lead - 1  # characters with a symbol of their own
        class_of = {member: c for c, group in enumerate(members) for member in group}
        self.class_of = [class_of[i] for i in range(len(vocabulary.characters))]

    def number(self, reached: int) -> int:
        """Of a set of parts; new ones wait for their row."""
        if reached == 0:
            return NOWHERE
        if reached not in self.numbers:
            self.numbers[reached] = len(self.waiting)
            self.waiting.append(reached)
        return self.numbers[reached]

    def add(self, after: Sequence[int]) -> None:
        """The row of the next state."""
        self.rows.append([self.number(reached) for reached in after])

    def condition(self, accepts: list[bool]) -> Condition:
        """All of them, with the codes of rare characters spelt."""
        usual, arrows = [], []
        for row in self.rows:
            common = Counter(row[c] for c in self.class_of[: self.single] or self.class_of).most_common(1)[0][0]
            own = {i + 1: row[c] for i, c in enumerate(self.class_of[: self.single]) if row[c] != common}
            own |= {lead: after for lead, after in self._leads(row) if after != common}
            usual.append(common)
            arrows.append(own)
        for first, following in self.inside:
            common = Counter(following).most_common(1)[0][0]
            usual.append(common)
            arrows.append({first + i: after for i, after in enumerate(following) if after != common})
        return condition(usual, arrows, accepts + [True] * len(self.inside))  # no name ends within a code

    def _leads(self, row: list[int]) -> list[tuple[int, int]]:
        """The state after each symbol with which a code begins."""
        codes, lead = self.vocabulary.codes, self.vocabulary.first_lead
        if not codes:
            return []
        rows = [
            self._within(self.vocabulary.first_tail, [row[c] for c in self.class_of[start : start + size]])
            for start, size in zip((self.single + codes.first).tolist(), codes.filled.tolist(), strict=True)
        ]
        paired, middle = lead + codes.short + codes.long, codes.middle or 1
        after = rows[codes.paired :]
        after += [self._within(paired, rows[: codes.paired][i : i + middle]) for i in range(0, codes.paired, middle)]
        return list(enumerate(after, lead))

    def _within(self, first: int, after: list[int]) -> int:
        """The state before the symbols from `first` on, which lead to these."""
        if set(after) == {NOWHERE}:
            return NOWHERE
        return self.inside.setdefault((first, tuple(after)), len(self.rows) + len(self.inside))


def _bits(number: int) -> Iterable[int]:
    """The places of the bits that are set."""
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


def _either(parts: Sequence[_Part]) -> _Part:
    """One piece or another."""
    return _Part(
        reduce(or_, (part.first for part in parts), 0),
        reduce(or_, (part.last for part in parts), 0),
        any(part.is_nullable for part in parts),
    )


def _refused(pattern: str, kind: str) -> SettingError:
    """What cannot be asked, with its place in the pattern."""
    wanted = {"AT": "at", "GROUPREF": "back", "GROUPREF_EXISTS": "back", "ASSERT": "look", "ASSERT_NOT": "look"}
    which = wanted.get(kind, "greedy")
    places = [match for match in _TOKENS.finditer(pattern) if match.lastgroup == which]
    if which == "at":  # those at the ends are taken
        places = [match for match in places if match.start() > 0 and match.end() < len(pattern)] or places
    place = f" at character {places[0].start() + 1}" if places else ""
    what = f"pattern {pattern!r} has {_REFUSED[which]}{place}, which cannot be asked"
    return SettingError(what, remedy="Write it without, or ask several questions, one after another")

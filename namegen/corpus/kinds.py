"""Kinds of characters: with and without case, spaces, and all others."""

from __future__ import annotations

START, LOWER, UPPER, LETTER, SPACE, OTHER = range(6)  # START is the boundary; LETTER has no case, such as Han


def without_case(text: str) -> str:
    """In lower case, as far as that keeps every character one.

    >>> without_case("Mcİ")
    'mcİ'
    """
    if text.isascii():
        return text.lower()
    return "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)


def kind_of(character: str) -> int:
    """The kind of a character."""
    if character.isspace():
        return SPACE
    if not character[0].isalpha():
        return OTHER
    if character == without_case(character):
        return LOWER if character != character.upper() else LETTER
    return UPPER

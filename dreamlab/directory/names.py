"""The ways in which people call a service or an organization, derived from its written name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dreamlab.directory.rows import without_remarks
from dreamlab.directory.words import STOP_WORDS, words

_BRACKETS = re.compile(r"\(([^()]+)\)")
_PARTS = re.compile(r"\s+[-\u2013/]\s+|,\s+|\s+(?:for|and|at|of)\s+(?=[^a-z]|$)|\s+for\s+")
_CAPITALS = re.compile(r"\b[A-Z][A-Z0-9]{2,6}\b|\b(?:[A-Z]\.){2,}[A-Z]?")


@dataclass(frozen=True)
class Way:
    """One way to say a name.

    `part` tells a piece of the written name from the whole, `later` a piece that is not its
    first, `capitals` an abbreviation such as `WIC`.
    """

    tokens: tuple[str, ...]
    text: str
    part: bool = False
    later: bool = False
    capitals: bool = False


def ways(name: str, initials: bool = False) -> Iterator[Way]:
    """The whole name with and without brackets, its pieces, what brackets hold, abbreviations,
    and, if wanted, the initials it may go by."""
    bare = without_remarks(name)
    head = name.partition("(")[0].strip()
    for text in dict.fromkeys((name, bare, head)):
        yield Way(tuple(tokens_of(text)), text)
    pieces = _PARTS.split(bare)
    for i, text in enumerate(pieces):
        yield Way(tuple(tokens_of(text)), text, len(pieces) > 1, i > 0)
    for text in _BRACKETS.findall(name):
        if "," in text:
            continue  # a list of what there is, not a name
        yield Way(tuple(tokens_of(text)), text, True, True)
    for text in (*_CAPITALS.findall(name), *(_initials(bare) if initials else ())):
        yield Way(tuple(words(text)), text, True, True, True)


def _initials(name: str) -> Iterator[str]:
    """The initials that a name of four to six words may go by."""
    tokens = [t for t in words(name) if t not in STOP_WORDS and t[0].isalpha()]
    if 4 <= len(tokens) <= 6:
        yield "".join(t[0] for t in tokens).upper()


def tokens_of(text: str) -> list[str]:
    """Content words of a text; one in capitals counts even where it is a stop word (`GET`)."""
    shouted = in_capitals(text)
    return [w for w in words(text) if w not in STOP_WORDS or w in shouted]


def in_capitals(text: str) -> set[str]:
    """The words that a text writes in capitals, unless it shouts throughout."""
    if text.isupper() and len(text.split()) > 2:
        return set()
    return {word for match in _CAPITALS.findall(text) for word in words(match)}

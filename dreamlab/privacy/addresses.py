"""Where a person lives: street addresses in a text, English or Spanish.

A house number with the name of a street, and what tells that it is one: a word such as "Ave" or
"calle", or "I live at" before it. Addresses that the directory lists are public. A street or a
crossing without a house number is left alone: half a town lives there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from dreamlab.privacy.findings import Finding, Kind
from dreamlab.privacy.names import fold

Public = Callable[[str], bool]
"""Whether an address, as it stands in a text, is one that everybody may know."""

_TYPES = (
    r"street|str|st|avenue|aven|ave|av|boulevard|blvd|road|rd|terrace|terr|lane|ln|parkway|pkwy|"
    r"highway|hwy|alley|drive|dr|court|ct|place|pl|circle|cir|way|trail|trl|loop|square|plaza"
)
_ALSO_WORDS = frozenset(
    "drive dr court ct place pl circle way trail loop square plaza lane road terrace st".split()  # noqa: SIM905
)
"""Types that are everyday words or titles as well: after a small number, a name must be written
like one."""

_NUMBER = r"\#?\d{1,6}(?:[- ]?[A-Za-z]|[- ]?1/2)?"
_WORD = r"(?:\d{1,3}(?:st|nd|rd|th)|[^\W\d_][\w'\u2019.-]*)"
_UNIT = (
    r"(?:[\s,]+(?:(?:apartment|apt|unit|suite|ste|space|spc|sp|room|rm|lot|bldg|building|"
    r"depto|departamento|apartamento|int|interior|espacio)\b\.?\s*\#?\s*[\w-]{1,6}|\#\s?[\w-]{1,6}))?"
)
_STREET = re.compile(
    rf"(?<![\w$./:-])(?P<number>{_NUMBER})\s+(?P<name>{_WORD}(?:\s+{_WORD}){{0,3}}?)\s+"
    rf"(?P<type>{_TYPES})\b(?!['\u2019])\.?{_UNIT}",
    re.IGNORECASE,
)
_ROUTE = re.compile(
    r"(?<![\w$./:-])\d{3,6}\s+(?:(?:state|county|us)\s+)?(?:highway|hwy|route|rte|road|rd)\.?\s+\d{1,4}\b"
    rf"{_UNIT}",
    re.IGNORECASE,
)
_VIA = r"(?:calle|avenida|av|calzada|callej[oó]n|camino|privada)\.?"
_CALLE = re.compile(
    rf"(?<!\w){_VIA}\s+(?P<name>{_WORD}(?:\s+{_WORD}){{0,3}}?)"
    r"[\s,]+(?:(?:n[uú]mero|num|no|n[°º])\.?\s*)?\#?\s*\d{1,6}\b"
    rf"{_UNIT}"
    rf"|(?<![\w$./:-])\d{{1,6}}\s+{_VIA}\s+{_WORD}(?:\s+(?-i:[A-ZÁÉÍÓÚÑ]){_WORD}){{0,2}}{_UNIT}",
    re.IGNORECASE,
)
_LIVES = re.compile(
    r"\b(?:(?:i|we|he|she|they|mom|dad|who)?\s*(?:live|lives|living|stay|stays|staying|reside|resides)"
    r"\s+(?:(?:over|up|down|out)\s+)?(?:at|on|in)|(?:home\s+|mailing\s+)?address\s*(?:is|:)?|"
    r"viv(?:o|e|imos|en)\s+en(?:\s+(?:el|la))?|(?:direcci[oó]n|domicilio)\s*(?:es|:)?)\s+"
    rf"(?:the\s+)?(?P<home>{_NUMBER}\s+(?:[NSEW]\.?\s+)?{_WORD}(?:\s+(?-i:[A-Z])[\w'\u2019.-]*){{0,2}}{_UNIT})",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"(?<!\w)[A-Z][\w']+(?: [A-Z][\w']+)? (?:Street|St|Avenue|Ave|Boulevard|Blvd|Road|Rd|Lane|Ln|"
    r"Highway|Hwy)(?!\w)|(?<!\w)[Aa]v(?:enida|e)?\.? [A-ZÁÉÍÓÚÑ]\w+(?: [A-ZÁÉÍÓÚÑ]\w+)?"
)
_BOX = re.compile(
    r"(?<!\w)(?:p\.?\s?o\.?\s?box|apartado(?: postal)?)\s*\#?\s*\d{1,6}\b", re.IGNORECASE
)
_HOME_UNIT = re.compile(
    r"(?<!\w)(?:apartment|apt|trailer|space|spc|depto|departamento|apartamento|espacio)\.?"
    r"\s*(?:\#\s*|n[uú]mero\s+|number\s+)?(?:\d{1,5}-?[A-Za-z]?|[A-Z]-?\d{1,4})\b(?!\s*(?:days|weeks|am|pm|%))",
    re.IGNORECASE,
)
_BETWEEN = frozenset(
    """
    a an the of on at in to from for by near off with without and or but my our your his her
    their is are was were be i we he she they it this that than about block blocks mile miles
    minute minutes min mins hour hours day days week weeks month months year years yr yrs old
    kid kids child children people person persons adults bed beds bedroom bedrooms bath room
    rooms dollar dollars bucks percent am pm times step steps feet foot dogs cats family
    families doctor doctors dr visit visits legal traffic bus buses free low income new
    different hot meals pounds lbs de del la el los las en a por para con sin y o mi su un una
    cuadras cuadra millas minutos horas dias anos semanas meses personas ninos hijos dolares
    veces cerca lejos desde hasta hace entre
    """.split()  # noqa: SIM905
)
"""Words that stand in no street's name, but between a number and a street."""

_JOINS = frozenset(("de", "del", "la", "el", "los", "las", "y"))
"""Those of them that stand in Spanish names of streets: calle de la Paz."""


def addresses(text: str, public: Public) -> Iterator[Finding]:
    """Street addresses with a house number, and post-office boxes."""
    for found in _STREET.finditer(text):
        start = _start(found)
        if start is not None and not public(text[start : found.end()]):
            yield Finding(start, _end(text, found), Kind.ADDRESS)
    for found in _CALLE.finditer(text):
        names = set(_words(found["name"] or ""))
        if not names & _BETWEEN - _JOINS and not public(found[0]):
            yield Finding(*found.span(), Kind.ADDRESS)
    for found in _LIVES.finditer(text):
        words = _words(found["home"])
        if not words or words[0] in _BETWEEN or public(found["home"]):
            continue
        yield Finding(*found.span("home"), Kind.ADDRESS)
    for pattern in (_ROUTE, _BOX, _HOME_UNIT):
        for found in pattern.finditer(text):
            if not public(found[0]):
                yield Finding(found.start(), found.end(), Kind.ADDRESS)


def streets(text: str) -> Iterator[tuple[int, int]]:
    """Where streets are named, with or without a number: what stands there is no person."""
    for found in _NAMED.finditer(text):
        yield found.span()


def keys(text: str) -> set[str]:
    """By what the addresses of a directory are known again: house number and first street word."""
    pairs = re.findall(
        rf"(?<![\w$./:-])({_NUMBER})\s+((?:[NSEW]\.?|north|south|east|west)\s+)?({_WORD})",
        text,
        re.IGNORECASE,
    )
    boxes = (re.sub(r"\D", "", box) for box in _BOX.findall(text))
    return {_key(number, word) for number, _, word in pairs} | {f"box {box}" for box in boxes}


def is_listed(address: str, known: Iterable[str]) -> bool:
    """Whether an address is among those of which `keys` were taken."""
    return bool(keys(address) & set(known))


def _start(found: re.Match[str]) -> int | None:
    """Where the address begins in a match; None where it is none."""
    names = _words(found["name"])
    if not names or set(names) & _BETWEEN:
        return None
    digits = re.sub(r"\D", "", found["number"])
    written = found["name"][0].isupper() or found["name"][0].isdigit()
    if len(digits) < 3 and found["type"].lower() in _ALSO_WORDS and not written:
        return None
    return found.start()


def _end(text: str, found: re.Match[str]) -> int:
    """The end of a match without the full stop of its sentence."""
    end = found.end()
    return (
        end - 1 if text[end - 1] == "." and found[0].count(".") == 1 and end == len(text) else end
    )


def _words(text: str) -> list[str]:
    return [
        fold(word) for word in re.findall(r"\d{1,3}(?:st|nd|rd|th)|[^\W\d_][\w'\u2019-]*", text)
    ]


def _key(number: str, word: str) -> str:
    return f"{re.sub(r'[^0-9]', '', number)} {fold(word).rstrip('.')}"

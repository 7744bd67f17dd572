"""When a person was born: dates in a text, English or Spanish, that are said to be it or are too
long ago to be anything else. Ages and years of birth are left alone: they decide who may be helped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from dreamlab.privacy.findings import Finding, Kind

LONG_AGO = 10
"""Years after which a full date in a question is taken for a date of birth."""

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|"
    r"oct(?:ober)?|nov(?:ember)?|dec(?:ember)?|enero|febrero|marzo|abril|mayo|junio|julio|agosto|"
    r"sep?tiembre|octubre|noviembre|diciembre)\.?"
)
_DAY = r"(?:\d{1,2}(?:st|nd|rd|th|ro|o)?|primero)"
_DATE = (
    r"(?:\d{1,2}\s?[/.-]\s?\d{1,2}\s?[/.-]\s?(?P<a>\d{4}|\d{2})|(?P<b>\d{4})[/.-]\d{1,2}[/.-]\d{1,2}"
    rf"|{_MONTH}\s+(?:the\s+)?{_DAY}(?:\s*,?\s+(?:of\s+)?(?P<c>\d{{4}}|'?\d{{2}}(?!\d)))?"
    rf"|(?:the\s+)?{_DAY}\s+(?:of\s+|de\s+)?{_MONTH}(?:,?\s+(?:de(?:l)?\s+|of\s+)?(?P<d>\d{{4}}|'\d{{2}}))?"
    r"|\d{8}|\d{6})(?!\d)"
)
_FILLER = r"(?:[\s:,=#()-]|\b(?:is|was|on|the|es|fue|el|dia|día|day|her|his|my|mi|su|of)\b)*"
_BORN = re.compile(
    r"(?<!\w)(?:d\.?o\.?b\.?|date of birth|birth\s?date|birth\s?day|bday|b-day|born|"
    r"nac(?:í|i|ió|io|ido|ida)|fecha de nacimiento|f\.? ?de nac\.?|cumplea[nñ]os|"
    r"cumple|cumplo)(?:'s)?(?!\w)"
    rf"{_FILLER}(?P<date>{_DATE})",
    re.IGNORECASE,
)
_FULL = re.compile(rf"(?<![\w/.-])(?P<date>{_DATE})(?![\w/-])", re.IGNORECASE)


def births(text: str) -> Iterator[Finding]:
    """Dates of birth."""
    for found in _BORN.finditer(text):
        yield Finding(*found.span("date"), Kind.BIRTH)
    latest = datetime.now(UTC).year - LONG_AGO
    for found in _FULL.finditer(text):
        year = found["a"] or found["b"] or found["c"] or found["d"] or ""
        if len(year) == 4 and 1900 <= int(year) <= latest:
            yield Finding(*found.span("date"), Kind.BIRTH)

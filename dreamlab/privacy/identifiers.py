"""E-mail addresses, phone, social security and case numbers in a text, English or Spanish.

Phone numbers are read by libphonenumber (`phonenumbers`); numbers that belong to everybody, such
as 2-1-1, toll-free lines and those of the directory, are not personal. Amounts, ages, dates, ZIP
codes and street numbers are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from dreamlab.privacy.findings import Finding, Kind

Public = Callable[[str], bool]
"""Whether a number, given as its digits, is one that everybody may know."""

_EMAIL = re.compile(
    r"(?<![\w.+%'-])[\w.+%'-]{1,64}\s?@\s?[\w-]{1,63}(?:\s?\.\s?[\w-]{1,63}){0,8}\.\w{2,63}"
    r"|(?<![\w.+-])[\w.+-]{1,64}(?: (?:dot|punto) [\w-]{1,63}){0,8}"
    r"\s[(\[]?(?:at|arroba)[)\]]?\s[\w-]{1,63}(?:\s(?:dot|punto)\s[\w-]{1,63}){1,8}",
    re.IGNORECASE,
)

_SSN = re.compile(
    r"(?<![\w-])(?!000|666)\d{3}([-. /])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])"
    r"|(?:\bss[n#]?|\bitin|\bsocial(?: security)?|\bseguro(?: social)?|\bsoc\.? ?sec)\b"
    r"(?:[\s:#.(),]|\b(?:numbers?|no|num|n[uú]mero|is|are|es|was|son|ends?|in|termina|en|last|four|4"
    r"|digits)\b)*"
    r"(?P<digits>\d(?:[-. ]?\d){8}|\d{4}(?!\d))(?!\w)",
    re.IGNORECASE,
)
_SSN_GLUED = re.compile(r"\bssn\W{0,2}(?P<digits>\d(?:[-. ]?\d){8})(?!\w)", re.IGNORECASE)

_TITLE = (
    r"(?:case|caso|docket|claim|file|policy|client|inmate|booking|member|account|acct|application|"
    r"reference|ref|receipt|tracking|ticket|warrant|voucher|permit|licen[cs]e|passport|alien|uscis|"
    r"a-?number|cin|ebt|medi-?cal|medicare|medicaid|calfresh|calworks|insurance|patient|record|mrn|"
    r"expediente|solicitud|recibo|folio|p[oó]liza|cliente|reclamo|pasaporte|matr[ií]cula|"
    r"tarjeta|cuenta|id)"
)
_FILLER = (
    r"(?:[\s:#.()-]|\b(?:numbers?|no|nr|num|n[uú]mero|nro|id|card|is|es|was|de|del|my|mi|the|at|"
    r"alien|section|8|application|receipt|for|caso|recibo|n[°º])\b|[°º])*"
)
_CASE = re.compile(
    rf"(?<![\w-]){_TITLE}(?:'s|s)?\b{_FILLER}"
    r"(?<![\w$-])(?P<number>(?:[A-Z]{1,4}-?|(?-i:[A-Z]{1,4}) )?\d[\dA-Z]*"
    r"(?:[-/][\dA-Z]+| \d{2,}[A-Z]?(?!\w))*)",
    re.IGNORECASE,
)
_SHAPED = re.compile(
    r"(?<![\w-])(?:"
    r"A[- ]?\d{3}[- ]?\d{3}[- ]?\d{3}"  # alien registration
    r"|[A-Z]{3}[- ]?\d{10}"  # immigration receipt
    r"|\d[A-Z][A-Z\d]\d-?[A-Z][A-Z\d]\d-?[A-Z]{2}\d{2}"  # Medicare beneficiary
    r"|\d{4}[- ]\d{4}[- ]\d{4}[- ]\d{4}"  # payment and benefit cards
    r"|[A-Z]{2,4}-\d{2,4}-\d{4,}|\d{2,4}-[A-Z]{2,3}-\d{4,}"  # court dockets
    r"|\d{8}[A-Z]"  # beneficiary of a state programme
    r"|(?<=number )[A-Z]{1,4}-?\d{4,}[A-Z]?|(?<=número )[A-Z]{1,4}-?\d{4,}[A-Z]?"
    r")(?![\w-])"
)
_LONG = re.compile(r"(?<![\w$-])\d{7,}(?![\w-])")

_DIGIT_WORDS = (
    "zero|oh|one|two|three|four|five|six|seven|eight|nine|"
    "cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve"
)
_SPOKEN = re.compile(
    rf"(?<!\w)(?:(?:{_DIGIT_WORDS}|\d+)[\s,.-]+){{3,}}(?:{_DIGIT_WORDS}|\d+)(?!\w)", re.IGNORECASE
)
_WORDED = re.compile(rf"(?<!\w)(?:{_DIGIT_WORDS})(?!\w)", re.IGNORECASE)
_LOCAL = re.compile(r"(?<![\w$-])\d{3}[-. ]\d{4}(?![\w-])")
_SEPARATED = re.compile(r"(?<![\w$-])\(?\d{3}\)?[-. /]{0,2}\d{3}[-. /]?\d{4}(?![\w-])")
_INTERNATIONAL = re.compile(r"\+\d(?:[ .()-]{0,2}\d){7,14}(?!\d)")
_EXTENSION = re.compile(r"[\s,;]*(?:ext|extension|x|extensi[oó]n)\.?\s*\d{1,6}\b", re.IGNORECASE)


def emails(text: str) -> Iterator[Finding]:
    """E-mail addresses, spelt out ones ("linda dot c at example dot com") as well."""
    for found in _EMAIL.finditer(text):
        yield Finding(found.start(), found.end(), Kind.EMAIL)


def social_security_numbers(text: str) -> Iterator[Finding]:
    """Social security and taxpayer numbers: by their shape, or nine or four digits so called."""
    for pattern in (_SSN, _SSN_GLUED):
        for found in pattern.finditer(text):
            named = found.groupdict().get("digits")
            start, end = found.span("digits") if named else found.span()
            yield Finding(start, end, Kind.SSN)


def case_numbers(text: str, public: Public) -> Iterator[Finding]:
    """Numbers of cases, files, cards and the like: after such a word, or by a well-known shape."""
    for found in _CASE.finditer(text):
        number = found["number"]
        digits = re.sub(r"\D", "", number)
        if len(digits) >= 4 and not re.fullmatch(r"(?:19|20)\d\d", number) and not public(digits):
            yield Finding(*found.span("number"), Kind.CASE)
    for found in _SHAPED.finditer(text):
        if not public(re.sub(r"\D", "", found[0])):
            yield Finding(found.start(), found.end(), Kind.CASE)


def long_numbers(text: str, public: Public) -> Iterator[Finding]:
    """Seven digits or more in a row, whatever they are: no question about services needs them."""
    for found in _LONG.finditer(text):
        if not public(found[0]):
            yield Finding(found.start(), found.end(), Kind.CASE)


def phones(text: str, country: str, public: Public) -> Iterator[Finding]:
    """Phone numbers as people write them in `country` (ISO code), and any written with a +."""
    from phonenumbers import Leniency, PhoneNumberMatcher, PhoneNumberType, number_type

    known: list[Finding] = []  # numbers that are nobody's secret: what is part of one is none
    for match in PhoneNumberMatcher(text, country, leniency=Leniency.POSSIBLE):
        digits = re.sub(r"\D", "", match.raw_string)
        finding = Finding(match.start, match.end, Kind.PHONE)
        if number_type(match.number) == PhoneNumberType.TOLL_FREE or public(digits):
            known.append(finding)
        elif len(digits) >= 7:
            yield finding
    for pattern in (_SEPARATED, _LOCAL, _INTERNATIONAL):
        for found in pattern.finditer(text):
            more = _EXTENSION.match(text, found.end())
            finding = Finding(found.start(), more.end() if more else found.end(), Kind.PHONE)
            if not finding.overlaps(known) and not public(re.sub(r"\D", "", found[0])):
                yield finding
    for found in _SPOKEN.finditer(text):
        words = len(_WORDED.findall(found[0]))
        if words >= 3 and words + len(re.sub(r"\D", "", found[0])) >= 7:
            yield Finding(found.start(), found.end(), Kind.PHONE)

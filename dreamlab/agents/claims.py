"""Whether cited rows bear out what a model wrote, claim by claim. Pure, and without a model.

A claim is the part of a sentence that its citation `[id]` closes. It is borne out when every word
of content and every number in it stands in the rows cited, and when it denies what they deny. That
is strict on purpose: a true claim in other words is cut as well. Nothing is rewritten; a sentence
with a claim that nothing bears out is left out whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files

from dreamlab.directory.words import STOP_WORDS, plain
from dreamlab.models.language import in_english, language_of
from dreamlab.records import Service

CITATION = re.compile(r"\[([^\[\]\s]+(?:[,;]\s*[^\[\]\s]+)*)\]")
NUMBER = re.compile(r"\d[\d\-.,:/() ]*\d|\d")
NEGATIONS = frozenset(
    """
    no not never without nor none cannot cant dont doesnt didnt isnt arent wont nobody except nunca
    sin ni nada ninguno ninguna
    """.split()  # noqa: SIM905
)
COUNTS = frozenset(("one", "two", "three", "four", "five", "dos", "tres", "cuatro", "cinco"))
"""Numbers in words, which a sentence that cites nothing may use: "Here are two places."."""

IDEA = "Idea:"

SAID_IN = tuple(f for f in fields(Service) if f.name not in ("id", "source_url", "source_date"))
"""The columns that say something of a service."""

CLAUSE = re.compile(r"[.;:!?\n,]+|\bbut\b")
_END = re.compile(r"(?<=[.!?])(?<!\b[A-Z]\.)(?<!\b(?:St|Dr|Mr|No|Co)\.)(?<!\b[ap]\.m\.)\s+(?=\S)")
_LATE = re.compile(r"([.!?])[ \t]*((?:\[[^\[\]]+\][ \t]*)+)")
"""A citation after the full stop of its sentence."""

LINK = re.compile(r"https?:|www\.|@|\b[\w-]+\.(?:com|org|net|gov|edu|us|info|io)\b", re.IGNORECASE)
LONG = 7
"""Digits from which a number is one to call: a model writes none, the rows' are printed."""

ABOUT_ONE = 2
"""Sentences that may be written about one service."""

_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class Checked:
    """What is left of a text, and the sentences that were cut."""

    text: str
    cut: tuple[str, ...] = ()
    cited: tuple[str, ...] = ()


def check(
    text: str, rows: Mapping[str, Service], helpline: str = "", *, ideas: bool = False
) -> Checked:
    """The text without the sentences that the rows they cite do not bear out.

    `rows` are the services that may be cited, as the model was shown them. A sentence without a
    citation stays only if it says nothing of a service ("Here is what I found."). The helpline
    may always be named. With `ideas`, a sentence that begins with "Idea:" proposes something and
    needs no support; it may hold no number.
    """
    kept, cut, cited = [], [], []
    for paragraph in _LATE.sub(lambda m: f" {m[2].strip()}{m[1]} ", text).split("\n"):
        sentences = []
        for sentence in _END.split(paragraph.strip()):
            if not sentence:
                continue
            idea = ideas and sentence.startswith(IDEA) and not NUMBER.search(sentence)
            if idea or borne_out(sentence, rows, helpline):
                sentences.append(_tidy(sentence))
                cited += [i for group in CITATION.findall(sentence) for i in _ids(group)]
            else:
                cut.append(sentence)
        if sentences:
            kept.append(" ".join(sentences))
    return Checked("\n".join(kept), tuple(cut), tuple(dict.fromkeys(cited)))


def about(text: str, row: Service, helpline: str = "") -> Checked:
    """What may be said of one service: the first sentences that its row bears out, each with the
    row's id as its citation. What names an address on the net, or a number to call other than the
    helpline's, is cut whatever the row says."""
    said = " ".join(CITATION.sub("", text).split())
    kept: list[str] = []
    cut: list[str] = []
    for sentence in filter(None, _END.split(said)):
        claim = _tidy(sentence).rstrip(" .!")
        contact = LINK.search(claim) or any(
            len(number) >= LONG for number in numbers_in(claim) - numbers_in(helpline)
        )
        if contact or not borne_out(f"{claim} [this].", {"this": row}, helpline):
            cut.append(sentence)
        elif len(kept) < ABOUT_ONE:
            kept.append(f"{claim} [{row.id}].")
    return Checked(" ".join(kept), tuple(cut), (row.id,) if kept else ())


def borne_out(sentence: str, rows: Mapping[str, Service], helpline: str = "") -> bool:
    """Whether each claim of a sentence stands in the rows that it cites."""
    parts = CITATION.split(sentence)
    claims = [(parts[i], _ids(parts[i + 1])) for i in range(0, len(parts) - 1, 2)]
    claims = _joined(claims)
    rest = parts[-1]
    if not all(id_ in rows for _, ids in claims for id_ in ids):
        return False
    if not _supported(rest, (), helpline):
        return False
    return all(_supported(claim, [rows[id_] for id_ in ids], helpline) for claim, ids in claims)


def _joined(claims: list[tuple[str, tuple[str, ...]]]) -> list[tuple[str, tuple[str, ...]]]:
    """The claims, those of neighbouring citations put together: `[a] and [b]` cite one claim."""
    joined: list[tuple[str, tuple[str, ...]]] = []
    for claim, ids in claims:
        if joined and not re.sub(r"\b(?:and|y|or|o)\b|\W", "", claim):
            joined[-1] = (joined[-1][0], (*joined[-1][1], *ids))
        else:
            joined.append((claim, ids))
    return joined


def _ids(group: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[,;]\s*", group) if part)


def _supported(claim: str, rows: Iterable[Service], helpline: str) -> bool:
    evidence = _Evidence.of(tuple(rows), helpline)
    if not numbers_in(claim) <= evidence.numbers:
        return False
    allowed = neutral() if evidence.clauses else neutral() | COUNTS
    for clause in CLAUSE.split(claim):
        words = readings(clause)
        if not all(word & (evidence.words | allowed) for word in words):
            return False
        said = frozenset().union(*words) & evidence.words
        if not evidence.agrees(said - neutral(), denies(clause)):
            return False
    return True


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What some rows say: stems, numbers, and their clauses with whether each denies."""

    words: frozenset[str]
    numbers: frozenset[str]
    clauses: tuple[tuple[frozenset[str], bool], ...]

    @classmethod
    @cache
    def of(cls, rows: tuple[Service, ...], helpline: str) -> _Evidence:
        texts = [_text(getattr(row, f.name)) for row in rows for f in SAID_IN]
        clauses = [part for text in texts for part in CLAUSE.split(text) if part.strip()]
        words = frozenset().union(*(stems(text) for text in texts))
        numbers = frozenset().union(*map(numbers_in, (*texts, helpline)))
        return cls(words, numbers, tuple((stems(part), denies(part)) for part in clauses))

    def agrees(self, words: frozenset[str], denial: bool) -> bool:
        """Whether the clauses nearest to a claim deny it where the claim does, and only there."""
        if not words or not self.clauses:
            return True
        overlap = max(len(words & said) for said, _ in self.clauses)
        nearest = [denied for said, denied in self.clauses if len(words & said) == overlap]
        return overlap == 0 or denial in nearest


def readings(claim: str) -> list[frozenset[str]]:
    """For each word of a claim that says something, the stems that it may be read as: one for
    English, for Spanish those of its gloss as well."""
    said = stems_in_order(claim)
    if language_of(claim, "en") != "es":
        return [frozenset({stem}) for stem in said]
    spanish = [word for word in _WORD.findall(plain(claim)) if word not in STOP_WORDS]
    return [
        stems(in_english(word, "es")) | {_stem(word)} for word in spanish if word not in NEGATIONS
    ]


def stems(text: str) -> frozenset[str]:
    """The stems of the words of a text that are no stop words and no negations."""
    return frozenset(stems_in_order(text))


def stems_in_order(text: str) -> list[str]:
    """The same, as often as they occur."""
    said = _WORD.findall(plain(text).replace("-", " "))
    return [_stem(w) for w in said if w not in STOP_WORDS and w not in NEGATIONS]


def numbers_in(text: str) -> frozenset[str]:
    """The numbers of a text by their digits: a phone number is one, `9:00` is `9`."""
    found = set()
    for match in NUMBER.findall(text):
        digits = re.sub(r"\D", "", match)
        if len(digits) >= 7:
            found.add(digits[1:] if len(digits) == 11 and digits[0] == "1" else digits)
            continue
        for part in re.findall(r"\d+(?:[:.]\d+)?", match.replace(",", "")):
            found.add(re.sub(r"[:.]0+$", "", part).lstrip("0") or "0")
    return frozenset(found)


def denies(text: str) -> bool:
    """Whether there is a negation in a text."""
    return any(word in NEGATIONS for word in _WORD.findall(plain(text)))


@cache
def neutral() -> frozenset[str]:
    """The stems of words that claim nothing of a service (`prompts/neutral.md`)."""
    lines = (files(__package__) / "prompts" / "neutral.md").read_text("utf-8").splitlines()
    return frozenset().union(*(stems(line[2:]) for line in lines if line.startswith("- ")))


def _text(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _tidy(sentence: str) -> str:
    """The sentence with the space before its end removed, where a citation was moved."""
    return re.sub(r"\s+([.!?])\s*$", r"\1", sentence.strip())


@cache
def _stemmer() -> object:
    import Stemmer

    return Stemmer.Stemmer("english")


@cache
def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))  # type: ignore[attr-defined]

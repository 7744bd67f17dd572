"""The three experts. Each reads the same question in its own way and says what it would cite.

The resource specialist executes the understood facets in the directory. The search specialist
ranks every row by meaning, by words and by remembered experiences. The recommendation specialist
weighs both for this caller: need, group, place, age, hours, fees. None decides: the lead does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dreamlab.agents.understanding import Reading
from dreamlab.directory.catalog import Catalog, Found
from dreamlab.models.vectors import Embedding, cached_vectors
from dreamlab.records import Memory, Referral, Role, Service

Recall = Callable[..., list[Memory]]
"""`recall(text, limit=n)`: relevant memories, best first."""

ALIKE = 0.85
"""Cosine from which a remembered question is so similar that its outcome speaks for this one."""

RECALLED = 5
"""Memories that are looked at."""

DEEP = 30
"""Rows found by full text that are looked at."""


def best(ids: Sequence[str], scores: np.ndarray, limit: int) -> tuple[str, ...]:
    """The `limit` ids with the highest scores; equal ones in their order."""
    return tuple(ids[i] for i in np.argsort(-scores, kind="stable")[:limit])


class ResourceSpecialist:
    """Knows the directory: what it lists for the facets that were understood."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def find(self, reading: Reading, limit: int) -> Found:
        """The directory's own ranking for the reading's facets."""
        asked = Referral(needs=reading.needs, groups=reading.groups, place=reading.place)
        return self._catalog.lookup(asked, text=reading.english, limit=limit)


class SearchSpecialist:
    """Finds rows by meaning and by words, and remembers what helped with such a question."""

    WORDS = 0.1
    REMEMBERED = 0.05
    """Weights, beside the cosine of the meaning, of full-text relevance and of having been cited
    in verified experiences with very similar questions, each in [0, 1]."""

    def __init__(
        self,
        catalog: Catalog,
        embedder: Embedding,
        recall: Recall | None = None,
        cache: Path | None = None,
    ) -> None:
        self._catalog = catalog
        self._recall = recall
        self._rows = {service.id: i for i, service in enumerate(catalog.services)}
        self._views = [
            cached_vectors(f"rows-{name}", [view(s) for s in catalog.services], embedder, cache)
            for name, view in VIEWS.items()
        ]

    def relevance(self, reading: Reading, memories: Sequence[Memory] = ()) -> np.ndarray:
        """Relevance of every row, [rows]: by meaning, by words, and by what helped before."""
        if not self._rows:
            return np.zeros(0)
        found = self.dense(reading.vectors) + self.WORDS * self.full_text(reading.english)
        for memory in memories:
            answer = memory.experience.answer(Role.TEAM) if memory.experience else None
            cited = answer.referral.service_ids if answer else ()
            rows = [self._rows[id_] for id_ in cited if id_ in self._rows]
            found[rows] += self.REMEMBERED * memory.similarity / len(memories)
        return found

    def dense(self, vectors: np.ndarray) -> np.ndarray:
        """Cosine with every row, averaged over the views of a row: half that of the question as a
        whole (first of `vectors`), half that of its best part."""
        parts = np.mean([vectors @ view.T for view in self._views], axis=0)
        return 0.5 * parts[0] + 0.5 * parts.max(axis=0)

    def full_text(self, text: str) -> np.ndarray:
        """Full-text relevance of every row, the best one 1; only the first `DEEP` have any."""
        scores = np.zeros(len(self._rows))
        for match in self._catalog.search(text, limit=DEEP):
            scores[self._rows[match.service.id]] = match.score
        return scores / max(scores.max(initial=0.0), 1e-9)

    def remember(self, question: str) -> tuple[Memory, ...]:
        """Verified experiences with a question very like this one, best first."""
        if self._recall is None:
            return ()
        memories = self._recall(question, limit=RECALLED)
        return tuple(
            m
            for m in memories
            if m.experience is not None and m.experience.verified and m.similarity >= ALIKE
        )


VIEWS: Mapping[str, Callable[[Service], str]] = {
    "all": lambda s: s.text,
    "name": lambda s: f"{s.name}. {s.description}",
    "whom": lambda s: f"{s.description} {s.eligibility}",
}
"""The texts by which a row is known to the encoder."""


class Condition(NamedTuple):
    """Something callers ask for: how they say it, and how a row says that it has it."""

    name: str
    asked: re.Pattern[str]
    columns: tuple[str, ...]
    offered: re.Pattern[str]


def _condition(name: str, asked: str, columns: str, offered: str) -> Condition:
    return Condition(
        name, re.compile(asked, re.I), tuple(columns.split()), re.compile(offered, re.I)
    )


CONDITIONS = (
    _condition(
        "free of charge",
        r"\bfree\b|no money|can'?t (?:pay|afford)|doesn'?t cost|no cost|for nothing|broke\b",
        "fees description eligibility",
        r"\bfree\b|no (?:cost|charge|fee)",
    ),
    _condition(
        "open in the evening or at the weekend",
        r"\bevenings?\b|\bat night\b|after work|weekends?\b|saturdays?\b|sundays?\b|sabado|domingo",
        "hours description",
        r"24|7 days|daily|\bsat|\bsun|weekend|round.the.clock|(?<!\d)(?:[6-9]|10)(?::\d\d)?\s?pm",
    ),
    _condition(
        "any hour",
        r"\btonight\b|right now|24.?7|middle of the night|\b[1-4] ?am\b",
        "hours description name",
        r"24|round.the.clock|overnight",
    ),
    _condition(
        "without insurance",
        r"no insurance|uninsured|without insurance|not? (?:have )?health insurance|no coverage",
        "eligibility description fees",
        r"uninsured|underinsured|sliding|low.income|medi-cal|free",
    ),
    _condition(
        "comes to the home or works by telephone",
        r"no car\b|(?:can'?t|doesn'?t|don'?t|not) drive|no ride|homebound|can'?t leave",
        "name description hours",
        r"deliver|\bhome\b|hotline|phone line|access line|rides?\b|door",
    ),
    _condition(
        "without an appointment",
        r"walk.?in|without (?:an )?appointment|no appointment|in person",
        "description how_to_apply name",
        r"walk.?in|drop.?in|no appointment",
    ),
)
"""Conditions on fees, hours and access that are looked for in a question and in the rows."""


class RecommendationSpecialist:
    """Orders the rows for this caller: what fits the needs, whom it serves, where and when."""

    NEED = 0.3
    GROUP = 0.15
    PLACE = 0.2
    AGE = 0.05
    CONDITION = 0.05
    """Weights beside the relevance found by search, which spans about 0.1 to 0.7."""

    UNDERSTOOD = 0.15
    """Score of the best-met need from which a need counts as understood at all."""

    def __init__(self, catalog: Catalog) -> None:
        self._services = catalog.services
        self._needs = _facets(catalog.services, catalog.needs, lambda s: s.needs)
        self._groups = _facets(catalog.services, catalog.groups, lambda s: s.groups)
        self._places = np.array([s.place for s in catalog.services], dtype=object)
        self._ages = [age_range(f"{s.eligibility} {s.description}") for s in catalog.services]
        self._offers = {
            c.name: np.array(
                [
                    any(c.offered.search(getattr(s, column)) for column in c.columns)
                    for s in catalog.services
                ],
                dtype=float,
            )
            for c in CONDITIONS
        }

    def weigh(self, reading: Reading, relevance: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
        """The rows' scores for this caller, [rows], from their relevance and the reading, and
        what was taken into account."""
        if not self._services:
            return relevance, ()
        notes = []
        met = _fit(self._needs, reading.need_scores)
        scores = relevance + self.NEED * met
        scores = scores + self.GROUP * _fit(self._groups, reading.group_scores)
        if reading.places:
            # To be there counts as far as the need is met: the bus of a town is no rent help.
            there = np.isin(self._places, reading.places)
            share = met / met.max() if met.max() >= self.UNDERSTOOD else 1.0
            near = np.where(there, 1.0, np.where(self._places == "", 0.5, 0.0))
            scores = scores + self.PLACE * share * near
            notes.append(f"place: {', '.join(reading.places)}")
        ages = ages_in(reading.english)
        if ages:
            scores = scores + self.AGE * np.array([_age_fit(ages, r) for r in self._ages])
            notes.append(f"age: {', '.join(map(str, ages))}")
        for condition in CONDITIONS:
            if condition.asked.search(reading.english):
                scores = scores + self.CONDITION * self._offers[condition.name]
                notes.append(f"asked for: {condition.name}")
        return scores, tuple(notes)

    def why(self, service: Service, reading: Reading) -> str:
        """Why a service suits this caller, in a few words."""
        reasons = [f"offers {need}" for need in reading.needs if need in service.needs]
        reasons += [f"for {group}" for group in reading.groups if group in service.groups]
        if service.place and service.place in reading.places:
            reasons.append(f"in {service.place}")
        reasons += [
            c.name
            for c in CONDITIONS
            if c.asked.search(reading.english)
            and any(c.offered.search(getattr(service, column)) for column in c.columns)
        ]
        return ", ".join(reasons) or "close in meaning to the question"


def _facets(
    services: Sequence[Service], values: Sequence[str], of: Callable[[Service], Sequence[str]]
) -> np.ndarray:
    """Which row has which facet value: [rows, values] of 0 and 1."""
    return np.array([[float(v in of(s)) for v in values] for s in services]).reshape(
        len(services), len(values)
    )


def _fit(facets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """For each row the score of its best facet value, in [0, 1]."""
    if not facets.shape[1]:
        return np.zeros(len(facets))
    return (facets * np.clip(scores, 0.0, 1.0)).max(axis=1)


_AGE = re.compile(
    r"\b(?:i'?m|i am|(?:he|she)'?s|is|am|age|turn(?:s|ed)?|about|almost|maybe|past)\s(?:age\s)?"
    r"(\d{1,2})\b(?!\s*(?:months?|weeks?|%|dollars|bucks|kids|days?|am|pm|[:/]))"
    r"|\b(\d{1,2})[\s-]*(?:years?|yrs?|y/?o)\b",
    re.I,
)
_RANGE = re.compile(r"(\d{1,2})\s?(?:-|to|and|through)\s?(\d{1,2})(?!\d|:|-|\s?(?:months|hours))")
_FROM = re.compile(
    r"\b(?:ages?d?\s|men\s|women\s|seniors?\s)?(\d{2})\s?(?:\+|and (?:older|over|up))"
)
_UP_TO = re.compile(r"(?:up to|under|to age)\s(?:age\s)?(\d{1,2})\b(?!\s?(?:months|%))")


def ages_in(text: str) -> tuple[int, ...]:
    """Ages in years that a question states, in order."""
    return tuple(int(a or b) for a, b in _AGE.findall(text) if 0 < int(a or b) < 110)


def age_range(text: str) -> tuple[int, int] | None:
    """Youngest and oldest age that a row states it serves; None when it states none."""
    lower = text.casefold()
    if found := _FROM.search(lower):
        return int(found[1]), 120
    if "age" in lower and (found := _RANGE.search(lower)):
        low, high = int(found[1]), int(found[2])
        return (low, high) if low < high else None
    if found := _UP_TO.search(lower):
        return 0, int(found[1])
    return None


def _age_fit(ages: Sequence[int], span: tuple[int, int] | None) -> float:
    """-1 when every age stated lies outside the ages that a row serves, else 0."""
    if span is None:
        return 0.0
    return 0.0 if any(span[0] <= age <= span[1] for age in ages) else -1.0

"""What the roles use: the lab's own search over one directory, told what a role understood.

A role says needs, groups and words; which rows that leads to is found here, from the rows' facets
and their nearness to the words. No model is asked and nothing is written.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dreamlab.agents.experts import RecommendationSpecialist, ResourceSpecialist, SearchSpecialist
from dreamlab.agents.experts import best as best_of
from dreamlab.agents.lead import NEAREST, Decision, Lead
from dreamlab.agents.render import render
from dreamlab.agents.screening import suspicious
from dreamlab.agents.understanding import Reader, Reading
from dreamlab.directory.catalog import Catalog
from dreamlab.directory.phrases import PhraseBank
from dreamlab.records import CITED_AT_MOST, Answer, Memory, Referral, Role

SHOWN = 8
"""Rows that an expert looks at."""

FACET = re.compile(r"[^\W\d_](?:[^\W\d_]|['&/,+()-]| (?! )){0,59}")
"""What looks like a word of a vocabulary: letters, up to 60; no number and no id."""

WORDS, FACETS = 6, 80
"""Words in one value, and values of one kind, that a model is shown."""


@dataclass(frozen=True, eq=False)
class Findings:
    """What the offline team has on one question: its answers (the team's first), the reading,
    whether that is plain, the decision, the verified memories of very similar questions, and what
    the base model proposes."""

    answers: tuple[Answer, ...]
    reading: Reading
    plain: bool
    decision: Decision
    memories: tuple[Memory, ...] = ()
    proposal: Answer | None = None

    def of(self, role: Role) -> Answer:
        """The offline answer of a role."""
        return next(answer for answer in self.answers if answer.role == role)


class Tools:
    """The search of one team, for its roles."""

    def __init__(
        self,
        catalog: Catalog,
        phrases: PhraseBank,
        reader: Reader,
        resource: ResourceSpecialist,
        search: SearchSpecialist,
        recommendation: RecommendationSpecialist,
        lead: Lead,
    ) -> None:
        self.catalog = catalog
        self._reader, self._lead = reader, lead
        self._resource, self._search = resource, search
        self._recommendation = recommendation
        self._ids = tuple(service.id for service in catalog.services)
        self.vocabulary = vocabulary(catalog, phrases)

    def heard(
        self, reading: Reading, needs: Sequence[str], groups: Sequence[str], words: Sequence[str]
    ) -> Reading:
        """The reading with what a role understood besides."""
        return self._reader.heard(reading, needs, groups, words)

    def find(self, role: Role, found: Findings, reading: Reading) -> tuple[str, ...]:
        """The ids of the rows that an expert's own search gives for a reading, best first."""
        if role == Role.RESOURCE:
            rows = self._resource.find(reading, CITED_AT_MOST)
            return tuple(match.service.id for match in rows.matches)
        relevance = self._search.relevance(reading, found.memories)
        if role == Role.SEARCH:
            return best_of(self._ids, relevance, CITED_AT_MOST)
        return best_of(self._ids, self._recommendation.weigh(reading, relevance)[0], CITED_AT_MOST)

    def look_up(self, reading: Reading) -> tuple[str, ...]:
        """The ids of the rows that a reading leads to, by meaning and by facets, best first."""
        scores, _ = self._recommendation.weigh(reading, self._search.relevance(reading))
        return best_of(self._ids, scores, SHOWN)

    def decide(self, found: Findings, reading: Reading) -> Decision:
        """What the offline lead would cite for a reading."""
        relevance = self._search.relevance(reading, found.memories)
        scores, _ = self._recommendation.weigh(reading, relevance)
        backed = self._lead.backed(reading, scores, found.proposal)
        return self._lead.decide(reading, relevance, backed)

    def refuse(self, found: Findings, reading: Reading) -> Decision:
        """The decision that nothing fits, with what is near to a need that was understood."""
        near = self.look_up(reading)[:NEAREST] if reading.needs else ()
        return Decision(Referral(nothing_fits=True), near, "outside")

    def show(self, reading: Reading, decision: Decision, ids: bool = False) -> str:
        """The text of a decision: its rows, rendered; with `ids` so that prose can cite them."""
        referral = decision.referral
        return render(
            referral,
            [self.catalog.get(id_) for id_ in referral.service_ids],
            language=reading.language,
            helpline=self.catalog.helpline,
            nearest=[self.catalog.get(id_) for id_ in decision.nearest],
            problem=decision.problem,
            place=decision.elsewhere,
            ids=ids,
        )


def vocabulary(catalog: Catalog, phrases: PhraseBank) -> Mapping[str, tuple[str, ...]]:
    """The needs and groups that a model may be shown and may name.

    A facet value is text of the rows that have it. One counts as the directory's word, and not as
    some row's, where the phrase bank knows it, or where several organizations use it and it looks
    like one.
    """
    users: dict[str, set[str]] = defaultdict(set)
    for service in catalog.services:
        for value in (*service.needs, *service.groups):
            users[value].add(service.organization)

    def common(values: Sequence[str], known: Mapping[str, object]) -> tuple[str, ...]:
        return tuple(
            value
            for value in values
            if value in known or (len(users[value]) > 1 and _is_word(value))
        )[:FACETS]

    return {
        "needs": common(catalog.needs, phrases.needs),
        "groups": common(catalog.groups, phrases.groups),
    }


def _is_word(value: str) -> bool:
    short = len(value.split()) <= WORDS
    return bool(short and FACET.fullmatch(value) and not suspicious(value))

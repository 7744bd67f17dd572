"""The lead: weighs what base model and memories say, decides what to cite, and says why.

It decides in this order: nothing to read, a place elsewhere, a question that lies outside, a
fact about a service called by name, services for the needs. What memories propose is heeded only
where the question itself bears it out; the base model speaks by the rows that it cites. The marks
were chosen on the half of the benchmark that decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dreamlab.agents.experts import best
from dreamlab.agents.understanding import Reading
from dreamlab.directory.catalog import Catalog, Match
from dreamlab.directory.ranking import first_of_each
from dreamlab.records import CITED_AT_MOST, Answer, Memory, Referral, Service

FACT_MARK = 0.14
FACT_MARK_PLAIN = 0.2
"""Score of the fact reading from which a question that names a service asks for a fact; the
second where the question can as well be read as one for a need ("where is CalFresh")."""

UNNAMED_MARK = 0.2
"""The same for a question that names none: it asks about a service that is not listed."""

OUTSIDE_MARK = -0.32
"""Balance of the evidence from which a question lies outside; see `outside`."""

PLAIN_MARK = 0.5
"""Share of the content said in the bank's words from which a question means just that."""

SAME_NAME = 0.03
"""Services whose names fit equally well, up to this, are all meant."""

DOUBTFUL = 0.35
"""How far the best row that fits a plain question's facets may lie below the best row of all
before the facets are doubted: more, and the words led astray."""

CLOSE = 0.22
"""How far below the best score a service may lie and still be cited; with a question that is
plainly said the directory's facets decide and it is `CLOSE_PLAIN`."""

CLOSE_PLAIN = 0.5

NEAREST = 3
"""Services offered when nothing fits."""

BORNE_OUT = 0.15
"""Score from which a question bears out a facet that a memory proposes."""

HEEDED = 0.3
HEEDED_OUTSIDE = 0.1
"""Score that such a facet gets; what a proposal that nothing fits adds to lying outside."""

BACKED, FADING = 0.1, 0.6
"""What a row's score gains that the base model cites first, and the share of it that each next row
gets of the one before."""


@dataclass(frozen=True)
class Decision:
    """What the lead settles on: the referral, what is near, why nothing is cited, and notes."""

    referral: Referral
    nearest: tuple[str, ...] = ()
    problem: str = ""
    elsewhere: str = ""
    notes: tuple[str, ...] = ()


class Lead:
    """Decides for one directory."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._ids = tuple(service.id for service in catalog.services)
        self._at = {id_: i for i, id_ in enumerate(self._ids)}

    def heed(self, reading: Reading, memories: Sequence[Memory]) -> tuple[Reading, tuple[str, ...]]:
        """The reading with what verified memories propose and the question bears out, and notes
        on it. A question that is plainly said needs no proposals."""
        if self.is_plain(reading):
            return reading, ()
        notes: list[str] = []
        for memory in memories:
            known = memory.experience.task.expected if memory.experience else None
            if known is not None:
                reading, heard = self._borne_out(reading, known, HEEDED * memory.similarity)
                notes += [f"memory {memory.id} says {facet}" for facet in heard]
        return reading, tuple(notes)

    def _borne_out(
        self, reading: Reading, proposed: Referral, score: float
    ) -> tuple[Reading, list[str]]:
        """The reading with the proposed facets that it bears out raised to `score`."""
        if proposed.nothing_fits:
            raised = reading.outside_score + HEEDED_OUTSIDE
            return replace(reading, outside_score=raised), ["nothing fits"]
        if proposed.field and reading.named and reading.field_score < FACT_MARK:
            return replace(reading, field=proposed.field, field_score=1.0), [proposed.field]
        needs, said = _raised(self._catalog.needs, reading.need_scores, proposed.needs, score)
        groups, more = _raised(self._catalog.groups, reading.group_scores, proposed.groups, score)
        if not (said or more):
            return reading, []
        heeded = replace(
            reading,
            need_scores=needs,
            group_scores=groups,
            needs=_among(self._catalog.needs, (*reading.needs, *said)),
            groups=_among(self._catalog.groups, (*reading.groups, *more)),
        )
        return heeded, [*said, *more]

    def backed(self, reading: Reading, scores: np.ndarray, base: Answer | None) -> np.ndarray:
        """The rows' scores, raised for those that the base model cites of a question that is not
        plainly said."""
        raised = scores.copy()
        if base is not None and not base.referral.field and not self.is_plain(reading):
            for rank, id_ in enumerate(base.referral.service_ids):
                raised[self._at[id_]] += BACKED * FADING**rank
        return raised

    def decide(self, reading: Reading, relevance: np.ndarray, scores: np.ndarray) -> Decision:
        """What to cite, from the rows' relevance to the question and their scores for this
        caller, both [rows] in the catalog's order."""
        if not reading.language:
            return Decision(Referral(), problem="script", notes=("a script that cannot be read",))
        if reading.vague:
            return Decision(Referral(), problem="unclear", notes=("says nothing of a need",))
        refusal = self._refused(reading, relevance, scores)
        if refusal is not None:
            return refusal
        mark = FACT_MARK_PLAIN if self.is_plain(reading) else FACT_MARK
        if reading.named and reading.field_score >= mark:
            return self._fact(reading)
        return self._referral(reading, scores)

    def is_plain(self, reading: Reading) -> bool:
        """Whether the question says its needs in words of the bank and little else."""
        return bool(reading.said_needs) and reading.explained >= PLAIN_MARK

    def outside(self, reading: Reading, relevance: np.ndarray) -> float:
        """Balance of the evidence that a question lies outside: the phrases that do, and a fact
        asked of a service nobody knows, against needs, nearness of any row, and a place inside."""
        unknown = 0.0 if reading.named else min(reading.field_score, 0.5)
        return float(
            reading.outside_score
            + 0.5 * unknown
            - 0.5 * reading.need_scores.max(initial=0.0)
            - relevance.max(initial=0.0)
            - 0.1 * bool(reading.said_needs)
            - 0.1 * bool(reading.place)
        )

    def _refused(
        self, reading: Reading, relevance: np.ndarray, scores: np.ndarray
    ) -> Decision | None:
        balance = self.outside(reading, relevance)
        lies_outside = balance >= OUTSIDE_MARK and not (reading.named or self.is_plain(reading))
        if reading.elsewhere:
            problem, note = "elsewhere", f"a place outside the directory: {reading.elsewhere}"
        elif reading.said_outside or lies_outside:
            unknown = reading.field_score >= UNNAMED_MARK and not reading.said_outside
            problem, note = "unknown" if unknown else "outside", f"outside by {balance:+.2f}"
        else:
            return None
        nearest = best(self._ids, scores, NEAREST) if reading.needs else ()
        referral = Referral(nothing_fits=True)
        return Decision(referral, nearest, problem, reading.elsewhere, notes=(note,))

    def _fact(self, reading: Reading) -> Decision:
        top = reading.named[0]
        meant = [m.service.id for m in reading.named if m.score >= top.score - SAME_NAME]
        referral = Referral(field=reading.field, service_ids=tuple(meant[:CITED_AT_MOST]))
        return Decision(referral, notes=(f"asks for {reading.field}", *top.reasons))

    def _referral(self, reading: Reading, scores: np.ndarray) -> Decision:
        asked = Referral(reading.needs, reading.groups, reading.place)
        if self.is_plain(reading):
            fitting = self._ranked(self._catalog.matching(asked), scores)
            if not fitting:
                nearest = best(self._ids, scores, NEAREST)
                return Decision(replace(asked, nothing_fits=True), nearest, "nothing")
            if fitting[0].score >= scores.max() - DOUBTFUL:
                cited = _worth_citing(fitting, asked.needs, CLOSE_PLAIN)
                return Decision(replace(asked, service_ids=_ids(cited)), notes=("plainly said",))
        near = [self._catalog.get(id_) for id_ in best(self._ids, scores, CITED_AT_MOST)]
        cited = _worth_citing(self._ranked(near, scores), (), CLOSE)
        return Decision(replace(asked, service_ids=_ids(cited)))

    def _ranked(self, rows: Sequence[Service], scores: np.ndarray) -> list[Match]:
        """The rows best first; equal ones in the catalog's order."""
        at = sorted((self._at[row.id] for row in rows), key=lambda i: (-scores[i], i))
        return [Match(self._catalog.services[i], float(scores[i]), ()) for i in at]


def _ids(matches: Sequence[Match]) -> tuple[str, ...]:
    return tuple(match.service.id for match in matches)


def _worth_citing(matches: Sequence[Match], needs: Sequence[str], reach: float) -> list[Match]:
    """The best matches, at most five: close to the very best, or the only one for a need."""
    chosen = first_of_each(matches, needs, CITED_AT_MOST)
    indispensable = [next((m for m in chosen if need in m.service.needs), None) for need in needs]
    return [m for m in chosen if m.score >= chosen[0].score - reach or m in indispensable]


def _among(values: Sequence[str], chosen: Sequence[str]) -> tuple[str, ...]:
    """The chosen values in the catalog's order."""
    return tuple(value for value in values if value in chosen)


def _raised(
    values: Sequence[str], scores: np.ndarray, proposed: Sequence[str], score: float
) -> tuple[np.ndarray, list[str]]:
    """The scores with those of proposed and borne-out values raised, and which these are."""
    said = [v for v, s in zip(values, scores, strict=True) if v in proposed and s >= BORNE_OUT]
    lifted = [max(s, score) if v in said else s for v, s in zip(values, scores, strict=True)]
    return np.array(lifted), [v for v in said if scores[values.index(v)] < score]

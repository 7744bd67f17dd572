"""The base model as a member of the team: it parses a question, the directory executes that.

What it completes is a structured query, so it can name no service that does not exist. No model
is loaded here: the decoder is handed in.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from dreamlab.directory.catalog import Catalog
from dreamlab.directory.ranking import first_of_each, rank
from dreamlab.errors import ModelError
from dreamlab.models.completion import CompletionFormat
from dreamlab.models.evidence import Clue
from dreamlab.models.projection import Projection
from dreamlab.records import CITED_AT_MOST, Answer, Referral, Role, Service

FOR_NEED, FOR_GROUP, AT_PLACE = 0.08, 0.05, 0.1
"""What meeting a need, being made for the group and being at the place is worth in cosine."""

CLOSE = 0.15
"""How far below the best row, in cosine, a row may lie that a guess leads to."""

PLAIN, SAID = 0.9, 0.2
"""How plain a question must be for only rows that fit to be cited, and what it adds to that if it
says its needs in words of the bank; chosen together, by the natural half that decides."""

LEARNT, VAGUE, CLEAR = 0.6, 0.2, 0.5
"""Weight of the learnt likeness of rows beside that of the encoder, and the plainness from which it
begins to count and counts in full: the plainer a question, the more it is like the dreams."""

NEARER = 0.05
"""By how much, in cosine, a row must be nearer to a question about a fact than the service that it
seems to name, to be cited after that: names stand in other questions too."""

NOWHERE_NEAR = 0.24
"""Cosine of the nearest row below which nothing fits a question that lies far outside besides."""


class Completing(Protocol):
    """A decoder: questions in, raw completions out, one each."""

    def complete(self, questions: Sequence[str]) -> list[str]:
        """One completion for each question."""


class Reading(Protocol):
    """Evidence on questions; see `models/evidence.py`."""

    rows: np.ndarray

    def read(self, questions: Sequence[str]) -> list[Clue]:
        """The evidence on each question."""

    def plainness(self, referral: Referral, clue: Clue) -> float:
        """How plainly a question asks for what a referral says, in cosine."""


class BaseModel:
    """Decoder, completion format, evidence and directory, under the version that is registered."""

    def __init__(
        self,
        decoder: Completing | None,
        completion_format: CompletionFormat,
        catalog: Catalog,
        version: str,
        evidence: Reading,
        projection: Projection | None = None,
    ) -> None:
        """The parts of a base model; without a decoder it executes completions and makes none, and
        without a projection rows are as like a question as the encoder finds them."""
        self.decoder = decoder
        self.format = completion_format
        self.catalog = catalog
        self.version = version
        self.evidence = evidence
        self.projection = projection

    def propose(self, questions: Sequence[str]) -> list[Answer]:
        """One answer each: the referral completed, with the services the directory finds for it.

        The model reads each question with its evidence. Where the question plainly asks for
        what it completed, only rows that fit are cited, the likest first. Where it tells of more,
        such as what happened to somebody, the completion is a guess that only speaks for a row;
        and nothing fits if no row is near and the question lies far outside the directory. A
        malformed completion gives an answer that cites nothing and is not `well_formed`.
        `seconds` is the batch's time shared out.

        Raises:
            ModelError: there is no decoder.
        """
        if not questions:
            return []
        if self.decoder is None:
            raise ModelError("this base model executes completions and has no decoder to make any")
        started = time.perf_counter()
        clues = self.evidence.read(questions)
        completions = self.decoder.complete([clue.prompt for clue in clues])
        answers = [
            self.execute(question, completion, clue)
            for question, completion, clue in zip(questions, completions, clues, strict=True)
        ]
        each = (time.perf_counter() - started) / len(questions)
        return [replace(answer, seconds=each) for answer in answers]

    def execute(self, question: str, completion: str, clue: Clue) -> Answer:
        """The answer that a completion of a question means, without its seconds; see `propose`."""
        referral = self.format.decode(completion)
        if referral is None:
            return Answer(
                Role.BASE,
                Referral(),
                notes=(f"malformed completion: {completion[:80]!r}",),
                version=self.version,
                well_formed=False,
            )
        found = self.catalog.lookup(referral, text=question, limit=CITED_AT_MOST)
        notes: tuple[str, ...] = (completion,)
        if referral.field or not referral.needs:
            cited = [match.service for match in found.matches]
            cited = self._and_nearer(cited, clue) if referral.field else cited
        else:
            plainness = self.evidence.plainness(referral, clue)
            likeness = self._likeness(clue, plainness)
            plain = self._is_plain(referral, clue, plainness, likeness)
            if not plain and clue.far and clue.similarity.max(initial=0.0) < NOWHERE_NEAR:
                referral, cited = Referral(nothing_fits=True), []
                notes += ("no row is near",)
            else:
                worth = {s: cosine + _fit(s, referral) for s, cosine in likeness.items()}
                cited = self._filtered(referral, worth) if plain else self._leant_to(worth)
        return Answer(
            Role.BASE,
            replace(referral, service_ids=tuple(service.id for service in cited)),
            nearest=tuple(m.service.id for m in found.nearest),
            notes=notes,
            version=self.version,
        )

    def _and_nearer(self, named: list[Service], clue: Clue) -> list[Service]:
        """The services named, and after them the nearest row if it is nearer than the first."""
        if not named:
            return []
        nearest = self.catalog.services[int(clue.similarity.argmax())]
        first = clue.similarity[self.catalog.services.index(named[0])]
        ahead = clue.similarity.max() > first + NEARER and nearest not in named
        return [*named, nearest][:CITED_AT_MOST] if ahead else named

    def _filtered(self, referral: Referral, worth: Mapping[Service, float]) -> list[Service]:
        """The rows that fit the facets, the likest first; every need is among them."""
        matches = rank(self.catalog.matching(referral), referral, worth.__getitem__)
        matches.sort(key=lambda m: -worth[m.service])
        return [m.service for m in first_of_each(matches, referral.needs, CITED_AT_MOST)]

    def _leant_to(self, worth: Mapping[Service, float]) -> list[Service]:
        """The likest of all rows, those that fit the facets before others; none far behind.

        The question says more than these facets: they are a guess, and a wrong one must not hide
        the right row.
        """
        first = sorted(self.catalog.services, key=lambda s: -worth[s])[:CITED_AT_MOST]
        return [s for s in first if worth[s] >= worth[first[0]] - CLOSE]

    def _is_plain(
        self,
        referral: Referral,
        clue: Clue,
        plainness: float,
        likeness: Mapping[Service, float],
    ) -> bool:
        """Whether a question asks for just what was completed: by how near it is to that
        (`plainness`), how much it asks and does not tell (`Clue.asked`), and how far, in cosine,
        all rows that fit lie behind the likest."""
        fitting = [likeness[service] for service in self.catalog.matching(referral)]
        behind = max(likeness.values()) - max(fitting, default=-1.0)
        said = clue.said.issuperset(referral.needs)
        return plainness + clue.asked + SAID * said - behind >= PLAIN

    def _likeness(self, clue: Clue, plainness: float) -> dict[Service, float]:
        """How like each row is to a question, in cosine; learnt where it asks plainly."""
        cosines = clue.similarity
        if self.projection is not None and plainness > VAGUE:
            learnt = self.evidence.rows @ self.projection(clue.vector)
            share = LEARNT * min((plainness - VAGUE) / (CLEAR - VAGUE), 1)
            cosines = (1 - share) * cosines + share * learnt
        return dict(zip(self.catalog.services, cosines.tolist(), strict=True))


def _fit(service: Service, referral: Referral) -> float:
    met = any(need in service.needs for need in referral.needs)
    meant = any(group in service.groups for group in referral.groups)
    there = bool(referral.place) and service.place == referral.place
    return FOR_NEED * met + FOR_GROUP * meant + AT_PLACE * there

"""The base model as a member of the team: it parses a question, the directory executes that.

What it completes is a structured query, so it can name no service that does not exist. No model
is loaded here: the decoder is handed in.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from dreamlab.directory.catalog import Catalog
from dreamlab.directory.ranking import first_of_each, rank
from dreamlab.models.completion import CompletionFormat
from dreamlab.models.evidence import Clue
from dreamlab.records import CITED_AT_MOST, Answer, Referral, Role, Service

AT_PLACE, FOR_GROUP = 0.15, 0.05
"""What being at the place asked about, and being made for the group, is worth in cosine."""


class Completing(Protocol):
    """A decoder: questions in, raw completions out, one each."""

    def complete(self, questions: Sequence[str]) -> list[str]:
        """One completion for each question."""


class Reading(Protocol):
    """Evidence on questions; see `models/evidence.py`."""

    def read(self, questions: Sequence[str]) -> list[Clue]:
        """The evidence on each question."""


class BaseModel:
    """Decoder, completion format, evidence and directory, under the version that is registered."""

    def __init__(
        self,
        decoder: Completing,
        completion_format: CompletionFormat,
        catalog: Catalog,
        version: str,
        evidence: Reading,
    ) -> None:
        self.decoder = decoder
        self.format = completion_format
        self.catalog = catalog
        self.version = version
        self.evidence = evidence

    def propose(self, questions: Sequence[str]) -> list[Answer]:
        """One answer each: the referral completed, with the services the directory finds for it.

        The model reads each question with its evidence. The rows that fit what it completed are
        ordered by likeness to the question, rows at the place and for the group first among like
        ones. A malformed completion gives an answer that cites nothing and is not `well_formed`.
        `seconds` is the batch's time shared out.
        """
        if not questions:
            return []
        started = time.perf_counter()
        clues = self.evidence.read(questions)
        completions = self.decoder.complete([clue.prompt for clue in clues])
        answers = [
            self._executed(question, completion, clue)
            for question, completion, clue in zip(questions, completions, clues, strict=True)
        ]
        each = (time.perf_counter() - started) / len(questions)
        return [replace(answer, seconds=each) for answer in answers]

    def _executed(self, question: str, completion: str, clue: Clue) -> Answer:
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
        cited = found.matches
        if not referral.field:
            likeness = dict(zip(self.catalog.services, clue.similarity.tolist(), strict=True))
            ranked = sorted(
                rank(self.catalog.matching(referral), referral, likeness.__getitem__),
                key=lambda m: -(likeness[m.service] + _fit(m.service, referral)),
            )
            cited = tuple(first_of_each(ranked, referral.needs, CITED_AT_MOST))
        return Answer(
            Role.BASE,
            replace(referral, service_ids=tuple(m.service.id for m in cited)),
            nearest=tuple(m.service.id for m in found.nearest),
            notes=(completion,),
            version=self.version,
        )


def _fit(service: Service, referral: Referral) -> float:
    there = bool(referral.place) and service.place == referral.place
    meant = any(group in service.groups for group in referral.groups)
    return AT_PLACE * there + FOR_GROUP * meant

"""The team: a lead, three experts and the base model answer a question together.

Without a base model, or without memories, it answers all the same. It keeps no state between
questions; what is remembered of them is the business of whoever asks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from dreamlab.agents.asking import Models, Occasion
from dreamlab.agents.base import BaseModel
from dreamlab.agents.experts import (
    Recall,
    RecommendationSpecialist,
    ResourceSpecialist,
    SearchSpecialist,
    best,
)
from dreamlab.agents.lead import Decision, Lead
from dreamlab.agents.roundtable import Roundtable, no_idea
from dreamlab.agents.tools import Findings, Tools
from dreamlab.agents.understanding import Reader, Reading
from dreamlab.directory.catalog import Catalog
from dreamlab.directory.phrases import PhraseBank
from dreamlab.models.language import clean
from dreamlab.models.vectors import Embedding
from dreamlab.records import (
    CITED_AT_MOST,
    OPEN_KINDS,
    Answer,
    Hearing,
    Referral,
    Role,
    Task,
    TaskKind,
    deaf,
)


class Team:
    """Answers questions over one directory.

    Args:
        catalog: the directory.
        phrases: how people speak of its needs and groups.
        embedder: the sentence encoder.
        recall: `recall(text, limit=n)` gives memories, best first; None for a team without any.
        base: the base model; None for a team without one.
        cache: a folder for the vectors of rows and phrases; without it they are made anew, which
            takes ten seconds.
    """

    def __init__(
        self,
        catalog: Catalog,
        phrases: PhraseBank,
        embedder: Embedding,
        recall: Recall | None = None,
        base: BaseModel | None = None,
        cache: Path | None = None,
    ) -> None:
        self.catalog = catalog
        self.base = base
        self.reader = Reader(catalog, phrases, embedder, cache)
        self.resource = ResourceSpecialist(catalog)
        self.search = SearchSpecialist(catalog, embedder, recall, cache)
        self.recommendation = RecommendationSpecialist(catalog)
        self.lead = Lead(catalog)
        self.tools = Tools(
            catalog,
            phrases,
            self.reader,
            self.resource,
            self.search,
            self.recommendation,
            self.lead,
        )
        self.roundtable: Roundtable | None = None
        self._occasion: Callable[[Task], Occasion] = lambda task: Occasion(task.night, task.key)
        self._parallel = 1
        self._mask: Callable[[str], str] = str
        self._recall = recall
        self._ids = tuple(service.id for service in catalog.services)

    def seat(
        self,
        models: Models,
        occasion: Callable[[Task], Occasion],
        parallel: int = 1,
        crew: bool = False,
        mask: Callable[[str], str] = str,
    ) -> Team:
        """This team with language models for some roles; `occasion` says who pays for a task.

        `parallel` questions are put to the models at the same time; `crew` lets CrewAI call them;
        what a person asked is shown to them as `mask` gives it.

        Raises:
            SettingsError: CrewAI is asked for and not installed.
        """
        self.roundtable = Roundtable(models, self.tools, self._recall, crew)
        self._occasion, self._parallel, self._mask = occasion, parallel, mask
        return self

    def solve(
        self, task: Task, context: Referral | None = None, hear: Hearing = deaf
    ) -> tuple[Answer, ...]:
        """All answers to one task: the team's first, then the lead's own, each expert's and, if
        there is one, the base model's.

        `context` is the referral of the answer before, for a follow-up such as "and in Delano?".
        `hear` is told of each answer while the team works.

        Raises:
            QuestionError: the question is empty or too long.
        """
        return self.solve_many([task], [context], hear)[0]

    def solve_many(
        self,
        tasks: Sequence[Task],
        contexts: Sequence[Referral | None] = (),
        hear: Hearing = deaf,
    ) -> list[tuple[Answer, ...]]:
        """The answers to each task, as `solve` gives them; questions are embedded and completed
        in batches. `contexts` is empty or as long as `tasks`.

        Raises:
            QuestionError: a question is empty or too long.
        """
        watch = _Watch()
        questions = [clean(task.question) for task in tasks]
        languages = [task.language for task in tasks]
        befores = contexts or [None] * len(tasks)
        readings = self.reader.read(questions, languages, befores)
        reading_each = watch.lap() / max(len(tasks), 1)
        proposals: Sequence[Answer | None] = (
            self.base.propose(questions) if self.base else [None] * len(tasks)
        )
        alone = self.roundtable is None
        found = [
            self._findings(reading, proposal, reading_each, hear if alone else deaf)
            for reading, proposal in zip(readings, proposals, strict=True)
        ]
        if self.roundtable is None:
            return [
                (no_idea("no language model"),) if task.kind in OPEN_KINDS else one.answers
                for task, one in zip(tasks, found, strict=True)
            ]
        with ThreadPoolExecutor(self._parallel) as pool:
            return list(pool.map(partial(self._discussed, self.roundtable, hear), tasks, found))

    def _discussed(
        self, roundtable: Roundtable, hear: Hearing, task: Task, found: Findings
    ) -> tuple[Answer, ...]:
        """The answers of the roles as language models."""
        occasion = self._occasion(task)
        if task.kind in OPEN_KINDS:
            return roundtable.imagine(task, found, occasion)
        if task.kind == TaskKind.ASKED:
            task = replace(task, question=self._mask(task.question))
        return roundtable.answer(task, found, occasion, hear)

    def _findings(
        self,
        reading: Reading,
        proposal: Answer | None,
        reading_seconds: float,
        hear: Hearing,
    ) -> Findings:
        if proposal:
            hear(proposal)
        watch = _Watch()
        found = self.resource.find(reading, CITED_AT_MOST)
        resource = Answer(
            Role.RESOURCE,
            _asked(reading, tuple(m.service.id for m in found.matches)),
            nearest=tuple(m.service.id for m in found.nearest),
            notes=tuple(f"{m.service.id}: {', '.join(m.reasons)}" for m in found.matches),
            seconds=watch.lap(),
        )
        hear(resource)
        memories = self.search.remember(reading.question)
        recalling = watch.lap()
        relevance = self.search.relevance(reading, memories)
        comparing = watch.lap()
        search = Answer(
            Role.SEARCH,
            Referral(service_ids=best(self._ids, relevance, CITED_AT_MOST)),
            notes=tuple(f"remembers {memory.id}" for memory in memories),
            seconds=recalling + comparing,
            steps=(("recall", recalling), ("compare", comparing)),
        )
        hear(search)
        heeded, heeded_notes = self.lead.heed(reading, memories)
        scores, notes = self.recommendation.weigh(heeded, relevance)
        recommendation = Answer(
            Role.RECOMMENDATION,
            _asked(heeded, best(self._ids, scores, CITED_AT_MOST)),
            notes=notes,
            seconds=watch.lap(),
        )
        hear(recommendation)
        backed = self.lead.backed(heeded, scores, proposal)
        decision = self.lead.decide(heeded, relevance, backed)
        alone = self.recommendation.weigh(reading, relevance)[0] if heeded_notes else scores
        own = self.lead.decide(reading, relevance, alone)
        deciding = watch.lap()
        lead = Answer(
            Role.LEAD,
            own.referral,
            nearest=own.nearest,
            notes=own.notes,
            seconds=reading_seconds + deciding,
            steps=(("read", reading_seconds), ("decide", deciding)),
        )
        hear(lead)
        text, why = self._written(heeded, decision)
        writing = watch.lap()
        spent = sum(a.seconds for a in (resource, search, recommendation, lead)) + writing
        team = Answer(
            Role.TEAM,
            decision.referral,
            text,
            nearest=decision.nearest,
            notes=(*decision.notes, *heeded_notes, *why),
            seconds=spent + (proposal.seconds if proposal else 0.0),
            version=self.base.version if self.base else "",
            steps=(("write", writing),),
        )
        given = (team, lead, resource, search, recommendation)
        return Findings(
            (*given, proposal) if proposal else given,
            heeded,
            self.lead.is_plain(reading),
            decision,
            memories,
            proposal,
        )

    def _written(self, reading: Reading, decision: Decision) -> tuple[str, tuple[str, ...]]:
        """The text of the answer, and why each service is cited."""
        text = self.tools.show(reading, decision)
        cited = [self.catalog.get(id_) for id_ in decision.referral.service_ids]
        why = (f"{row.id}: {self.recommendation.why(row, reading)}" for row in cited)
        return text, tuple(why)


def _asked(reading: Reading, ids: tuple[str, ...]) -> Referral:
    return Referral(reading.needs, reading.groups, reading.place, service_ids=ids)


@dataclass
class _Watch:
    """Seconds from one lap to the next."""

    since: float = field(default_factory=time.perf_counter)

    def lap(self) -> float:
        now = time.perf_counter()
        spent, self.since = now - self.since, now
        return spent

"""The roles as language models, around the lab's own search.

A question is worked on in three steps, and each is shown only what it may depend on. *Reading*:
experts and lead see the question and the directory's vocabulary, and say what is meant. *Citing*:
the lab's search executes that; no model takes part. *Writing*: the lead sees the question and one
cited row at a time, and writes about that one. So no row, and no memory, can speak for or against
another. Whatever goes wrong with a role's model, that role's offline answer stands and says so.
Names, numbers and hours of the cited rows are rendered from the rows, as ever.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from dreamlab.agents import claims, showing
from dreamlab.agents.asking import Models, Occasion, added
from dreamlab.agents.experts import Recall
from dreamlab.agents.lead import Decision
from dreamlab.agents.prompting import prompt
from dreamlab.agents.replies import (
    ExpertReply,
    JudgeReply,
    LeadReply,
    OpenReply,
    ReflectionReply,
    WrittenReply,
)
from dreamlab.agents.screening import harmless, suspicious
from dreamlab.agents.tools import SHOWN, Findings, Tools
from dreamlab.agents.understanding import Reading
from dreamlab.errors import LanguageModelError
from dreamlab.records import (
    CITED_AT_MOST,
    PASSED,
    Answer,
    Hearing,
    Memory,
    ModelUse,
    Referral,
    Role,
    Service,
    Task,
)

log = logging.getLogger(__name__)

EXPERTS: Mapping[Role, tuple[str, str]] = MappingProxyType(
    {
        Role.RESOURCE: (
            "resource specialist",
            "You know what the directory lists for a need and a group.",
        ),
        Role.SEARCH: (
            "search specialist",
            "You find services by what a question means, whatever its words.",
        ),
        Role.RECOMMENDATION: (
            "recommendation specialist",
            "You weigh who a service is for, when it is open, what it costs and how to get there.",
        ),
    }
)
WRITTEN = 3
"""Cited rows that the lead writes about, the first ones; all are printed."""

MEMORIES = 8
"""Memories whose facets a reading role is told."""

NOT_ASKED = ("script", "unclear", "elsewhere")
"""Problems of a question that the offline lead decides alone: there is nothing to understand."""


@dataclass(frozen=True)
class Heard:
    """What an expert's model understood: its answer, and the words that it searched with."""

    answer: Answer
    words: str = ""


@dataclass(frozen=True)
class Written:
    """What is said of one cited row, what it took, and why nothing is if so."""

    id: str
    said: claims.Checked
    use: ModelUse
    problem: str = ""


class Roundtable:
    """Lets the roles speak, each with the model that is set for it, over one directory.

    Args:
        models: the language models by role.
        tools: the lab's search.
        recall: `recall(text, limit=n)` gives memories, best first; None for none.
        crew: let CrewAI call the roles; see `crew.py`.
    """

    def __init__(
        self, models: Models, tools: Tools, recall: Recall | None = None, crew: bool = False
    ) -> None:
        if crew:
            from dreamlab.agents.crew import require

            require()
        self.crew = crew
        self.models = models
        self.tools = tools
        self._recall = recall

    # A question

    def answer(
        self, task: Task, found: Findings, occasion: Occasion, hear: Hearing
    ) -> tuple[Answer, ...]:
        """All answers to a task, as the offline team orders them; `hear` is told of each."""
        base = [a for a in found.answers if a.role == Role.BASE]
        for answer in base:
            hear(answer)
        if suspicious(task.question):
            return self._offline(found, "screened")
        if found.decision.problem in NOT_ASKED:
            return self._offline(found, "not_asked")
        confer = self._in_a_crew if self.crew else self._among_themselves
        experts, (lead, text) = confer(task, found, occasion, hear)
        hear(lead)
        team = self._concluded(found, lead, text, experts)
        return (team, lead, *experts, *base)

    def _among_themselves(
        self, task: Task, found: Findings, occasion: Occasion, hear: Hearing
    ) -> tuple[list[Answer], tuple[Answer, str]]:
        """The experts speak at the same time, then the lead."""
        with ThreadPoolExecutor(len(EXPERTS)) as pool:
            asked = [pool.submit(self.expert, role, task, found, occasion) for role in EXPERTS]
            experts = []
            for one in asked:
                experts.append(one.result())
                hear(experts[-1].answer)
        return [e.answer for e in experts], self._led(task, found, experts, occasion)

    def _in_a_crew(
        self, task: Task, found: Findings, occasion: Occasion, hear: Hearing
    ) -> tuple[list[Answer], tuple[Answer, str]]:
        """The same, in the order that CrewAI calls them; whom it does not call answers offline."""
        from dreamlab.agents.crew import confer

        said: dict[Role, Heard] = {}
        led: list[tuple[Answer, str]] = []

        def expert(role: Role) -> None:
            said[role] = self.expert(role, task, found, occasion)
            hear(said[role].answer)

        def heard() -> list[Heard]:
            return [said.get(role) or Heard(self._silent(found, role)) for role in EXPERTS]

        def lead() -> None:
            led.append(self._led(task, found, heard(), occasion))

        try:
            confer({str(role): partial(expert, role) for role in EXPERTS}, lead)
        except Exception as error:  # CrewAI's own, which have no common class
            log.warning("CrewAI failed: %s", type(error).__name__)
        offline = (self._silent(found, Role.LEAD), found.answers[0].text)
        return [h.answer for h in heard()], led[0] if led else offline

    def _silent(self, found: Findings, role: Role) -> Answer:
        """The offline answer of a role that was not called."""
        kind = "lead" if role == Role.LEAD else "expert"
        if kind not in self.models.by_role:
            return found.of(role)
        model = self.models.by_role[kind].endpoint.model
        return _marked(found.of(role), ModelUse(model, fallback="not_called"))

    def expert(self, role: Role, task: Task, found: Findings, occasion: Occasion) -> Heard:
        """What one expert understood, and what its search gives for that."""
        offline = found.of(role)
        if "expert" not in self.models.by_role:
            return Heard(offline)
        started, meter = time.perf_counter(), self.models.meter("expert", occasion)
        name, what = EXPERTS[role]
        try:
            reply = self.models.ask(
                "expert",
                prompt("expert", self._material(task), role=name, task=what),
                ExpertReply,
                self._stray,
                meter,
                keep=occasion.keep,
            )
        except LanguageModelError as failure:
            return Heard(_marked(offline, replace(meter.use, fallback=failure.code)))
        words = "" if suspicious(reply.words) else " ".join(reply.words.split())
        searched = [words] if words else []
        reading = self._heard(found, reply.needs, reply.groups, searched)
        ids = self.tools.find(role, found, reading)
        facets = ", ".join((*reading.needs, *reading.groups))
        answer = Answer(
            role,
            Referral(reading.needs, reading.groups, reading.place, service_ids=ids),
            notes=tuple(f"{k}: {v}" for k, v in (("reads", facets), ("looks for", words)) if v),
            seconds=offline.seconds + time.perf_counter() - started,
            use=meter.use,
        )
        return Heard(answer, words)

    def _led(
        self, task: Task, found: Findings, experts: Sequence[Heard], occasion: Occasion
    ) -> tuple[Answer, str]:
        """The lead's answer, and the text of the team's."""
        offline = found.answers[0]
        own = found.of(Role.LEAD)
        if "lead" not in self.models.by_role:
            return own, offline.text
        started, meter = time.perf_counter(), self.models.meter("lead", occasion)
        try:
            reply = self.models.ask(
                "lead",
                prompt("lead", self._material(task, experts)),
                LeadReply,
                lambda r: self._stray(r) or self._contradiction(r, found),
                meter,
                keep=occasion.keep,
            )
        except LanguageModelError as failure:
            return _marked(own, replace(meter.use, fallback=failure.code)), offline.text
        reading, decision = self._decided(found, reply, experts)
        written = self._written(task, reading, decision, occasion)
        cut = [sentence for one in written for sentence in one.said.cut]
        lead = Answer(
            Role.LEAD,
            decision.referral,
            nearest=decision.nearest,
            notes=(*decision.notes, *(f"cut: {s}" for s in cut), *(_unwritten(written))),
            seconds=own.seconds + time.perf_counter() - started,
            use=added([meter.use, *(one.use for one in written)], cut=len(cut)),
        )
        prose = "\n".join(one.said.text for one in written if one.said.text)
        rows = self.tools.show(reading, decision, ids=bool(prose))
        return lead, f"{prose}\n\n{rows}".strip()

    def _decided(
        self, found: Findings, reply: LeadReply, experts: Sequence[Heard]
    ) -> tuple[Reading, Decision]:
        """What is cited: what the lab's own lead settles on for the reading of the roles."""
        words = list(dict.fromkeys(heard.words for heard in experts if heard.words))
        reading = self._heard(found, reply.needs, reply.groups, words)
        if reply.field and reading.named:
            reading = replace(reading, field=reply.field, field_score=1.0)
        if reply.nothing_fits:
            return reading, self.tools.refuse(found, reading)
        return reading, self.tools.decide(found, reading)

    def _heard(
        self, found: Findings, needs: Sequence[str], groups: Sequence[str], words: Sequence[str]
    ) -> Reading:
        """The reading with what a role understood; what is plainly said has its facets already."""
        if found.plain:
            needs, groups = (), ()
        return self.tools.heard(found.reading, needs, groups, words)

    def _written(
        self, task: Task, reading: Reading, decision: Decision, occasion: Occasion
    ) -> list[Written]:
        """What the lead writes about the first cited rows, each by itself. Nothing where a fact is
        asked for or nothing is cited: the rendered text says it all."""
        referral = decision.referral
        ids = () if referral.field else referral.service_ids[:WRITTEN]
        if not ids:
            return []
        with ThreadPoolExecutor(WRITTEN) as pool:
            return list(pool.map(partial(self._about, task, reading, occasion), ids))

    def _about(self, task: Task, reading: Reading, occasion: Occasion, id_: str) -> Written:
        """What the lead writes about one row; a failure costs these sentences and no more: what a
        row says must not decide whether the reading counts."""
        meter, row = self.models.meter("lead", occasion), harmless(self.tools.catalog.get(id_))
        language = "Spanish" if reading.language == "es" else "English"
        shown = {"question": task.question, "row": showing.row(row)}
        try:
            reply = self.models.ask(
                "lead",
                prompt("write", shown, language=language),
                WrittenReply,
                lambda r: "" if r.text.strip() else "text is empty",
                meter,
                keep=occasion.keep,
            )
        except LanguageModelError as failure:
            return Written(id_, claims.Checked(""), meter.use, failure.code)
        said = claims.about(reply.text, row, self.tools.catalog.helpline)
        return Written(id_, said, meter.use, "" if said.text else "unsupported")

    def _concluded(
        self, found: Findings, lead: Answer, text: str, experts: Sequence[Answer]
    ) -> Answer:
        """The team's answer: the lead's, with what all roles together have used."""
        offline = found.answers[0]
        uses = [a.use for a in (lead, *experts) if a.use is not None]
        fallback = lead.use.fallback if lead.use else ""
        use = added(uses, fallback, sum(u.cut for u in uses)) if uses else None
        waited = sum(a.seconds for a in (lead, *experts))
        if lead.use is None or fallback:
            return replace(_marked(offline, use), text=text, seconds=offline.seconds + waited)
        return replace(
            offline,
            referral=lead.referral,
            text=text,
            nearest=lead.nearest,
            notes=lead.notes,
            seconds=offline.seconds + waited,
            use=use,
        )

    def _stray(self, reply: ExpertReply | LeadReply) -> str:
        """What a reply names that is not in the vocabulary, for it to mend."""
        for name, said in (("needs", reply.needs), ("groups", reply.groups)):
            if extra := [value for value in said if value not in self.tools.vocabulary[name]]:
                return f"{name}: {extra[0]!r} is not among the facets of the directory"
        return ""

    def _contradiction(self, reply: LeadReply, found: Findings) -> str:
        """What in the lead's reply speaks against itself or the question, for it to mend."""
        if reply.nothing_fits and reply.needs:
            return "nothing_fits is true although needs are given"
        offline = found.decision.referral
        plain = found.reading.said_needs or offline.field
        if reply.nothing_fits and plain and offline.service_ids:
            return "nothing_fits is true although rows fit the words of the question"
        return ""

    def _material(self, task: Task, experts: Sequence[Heard] = ()) -> dict[str, str]:
        """What a reading role is shown: the question, the vocabulary, and in the vocabulary's
        words what earlier questions like it and the experts were about."""
        told = {
            "question": task.question,
            "facets": showing.facets(self.tools.vocabulary),
            "earlier": showing.earlier(self._remembered(task.question), self.tools.vocabulary),
        }
        if experts:
            said = {e.answer.role: e.answer.referral for e in experts}
            told["said"] = showing.said(said, self.tools.vocabulary)
        return told

    def _offline(self, found: Findings, code: str) -> tuple[Answer, ...]:
        """The offline answers, the lead's and the team's marked with why."""
        role = "lead" if "lead" in self.models.by_role else "expert"
        if role not in self.models.by_role:
            return found.answers
        use = ModelUse(self.models.by_role[role].endpoint.model, fallback=code)
        return tuple(
            _marked(a, use) if a.role in (Role.TEAM, Role.LEAD) else a for a in found.answers
        )

    # An open dream

    def imagine(self, task: Task, found: Findings, occasion: Occasion) -> tuple[Answer, ...]:
        """The lead's idea on an open dream and, where there is a judge, what it holds of it.

        What the answer cites is what the search found for the dream, whatever the models say: the
        idea is for operators to read, and only the referral could ever be learnt from.
        """
        if "lead" not in self.models.by_role:
            return (no_idea("no language model"),)
        meter = self.models.meter("lead", occasion)
        started = time.perf_counter()
        reading = found.reading
        shown = self._rows(self.tools.look_up(reading))
        asked = Referral(reading.needs, reading.groups, reading.place)
        try:
            if suspicious(task.question):
                raise LanguageModelError("screened", "the question speaks to a model")
            reply = self.models.ask(
                "lead",
                prompt(
                    "open",
                    {"question": task.question},
                    {"row": showing.rows(shown)},
                    example=showing.example(shown),
                ),
                OpenReply,
                lambda r: "" if r.text.strip() else "text is empty",
                meter,
                keep=occasion.keep,
            )
            checked = claims.check(reply.text, shown, self.tools.catalog.helpline, ideas=True)
            if not checked.text or suspicious(checked.text):
                raise LanguageModelError("unsupported", "nothing that it wrote is borne out")
        except LanguageModelError as failure:
            return (no_idea(failure.code, replace(meter.use, fallback=failure.code)),)
        team = Answer(
            Role.TEAM,
            replace(asked, service_ids=tuple(shown)[:CITED_AT_MOST]),
            checked.text,
            notes=tuple(f"cut: {sentence}" for sentence in checked.cut),
            seconds=time.perf_counter() - started,
            use=replace(meter.use, cut=len(checked.cut)),
        )
        judged = self._judged(task, team, shown, occasion)
        return (team, judged) if judged else (team,)

    def _judged(
        self, task: Task, team: Answer, shown: Mapping[str, Service], occasion: Occasion
    ) -> Answer | None:
        """The judge's answer, `PASSED` if it lets the idea pass; None without a judge."""
        if "judge" not in self.models.by_role:
            return None
        meter, started = self.models.meter("judge", occasion), time.perf_counter()
        try:
            reply = self.models.ask(
                "judge",
                prompt(
                    "judge",
                    {"question": task.question, "answer": team.text},
                    {"row": showing.rows(shown)},
                ),
                JudgeReply,
                lambda _: "",
                meter,
                keep=occasion.keep,
            )
        except LanguageModelError as failure:
            use = replace(meter.use, fallback=failure.code)
            return Answer(Role.JUDGE, Referral(), "no judgement", use=use)
        return Answer(
            Role.JUDGE,
            Referral(),
            PASSED if reply.grounded and reply.useful else "not passed",
            seconds=time.perf_counter() - started,
            use=meter.use,
        )

    # A look back

    def look_back(
        self, lines: Sequence[str], occasion: Occasion
    ) -> Mapping[str, Sequence[tuple[str, Sequence[int]]]]:
        """What the lead makes of a night, told in numbered lines: for each of `went_well`,
        `improve`, `new` and `next_time` sentences with the numbers they rest on (from 1).

        A sentence that rests on nothing, names a number or speaks to a model is left out. Empty
        when there is no lead or it fails.
        """
        if "lead" not in self.models.by_role:
            return {}
        told = [line for line in lines if not suspicious(line)]
        if not told:
            return {}
        try:
            reply = self.models.ask(
                "lead",
                prompt("reflect", {"dreams": "\n".join(told)}, most="3"),
                ReflectionReply,
                lambda _: "",
                self.models.meter("lead", occasion),
                keep=occasion.keep,
            )
        except LanguageModelError:
            return {}
        return {
            name: [
                (lesson.text, lesson.dreams)
                for lesson in lessons
                if lesson.dreams
                and all(0 < n <= len(lines) for n in lesson.dreams)
                and not claims.NUMBER.search(lesson.text)
                and not suspicious(lesson.text)
            ][:3]
            for name, lessons in reply
        }

    def _rows(self, ids: Iterable[str]) -> dict[str, Service]:
        """The rows as models are shown them: without columns that speak to a model."""
        return {id_: harmless(self.tools.catalog.get(id_)) for id_ in list(ids)[:SHOWN]}

    def _remembered(self, question: str) -> list[Memory]:
        """What memory holds that is like the question."""
        return self._recall(question, limit=MEMORIES) if self._recall else []


def _unwritten(written: Iterable[Written]) -> list[str]:
    """Notes on the rows that nothing is said of, with why."""
    return [f"nothing written about {one.id}: {one.problem}" for one in written if one.problem]


def no_idea(why: str, use: ModelUse | None = None) -> Answer:
    """The answer to an open dream that no language model has answered."""
    return Answer(Role.TEAM, Referral(), notes=(f"no idea: {why}",), use=use)


def _marked(answer: Answer, use: ModelUse | None) -> Answer:
    note = (f"offline answer: {use.fallback}",) if use and use.fallback else ()
    return replace(answer, use=use, notes=(*answer.notes, *note))

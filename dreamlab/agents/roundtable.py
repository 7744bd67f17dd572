"""The roles as language models, over what the offline team has found for the same question.

Experts and lead are shown rows and memories that the lab looked up, and choose among them; what the
lead writes is checked against the rows it cites. Whatever goes wrong with a role's model, that
role's offline answer stands and says so. Names, numbers and hours of the cited rows are rendered
from the rows, as ever.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from dreamlab.agents import claims
from dreamlab.agents.asking import Models, Occasion, added
from dreamlab.agents.experts import Recall
from dreamlab.agents.lead import Decision
from dreamlab.agents.prompting import Prompt, prompt
from dreamlab.agents.replies import ExpertReply, JudgeReply, LeadReply, OpenReply, ReflectionReply
from dreamlab.agents.screening import harmless, suspicious
from dreamlab.agents.understanding import Reading
from dreamlab.directory.catalog import Catalog
from dreamlab.errors import LanguageModelError
from dreamlab.records import (
    CITED_AT_MOST,
    PASSED,
    Answer,
    Hearing,
    ModelUse,
    Referral,
    Role,
    Service,
    Task,
)

"""Told of each role's answer as soon as it is there."""

log = logging.getLogger(__name__)

EXPERTS: Mapping[Role, tuple[str, str]] = MappingProxyType(
    {
        Role.RESOURCE: (
            "resource specialist",
            "You know what the directory lists for a need, a group and a place.",
        ),
        Role.SEARCH: (
            "search specialist",
            "You find services by what a question means, and remember what helped before.",
        ),
        Role.RECOMMENDATION: (
            "recommendation specialist",
            "You weigh who a service is for, where it is, when it is open and what it costs.",
        ),
    }
)
ONCE_MORE, NO_MORE = (
    "You may do so once.",
    "You have searched already: leave it empty and choose.",
)
SHOWN, PROPOSED = 8, 10
"""Rows that an expert and the lead are shown."""

MEMORIES = 4
COLUMNS = (
    "name",
    "organization",
    "needs",
    "groups",
    "place",
    "description",
    "eligibility",
    "hours",
    "fees",
    "how_to_apply",
)
"""What of a row a model is shown: addresses and phone numbers are rendered, not written."""

NOT_ASKED = ("script", "unclear", "elsewhere")
"""Problems of a question that the offline lead decides alone: there is nothing to choose from."""

NOTHING = "(nothing)"


@dataclass(frozen=True, eq=False)
class Findings:
    """What the offline team has on one question: its answers (the team's first), the reading,
    whether that is plain, the decision, and the rows each expert would look at, best first."""

    answers: tuple[Answer, ...]
    reading: Reading
    plain: bool
    decision: Decision
    rows: Mapping[Role, Sequence[str]]

    def of(self, role: Role) -> Answer:
        """The offline answer of a role."""
        return next(answer for answer in self.answers if answer.role == role)


class Roundtable:
    """Lets the roles speak, each with the model that is set for it, over one directory.

    Args:
        models: the language models by role.
        catalog: the directory.
        recall: `recall(text, limit=n)` gives memories, best first; None for none.
        look_up: the ids of the rows that the lab's own search finds for some words, best first.
        show: renders a referral's rows; see `render.py`.
        crew: let CrewAI call the roles; see `crew.py`.
    """

    def __init__(
        self,
        models: Models,
        catalog: Catalog,
        recall: Recall | None,
        look_up: Callable[[str], Sequence[str]],
        show: Callable[[Referral, Reading, Decision], str],
        crew: bool = False,
    ) -> None:
        if crew:
            from dreamlab.agents.crew import require

            require()
        self.crew = crew
        self.models = models
        self.catalog = catalog
        self._recall, self._look_up, self._show = recall, look_up, show

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
        memories = self._remembered(task.question)
        confer = self._in_a_crew if self.crew else self._among_themselves
        experts, (lead, text) = confer(task, found, memories, occasion, hear)
        hear(lead)
        team = self._concluded(found, lead, text, experts)
        return (team, lead, *experts, *base)

    def _among_themselves(
        self,
        task: Task,
        found: Findings,
        memories: Sequence[str],
        occasion: Occasion,
        hear: Hearing,
    ) -> tuple[list[Answer], tuple[Answer, str]]:
        """The experts speak at the same time, then the lead."""
        with ThreadPoolExecutor(len(EXPERTS)) as pool:
            asked = [
                pool.submit(self.expert, role, task, found, memories, occasion) for role in EXPERTS
            ]
            experts = []
            for one in asked:
                experts.append(one.result())
                hear(experts[-1])
        return experts, self._led(task, found, experts, memories, occasion)

    def _in_a_crew(
        self,
        task: Task,
        found: Findings,
        memories: Sequence[str],
        occasion: Occasion,
        hear: Hearing,
    ) -> tuple[list[Answer], tuple[Answer, str]]:
        """The same, in the order that CrewAI calls them; whom it does not call answers offline."""
        from dreamlab.agents.crew import confer

        said: dict[Role, Answer] = {}
        led: list[tuple[Answer, str]] = []

        def expert(role: Role) -> None:
            said[role] = self.expert(role, task, found, memories, occasion)
            hear(said[role])

        def heard() -> list[Answer]:
            return [said.get(role) or self._silent(found, role) for role in EXPERTS]

        def lead() -> None:
            led.append(self._led(task, found, heard(), memories, occasion))

        try:
            confer({str(role): partial(expert, role) for role in EXPERTS}, lead)
        except Exception as error:  # CrewAI's own, which have no common class
            log.warning("CrewAI failed: %s", type(error).__name__)
        offline = (self._silent(found, Role.LEAD), found.answers[0].text)
        return heard(), led[0] if led else offline

    def _silent(self, found: Findings, role: Role) -> Answer:
        """The offline answer of a role that was not called."""
        kind = "lead" if role == Role.LEAD else "expert"
        if kind not in self.models.by_role:
            return found.of(role)
        model = self.models.by_role[kind].endpoint.model
        return _marked(found.of(role), ModelUse(model, fallback="not_called"))

    def expert(
        self, role: Role, task: Task, found: Findings, memories: Sequence[str], occasion: Occasion
    ) -> Answer:
        """One expert's answer: a choice among its rows, after one more search at most."""
        offline = found.of(role)
        if "expert" not in self.models.by_role:
            return offline
        started, meter = time.perf_counter(), self.models.meter("expert", occasion)
        shown = self._rows(found.rows[role], SHOWN)
        try:
            for searches in (ONCE_MORE, NO_MORE):
                reply = self.models.ask(
                    "expert",
                    self._expert_prompt(role, task, shown, memories, searches),
                    ExpertReply,
                    lambda r: _unknown(r.service_ids, shown),  # noqa: B023
                    meter,
                    keep=occasion.keep,
                )
                words = reply.search.strip()
                if not words or reply.service_ids or searches == NO_MORE or suspicious(words):
                    break
                shown = {**self._rows(self._look_up(words), SHOWN), **shown}
        except LanguageModelError as failure:
            return _marked(offline, replace(meter.use, fallback=failure.code))
        ids = tuple(dict.fromkeys(reply.service_ids))[:CITED_AT_MOST]
        reason = claims.check(reply.reason, shown, self.catalog.helpline)
        return Answer(
            role,
            replace(offline.referral, service_ids=ids),
            notes=(reason.text,) if reason.text else (),
            seconds=offline.seconds + time.perf_counter() - started,
            use=replace(meter.use, cut=len(reason.cut)),
        )

    def _led(
        self,
        task: Task,
        found: Findings,
        experts: Sequence[Answer],
        memories: Sequence[str],
        occasion: Occasion,
    ) -> tuple[Answer, str]:
        """The lead's answer, and the text of the team's."""
        offline = found.answers[0]
        own = found.of(Role.LEAD)
        if "lead" not in self.models.by_role:
            return own, offline.text
        started, meter = time.perf_counter(), self.models.meter("lead", occasion)
        shown = self._rows(_proposed(offline, experts, found), PROPOSED)
        try:
            reply = self.models.ask(
                "lead",
                self._lead_prompt(task, found, experts, memories, shown),
                LeadReply,
                lambda r: self._wrong(r, found, shown),
                meter,
                keep=occasion.keep,
            )
            cited = {id_: shown[id_] for id_ in reply.service_ids}
            checked = claims.check(reply.text, cited, self.catalog.helpline)
            if not checked.cited and not reply.nothing_fits:
                raise LanguageModelError("unsupported", "nothing that it wrote is borne out")
        except LanguageModelError as failure:
            return _marked(own, replace(meter.use, fallback=failure.code)), offline.text
        referral = _referral(reply, found)
        rows = self._show(referral, found.reading, found.decision)
        lead = Answer(
            Role.LEAD,
            referral,
            nearest=found.decision.nearest if referral.nothing_fits else (),
            notes=tuple(f"cut: {sentence}" for sentence in checked.cut),
            seconds=own.seconds + time.perf_counter() - started,
            use=replace(meter.use, cut=len(checked.cut)),
        )
        return lead, f"{checked.text}\n\n{rows}".strip()

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

    def _wrong(self, reply: LeadReply, found: Findings, shown: Mapping[str, Service]) -> str:
        """What is wrong with the lead's reply, for it to mend."""
        for name, said, known in (
            ("needs", reply.needs, self.catalog.needs),
            ("groups", reply.groups, self.catalog.groups),
            ("place", [reply.place] if reply.place else [], self.catalog.places),
        ):
            if extra := [value for value in said if value not in known]:
                return f"{name}: {extra[0]!r} is not among the facets of the directory"
        if problem := _unknown(reply.service_ids, shown):
            return problem
        if reply.nothing_fits:
            if reply.service_ids:
                return "nothing_fits is true although service_ids are given"
            if found.reading.said_needs and found.decision.referral.service_ids:
                return "nothing_fits is true although rows fit the words of the question"
        elif not reply.service_ids:
            return "service_ids is empty although nothing_fits is false"
        return "" if reply.text.strip() else "text is empty"

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
        """The lead's idea on an open dream and, where there is a judge, what it holds of it."""
        if "lead" not in self.models.by_role:
            return (no_idea("no language model"),)
        meter = self.models.meter("lead", occasion)
        started = time.perf_counter()
        shown = self._rows((*self._look_up(task.question), *found.rows[Role.SEARCH]), SHOWN)
        reading = found.reading
        asked = Referral(reading.needs, reading.groups, reading.place)
        try:
            if suspicious(task.question):
                raise LanguageModelError("screened", "the question speaks to a model")
            reply = self.models.ask(
                "lead",
                prompt(
                    "open",
                    {
                        "question": task.question,
                        "rows": _listed(shown),
                        "memories": _lines(self._remembered(task.question)),
                    },
                    most=str(CITED_AT_MOST),
                    example=_example(shown),
                ),
                OpenReply,
                lambda r: _unknown(r.service_ids, shown),
                meter,
                keep=occasion.keep,
            )
            checked = claims.check(reply.text, shown, self.catalog.helpline, ideas=True)
            if not checked.text or suspicious(checked.text):
                raise LanguageModelError("unsupported", "nothing that it wrote is borne out")
        except LanguageModelError as failure:
            return (no_idea(failure.code, replace(meter.use, fallback=failure.code)),)
        ids = tuple(dict.fromkeys((*checked.cited, *reply.service_ids)))[:CITED_AT_MOST]
        team = Answer(
            Role.TEAM,
            replace(asked, service_ids=ids),
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
                    {"question": task.question, "rows": _listed(shown), "answer": team.text},
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

    # What a role is shown

    def _expert_prompt(
        self,
        role: Role,
        task: Task,
        shown: Mapping[str, Service],
        memories: Sequence[str],
        searches: str,
    ) -> Prompt:
        name, what = EXPERTS[role]
        return prompt(
            "expert",
            {"question": task.question, "rows": _listed(shown), "memories": _lines(memories)},
            role=name,
            task=what,
            most=str(CITED_AT_MOST),
            example=_example(shown),
            searches=searches,
        )

    def _lead_prompt(
        self,
        task: Task,
        found: Findings,
        experts: Sequence[Answer],
        memories: Sequence[str],
        shown: Mapping[str, Service],
    ) -> Prompt:
        said = [
            f"{a.role}: {', '.join(a.referral.service_ids) or 'nothing'}. {' '.join(a.notes)}"
            if a.use and not a.use.fallback
            else f"{a.role}: {', '.join(a.referral.service_ids) or 'nothing'}."
            for a in experts
        ]
        said += [f"remembered: {memory}" for memory in memories]
        facets = (
            f"{name}: {', '.join(value for value in values if not suspicious(value))}"
            for name, values in (
                ("needs", self.catalog.needs),
                ("groups", self.catalog.groups),
                ("places", self.catalog.places),
            )
        )
        return prompt(
            "lead",
            {
                "question": task.question,
                "rows": _listed(shown),
                "said": _lines(said),
                "facets": "\n".join(facets),
            },
            most=str(CITED_AT_MOST),
            example=_example(shown),
        )

    def _rows(self, ids: Iterable[str], most: int) -> dict[str, Service]:
        """The rows as models are shown them: without columns that speak to a model."""
        unique = [id_ for id_ in dict.fromkeys(ids) if id_ in self.catalog][:most]
        return {id_: harmless(self.catalog.get(id_)) for id_ in unique}

    def _remembered(self, question: str) -> list[str]:
        """What memory holds that is like the question: experiences, reflections, insights."""
        if self._recall is None:
            return []
        memories = self._recall(question, limit=2 * MEMORIES)
        texts = [memory.text for memory in memories if not suspicious(memory.text)]
        return [text[:300] for text in texts[:MEMORIES]]


def no_idea(why: str, use: ModelUse | None = None) -> Answer:
    """The answer to an open dream that no language model has answered."""
    return Answer(Role.TEAM, Referral(), notes=(f"no idea: {why}",), use=use)


def _proposed(offline: Answer, experts: Sequence[Answer], found: Findings) -> list[str]:
    """What anybody would cite, by votes; then what the offline team found besides."""
    votes: dict[str, int] = {}
    for answer in (offline, *experts):
        for id_ in answer.referral.service_ids:
            votes[id_] = votes.get(id_, 0) + 1
    voted = sorted(votes, key=lambda id_: -votes[id_])
    return [*voted, *found.rows[Role.RECOMMENDATION]]


def _referral(reply: LeadReply, found: Findings) -> Referral:
    """The referral in the lead's reply; the facets of a plainly said question are the reading's."""
    ids = tuple(dict.fromkeys(reply.service_ids))[:CITED_AT_MOST]
    if reply.nothing_fits:
        return Referral(nothing_fits=True)
    if reply.field:
        return Referral(field=reply.field, service_ids=ids)
    if found.plain and found.decision.referral.needs:
        return replace(found.decision.referral, nothing_fits=False, field="", service_ids=ids)
    return Referral(
        tuple(dict.fromkeys(reply.needs)),
        tuple(dict.fromkeys(reply.groups)),
        reply.place,
        service_ids=ids,
    )


def _marked(answer: Answer, use: ModelUse | None) -> Answer:
    note = (f"offline answer: {use.fallback}",) if use and use.fallback else ()
    return replace(answer, use=use, notes=(*answer.notes, *note))


def _unknown(ids: Iterable[str], shown: Mapping[str, Service]) -> str:
    unknown = [id_ for id_ in ids if id_ not in shown]
    return f"service_ids: {unknown[0]!r} is not among the rows shown" if unknown else ""


def _listed(shown: Mapping[str, Service]) -> str:
    return "\n".join(_row(service) for service in shown.values()) or NOTHING


def _row(service: Service) -> str:
    cells = [f"[{service.id}]"]
    for column in COLUMNS:
        value = getattr(service, column)
        text = ", ".join(value) if isinstance(value, tuple) else " ".join(value.split())
        if text:
            cells.append(f"{column}: {text}")
    return " | ".join(cells)


def _lines(texts: Sequence[str]) -> str:
    return "\n".join(f"- {' '.join(text.split())}" for text in texts) or NOTHING


def _example(shown: Mapping[str, Service]) -> str:
    """An id to show the form of a citation by; ids come from the directory and may be anything."""
    return next((id_ for id_ in shown if re.fullmatch(r"[\w.:-]{1,40}", id_)), "row-1")

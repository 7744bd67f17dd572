"""What many experiences teach together: insights over a night. Pure, counted and deterministic.

It says where the base model and the team fail more than elsewhere, which words mislead them, who
finds what is right, and what is cited most. It draws no conclusion from fewer than three cases.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dreamlab.memory.reflection import EXPERTS, about, base_was_right, differences
from dreamlab.records import Experience, MemoryKind, Referral, Reflection, Role

AT_LEAST = 3
"""Cases that an insight needs."""

WEAKEST = 5
"""Insights on the weak facets of one subject, and words in one list."""

SOURCES = 20
NOTHING = Referral()
Write = Callable[..., Reflection]
WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True, slots=True)
class Trial:
    """An experience seen from one subject: whether it was right, and how it went wrong."""

    experience: Experience
    right: bool
    how: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose failures are counted: the base model or the team, with its checked trials."""

    key: str
    name: str
    trials: tuple[Trial, ...]

    @property
    def wrong(self) -> tuple[Trial, ...]:
        """The trials it failed."""
        return tuple(trial for trial in self.trials if not trial.right)


def insights(night: str, experiences: Iterable[Experience]) -> list[Reflection]:
    """Insights over `experiences` as of `night`, most important first.

    They are dated by the latest experience. Facets that fail more than the average are ranked
    by their surplus of failures; experiences that could not be checked count for nothing.
    """
    ordered = sorted(experiences, key=lambda e: e.id)
    if not ordered:
        return []
    write = functools.partial(_write, night, max(e.created_at for e in ordered))
    notes: list[Reflection] = []
    for subject in (_base(ordered), _team(ordered)):
        if len(subject.trials) >= AT_LEAST:
            notes += [_overall(write, subject), *_weak(write, subject), *_misled(write, subject)]
    verified = [e for e in ordered if e.verified]
    notes += _finders(write, verified)
    notes += _most_cited(write, verified)
    return sorted(notes, key=lambda note: (-note.importance, note.id))


def _write(
    night: str,
    created_at: datetime,
    name: str,
    text: str,
    importance: float,
    sources: Iterable[Experience],
    about: Referral = NOTHING,
) -> Reflection:
    return Reflection(
        id=f"{night}/insight/{name}",
        night=night,
        kind=MemoryKind.INSIGHT,
        text=text,
        created_at=created_at,
        importance=round(min(1.0, importance), 3),
        needs=about.needs,
        groups=about.groups,
        place=about.place,
        sources=tuple(e.id for e in sources)[:SOURCES],
    )


def _base(experiences: Sequence[Experience]) -> Subject:
    trials, versions = [], set()
    for experience in experiences:
        answer, right = experience.answer(Role.BASE), base_was_right(experience)
        if answer is not None and right is not None:
            how = differences(answer.referral, about(experience)) if answer.well_formed else ()
            trials.append(Trial(experience, right, how or ("gave a malformed completion",)))
            versions.add(answer.version)
    named = ", ".join(sorted(versions - {""}))
    name = f"The base model (version {named})" if named else "The base model"
    return Subject("base", name, tuple(trials))


def _team(experiences: Sequence[Experience]) -> Subject:
    checked = (Trial(e, e.verified, e.reasons) for e in experiences if e.verified is not None)
    return Subject("team", "The team", tuple(checked))


def _overall(write: Write, subject: Subject) -> Reflection:
    wrong = subject.wrong
    text = (
        f"{subject.name} was wrong on {len(wrong)} of {len(subject.trials)} checked questions"
        f"{_how(wrong)}."
    )
    return write(f"{subject.key}-overall", text, 0.5, (trial.experience for trial in wrong))


def _weak(write: Write, subject: Subject) -> list[Reflection]:
    """Facets on which the subject fails more often than over all."""
    average = len(subject.wrong) / len(subject.trials)
    weak = []
    for (facet, value), members in _by_facet(subject.trials).items():
        wrong = [trial for trial in members if not trial.right]
        surplus = round(len(wrong) - average * len(members), 9)
        if len(wrong) >= AT_LEAST and surplus > 0:
            weak.append((-surplus, facet, value, len(members), wrong))
    weak.sort(key=lambda entry: entry[:3])
    return [
        write(
            f"{subject.key}-{facet}-{value}",
            f"{subject.name} was wrong on {len(wrong)} of {total} questions "
            f"{_phrase(facet, value)}, against {average:.0%} over all{_how(wrong)}. "
            f"{_example(wrong)}",
            0.5 + 0.5 * len(wrong) / total,
            (trial.experience for trial in wrong),
            _facet_referral(facet, value),
        )
        for _, facet, value, total, wrong in weak[:WEAKEST]
    ]


def _by_facet(trials: Sequence[Trial]) -> dict[tuple[str, str], list[Trial]]:
    facets: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        subject, task = about(trial.experience), trial.experience.task
        keys = [("need", need) for need in subject.needs]
        keys += [("group", group) for group in subject.groups]
        keys += [("place", subject.place)] if subject.place else []
        keys += [("kind", task.kind.value), ("language", task.language)]
        for key in keys:
            facets.setdefault(key, []).append(trial)
    return facets


def _misled(write: Write, subject: Subject) -> list[Reflection]:
    """Words that are at least twice as frequent where the subject was wrong as where right."""
    wrong, right = _word_counts(subject.trials, False), _word_counts(subject.trials, True)
    failures = len(subject.wrong)
    successes = len(subject.trials) - failures
    if not failures or not successes:
        return []

    def ratio(word: str) -> float:
        return (wrong[word] / failures) / ((right[word] + 0.5) / (successes + 0.5))

    words = [word for word in wrong if wrong[word] >= AT_LEAST and ratio(word) >= 2]
    words = sorted(words, key=lambda word: (-ratio(word), word))[:WEAKEST]
    if not words:
        return []
    shown = ", ".join(
        f'"{word}" (wrong in {wrong[word]} of {wrong[word] + right[word]})' for word in words
    )
    experiences = (trial.experience for trial in subject.wrong)
    sources = (e for e in experiences if _words(e) & set(words))
    return [write(f"{subject.key}-wording", f"{subject.name} was misled by {shown}.", 0.6, sources)]


def _finders(write: Write, verified: Sequence[Experience]) -> list[Reflection]:
    """How often each expert had proposed a service of the verified answer."""
    cited = [(e, set(team.referral.service_ids)) for e in verified if (team := e.answer(Role.TEAM))]
    cited = [(experience, ids) for experience, ids in cited if ids]
    if len(cited) < AT_LEAST:
        return []
    counts = Counter(
        role
        for experience, ids in cited
        for role in (*EXPERTS, Role.BASE)
        if (answer := experience.answer(role)) and ids & set(answer.referral.service_ids)
    )
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    shown = ", ".join(f"{role} in {count}" for role, count in ranked) or "nobody"
    text = f"Of {len(cited)} verified answers, services were proposed by {shown}."
    return [write("finders", text, 0.4, (experience for experience, _ in cited))]


def _most_cited(write: Write, verified: Sequence[Experience]) -> list[Reflection]:
    counts = Counter(
        service_id
        for experience in verified
        if (team := experience.answer(Role.TEAM))
        for service_id in team.referral.service_ids
    )
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    top = [(service_id, count) for service_id, count in ranked if count >= AT_LEAST][:WEAKEST]
    if not top:
        return []
    shown = ", ".join(f"{service_id} ({count} times)" for service_id, count in top)
    ids = {service_id for service_id, _ in top}
    sources = (
        e
        for e in verified
        if (team := e.answer(Role.TEAM)) and ids & set(team.referral.service_ids)
    )
    return [write("most-cited", f"Most cited in verified answers: {shown}.", 0.3, sources)]


def _how(wrong: Sequence[Trial]) -> str:
    """The commonest ways of being wrong."""
    ways = Counter(way for trial in wrong for way in trial.how)
    ranked = sorted(ways.items(), key=lambda entry: (-entry[1], entry[0]))[:2]
    return "; mostly: " + ", ".join(f"{way} ({n})" for way, n in ranked) if ranked else ""


def _example(wrong: Sequence[Trial]) -> str:
    question = min((trial.experience.task.question for trial in wrong), key=lambda q: (len(q), q))
    return f'For example: "{question}"'


def _facet_referral(facet: str, value: str) -> Referral:
    return Referral(
        needs=(value,) if facet == "need" else (),
        groups=(value,) if facet == "group" else (),
        place=value if facet == "place" else "",
    )


def _phrase(facet: str, value: str) -> str:
    forms = {
        "need": f"about {value}",
        "group": f"for {value}",
        "place": f"in {value}",
        "kind": f"of kind {value}",
        "language": f"in language {value}",
    }
    return forms[facet]


def _word_counts(trials: Sequence[Trial], right: bool) -> Counter[str]:
    return Counter(
        word
        for trial in trials
        if trial.right is right
        for word in sorted(_words(trial.experience))
    )


def _words(experience: Experience) -> set[str]:
    return set(WORD.findall(experience.task.question.casefold()))

"""What one experience teaches, in words: who found it, what the base model got wrong, what was
dropped. Pure, and without a model: the answers to one task are compared with each other. What a
language model says of a whole night is asked of a callable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dreamlab.records import Answer, Experience, MemoryKind, Referral, Reflection, Role

LookBack = Callable[[Sequence[str]], Mapping[str, Sequence[tuple[str, Sequence[int]]]]]
"""Told a night in numbered lines, gives sentences by aspect with the numbers they rest on."""

ASPECTS = {
    "went_well": "Went well",
    "improve": "To improve",
    "new": "New",
    "next_time": "Next time",
}
TOLD = 60
"""Experiences of a night that a language model is told of: the most important ones."""

EXPERTS = (Role.RESOURCE, Role.SEARCH, Role.RECOMMENDATION)
REASONS_SHOWN = 3


def reflect(experience: Experience) -> Reflection:
    """The reflection on one experience, written as of the moment the experience was made."""
    subject = about(experience)
    sentences = (
        _what(experience, subject),
        _team(experience),
        _experts(experience),
        _base(experience, subject),
        _dropped(experience),
    )
    return Reflection(
        id=f"{experience.id}/reflection",
        night=experience.task.night,
        kind=MemoryKind.REFLECTION,
        text=" ".join(sentence for sentence in sentences if sentence),
        created_at=experience.created_at,
        importance=importance(experience),
        needs=subject.needs,
        groups=subject.groups,
        place=subject.place,
        sources=(experience.id,),
    )


def lessons(night: str, experiences: Sequence[Experience], look_back: LookBack) -> list[Reflection]:
    """What a language model makes of a night, as insights: what went well, what to improve, what
    is new, what to do next time. Empty when it says nothing that can be used."""
    told = sorted(experiences, key=lambda e: (-importance(e), e.id))[:TOLD]
    if not told:
        return []
    lines = [f"{n}. {_told(experience)}" for n, experience in enumerate(told, 1)]
    found = []
    for aspect, sentences in look_back(lines).items():
        for number, (text, numbers) in enumerate(sentences, 1):
            sources = [told[n - 1] for n in dict.fromkeys(numbers)]
            subjects = [about(source) for source in sources]
            found.append(
                Reflection(
                    id=f"{aspect}-{number}",
                    night=night,
                    kind=MemoryKind.INSIGHT,
                    text=f"{ASPECTS[aspect]}: {text}",
                    created_at=max(source.created_at for source in sources),
                    importance=max(importance(source) for source in sources),
                    needs=_shared(subjects, "needs"),
                    groups=_shared(subjects, "groups"),
                    sources=tuple(source.id for source in sources),
                )
            )
    return found


def _told(experience: Experience) -> str:
    """An experience in a line: what was asked, whether it went right, and what went wrong."""
    outcome = {True: "right", False: "wrong", None: "not checked"}[experience.verified]
    team = experience.answer(Role.TEAM)
    wrong = (
        differences(team.referral, about(experience)) if team and not experience.verified else ()
    )
    words = " ".join(experience.task.question.split())[:160]
    return f"{experience.task.kind}: {words} ({'; '.join((outcome, *wrong))})"


def _shared(subjects: Sequence[Referral], facet: str) -> tuple[str, ...]:
    """The facet values that all subjects have."""
    first = getattr(subjects[0], facet)
    return tuple(v for v in first if all(v in getattr(s, facet) for s in subjects))


def about(experience: Experience) -> Referral:
    """What the question was about: the known answer of a dream, else what the team understood."""
    if experience.task.expected is not None:
        return experience.task.expected
    team = experience.answer(Role.TEAM)
    return team.referral if team else Referral()


def importance(experience: Experience) -> float:
    """How much there is to learn from an experience, in [0, 1].

    A failure of the team weighs most, then a miss of the base model, then disagreement among
    the answers; a question that a person asked counts a little more than a dream.
    """
    weight = 0.1
    base_right = base_was_right(experience)
    if experience.verified is False:
        weight += 0.5
    if base_right is False:
        weight += 0.2
    if base_right and experience.verified is False:
        weight += 0.1
    if experience.task.expected is None:
        weight += 0.1
    return round(min(1.0, weight + 0.1 * _disagreement(experience)), 3)


def base_was_right(experience: Experience) -> bool | None:
    """Whether the base model understood the question as expected; None when nobody can say."""
    base, goal = experience.answer(Role.BASE), _goal(experience)
    if base is None or goal is None:
        return None
    return base.well_formed and not differences(base.referral, goal)


def differences(given: Referral, goal: Referral) -> tuple[str, ...]:
    """How an understanding differs from the right one, in words; empty when it does not."""
    if goal.nothing_fits != given.nothing_fits:
        return ("refused it",) if given.nothing_fits else ("did not refuse it",)
    if goal.nothing_fits:
        return ()
    if goal.field:
        return _fact_differences(given, goal)
    if not given.understood:
        return ("understood nothing",)
    found = [f"missed the need {n}" for n in goal.needs if n not in given.needs]
    found += [f"invented the need {n}" for n in given.needs if n not in goal.needs]
    found += [f"missed the group {g}" for g in goal.groups if g not in given.groups]
    found += [f"invented the group {g}" for g in given.groups if g not in goal.groups]
    if given.place != goal.place:
        found.append(
            f"took the place for {given.place or 'none'} instead of {goal.place or 'none'}"
        )
    if given.field:
        found.append(f"took it for a question about the {given.field}")
    return tuple(found)


def _fact_differences(given: Referral, goal: Referral) -> tuple[str, ...]:
    found = []
    if given.field != goal.field:
        found.append(f"looked for {given.field or 'services'} instead of the {goal.field}")
    if goal.service_ids and given.service_ids and given.service_ids[0] != goal.service_ids[0]:
        found.append(f"took {given.service_ids[0]} for {goal.service_ids[0]}")
    return tuple(found)


def _goal(experience: Experience) -> Referral | None:
    """The right understanding, where it is known: expected, or the team's when it was verified."""
    if experience.task.expected is not None:
        return experience.task.expected
    team = experience.answer(Role.TEAM)
    return team.referral if team and experience.verified else None


def _what(experience: Experience, subject: Referral) -> str:
    facets = [*subject.needs, *subject.groups, *([subject.place] if subject.place else [])]
    if subject.nothing_fits:
        facets = ["nothing fits"]
    elif subject.field:
        facets = [f"{subject.field} of {', '.join(subject.service_ids) or 'a service'}"]
    return f'"{experience.task.question}" ({", ".join(facets) or "unclear"}).'


def _team(experience: Experience) -> str:
    team = experience.answer(Role.TEAM)
    if team is None:
        return "The team gave no answer."
    said = ", ".join(team.referral.service_ids) or "nothing"
    if experience.verified is None:
        return f"The team cited {said}; nobody could check it."
    if experience.verified:
        return f"The team was right, citing {said}."
    how = differences(team.referral, about(experience)) or experience.reasons
    return f"The team was wrong, citing {said}: {_listed(how) or 'the check gave no reason'}."


def _experts(experience: Experience) -> str:
    goal = _goal(experience)
    team = experience.answer(Role.TEAM)
    wanted = set(goal.service_ids if goal else ())
    if not wanted and team is not None and experience.verified:
        wanted = set(team.referral.service_ids)
    if not wanted:
        return ""
    found = [
        f"{role} {len(wanted & set(answer.referral.service_ids))} of {len(wanted)}"
        for role in EXPERTS
        if (answer := experience.answer(role)) and wanted & set(answer.referral.service_ids)
    ]
    return f"Found by {_listed(found)}." if found else "No expert had found it."


def _base(experience: Experience, subject: Referral) -> str:
    base = experience.answer(Role.BASE)
    if base is None:
        return ""
    name = f"The base model (version {base.version})" if base.version else "The base model"
    if not base.well_formed:
        return f"{name} gave a malformed completion."
    if _goal(experience) is None:
        how = differences(base.referral, subject)
        return f"{name} saw it differently from the team: {_listed(how)}." if how else ""
    how = differences(base.referral, subject)
    return f"{name} {_listed(how)}." if how else f"{name} had it right."


def _dropped(experience: Experience) -> str:
    """Services that somebody proposed and the team left out, with the team's notes on it."""
    team = experience.answer(Role.TEAM)
    if team is None:
        return ""
    kept = set(team.referral.service_ids)
    proposed: dict[str, Role] = {}
    for answer in experience.answers:
        if answer.role is not Role.TEAM:
            for service_id in answer.referral.service_ids:
                if service_id not in kept:
                    proposed.setdefault(service_id, answer.role)
    if not proposed:
        return ""
    first = list(proposed.items())[:REASONS_SHOWN]
    dropped = _listed([f"{service_id} ({role})" for service_id, role in first])
    more = f" and {len(proposed) - len(first)} more" if len(proposed) > len(first) else ""
    why = "; ".join(note for note in team.notes if any(s in note for s, _ in first))
    return f"Left out: {dropped}{more}{', because ' + why if why else ''}."


def _disagreement(experience: Experience) -> float:
    """One minus the mean Jaccard index of what the team and each other role cited."""
    team = experience.answer(Role.TEAM)
    others = [a for a in experience.answers if a.role in (*EXPERTS, Role.BASE)]
    if team is None or not others:
        return 0.0
    return 1 - sum(_jaccard(team, other) for other in others) / len(others)


def _jaccard(one: Answer, other: Answer) -> float:
    a, b = set(one.referral.service_ids), set(other.referral.service_ids)
    return len(a & b) / len(a | b) if a | b else 1.0


def _listed(parts: tuple[str, ...] | list[str]) -> str:
    return ", ".join(parts)

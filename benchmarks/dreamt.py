"""What the base model learns of the nights of a home, for benchmarks that train on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dreamlab.lab import Lab
from dreamlab.models.evidence import Clue
from dreamlab.orchestration.learning import (
    REPLAYED_WORDINGS,
    WORDINGS,
    clues_to_learn_from,
    wordings_of,
)
from dreamlab.records import Example, Role
from dreamlab.training.examples import examples


@dataclass(frozen=True)
class Dreamt:
    """A verified dream in one wording: example, question as worded, evidence, services cited."""

    example: Example
    question: str
    clue: Clue
    cited: tuple[str, ...]


def nights_of(lab: Lab) -> list[str]:
    """The nights that the home holds, the first one first."""
    return sorted({e.task.night for e in lab.memory.experiences()})


def dreamt(
    lab: Lab, nights: Sequence[str], wordings: int = WORDINGS, seed: int = 0
) -> list[Dreamt]:
    """The verified dreams of these nights, the last one's in `wordings` each, earlier in three."""
    experiences = {e.id: e for e in lab.memory.experiences() if e.task.night in nights}
    known = [e for e in examples(experiences.values()) if lab.format.covers(e.chosen)]
    counts = [wordings if e.night == nights[-1] else REPLAYED_WORDINGS for e in known]
    tasks = [experiences[e.experience_id].task for e in known]
    texts = wordings_of(lab, tasks, counts, seed)
    said = [(e, text) for e, worded in zip(known, texts, strict=True) for text in worded]
    clues = clues_to_learn_from(lab, [text for _, text in said])
    return [
        Dreamt(replace(e, question=clue.prompt), text, clue, _cited(experiences[e.experience_id]))
        for (e, text), clue in zip(said, clues, strict=True)
    ]


def _cited(experience) -> tuple[str, ...]:
    team = experience.answer(Role.TEAM)
    return team.referral.service_ids if team else ()
